//! Saved values: a safetensors file of `<row id>/<point>`, and of `<row id>/input_ids` for what went in.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value as Json, json};
use sli_config::Diagnostic;

use crate::failure::{Failure, Outcome};

/// Row fields that a reference may hold as integer tensors.
const FIELDS: [&str; 3] = ["input_ids", "decoder_input_ids", "token_type_ids"];

/// A value of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    /// Rows; leading dims of size 1 are left out.
    pub(crate) rows: usize,
    /// Elements of a row, trailing dims multiplied.
    pub(crate) width: usize,
    /// Row-major.
    pub(crate) values: Vec<f32>,
}

/// A reference file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    /// `(row id, point)` -> value; by point, then row.
    pub(crate) values: BTreeMap<(String, String), Array>,
    /// Row id -> the fields that went in.
    pub(crate) inputs: BTreeMap<String, Map<String, Json>>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// A file that is no safetensors file, a key without row id, a value that is no number.
    pub(crate) fn read(path: &Path) -> Outcome<Reference> {
        let mut reference = Reference::default();
        for (key, array) in arrays(path)? {
            let Some((row, point)) = key
                .split_once('/')
                .filter(|(row, point)| !row.is_empty() && !point.is_empty())
            else {
                let message = format!("the reference `{}` has a tensor `{key}`", path.display());
                return Err(wrong(
                    message,
                    "its keys are `<row id>/<point>`, as `0/decoder.3` or `0/input_ids`",
                ));
            };
            if FIELDS.contains(&point) {
                let ids: Vec<i64> = array.values.iter().map(|id| *id as i64).collect();
                reference
                    .inputs
                    .entry(row.to_owned())
                    .or_default()
                    .insert(point.to_owned(), json!(ids));
                continue;
            }
            if let Some(place) = array.values.iter().position(|value| !value.is_finite()) {
                let message = format!("`{key}` of the reference is {} at element {place}", array.values[place]);
                return Err(wrong(
                    message,
                    "save finite values: a comparison with this one proves nothing",
                ));
            }
            reference.values.insert((point.to_owned(), row.to_owned()), array);
        }
        if reference.values.is_empty() {
            let message = format!("the reference `{}` has no values to compare", path.display());
            return Err(wrong(message, "its keys are `<row id>/<point>`, as `0/decoder.3`"));
        }
        Ok(reference)
    }

    /// The points it has, each once.
    pub(crate) fn points(&self) -> Vec<String> {
        let mut points: Vec<String> = self.values.keys().map(|(point, _)| point.clone()).collect();
        points.dedup();
        points
    }

    /// What went into the model, as rows of a `.jsonl` source.
    pub(crate) fn rows(&self) -> Vec<Json> {
        let row = |(id, fields): (&String, &Map<String, Json>)| {
            let mut row = fields.clone();
            row.insert("id".into(), json!(id));
            Json::Object(row)
        };
        self.inputs.iter().map(row).collect()
    }
}

/// All tensors of a safetensors file, as f32.
///
/// # Errors
/// A file that cannot be read, or an element type that is no number.
pub(crate) fn arrays(path: &Path) -> Outcome<HashMap<String, Array>> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| wrong(format!("`{shown}` cannot be read: {error}"), "name a safetensors file"))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| {
        wrong(
            format!("`{shown}` is no safetensors file: {error}"),
            "name a safetensors file",
        )
    })?;
    let array = |(name, view): (String, TensorView<'_>)| {
        let values = floats(&view).ok_or_else(|| {
            wrong(
                format!("`{name}` of `{shown}` has the element type {:?}", view.dtype()),
                "save it as F32, F16, BF16, F64, I32 or I64",
            )
        })?;
        let ones = view.shape().iter().take_while(|size| **size == 1).count();
        let shape = &view.shape()[ones.min(view.shape().len().saturating_sub(2))..];
        let rows = shape.first().copied().unwrap_or(1);
        let width = shape.iter().skip(1).product();
        Ok((name, Array { rows, width, values }))
    };
    file.tensors().into_iter().map(array).collect()
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    fn cast<const N: usize>(data: &[u8], to: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|bytes| to(*bytes)).collect()
    }
    let data = view.data();
    Some(match view.dtype() {
        Dtype::F32 => cast(data, f32::from_le_bytes),
        Dtype::F64 => cast(data, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => cast(data, |b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => cast(data, |b| half::bf16::from_le_bytes(b).to_f32()),
        Dtype::I32 => cast(data, |b| i32::from_le_bytes(b) as f32),
        Dtype::I64 => cast(data, |b| i64::from_le_bytes(b) as f32),
        _ => return None,
    })
}

fn wrong(message: String, help: &str) -> Failure {
    Failure::input(Diagnostic::error(message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> std::path::PathBuf {
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        let path = dir.join("reference.safetensors");
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    }

    fn f32s(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn values_and_inputs_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<u8> = [5i64, 9].iter().flat_map(|id| id.to_le_bytes()).collect();
        let path = file(
            dir.path(),
            &[
                (
                    "a/decoder.0",
                    Dtype::F32,
                    vec![1, 2, 3],
                    f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
                ),
                ("a/pooled", Dtype::F32, vec![1, 3], f32s(&[1.0, 2.0, 3.0])),
                ("a/input_ids", Dtype::I64, vec![2], ids),
            ],
        );
        let reference = Reference::read(&path).unwrap();
        assert_eq!(reference.points(), ["decoder.0", "pooled"]);
        let array = &reference.values[&("decoder.0".to_owned(), "a".to_owned())];
        assert_eq!((array.rows, array.width), (2, 3));
        let pooled = &reference.values[&("pooled".to_owned(), "a".to_owned())];
        assert_eq!((pooled.rows, pooled.width), (1, 3));
        assert_eq!(reference.rows(), [json!({ "input_ids": [5, 9], "id": "a" })]);
    }

    #[test]
    fn a_reference_that_proves_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (name, value, part) in [("a/x", f32::NAN, "is NaN at element 1"), ("x", 1.0, "has a tensor `x`")] {
            let path = file(dir.path(), &[(name, Dtype::F32, vec![1, 2], f32s(&[0.0, value]))]);
            let message = Reference::read(&path).unwrap_err().into_diagnostics().remove(0).message;
            assert!(message.contains(part), "{message}");
        }
        std::fs::write(dir.path().join("no"), "no").unwrap();
        assert_eq!(Reference::read(&dir.path().join("no")).unwrap_err().code(), 2);
    }
}
