//! The inputs of `linear_scan`, checked and brought to their full shapes.

use super::chunks::Chunks;
use super::decay::Decay;
use sli_model::ScanNormalize;
use tch::{Kind, TchError, Tensor};

/// The inputs of `linear_scan` as the graph gives them.
#[derive(Clone, Copy)]
pub(crate) struct ScanInputs<'a> {
    /// `[N, G, K]`; `None`: ones.
    pub(crate) q: Option<&'a Tensor>,
    /// `[N, G, K]`; `None`: ones.
    pub(crate) k: Option<&'a Tensor>,
    /// `[N, H, V]`; head h reads q, k of head floor(h G / H).
    pub(crate) v: &'a Tensor,
    /// Log of the decay, broadcasts to `[N, H, K]`; `None`: 0.
    pub(crate) decay: Option<&'a Tensor>,
    /// Broadcasts to `[N, H, 1]`.
    pub(crate) beta: Option<&'a Tensor>,
    /// a, b `[N, G, K]`.
    pub(crate) erase: Option<(&'a Tensor, &'a Tensor)>,
    /// Broadcasts to `[H, K]`.
    pub(crate) bonus: Option<&'a Tensor>,
    /// Log of the gain, broadcasts to `[N, H, 1]`.
    pub(crate) gain: Option<&'a Tensor>,
    /// How y is normalised.
    pub(crate) normalize: Option<ScanNormalize>,
}

/// The inputs of all rows or of a block, expanded (views, no copies).
pub(super) struct Operands {
    /// `[N, G, K]`.
    pub(super) q: Tensor,
    /// `[N, G, K]`.
    pub(super) k: Tensor,
    /// `[N, H, V]`.
    pub(super) v: Tensor,
    /// q and k are ones of width 1.
    pub(super) ones: bool,
    /// `[N, H, K or 1]`.
    pub(super) decay: Tensor,
    /// `[N, H, 1]`.
    pub(super) beta: Option<Tensor>,
    /// `[N, G, K]`.
    pub(super) erase: Option<(Tensor, Tensor)>,
    /// `[H, K]` f32.
    pub(super) bonus: Option<Tensor>,
    /// `[N, H, 1]`.
    pub(super) gain: Option<Tensor>,
    /// How y is normalised.
    pub(super) normalize: Option<ScanNormalize>,
}

impl Operands {
    /// Checks the shapes and expands what broadcasts.
    pub(super) fn new(inputs: &ScanInputs) -> Result<Operands, TchError> {
        let v = inputs.v.shallow_clone();
        let [n, h, _] = three(&v, "v")?;
        let like = match (inputs.q, inputs.k) {
            (Some(x), _) | (None, Some(x)) => three(x, "q and k")?,
            (None, None) => [n, 1, 1],
        };
        let [_, g, keys] = like;
        let options = (Kind::Float, v.device());
        let operand = |x: Option<&Tensor>, name: &str| match x {
            Some(x) if x.size() == like => Ok(x.shallow_clone()),
            Some(x) => mismatch(name, &x.size(), &like),
            None => Tensor::f_ones([1, 1, 1], options)?.f_expand(like, false),
        };
        if like[0] != n || g == 0 || h % g != 0 {
            return mismatch("q and k", &like, &v.size());
        }
        let rows = |x: &Tensor| x.f_expand([n, h, 1], false);
        let decay = match inputs.decay {
            None => Tensor::f_zeros([1], options)?.f_expand([n, h, 1], false)?,
            Some(x) if x.size().last().is_none_or(|&last| last == 1) => rows(x)?,
            Some(x) => x.f_expand([n, h, keys], false)?,
        };
        let erase = match inputs.erase {
            None => None,
            Some((a, b)) => Some((operand(Some(a), "erase")?, operand(Some(b), "erase")?)),
        };
        let bonus = inputs
            .bonus
            .map(|u| u.f_to_kind(Kind::Float)?.f_expand([h, keys], false));
        Ok(Operands {
            q: operand(inputs.q, "q")?,
            k: operand(inputs.k, "k")?,
            v,
            ones: inputs.q.is_none() && inputs.k.is_none(),
            decay,
            beta: inputs.beta.map(rows).transpose()?,
            erase,
            bonus: bonus.transpose()?,
            gain: inputs.gain.map(rows).transpose()?,
            normalize: inputs.normalize,
        })
    }

    /// Heads of v.
    pub(super) fn heads(&self) -> i64 {
        self.v.size()[1]
    }

    /// Heads of q and k, G.
    pub(super) fn groups(&self) -> i64 {
        self.q.size()[1]
    }

    /// Width of a key, K.
    pub(super) fn keys(&self) -> i64 {
        self.q.size()[2]
    }

    /// Width of a value, V.
    pub(super) fn values(&self) -> i64 {
        self.v.size()[2]
    }

    /// The channels of a head decay each in its own way.
    pub(super) fn decay_per_channel(&self) -> bool {
        self.decay.size()[2] > 1
    }

    /// The operands of some rows.
    pub(super) fn rows(&self, start: i64, count: i64) -> Result<Operands, TchError> {
        let cut = |x: &Tensor| x.f_narrow(0, start, count);
        let cut_some = |x: &Option<Tensor>| x.as_ref().map(cut).transpose();
        Ok(Operands {
            q: cut(&self.q)?,
            k: cut(&self.k)?,
            v: cut(&self.v)?,
            ones: self.ones,
            decay: cut(&self.decay)?,
            beta: cut_some(&self.beta)?,
            erase: match &self.erase {
                None => None,
                Some((a, b)) => Some((cut(a)?, cut(b)?)),
            },
            bonus: self.bonus.as_ref().map(Tensor::shallow_clone),
            gain: cut_some(&self.gain)?,
            normalize: self.normalize,
        })
    }

    /// A q-like operand `[N, G, K]` as f32 `[M, H, L, K]`, each head with its copy.
    pub(super) fn every_head(&self, x: &Tensor, chunks: &Chunks) -> Result<Tensor, TchError> {
        let packed = chunks.per_head(x, Kind::Float, 0.0)?;
        match self.heads() / self.groups() {
            1 => Ok(packed),
            n => packed.f_repeat_interleave_self_int(n, 1, None),
        }
    }

    /// v as f32 `[M, H, L, V]`.
    pub(super) fn packed_values(&self, chunks: &Chunks) -> Result<Tensor, TchError> {
        chunks.per_head(&self.v, Kind::Float, 0.0)
    }

    /// The cumulated decays.
    pub(super) fn packed_decay(&self, chunks: &Chunks) -> Result<Decay, TchError> {
        Decay::new(&chunks.per_head(&self.decay, Kind::Double, 0.0)?)
    }
}

fn three(x: &Tensor, name: &str) -> Result<[i64; 3], TchError> {
    let size = x.size();
    <[i64; 3]>::try_from(size.as_slice()).or_else(|_| mismatch(name, &size, &[0, 0, 0]))
}

fn mismatch<T>(name: &str, found: &[i64], wanted: &[i64]) -> Result<T, TchError> {
    Err(TchError::Shape(format!(
        "linear_scan: {name} is {found:?} and does not fit {wanted:?}"
    )))
}
