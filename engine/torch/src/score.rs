//! Scores of tokens from logits.

use crate::error::{Result, fail};
use crate::host;
use crate::kinds::{cast, dtype_of, is_float};
use crate::ops::route;
use crate::{Tensor, place};
use tch::Kind;

/// Bytes of logits widened to f32 at a time.
const PIECE: i64 = 64 << 20;

/// The log-probability (natural, at most 0) of each row's target: logits `[n, V]` in any float dtype,
/// computed in f32 as logit - logsumexp, a few rows at a time. The negative log-likelihood is its
/// negative.
///
/// # Errors
/// Another number of targets than rows, or a target outside the vocabulary.
pub fn next_token_nll(logits: &Tensor, targets: &[i64]) -> Result<Vec<f32>> {
    let shape = logits.shape();
    let [rows, vocabulary] = shape[..] else {
        fail!("logits of shape {shape:?}, [n, V] is expected")
    };
    if rows != targets.len() as i64 {
        fail!("{} targets for {rows} rows of logits", targets.len());
    }
    if let Some(beyond) = targets.iter().find(|t| **t < 0 || **t >= vocabulary) {
        fail!("target {beyond} is outside the vocabulary of {vocabulary}");
    }
    if let Some(found) = host::log_probs(logits.raw(), targets)? {
        return Ok(found);
    }
    let step = (PIECE / (4 * vocabulary).max(1)).max(1);
    let mut found = Vec::with_capacity(targets.len());
    for start in (0..rows).step_by(step as usize) {
        let len = step.min(rows - start);
        let piece = cast(&logits.raw().f_narrow(0, start, len)?, Kind::Float)?;
        let index = place::numbers(&targets[start as usize..(start + len) as usize], piece.device())?;
        let index = index.f_unsqueeze(1)?;
        let picked = piece.f_gather(1, &index, false)?.f_squeeze_dim(1)?;
        found.extend(Tensor::own(picked.f_sub(&piece.f_logsumexp(1, false)?)?).to_f32_vec()?);
    }
    Ok(found)
}

/// The k largest logits of each row, largest first, equal ones by lower index: values `[n, k]` in the
/// dtype of the logits, indices `[n, k]` i64.
///
/// # Errors
/// More than the vocabulary.
pub fn top_k(logits: &Tensor, k: u64) -> Result<(Tensor, Tensor)> {
    let shape = logits.shape();
    let [rows, vocabulary] = shape[..] else {
        fail!("logits of shape {shape:?}, [n, V] is expected")
    };
    if k as i64 > vocabulary {
        fail!("the {k} largest of a vocabulary of {vocabulary}");
    }
    if !is_float(logits.raw().kind()) {
        fail!("logits of {}, a float type is expected", dtype_of(logits.raw().kind()));
    }
    let step = (PIECE / (4 * vocabulary).max(1)).max(1);
    let (mut values, mut indices) = (Vec::new(), Vec::new());
    for start in (0..rows.max(1)).step_by(step as usize) {
        let piece = logits.raw().f_narrow(0, start, step.min(rows - start))?;
        let (index, value) = route::top_k(&piece, k)?;
        values.push(value);
        indices.push(index);
    }
    Ok((
        Tensor::own(tch::Tensor::f_cat(&values, 0)?),
        Tensor::own(tch::Tensor::f_cat(&indices, 0)?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, noise};

    #[test]
    fn log_probabilities_are_those_of_a_log_softmax() {
        let (rows, vocabulary) = (7usize, 11usize);
        let data = noise(rows * vocabulary, 1);
        let logits = Tensor::from_f32(&data, &[rows as i64, vocabulary as i64]).unwrap();
        let targets: Vec<i64> = (0..rows as i64).map(|r| r * 3 % 11).collect();
        let expected: Vec<f32> = (0..rows)
            .map(|r| {
                let row = &data[r * vocabulary..(r + 1) * vocabulary];
                let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
                (f64::from(row[targets[r] as usize]) - sum.ln()) as f32
            })
            .collect();
        close(&next_token_nll(&logits, &targets).unwrap(), &expected, 1e-6);
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let logits = Tensor::from_f32(&[1000.0, 1000.0], &[1, 2]).unwrap();
        close(
            &next_token_nll(&logits, &[0]).unwrap(),
            &[-std::f32::consts::LN_2],
            1e-4,
        );
    }

    #[test]
    fn targets_outside_the_vocabulary_are_errors() {
        let logits = Tensor::from_f32(&[0.0, 0.0], &[1, 2]).unwrap();
        assert!(
            next_token_nll(&logits, &[2])
                .unwrap_err()
                .to_string()
                .contains("target 2")
        );
        assert!(next_token_nll(&logits, &[]).is_err());
        assert!(top_k(&logits, 3).is_err());
    }

    #[test]
    fn equal_logits_come_by_index() {
        let logits = Tensor::from_f32(&[1.0, 2.0, 2.0, 0.0], &[1, 4]).unwrap();
        let (values, indices) = top_k(&logits, 3).unwrap();
        assert_eq!(values.to_f32_vec().unwrap(), [2.0, 2.0, 1.0]);
        assert_eq!(indices.to_i64_vec().unwrap(), [1, 2, 0]);
    }
}
