//! Plain linear attention with a decay per channel (GLA, arXiv 2312.06635; RWKV-6).
//!
//! A_ij = sum_c q_ic k_jc e^(G_ic - G_jc); Y = A V + (Q * e^G) S0;
//! S1 = e^(G_L) S0 + (K * e^(G_L - G))' V. With a bonus u rows look at the state before their token:
//! G - g instead of G, j < i, and A_ii = sum_c q_ic u_c k_ic.

use super::chunks::Chunks;
use super::decay::Reach;
use super::operands::Operands;
use super::{Link, Local, Step, dot};
use tch::{TchError, Tensor};

/// The chunks of a block as functions of their states.
pub(super) fn local(rows: &Operands, chunks: &Chunks, linked: bool) -> Result<Local, TchError> {
    let q = rows.every_head(&rows.q, chunks)?;
    let k = rows.every_head(&rows.k, chunks)?;
    let v = rows.packed_values(chunks)?;
    let decay = rows.packed_decay(chunks)?;
    let reach = match rows.bonus {
        Some(_) => Reach::Before,
        None => Reach::After,
    };
    let scores = decay.products(&[(&q, reach)], &[&k])?.remove(0);
    if let Some(u) = &rows.bonus {
        let own: Tensor = dot(&q.f_mul(&u.f_unsqueeze(1)?)?, &k)?;
        scores.f_diagonal(0, 2, 3)?.f_copy_(&own)?;
    }
    let y = scores.f_matmul(&v)?;
    let link = match linked {
        false => None,
        true => Some(Link {
            read: q.f_mul(&decay.since_start(reach)?)?,
            step: Step::Scale(decay.whole()?),
            added: k.f_mul(&decay.to_end()?)?.f_transpose(2, 3)?.f_matmul(&v)?,
        }),
    };
    Ok(Local { y, link })
}
