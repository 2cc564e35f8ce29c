//! Where a parameter is in a checkpoint: a stored tensor, a piece of one, or several joined.

use super::TensorInfo;
use crate::{DType, Packed, Parts};
use serde::{Deserialize, Serialize};

/// What a parameter is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A stored tensor as it is.
    Whole(u32),
    /// A piece of a stored tensor.
    Piece(Box<Piece>),
    /// Stored tensors, joined along dim 0 in this order.
    Joined(Vec<u32>),
}

/// A piece of a stored tensor: first `index` is taken, then the matrix is transposed, then rows are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The stored tensor.
    pub tensor: u32,
    /// Which part of dim 0.
    pub index: Option<Index>,
    /// The last two dims are exchanged.
    pub transposed: bool,
    /// Which rows of what is left; `None`: all.
    pub rows: Option<Rows>,
    /// The shape of the piece.
    pub shape: Vec<u64>,
}

/// Part `at` of `of` equal ones of dim 0, as experts are cut: `[E, a, b]` gives `[a, b]`, `[E*a, b]` gives `[a, b]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Index {
    /// Which one.
    pub at: u64,
    /// Of how many.
    pub of: u64,
}

/// The rows `start`, `start + step`, .. of dim 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rows {
    /// The first one.
    pub start: u64,
    /// How many.
    pub len: u64,
    /// From one to the next, at least 1.
    pub step: u64,
}

impl From<u32> for Source {
    fn from(tensor: u32) -> Source {
        Source::Whole(tensor)
    }
}

impl Source {
    /// The stored tensors.
    pub fn tensors(&self) -> &[u32] {
        match self {
            Source::Whole(tensor) => std::slice::from_ref(tensor),
            Source::Piece(piece) => std::slice::from_ref(&piece.tensor),
            Source::Joined(tensors) => tensors,
        }
    }

    /// Element type and number of elements, of tensors of which `stored` says the same. Joined tensors have one type.
    pub fn elements(&self, stored: &dyn Fn(u32) -> (DType, u64)) -> (DType, u64) {
        let dtype = stored(self.tensors()[0]).0;
        let count = match self {
            Source::Piece(piece) => piece.shape.iter().product(),
            _ => self.tensors().iter().map(|tensor| stored(*tensor).1).sum(),
        };
        (dtype, count)
    }

    /// The name of the stored tensor, or of the first one.
    pub(super) fn name<'t>(&self, tensors: &'t [TensorInfo]) -> &'t str {
        &self.info(tensors).name
    }

    /// The stored tensor, or the first one.
    pub(super) fn info<'t>(&self, tensors: &'t [TensorInfo]) -> &'t TensorInfo {
        &tensors[self.tensors()[0] as usize]
    }

    /// The shape that a graph sees.
    pub(super) fn shape(&self, tensors: &[TensorInfo]) -> Result<Vec<u64>, String> {
        match self {
            Source::Whole(tensor) => Ok(tensors[*tensor as usize].shape.clone()),
            Source::Piece(piece) => Ok(piece.shape.clone()),
            Source::Joined(parts) => joined(parts, tensors),
        }
    }
}

fn joined(parts: &[u32], tensors: &[TensorInfo]) -> Result<Vec<u64>, String> {
    let first = &tensors[parts[0] as usize];
    let mut rows = 0;
    for part in parts.iter().map(|part| &tensors[*part as usize]) {
        let alike = !part.shape.is_empty()
            && part.shape.len() == first.shape.len()
            && part.shape[1..] == first.shape[1..]
            && part.dtype == first.dtype;
        if !alike {
            return Err(format!(
                "`{}` {:?} {} and `{}` {:?} {} cannot be joined along dim 0",
                first.name, first.shape, first.dtype, part.name, part.shape, part.dtype
            ));
        }
        rows += part.shape[0];
    }
    Ok([&[rows], &first.shape[1..]].concat())
}

impl Piece {
    /// The piece of `info`, tensor number `tensor`, that `rule` describes. `index` is what `{e}` stands for and, where
    /// that is known, the number of parts of dim 0; else dim 0 is taken as it is.
    ///
    /// # Errors
    /// A shape that cannot be cut like this.
    pub(super) fn new(
        rule: &Packed,
        tensor: u32,
        info: &TensorInfo,
        index: Option<(u64, Option<u64>)>,
    ) -> Result<Piece, String> {
        let refuse = |why: String| Err(format!("`{}` {:?} {why}", info.name, info.shape));
        let index = index.map(|(at, of)| Index {
            at,
            of: of.or(info.shape.first().copied()).unwrap_or(0),
        });
        let mut shape = match index {
            None => info.shape.clone(),
            Some(index) if index.at >= index.of => return refuse(format!("has no part {} of dim 0", index.at)),
            Some(index) => part_of_dim_0(info, index.of)?,
        };
        if rule.transposed {
            let [columns, rows] = shape[..] else {
                return refuse(format!(
                    "cannot be transposed: a piece of it is {shape:?}, not a matrix"
                ));
            };
            shape = vec![rows, columns];
        }
        let mut rows = None;
        if let Some(part) = &rule.part {
            let Some(all) = shape.first_mut() else {
                return refuse("cannot be cut: it is one number".into());
            };
            let what = if rule.transposed { "columns" } else { "rows" };
            let (start, len, step) = match &part.of {
                Parts::Equal(n) if *n == 0 || *all % n != 0 => {
                    return refuse(format!("cannot be cut in {n} equal parts: it has {all} {what}"));
                }
                Parts::Equal(n) if rule.interleaved => (part.index, *all / n, *n),
                Parts::Equal(n) => (part.index * (*all / n), *all / n, 1),
                Parts::Rows(sizes) if sizes.iter().sum::<u64>() != *all => {
                    return refuse(format!("cannot be cut in parts of {sizes:?}: it has {all} {what}"));
                }
                Parts::Rows(sizes) => {
                    let (before, from) = sizes.split_at((part.index as usize).min(sizes.len()));
                    (before.iter().sum(), from.first().copied().unwrap_or(0), 1)
                }
            };
            *all = len;
            rows = Some(Rows { start, len, step });
        }
        Ok(Piece {
            tensor,
            index,
            transposed: rule.transposed,
            rows,
            shape,
        })
    }
}

/// The part of one expert: `[E, a, b]` gives `[a, b]`, `[E*a, b]` gives `[a, b]`; `[E]` gives `[1]`.
pub(super) fn part_of_dim_0(tensor: &TensorInfo, count: u64) -> Result<Vec<u64>, String> {
    match tensor.shape.split_first() {
        Some((first, rest)) if *first == count && !rest.is_empty() => Ok(rest.to_vec()),
        Some((first, rest)) if count > 0 && first % count == 0 => Ok([&[first / count], rest].concat()),
        _ => Err(format!(
            "`{}` {:?} cannot be cut in {count} equal parts, one per expert",
            tensor.name, tensor.shape
        )),
    }
}
