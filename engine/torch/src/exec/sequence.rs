//! Scans and convolutions along the tokens of a sequence: hands their inputs to `scan` and `mix`.

use super::eval::labelled;
use super::{Args, Results};
use crate::error::{Result, fail};
use crate::scan::{self, ScanInputs};
use sli_model::Op;

/// Computes one of the sequence mixers.
pub(super) fn mix(op: &Op, args: &Args) -> Result<Results> {
    let made = match op {
        Op::SelectiveScan => {
            let tensor = |slot| args.tensor(slot);
            let offsets = args.set(0)?.offsets();
            scan::selective_scan(&tensor(0)?, &tensor(1)?, &tensor(2)?, &tensor(3)?, &tensor(4)?, offsets)?
        }
        Op::Recurrence => {
            let Some(set) = args.any_rows() else { fail!("the inputs have no token set") };
            scan::recurrence(&args.tensor(0)?, &args.tensor(1)?, set.offsets())?
        }
        Op::LinearScan(options) => linear_scan(options.normalize, args)?,
        _ => fail!("this is no operation along a sequence"),
    };
    Ok(vec![Some(labelled(made, args.any_rows()))])
}

fn linear_scan(normalize: Option<sli_model::ScanNormalize>, args: &Args) -> Result<tch::Tensor> {
    let [q, k, decay, beta, a, b, bonus, gain] =
        [0, 1, 3, 4, 5, 6, 7, 8].map(|slot| args.optional(slot));
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
    Ok(scan::linear_scan(&inputs, args.set(2)?.offsets())?)
}
