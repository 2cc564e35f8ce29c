//! Functions from outside: tensors go out in f32 or i64 on the host, and results come back to where the inputs are.

use super::eval::labelled;
use super::{Args, Results};
use crate::error::{Result, fail};
use crate::kinds::{cast, is_float};
use crate::place;
use crate::{RowSet, Tensor as Shared};
use sli_model::{DType, Foreign, ForeignTensor, ForeignValues};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Calls the function. Floats of its results have the type of the first float among its inputs.
pub(super) fn foreign(call: &Foreign, args: &Args, compute: Kind, device: Device) -> Result<Results> {
    let name = format!("`{}` of the plugin `{}`", call.function, call.plugin);
    let Some(code) = &call.code.0 else {
        fail!("{name} is not tied to its code");
    };
    let mut inputs = Vec::with_capacity(args.len());
    let mut like = None;
    for slot in 0..args.len() {
        inputs.push(match args.get(slot) {
            None => None,
            Some(_) => {
                let tensor = args.shared(slot)?;
                if is_float(tensor.raw().kind()) {
                    like.get_or_insert(tensor.raw().kind());
                }
                Some(outward(&tensor)?)
            }
        });
    }
    let rows = args.any_rows();
    let lengths: Vec<u64> = rows.map_or_else(Vec::new, |set| set.lengths().map(|length| length as u64).collect());
    let made = match code.compute(&call.options, inputs, &lengths) {
        Ok(made) => made,
        Err(why) => fail!("{name}: {why}"),
    };
    if made.len() != usize::from(call.outputs) {
        fail!("{name} gave {} results instead of {}", made.len(), call.outputs);
    }
    let kind = like.unwrap_or(compute);
    let back = |tensor: &ForeignTensor| inward(tensor, kind, device, rows);
    made.iter().map(|tensor| back(tensor).map(Some)).collect()
}

/// A tensor as the function sees it.
fn outward(tensor: &Shared) -> Result<ForeignTensor> {
    let shape = tensor.shape().iter().map(|size| *size as u64).collect();
    let values = if is_float(tensor.raw().kind()) {
        ForeignValues::Floats(tensor.cast(DType::F32)?.to_f32_vec()?)
    } else {
        ForeignValues::Ints(tensor.to_i64_vec()?)
    };
    Ok(ForeignTensor { shape, values })
}

/// A result as a value of the graph.
fn inward(tensor: &ForeignTensor, kind: Kind, device: Device, rows: Option<&Arc<RowSet>>) -> Result<crate::RtValue> {
    let shape: Vec<i64> = tensor.shape.iter().map(|size| *size as i64).collect();
    let made: Tensor = match &tensor.values {
        ForeignValues::Floats(floats) => cast(Shared::from_f32(floats, &shape)?.raw(), kind)?,
        ForeignValues::Ints(ints) => Shared::from_i64(ints, &shape)?.raw().shallow_clone(),
    };
    Ok(labelled(place::put(&made, device)?, rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RtValue;
    use sli_model::{Code, ForeignType, TensorFunction};

    /// Adds to each row the number of its sequence, and counts the rows of each sequence.
    struct Marks;

    impl TensorFunction for Marks {
        fn check_options(&self, _: &str) -> std::result::Result<(), String> {
            Ok(())
        }

        fn infer(&self, _: &str, _: &[Option<ForeignType>]) -> std::result::Result<Vec<ForeignType>, String> {
            Err("not asked".into())
        }

        fn compute(
            &self,
            options: &str,
            inputs: Vec<Option<ForeignTensor>>,
            lengths: &[u64],
        ) -> std::result::Result<Vec<ForeignTensor>, String> {
            if options != "{}" {
                return Err(format!("wants no {options}"));
            }
            let Some(ForeignTensor {
                shape,
                values: ForeignValues::Floats(mut x),
            }) = inputs[0].clone()
            else {
                return Err("wants floats".into());
            };
            assert!(inputs[1].is_none());
            let owners = lengths
                .iter()
                .zip(0u8..)
                .flat_map(|(n, s)| vec![f32::from(s); *n as usize]);
            x.chunks_mut(shape[1] as usize)
                .zip(owners)
                .for_each(|(row, s)| row.iter_mut().for_each(|v| *v += s));
            let counts = lengths.iter().map(|n| *n as i64).collect::<Vec<_>>();
            Ok(vec![
                ForeignTensor {
                    shape,
                    values: ForeignValues::Floats(x),
                },
                ForeignTensor {
                    shape: vec![counts.len() as u64],
                    values: ForeignValues::Ints(counts),
                },
            ])
        }
    }

    fn call(options: &str) -> Foreign {
        Foreign {
            plugin: "marks".into(),
            function: "mark".into(),
            options: options.into(),
            outputs: 2,
            digest: String::new(),
            code: Code(Some(Arc::new(Marks))),
        }
    }

    fn run(options: &str, kind: DType) -> Result<Results> {
        let set = Arc::new(RowSet::from_lengths(&[2, 1])?);
        let x = Shared::from_f32(&[1., 2., 3., 4., 5., 6.], &[3, 2])?.cast(kind)?;
        let args = Args::new(vec![Some(RtValue::packed(x, &set)), None], vec![false; 2]);
        foreign(&call(options), &args, Kind::Float, Device::Cpu)
    }

    #[test]
    fn values_go_out_as_f32_and_come_back_in_the_type_of_the_input() {
        for kind in [DType::F32, DType::BF16] {
            let results = run("{}", kind).unwrap();
            let first = results[0].as_ref().unwrap();
            let tensor = first.tensor().unwrap();
            assert_eq!((tensor.dtype(), first.rows().is_some()), (kind, true));
            assert_eq!(
                tensor.cast(DType::F32).unwrap().to_f32_vec().unwrap(),
                [1., 2., 3., 4., 6., 7.]
            );
            let second = results[1].as_ref().unwrap();
            assert_eq!(second.tensor().unwrap().to_i64_vec().unwrap(), [2, 1]);
            assert!(second.rows().is_none(), "two sequences are no three rows");
        }
    }

    #[test]
    fn the_functions_own_error_names_the_plugin() {
        let error = run("{\"a\":1}", DType::F32).unwrap_err().to_string();
        assert_eq!(error, "`mark` of the plugin `marks`: wants no {\"a\":1}");
    }
}
