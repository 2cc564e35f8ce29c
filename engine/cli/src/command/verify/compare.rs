//! How far captured values are from a reference.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use sli_config::Diagnostic;

use super::reference::{Array, Reference};
use crate::failure::{Failure, Outcome};

/// A point, over all rows of the reference that have it.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// The point.
    pub(crate) name: String,
    /// Tokens (or documents) compared.
    pub(crate) rows: u64,
    /// The largest difference of a row of the reference as a share of the row's largest magnitude.
    pub(crate) error: f64,
    /// Where that is.
    pub(crate) at: Place,
}

/// One element.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Id of the row.
    pub(crate) row: String,
    /// Token of it.
    pub(crate) token: usize,
    /// Column.
    pub(crate) feature: usize,
    /// What the reference says.
    pub(crate) expected: f32,
    /// What the model gave.
    pub(crate) found: f32,
}

impl Comparison {
    /// Whether it is within the tolerance; what is no number never is.
    pub(crate) fn agrees(&self, tolerance: f64) -> bool {
        self.error <= tolerance
    }

    /// For `--json`. JSON has no infinity: an error that is no number is null.
    pub(crate) fn to_json(&self, tolerance: f64) -> Json {
        let at = &self.at;
        json!({
            "point": self.name, "rows": self.rows, "relative_error": self.error, "agrees": self.agrees(tolerance),
            "worst": { "row": at.row, "token": at.token, "feature": at.feature, "expected": at.expected, "found": at.found },
        })
    }
}

/// Compares every value of the reference, in the order in which the model computes them.
///
/// # Errors
/// A row or a shape of the reference that the model's values do not have.
pub(crate) fn compare(
    reference: &Reference,
    found: &HashMap<String, Array>,
    order: &[String],
) -> Outcome<Vec<Comparison>> {
    let mut comparisons: Vec<Comparison> = Vec::new();
    for ((point, row), expected) in &reference.values {
        let key = format!("{row}/{point}");
        let found = found.get(&key).ok_or_else(|| {
            wrong(
                format!("the reference has `{key}`, but no row has the id `{row}`"),
                "give the rows of `--data` the ids of the reference",
            )
        })?;
        if (found.rows, found.width) != (expected.rows, expected.width) {
            let shape = |array: &Array| format!("[{}, {}]", array.rows, array.width);
            let message = format!(
                "`{key}` is {} in the reference and {} in the model",
                shape(expected),
                shape(found)
            );
            return Err(wrong(
                message,
                "the reference was made from other inputs, or its point is another value",
            ));
        }
        let (error, element) = worst(&expected.values, &found.values);
        let at = Place {
            row: row.clone(),
            token: element / expected.width.max(1),
            feature: element % expected.width.max(1),
            expected: expected.values.get(element).copied().unwrap_or_default(),
            found: found.values.get(element).copied().unwrap_or_default(),
        };
        match comparisons.iter_mut().find(|known| known.name == *point) {
            Some(known) => {
                known.rows += expected.rows as u64;
                if error > known.error {
                    (known.error, known.at) = (error, at);
                }
            }
            None => comparisons.push(Comparison {
                name: point.clone(),
                rows: expected.rows as u64,
                error,
                at,
            }),
        }
    }
    comparisons.sort_by_key(|point| order.iter().position(|name| *name == point.name));
    Ok(comparisons)
}

/// The largest difference as a share of the largest magnitude expected, and the element it is at.
fn worst(expected: &[f32], found: &[f32]) -> (f64, usize) {
    let scale = expected
        .iter()
        .fold(0.0f64, |most, value| most.max(f64::from(value.abs())));
    let differences = expected
        .iter()
        .zip(found)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    let (element, most) = differences
        .map(|difference| if difference.is_nan() { f64::INFINITY } else { difference })
        .enumerate()
        .fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
    (if most == 0.0 { 0.0 } else { most / scale }, element)
}

fn wrong(message: String, help: &str) -> Failure {
    Failure::input(Diagnostic::error(message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f32]) -> Array {
        Array {
            rows: 1,
            width: values.len(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn points_come_in_the_order_of_the_model_with_the_place_of_the_worst() {
        let values = [
            ("final", "a", [1.0, 2.0]),
            ("decoder.0", "a", [4.0, 2.0]),
            ("decoder.0", "b", [1.0, 1.0]),
        ];
        let reference = Reference {
            values: values
                .iter()
                .map(|(p, r, v)| (((*p).to_owned(), (*r).to_owned()), array(v)))
                .collect(),
            ..Reference::default()
        };
        let found = HashMap::from([
            ("a/final".to_owned(), array(&[1.0, 2.0])),
            ("a/decoder.0".to_owned(), array(&[4.0, 3.0])),
            ("b/decoder.0".to_owned(), array(&[f32::NAN, 1.0])),
        ]);
        let order = ["decoder.0".to_owned(), "final".to_owned()];
        let comparisons = compare(&reference, &found, &order).unwrap();
        assert_eq!(comparisons[0].name, "decoder.0");
        assert_eq!(
            (
                comparisons[0].rows,
                comparisons[0].at.row.as_str(),
                comparisons[0].at.feature
            ),
            (2, "b", 0)
        );
        assert!(!comparisons[0].agrees(1.0) && comparisons[1].agrees(0.0));
    }

    #[test]
    fn the_error_is_relative_to_the_largest_magnitude() {
        assert_eq!(worst(&[4.0, 2.0], &[4.0, 3.0]), (0.25, 1));
        assert_eq!(worst(&[0.0], &[0.0]), (0.0, 0));
        assert_eq!(worst(&[0.0], &[1.0]).0, f64::INFINITY);
    }

    #[test]
    fn what_the_model_lacks_is_said() {
        let reference = Reference {
            values: [(("final".to_owned(), "a".to_owned()), array(&[1.0]))].into(),
            ..Reference::default()
        };
        let message = |found: HashMap<String, Array>| {
            compare(&reference, &found, &[])
                .unwrap_err()
                .into_diagnostics()
                .remove(0)
                .message
        };
        assert!(message(HashMap::new()).contains("no row has the id `a`"));
        let other = HashMap::from([("a/final".to_owned(), array(&[1.0, 2.0]))]);
        assert_eq!(
            message(other),
            "`a/final` is [1, 1] in the reference and [1, 2] in the model"
        );
    }
}
