//! How far values are apart.

use std::collections::BTreeMap;

use crate::fixture::Array;

/// The largest difference over the largest magnitude of the expected values.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-30f64, |m, v| m.max(f64::from(v.abs())));
    let worst = (found.iter().zip(expected))
        .map(|(a, b)| f64::from(a - b).abs())
        .fold(0.0f64, |m, d| if d.is_nan() { f64::INFINITY } else { m.max(d) });
    worst / scale
}

/// Compares every expected value with what was found; the worst relative error and where it is.
///
/// # Errors
/// Values that are missing or of another shape, by name.
pub fn worst(found: &BTreeMap<String, Array>, expected: &BTreeMap<String, Array>) -> Result<(f64, String), String> {
    let mut worst = (0.0, String::new());
    for (name, expected) in expected {
        let found = found.get(name).ok_or_else(|| format!("`{name}` was not captured"))?;
        if found.shape != expected.shape {
            return Err(format!("`{name}` is {:?}, expected {:?}", found.shape, expected.shape));
        }
        let error = relative_error(&found.values, &expected.values);
        if error >= worst.0 {
            worst = (error, name.clone());
        }
    }
    Ok(worst)
}
