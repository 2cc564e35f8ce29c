//! Plain linear attention with one decay per head: RetNet, lightning attention, Mamba-2 (SSD,
//! arXiv 2405.21060, section 6), RWKV-5 with its bonus.
//!
//! Y = ((Q K') * D) V + e^G * (Q S0), D_ij = e^(G_i - G_j) for j <= i, else 0;
//! S1 = e^(G_L) S0 + K' (V * e^(G_L - G)). With a bonus u the rows use G - g, j < i, and the
//! diagonal of the scores is sum_c q_ic u_c k_ic.
//!
//! The decay is a number per head, so it goes to the side of v, and the R = H / G heads that share
//! q and k are one matrix product with R V columns: q and k are never repeated. States are
//! `[M, G, K, R V]`.

use super::Carried;
use super::chunks::Chunks;
use super::decay::Reach;
use super::operands::Operands;
use super::state::{Step, pass};
use tch::{Kind, TchError, Tensor};

/// Runs a block.
pub(super) fn run(
    rows: &Operands,
    chunks: &Chunks,
    start: Option<&Tensor>,
) -> Result<(Tensor, Option<Carried>), TchError> {
    let shared = Shared::new(rows, chunks)?;
    let decay = rows.packed_decay(chunks)?;
    let reach = match rows.bonus {
        Some(_) => Reach::Before,
        None => Reach::After,
    };
    let scores = shared.weighed(&decay.table(reach)?)?;
    if let Some(u) = &rows.bonus {
        scores.f_diagonal(0, 2, 3)?.f_copy_(&shared.own(u)?)?;
    }
    // [M, L, H, V]
    let y = scores.f_matmul(&rows.packed_values(chunks)?)?.f_transpose(1, 2)?;
    if start.is_none() && chunks.alone() {
        return Ok((chunks.unpack(&y)?, None));
    }
    let v = chunks.pack(&rows.v.f_to_kind(Kind::Float)?, 0.0)?;
    let added = shared.write(&v.f_mul(&decay.to_end()?.f_transpose(1, 2)?)?)?;
    // [M, H, 1, 1] -> a factor of the state [M, G, K, R, V] in its flat form.
    let whole = shared.state_factor(&decay.whole()?, rows.values())?;
    let (before, last) = pass(chunks, &Step::Scale(whole), &added, start)?;
    let grown = decay.since_start(reach)?.f_transpose(1, 2)?;
    let y = y.f_addcmul(&shared.read(&before)?, &grown)?;
    Ok((chunks.unpack(&y)?, Some(Carried::State(last))))
}

/// q and k of the G groups of heads, and products with them for all H heads.
pub(super) struct Shared {
    /// `[M, G, L, K]`.
    q: Tensor,
    /// `[M, G, L, K]`.
    k: Tensor,
    /// Heads of a group, R.
    repeat: i64,
}

impl Shared {
    /// Packs q and k.
    pub(super) fn new(rows: &Operands, chunks: &Chunks) -> Result<Shared, TchError> {
        Ok(Shared {
            q: chunks.per_head(&rows.q, Kind::Float, 0.0)?,
            k: chunks.per_head(&rows.k, Kind::Float, 0.0)?,
            repeat: rows.heads() / rows.groups(),
        })
    }

    /// M, G, L, K.
    fn dims(&self) -> (i64, i64, i64, i64) {
        let size = self.q.size();
        (size[0], size[1], size[2], size[3])
    }

    /// (Q K') * table, table and result `[M, H, L, L]`.
    pub(super) fn weighed(&self, table: &Tensor) -> Result<Tensor, TchError> {
        let (m, g, len, _) = self.dims();
        let scores = self.q.f_matmul(&self.k.f_transpose(2, 3)?)?.f_unsqueeze(2)?;
        let table = table.f_view([m, g, self.repeat, len, len])?;
        table.f_mul(&scores)?.f_view([m, g * self.repeat, len, len])
    }

    /// sum_c q_ic u_hc k_ic, u `[H, K]`, result `[M, H, L]`.
    pub(super) fn own(&self, u: &Tensor) -> Result<Tensor, TchError> {
        let (m, g, len, k) = self.dims();
        let u = u.f_reshape([g, self.repeat, k])?.f_transpose(1, 2)?;
        let own = self.q.f_mul(&self.k)?.f_matmul(&u)?;
        own.f_transpose(2, 3)?.f_reshape([m, g * self.repeat, len])
    }

    /// K' v, v `[M, L, H, V]`, result a state `[M, G, K, R V]`.
    pub(super) fn write(&self, v: &Tensor) -> Result<Tensor, TchError> {
        let (m, g, len, _) = self.dims();
        let v = v.f_reshape([m, len, g, -1])?.f_transpose(1, 2)?;
        self.k.f_transpose(2, 3)?.f_matmul(&v)
    }

    /// Q S, S a state, result `[M, L, H, V]`.
    pub(super) fn read(&self, state: &Tensor) -> Result<Tensor, TchError> {
        let (m, g, len, _) = self.dims();
        let y = self.q.f_matmul(state)?.f_transpose(1, 2)?;
        y.f_reshape([m, len, g * self.repeat, -1])
    }

    /// A number per head, `[M, H, 1, 1]`, as a factor `[M, G, 1, R V]` of a state with V = `values`.
    pub(super) fn state_factor(&self, x: &Tensor, values: i64) -> Result<Tensor, TchError> {
        let (m, g, _, _) = self.dims();
        let x = x.f_reshape([-1, g, 1, self.repeat, 1])?;
        x.f_expand([m, g, 1, self.repeat, values], false)?
            .f_reshape([m, g, 1, -1])
    }
}
