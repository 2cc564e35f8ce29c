//! One vector per sequence.

use crate::error::Result;
use crate::kinds::cast;
use crate::ops::{norm, rows};
use crate::{RowSet, Tensor};
use tch::Kind;

/// `x [N, C]` -> `[S, C]` f32: the mean over the rows of each sequence.
///
/// # Errors
/// Rows that are not those of the set.
pub fn mean(x: &Tensor, set: &RowSet) -> Result<Tensor> {
    let wide = cast(x.raw(), Kind::Float)?;
    Ok(Tensor::own(rows::mean_rows(&wide, set)?))
}

/// `x [N, C]` -> `[S, C]` f32: the first row of each sequence (BERT's `[CLS]`).
///
/// # Errors
/// An empty sequence, or rows that are not those of the set.
pub fn cls(x: &Tensor, set: &RowSet) -> Result<Tensor> {
    Ok(Tensor::own(cast(&rows::end_token(x.raw(), false, set)?, Kind::Float)?))
}

/// `x [N, C]` -> `[S, C]` f32: the last row of each sequence.
///
/// # Errors
/// An empty sequence, or rows that are not those of the set.
pub fn last(x: &Tensor, set: &RowSet) -> Result<Tensor> {
    Ok(Tensor::own(cast(&rows::end_token(x.raw(), true, set)?, Kind::Float)?))
}

/// Every row of `[.., C]` divided by its length; a row of zeros stays zero.
///
/// # Errors
/// A tensor without dims.
pub fn l2_normalize(x: &Tensor) -> Result<Tensor> {
    // the smallest normal f32: it only keeps 0 from being divided by 0
    Ok(Tensor::own(norm::l2_norm(x.raw(), f64::from(f32::MIN_POSITIVE))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> (Tensor, RowSet) {
        let x = Tensor::from_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2]).unwrap();
        (x, RowSet::from_lengths(&[2, 1]).unwrap())
    }

    #[test]
    fn pools_take_one_row_of_each_sequence() {
        let (x, set) = batch();
        assert_eq!(mean(&x, &set).unwrap().to_f32_vec().unwrap(), [2.0, 3.0, 5.0, 6.0]);
        assert_eq!(cls(&x, &set).unwrap().to_f32_vec().unwrap(), [1.0, 2.0, 5.0, 6.0]);
        assert_eq!(last(&x, &set).unwrap().to_f32_vec().unwrap(), [3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn a_zero_row_stays_zero() {
        let x = Tensor::from_f32(&[3.0, 4.0, 0.0, 0.0], &[2, 2]).unwrap();
        assert_eq!(l2_normalize(&x).unwrap().to_f32_vec().unwrap(), [0.6, 0.8, 0.0, 0.0]);
    }

    #[test]
    fn an_empty_sequence_has_no_first_token() {
        let x = Tensor::from_f32(&[1.0], &[1, 1]).unwrap();
        let set = RowSet::from_lengths(&[1, 0]).unwrap();
        assert!(cls(&x, &set).unwrap_err().to_string().contains("sequence 1"));
        assert_eq!(mean(&x, &set).unwrap().to_f32_vec().unwrap(), [1.0, 0.0]);
    }
}
