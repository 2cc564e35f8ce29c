//! Cumulated decays of a chunk and the products they weigh.
//!
//! G_i is the sum of the log decays up to and with token i of the chunk. G and its differences are
//! f64, everything after exp is f32: with f32 sums a difference of two sums near -3800 would carry
//! an error of 1e-4 into exp. exp(-G) is never formed, all exponents are <= 0.

use tch::{Kind, TchError, Tensor};

/// How far the decay of a row of a product reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// With the token's own decay (G_i): the state after it, columns j <= i.
    After,
    /// Without it (G_i - g_i): the state before it, columns j < i.
    Before,
}

/// The decays of all chunks.
pub(super) struct Decay {
    /// G, `[M, H, L, K]`, or `[M, H, L, 1]` if a head has one decay.
    after: Tensor,
    /// G - g.
    before: Tensor,
}

/// exp of f64 exponents, in f32.
pub(super) fn exp32(exponent: &Tensor) -> Result<Tensor, TchError> {
    exponent.f_to_kind(Kind::Float)?.f_exp_()
}

impl Decay {
    /// From log decays `[M, H, L, K or 1]` in f64.
    pub(super) fn new(log: &Tensor) -> Result<Decay, TchError> {
        let after = log.f_cumsum(2, Kind::Double)?;
        let before = after.f_sub(log)?;
        Ok(Decay { after, before })
    }

    /// G or G - g.
    pub(super) fn sum(&self, reach: Reach) -> &Tensor {
        match reach {
            Reach::After => &self.after,
            Reach::Before => &self.before,
        }
    }

    /// G of the last token, `[M, H, 1, K or 1]`.
    pub(super) fn end(&self) -> Result<Tensor, TchError> {
        self.after.f_narrow(2, self.after.size()[2] - 1, 1)
    }

    /// exp(G) or exp(G - g): from the state before the chunk to each token.
    pub(super) fn since_start(&self, reach: Reach) -> Result<Tensor, TchError> {
        exp32(self.sum(reach))
    }

    /// exp(G_L - G): from each token to the state after the chunk.
    pub(super) fn to_end(&self) -> Result<Tensor, TchError> {
        exp32(&self.end()?.f_sub(&self.after)?)
    }

    /// exp(G_L) as a factor of the rows of a state, `[M, H, K or 1, 1]`.
    pub(super) fn whole(&self) -> Result<Tensor, TchError> {
        exp32(&self.end()?)?.f_transpose(2, 3)
    }

    /// exp(G_i - G_j) for j <= i (or exp(G_i - g_i - G_j) for j < i), else 0: `[M, H, L, L]`. Only for
    /// one decay per head.
    pub(super) fn table(&self, reach: Reach) -> Result<Tensor, TchError> {
        let exponent = self.sum(reach).f_sub(&self.after.f_transpose(2, 3)?)?;
        let above = above_diagonal(&exponent, reach)?;
        exponent
            .f_to_kind(Kind::Float)?
            .f_masked_fill_(&above, f64::NEG_INFINITY)?
            .f_exp_()
    }

    /// For each row operand x and each column operand y, `[M, H, L, K]`: the matrix
    /// A_ij = sum_c x_ic y_jc exp(R_ic - G_jc), `[M, H, L, L]`, with R and the columns that `Reach`
    /// says, 0 elsewhere. Order: all columns of the first row operand, then of the next.
    pub(super) fn products(&self, rows: &[(&Tensor, Reach)], columns: &[&Tensor]) -> Result<Vec<Tensor>, TchError> {
        if self.after.size()[3] > 1 {
            return self.products_per_channel(rows, columns);
        }
        let mut out = Vec::new();
        for (x, reach) in rows {
            let table = self.table(*reach)?;
            for y in columns {
                out.push(x.f_matmul(&y.f_transpose(2, 3)?)?.f_mul_(&table)?);
            }
        }
        Ok(out)
    }

    /// Decays per channel: the triangle is cut in halves, quarters, ..; in the square below the
    /// diagonal of each part the decay splits at its first column's end, R = G there:
    /// (x exp(G_i - R)) (y exp(R - G_j))', both exponents <= 0 (GLA, arXiv 2312.06635, section 4.3,
    /// carried on down to single tokens).
    fn products_per_channel(&self, rows: &[(&Tensor, Reach)], columns: &[&Tensor]) -> Result<Vec<Tensor>, TchError> {
        let size = self.after.size();
        let (m, h, len, k) = (size[0], size[1], size[2], size[3]);
        let (nr, nc) = (rows.len() as i64, columns.len() as i64);
        let options = (Kind::Float, self.after.device());
        let out = Tensor::f_zeros([nr, nc, m, h, len, len], options)?;
        let mut half = len / 2;
        while half > 0 {
            let parts = len / (2 * half);
            let view = |t: &Tensor, side: i64| t.f_view([m, h, parts, 2, half, k])?.f_select(3, side);
            let early = view(&self.after, 0)?;
            let split = early.f_narrow(3, half - 1, 1)?;
            let fade = exp32(&split.f_sub(&early)?)?;
            let sheets = |n: i64| Tensor::f_empty([m, h, parts, n * half, k], options);
            let (xs, ys) = (sheets(nr)?, sheets(nc)?);
            for (c, y) in columns.iter().enumerate() {
                let _ = view(y, 0)?.f_mul_out(&ys.f_narrow(3, c as i64 * half, half)?, &fade)?;
            }
            for (r, (x, reach)) in rows.iter().enumerate() {
                let grown = exp32(&view(self.sum(*reach), 1)?.f_sub(&split)?)?;
                let _ = view(x, 1)?.f_mul_out(&xs.f_narrow(3, r as i64 * half, half)?, &grown)?;
            }
            let square = xs.f_matmul(&ys.f_transpose(3, 4)?)?;
            let square = square.f_view(&[m, h, parts, nr, half, nc, half][..])?;
            // [nr, nc, m, h, half, half, parts] on both sides.
            out.f_view(&[nr, nc, m, h, parts, 2, half, parts, 2, half][..])?
                .f_select(8, 0)?
                .f_select(5, 1)?
                .f_diagonal(0, 4, 6)?
                .f_copy_(&square.f_permute([3, 5, 0, 1, 4, 6, 2])?)?;
            half /= 2;
        }
        for (r, (x, reach)) in rows.iter().enumerate() {
            if *reach == Reach::After {
                for (c, y) in columns.iter().enumerate() {
                    let diagonal = x.f_mul(y)?.f_sum_dim_intlist([-1i64].as_slice(), false, None)?;
                    let matrix = out.f_select(0, r as i64)?.f_select(0, c as i64)?;
                    matrix.f_diagonal(0, 2, 3)?.f_copy_(&diagonal)?;
                }
            }
        }
        out.f_view([nr * nc, m, h, len, len])?.f_unbind(0)
    }
}

/// Bool `[L, L]`: the places outside the columns of `reach`.
pub(super) fn above_diagonal(like: &Tensor, reach: Reach) -> Result<Tensor, TchError> {
    let size = like.size();
    let len = size[size.len() - 1];
    let first = match reach {
        Reach::After => 1,
        Reach::Before => 0,
    };
    Tensor::f_ones([len, len], (Kind::Bool, like.device()))?.f_triu(first)
}
