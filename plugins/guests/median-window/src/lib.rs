//! `median_window(x, keep, {rows, causal})`: running medians along each sequence. No operation of the engine sorts along
//! rows, so no descriptor can say this.

use serde::Deserialize;
use sli_pipe_plugin::op::{Dim, Function, Tensor, TensorType, Values, sequences};

/// The function.
pub struct MedianWindow;

sli_pipe_plugin::op!(MedianWindow);

/// The map of the call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    #[serde(default = "five")]
    rows: usize,
    #[serde(default = "yes")]
    causal: bool,
}

fn five() -> usize {
    5
}

fn yes() -> bool {
    true
}

impl Function for MedianWindow {
    const NAME: &'static str = "median_window";
    type Options = Options;

    fn infer(_: &Options, inputs: &[Option<TensorType>]) -> Result<Vec<TensorType>, String> {
        let [Some(x), keep] = inputs else {
            return Err("x is needed, and at most `keep` beside it".to_owned());
        };
        let [Dim::Rows, Dim::Size(_)] = x.dims[..] else {
            return Err("x is [N, C]".to_owned());
        };
        match keep.as_ref().map(|keep| &keep.dims[..]) {
            None | Some([Dim::Rows]) => Ok(vec![TensorType::floats(x.dims.clone())]),
            Some(_) => Err("keep is [N]: one number per row".to_owned()),
        }
    }

    fn compute(options: &Options, inputs: Vec<Option<Tensor>>, lengths: &[u64]) -> Result<Vec<Tensor>, String> {
        let mut inputs = inputs.into_iter();
        let (Some(Some(x)), keep) = (inputs.next(), inputs.next().flatten()) else {
            return Err("x is needed".to_owned());
        };
        let (shape, keep) = (x.shape.clone(), keep.map(|keep| kept(&keep.values)));
        let width = shape.get(1).map_or(0, |width| *width as usize);
        let x = x.into_floats()?;
        let mut out = vec![0.0; x.len()];
        let mut window = Vec::with_capacity(options.rows);
        for rows in sequences(lengths) {
            for feature in 0..width {
                window.clear();
                let (mut first, mut next) = (rows.start, rows.start);
                let taken = |row: usize| {
                    keep.as_ref()
                        .is_none_or(|keep| keep[row])
                        .then(|| x[row * width + feature])
                };
                for row in rows.clone() {
                    let behind = if options.causal { 0 } else { (options.rows - 1) / 2 };
                    let end = (row + behind + 1).min(rows.end);
                    let start = (row + behind + 1).saturating_sub(options.rows).max(rows.start);
                    while next < end {
                        taken(next).into_iter().for_each(|value| insert(&mut window, value));
                        next += 1;
                    }
                    while first < start {
                        taken(first).into_iter().for_each(|value| remove(&mut window, value));
                        first += 1;
                    }
                    out[row * width + feature] = median(&window);
                }
            }
        }
        let values = Values::Floats(out);
        Ok(vec![Tensor { shape, values }])
    }
}

/// Which rows count.
fn kept(values: &Values) -> Vec<bool> {
    match values {
        Values::Floats(values) => values.iter().map(|value| *value != 0.0).collect(),
        Values::Ints(values) => values.iter().map(|value| *value != 0).collect(),
    }
}

/// Where a value stands in a sorted window; `total_cmp` orders nan too.
fn place(window: &[f32], value: f32) -> usize {
    window.partition_point(|other| other.total_cmp(&value).is_lt())
}

fn insert(window: &mut Vec<f32>, value: f32) {
    window.insert(place(window, value), value);
}

fn remove(window: &mut Vec<f32>, value: f32) {
    window.remove(place(window, value));
}

fn median(window: &[f32]) -> f32 {
    let middle = window.len() / 2;
    match window.len() {
        0 => 0.0,
        n if n % 2 == 1 => window[middle],
        _ => 0.5 * (window[middle - 1] + window[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(options: &str, x: &[f32], width: u64, keep: Option<&[i64]>, lengths: &[u64]) -> Vec<f32> {
        let tensor = |shape: Vec<u64>, values| Some(Tensor { shape, values });
        let rows = x.len() as u64 / width;
        let keep = keep.and_then(|keep| tensor(vec![rows], Values::Ints(keep.to_vec())));
        let inputs = vec![tensor(vec![rows, width], Values::Floats(x.to_vec())), keep];
        let options = serde_json::from_str(options).unwrap();
        let out = MedianWindow::compute(&options, inputs, lengths).unwrap().remove(0);
        assert_eq!(out.shape, [rows, width]);
        out.into_floats().unwrap()
    }

    #[test]
    fn windows_end_at_the_token_and_at_the_sequence() {
        let x = [5.0, 1.0, 3.0, 9.0, 7.0, 2.0];
        assert_eq!(
            run(r#"{"rows": 3}"#, &x, 1, None, &[4, 2]),
            [5.0, 3.0, 3.0, 3.0, 7.0, 4.5]
        );
        assert_eq!(
            run(r#"{"rows": 3, "causal": false}"#, &x, 1, None, &[6]),
            [3.0, 3.0, 3.0, 7.0, 7.0, 4.5]
        );
    }

    #[test]
    fn a_sequence_does_not_depend_on_its_company() {
        let x: Vec<f32> = (0..40).map(|i| ((i * 37) % 23) as f32 - 11.0).collect();
        let together = run("{}", &x, 2, None, &[7, 0, 13]);
        let (one, other) = (run("{}", &x[..14], 2, None, &[7]), run("{}", &x[14..], 2, None, &[13]));
        assert_eq!(together, [one, other].concat());
    }

    #[test]
    fn rows_that_do_not_count_are_left_out() {
        let x = [4.0, 100.0, 2.0, 100.0];
        assert_eq!(run("{}", &x, 1, Some(&[1, 0, 1, 0]), &[4]), [4.0, 4.0, 3.0, 3.0]);
        assert_eq!(run("{}", &x, 1, Some(&[0, 0, 1, 1]), &[4])[..2], [0.0, 0.0]);
    }

    #[test]
    fn types_are_checked() {
        let options: Options = serde_json::from_str("{}").unwrap();
        let x = TensorType::floats([Dim::Rows, Dim::Size(3)]);
        let wrong = TensorType::floats([Dim::Size(3)]);
        assert_eq!(
            MedianWindow::infer(&options, &[Some(x.clone()), None]),
            Ok(vec![x.clone()])
        );
        assert!(MedianWindow::infer(&options, &[Some(x), Some(wrong.clone())]).is_err());
        assert!(MedianWindow::infer(&options, &[Some(wrong), None]).is_err());
    }
}
