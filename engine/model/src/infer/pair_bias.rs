//! Score biases that are equations.

use super::TypeError;
use crate::{Graph, GraphInput, Op, Origin, PairBias, PairIndex};

/// Checks that the body of a `pair_bias` is an elementwise equation of query index, key index, head and
/// numbers, so that it can be evaluated for any tile of queries and keys by itself.
///
/// # Errors
/// The first node that is something else, at its own place.
pub fn check_pair_bias(pair: &PairBias) -> Result<(), TypeError> {
    let Some(out) = pair.body.output("out") else {
        return Err(TypeError {
            message: "the block of `pair_bias` has no output `out`".to_string(),
            origin: Origin::default(),
        });
    };
    let need = pair.body.needed([out]);
    for (node, _) in pair.body.nodes.iter().zip(need).filter(|(_, need)| *need) {
        if let Some(why) = foreign(&pair.body, &node.op, pair.heads) {
            return Err(TypeError {
                message: format!("the block of `pair_bias` {why}"),
                origin: node.origin.clone(),
            });
        }
    }
    if matches!(pair.body.nodes[out.node as usize].op, Op::Const(_)) {
        return Err(TypeError {
            message: "the block of `pair_bias` gives a number that depends on neither query nor key".to_string(),
            origin: pair.body.nodes[out.node as usize].origin.clone(),
        });
    }
    Ok(())
}

/// What an operation has no place in the body for.
fn foreign(body: &Graph, op: &Op, heads: Option<u64>) -> Option<String> {
    let only = "is an equation of `x.q`, `x.k`, `x.h` and plan values";
    match op {
        Op::Input(GraphInput::Pair(PairIndex::Head)) if heads.is_none() => {
            Some("uses `x.h`, but the option `heads` is not given".to_string())
        }
        Op::Input(GraphInput::Pair(_))
        | Op::Const(_)
        | Op::Unary(_)
        | Op::Activation(_)
        | Op::Binary(_)
        | Op::Where
        | Op::Clamp { .. }
        | Op::Softcap(_) => None,
        Op::Input(input) => Some(format!("{only}; it reads `{input}`")),
        Op::Param(id) => {
            let path = body
                .params
                .get(id.0 as usize)
                .map_or("?", |param| param.name.path.as_str());
            Some(format!("{only}; it reads the tensor `{path}`"))
        }
        other => Some(format!(
            "{only}, element by element; `{}` has no place in it",
            other.name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BinaryOp, ParamForm, ParamName, testing::Builder};

    fn check(heads: Option<u64>, build: impl FnOnce(&mut Builder) -> crate::Value) -> Result<(), String> {
        let mut b = Builder::new("bias");
        let out = build(&mut b);
        let body = b.output("out", out);
        check_pair_bias(&PairBias { heads, body }).map_err(|e| e.message)
    }

    #[test]
    fn equations_of_indices_pass_and_nothing_else() {
        let index = |b: &mut Builder, index| b.input(GraphInput::Pair(index));
        let ahead = |b: &mut Builder| {
            let (q, k) = (index(b, PairIndex::Query), index(b, PairIndex::Key));
            b.op(Op::Binary(BinaryOp::Sub), &[q, k])
        };
        assert_eq!(check(None, ahead), Ok(()));
        assert_eq!(check(Some(4), |b| index(b, PairIndex::Head)), Ok(()));
        let cases: [(Result<(), String>, &str); 5] = [
            (
                check(None, |b| index(b, PairIndex::Head)),
                "uses `x.h`, but the option `heads` is not given",
            ),
            (
                check(None, |b| b.input(GraphInput::Tokens)),
                "plan values; it reads `tokens`",
            ),
            (
                check(None, |b| b.param_as(ParamName::root("slopes"), ParamForm::One, false)),
                "plan values; it reads the tensor `slopes`",
            ),
            (
                check(None, |b| {
                    let d = ahead(b);
                    b.op(Op::Softmax, &[d])
                }),
                "element by element; `softmax` has no place in it",
            ),
            (
                check(None, |b| b.op(Op::Const(crate::Scalar::Int(0)), &[])),
                "gives a number that depends on neither query nor key",
            ),
        ];
        for (found, expected) in cases {
            let message = found.unwrap_err();
            assert!(message.ends_with(expected), "{message}");
        }
    }
}
