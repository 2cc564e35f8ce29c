//! Scans and convolutions along the tokens of a sequence: hands their inputs to `scan` and `mix`.

use super::eval::labelled;
use super::{Args, Results};
use crate::error::{Result, fail};
use crate::mix::{self, Stencil};
use crate::scan::{self, ScanInputs};
use crate::{RowSet, RtValue, Tensor};
use sli_model::{Op, ScanNormalize};
use std::sync::Arc;

/// Computes one of the sequence mixers.
pub(super) fn mix(op: &Op, args: &Args) -> Result<Results> {
    let tensor = |slot| args.tensor(slot);
    let Some(set) = args.any_rows() else {
        fail!("the inputs have no token set: their rows belong to no sequence")
    };
    let offsets = set.offsets();
    let made = match op {
        Op::CausalConv1d => mix::causal_conv1d(&tensor(0)?, &tensor(1)?, args.optional(2)?.as_ref(), offsets)?,
        Op::LongConv => mix::long_conv(&tensor(0)?, &tensor(1)?, offsets)?,
        Op::ModalConv => mix::modal_conv(&tensor(0)?, &tensor(1)?, &tensor(2)?, offsets)?,
        Op::DynamicConv => mix::dynamic_conv(&tensor(0)?, &tensor(1)?, offsets)?,
        Op::Fourier => mix::fourier(&tensor(0)?, offsets)?,
        Op::RowConv {
            stride,
            padding,
            groups,
            dilation,
        } => {
            let stencil = Stencil {
                stride: *stride as i64,
                padding: (padding.0 as i64, padding.1 as i64),
                groups: *groups as i64,
                dilation: *dilation as i64,
            };
            return row_conv(args, stencil, set);
        }
        Op::SelectiveScan => {
            scan::selective_scan(&tensor(0)?, &tensor(1)?, &tensor(2)?, &tensor(3)?, &tensor(4)?, offsets)?
        }
        Op::Recurrence => scan::recurrence(&tensor(0)?, &tensor(1)?, offsets)?,
        Op::LinearScan(options) => linear_scan(options.normalize, args, offsets)?,
        _ => fail!("this is no operation along a sequence"),
    };
    Ok(vec![Some(labelled(made, Some(set)))])
}

/// A convolution that may leave each sequence another number of rows: then their positions count anew.
fn row_conv(args: &Args, stencil: Stencil, set: &Arc<RowSet>) -> Result<Results> {
    let bias = args.optional(2)?;
    let (made, limits) = mix::row_conv(
        &args.tensor(0)?,
        &args.tensor(1)?,
        bias.as_ref(),
        stencil,
        set.offsets(),
    )?;
    if limits == set.offsets() {
        return Ok(vec![Some(labelled(made, Some(set)))]);
    }
    let lengths: Vec<i64> = limits.windows(2).map(|w| w[1] - w[0]).collect();
    let set = Arc::new(RowSet::beside(&lengths, made.device())?);
    Ok(vec![Some(RtValue::packed(Tensor::own(made), &set))])
}

fn linear_scan(normalize: Option<ScanNormalize>, args: &Args, offsets: &[i64]) -> Result<tch::Tensor> {
    let [q, k, decay, beta, a, b, bonus, gain] = [0, 1, 3, 4, 5, 6, 7, 8].map(|slot| args.optional(slot));
    let v = args.tensor(2)?;
    let (q, k, decay, beta) = (q?, k?, decay?, beta?);
    let (a, b, bonus, gain) = (a?, b?, bonus?, gain?);
    let inputs = ScanInputs {
        q: q.as_ref(),
        k: k.as_ref(),
        v: &v,
        decay: decay.as_ref(),
        beta: beta.as_ref(),
        erase: a.as_ref().zip(b.as_ref()),
        bonus: bonus.as_ref(),
        gain: gain.as_ref(),
        normalize,
    };
    Ok(scan::linear_scan(&inputs, offsets)?)
}
