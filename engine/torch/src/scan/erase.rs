//! RWKV-7 (arXiv 2503.14456): `S = diag(w) S + b (a' S_old) + k v'`, S_old before the decay.
//!
//! The rows c_i = a_i' S_(i-1) of C follow from (I - Aab) C = (A * e^(G - g)) S0 + Aak V with
//! Aab, Aak weighed by e^(G_i - g_i - G_j), j < i. Solved for both right sides at once,
//! C = C1 + C2 S0. Then, Aqb, Aqk weighed by e^(G_i - G_j), j <= i:
//! Y = Aqb C1 + Aqk V + (Q * e^G + Aqb C2) S0;
//! S1 = (diag(e^(G_L)) + B' C2) S0 + B' C1 + K' V, B and K times e^(G_L - G).

use super::chunks::Chunks;
use super::decay::Reach;
use super::delta::scaled_identity;
use super::operands::Operands;
use super::{Link, Local, Step};
use tch::{TchError, Tensor};

/// The chunks of a block as functions of their states.
pub(super) fn local(rows: &Operands, chunks: &Chunks, linked: bool) -> Result<Local, TchError> {
    let q = rows.every_head(&rows.q, chunks)?;
    let k = rows.every_head(&rows.k, chunks)?;
    let v = rows.packed_values(chunks)?;
    let decay = rows.packed_decay(chunks)?;
    let (a, b) = match &rows.erase {
        Some((a, b)) => (rows.every_head(a, chunks)?, rows.every_head(b, chunks)?),
        None => return Err(TchError::Shape("linear_scan: `erase` is missing".into())),
    };
    let products = decay.products(&[(&a, Reach::Before), (&q, Reach::After)], &[&b, &k])?;
    let [ab, ak, qb, qk] = &products[..] else {
        return Err(TchError::Shape("linear_scan: four products expected".into()));
    };
    let akv = ak.f_matmul(&v)?;
    let right = match linked {
        false => akv,
        true => Tensor::f_cat(&[&akv, &a.f_mul(&decay.since_start(Reach::Before)?)?], 3)?,
    };
    // Unit lower triangular: the solver reads nothing on and above the diagonal.
    let c = ab.f_neg()?.f_linalg_solve_triangular(&right, false, true, true)?;
    let width = rows.values();
    let c1 = c.f_narrow(3, 0, width)?;
    let y = qb.f_matmul(&c1)?.f_add_(&qk.f_matmul(&v)?)?;
    let link = match linked {
        false => None,
        true => {
            let c2 = c.f_narrow(3, width, rows.keys())?;
            let fade = decay.to_end()?;
            let kept_b = b.f_mul(&fade)?.f_transpose(2, 3)?;
            let kept_k = k.f_mul(&fade)?.f_transpose(2, 3)?;
            let step = scaled_identity(&decay.whole()?, rows.keys())?;
            Some(Link {
                read: q.f_mul(&decay.since_start(Reach::After)?)?.f_add_(&qb.f_matmul(&c2)?)?,
                step: Step::Matrix(step.f_add(&kept_b.f_matmul(&c2)?)?),
                added: kept_b.f_matmul(&c1)?.f_add_(&kept_k.f_matmul(&v)?)?,
            })
        }
    };
    Ok(Local { y, link })
}
