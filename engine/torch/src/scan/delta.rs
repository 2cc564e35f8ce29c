//! The delta rule, also gated: `S = diag(w) S; S = S + b k (v - k' S)'`.
//!
//! DeltaNet, arXiv 2406.06484 (chunked WY form); Gated DeltaNet, arXiv 2412.06464; a decay per
//! channel as in Kimi Delta Attention. Token i writes k_i u_i' with u_i = b_i (v_i - k_i' S) and S
//! the decayed state before it, itself a sum of earlier writes, hence
//! (I + A) U = b * (V - (K * e^G) S0), A_ij = b_i sum_c k_ic k_jc e^(G_ic - G_jc), j < i.
//! Solved for V and K * e^G at once: U = U1 - U2 S0. Then with P_ij = sum_c q_ic k_jc e^(G_ic - G_jc):
//! Y = P U1 + (Q * e^G - P U2) S0; S1 = (diag(e^(G_L)) - D U2) S0 + D U1, D = (K * e^(G_L - G))'.

use super::chunks::Chunks;
use super::decay::Reach;
use super::operands::Operands;
use super::{Link, Local, Step};
use tch::{Kind, TchError, Tensor};

/// The chunks of a block as functions of their states.
pub(super) fn local(rows: &Operands, chunks: &Chunks, linked: bool) -> Result<Local, TchError> {
    let q = rows.every_head(&rows.q, chunks)?;
    let k = rows.every_head(&rows.k, chunks)?;
    let v = rows.packed_values(chunks)?;
    let decay = rows.packed_decay(chunks)?;
    let beta = match &rows.beta {
        Some(beta) => chunks.per_head(beta, Kind::Float, 0.0)?,
        None => return Err(TchError::Shape("linear_scan: the delta rule needs `beta`".into())),
    };
    let products = decay.products(&[(&k, Reach::After), (&q, Reach::After)], &[&k])?;
    let (own, read) = (products[0].f_mul(&beta)?, &products[1]);
    let grown = decay.since_start(Reach::After)?;
    let right = match linked {
        false => v.f_mul(&beta)?,
        true => Tensor::f_cat(&[&v, &k.f_mul(&grown)?], 3)?.f_mul_(&beta)?,
    };
    // Unit lower triangular: the solver reads nothing on and above the diagonal.
    let u = own.f_linalg_solve_triangular(&right, false, true, true)?;
    let width = rows.values();
    let u1 = u.f_narrow(3, 0, width)?;
    let y = read.f_matmul(&u1)?;
    let link = match linked {
        false => None,
        true => {
            let u2 = u.f_narrow(3, width, rows.keys())?;
            let kept = k.f_mul(&decay.to_end()?)?.f_transpose(2, 3)?;
            let step = scaled_identity(&decay.whole()?, rows.keys())?.f_sub_(&kept.f_matmul(&u2)?)?;
            Some(Link {
                read: q.f_mul(&grown)?.f_sub_(&read.f_matmul(&u2)?)?,
                step: Step::Matrix(step),
                added: kept.f_matmul(&u1)?,
            })
        }
    };
    Ok(Local { y, link })
}

/// diag of `[M, H, K or 1, 1]`, `[M, H, K, K]`.
pub(super) fn scaled_identity(scale: &Tensor, k: i64) -> Result<Tensor, TchError> {
    Tensor::f_eye(k, (Kind::Float, scale.device()))?.f_mul(scale)
}
