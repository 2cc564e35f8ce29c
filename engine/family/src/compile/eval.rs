//! Expressions: operators, conditions, literals.

use std::sync::Arc;

use sli_model::{BinaryOp, Num, Op, Origin, Scalar, UnaryOp, Value};

use super::lookup::At;
use super::{Compiler, FrameId, R};
use crate::expr::{Arithmetic, Compare, Expr, Node, Parsed};
use crate::value::Val;

impl Compiler<'_> {
    /// The value of an expression.
    pub(crate) fn eval(&mut self, frame: FrameId, parsed: &Parsed, expr: &Expr) -> R<Val> {
        Ok(match &expr.node {
            Node::Null => Val::Null,
            Node::Bool(b) => Val::Bool(*b),
            Node::Int(i) => Val::Int(*i),
            Node::Float(x) => Val::Float(*x),
            Node::Str(s) => Val::Str(s.as_str().into()),
            Node::Name(name) => self.name(name, (frame, parsed, expr))?,
            Node::Member(..) | Node::Index(..) => self.present(frame, parsed, expr)?,
            Node::Has(path) => Val::Bool(!matches!(self.path_value(frame, parsed, path)?, None | Some(Val::Null))),
            Node::List(list) => {
                let items: R<Vec<Val>> = list.iter().map(|e| self.eval(frame, parsed, e)).collect();
                Val::List(Arc::new(items?))
            }
            Node::Map(entries) => {
                let items: R<_> = entries
                    .iter()
                    .map(|(k, e)| Ok((k.clone(), self.eval(frame, parsed, e)?)))
                    .collect();
                Val::Map(Arc::new(items?))
            }
            Node::If(condition, yes, no) => {
                let chosen = if self.condition(frame, parsed, condition)? {
                    yes
                } else {
                    no
                };
                self.eval(frame, parsed, chosen)?
            }
            Node::And(list) => Val::Bool(self.all(frame, parsed, list, true)?),
            Node::Or(list) => Val::Bool(!self.all(frame, parsed, list, false)?),
            Node::Not(inner) => Val::Bool(!self.condition(frame, parsed, inner)?),
            Node::Negate(inner) => self.negate(frame, parsed, inner)?,
            Node::Arithmetic(op, a, b) => {
                let a = self.eval(frame, parsed, a)?;
                let b = self.eval(frame, parsed, b)?;
                self.arithmetic(*op, &a, &b, (frame, parsed, expr))?
            }
            Node::Compare(op, a, b) => {
                let a = self.eval(frame, parsed, a)?;
                let b = self.eval(frame, parsed, b)?;
                Val::Bool(self.compare(*op, &a, &b, (frame, parsed, expr))?)
            }
            Node::Call(name, args) => self.call(name, args, (frame, parsed, expr))?,
        })
    }

    /// A condition: a bool at plan time.
    pub(crate) fn condition(&mut self, frame: FrameId, parsed: &Parsed, expr: &Expr) -> R<bool> {
        match self.eval(frame, parsed, expr)? {
            Val::Bool(b) => Ok(b),
            Val::Tensor(..) => Err(self.fail(
                frame,
                parsed,
                expr,
                "a condition is decided when the model is planned; a tensor cannot decide it",
            )),
            other => Err(self.fail(
                frame,
                parsed,
                expr,
                format!("a condition is true or false, not {}", other.show()),
            )),
        }
    }

    /// True if every one equals `wanted`; stops at the first that does not.
    fn all(&mut self, frame: FrameId, parsed: &Parsed, list: &[Expr], wanted: bool) -> R<bool> {
        for expr in list {
            if self.condition(frame, parsed, expr)? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn negate(&mut self, frame: FrameId, parsed: &Parsed, expr: &Expr) -> R<Val> {
        match self.eval(frame, parsed, expr)? {
            Val::Int(i) => Ok(Val::Int(-i)),
            Val::Float(x) => Ok(Val::Float(-x)),
            Val::Tensor(serial, value) => {
                let at = (frame, parsed, expr);
                let value = self.own(serial, value, at)?;
                Ok(self.node(Op::Unary(UnaryOp::Neg), vec![Some(value)], at))
            }
            other => Err(self.fail(frame, parsed, expr, format!("{} has no negative", other.show()))),
        }
    }

    fn arithmetic(&mut self, op: Arithmetic, a: &Val, b: &Val, at: At<'_>) -> R<Val> {
        match (op, a, b) {
            (_, Val::Null, _) | (_, _, Val::Null) => Err(self.fail(
                at.0,
                at.1,
                at.2,
                "null takes no part in arithmetic; give it a value with `get(…, default)`",
            )),
            (Arithmetic::Add, Val::Bias(s, p), Val::Bias(t, q)) => {
                let (p, q) = (self.own(*s, *p, at)?, self.own(*t, *q, at)?);
                let origin = self.origin(at.0, at.1, at.2);
                let builder = self.builder();
                Ok(Val::Bias(
                    builder.serial,
                    builder.push(Op::AddBias, vec![Some(p), Some(q)], origin),
                ))
            }
            (_, Val::Tensor(..), _) | (_, _, Val::Tensor(..)) => self.tensor_arithmetic(op, a, b, at),
            (Arithmetic::Add, Val::Str(s), Val::Str(t)) => Ok(Val::Str(format!("{s}{t}").into())),
            (Arithmetic::Add, Val::List(s), Val::List(t)) => {
                Ok(Val::List(Arc::new(s.iter().chain(t.iter()).cloned().collect())))
            }
            (_, Val::Int(p), Val::Int(q)) => self.integers(op, *p, *q, at),
            _ => match (a.number(), b.number()) {
                (Some(p), Some(q)) => self.floats(op, p, q, at),
                _ => Err(self.fail(
                    at.0,
                    at.1,
                    at.2,
                    format!("{} and {} cannot be combined so", a.show(), b.show()),
                )),
            },
        }
    }

    fn integers(&mut self, op: Arithmetic, a: i64, b: i64, at: At<'_>) -> R<Val> {
        let result = match op {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Sub => a.checked_sub(b),
            Arithmetic::Mul => a.checked_mul(b),
            Arithmetic::Div | Arithmetic::Rem if b == 0 => {
                return Err(self.fail(at.0, at.1, at.2, format!("{a} is divided by 0")));
            }
            Arithmetic::Div if a % b != 0 => {
                let message = format!("{a} / {b} is not a whole number");
                let mut error = self.fail(at.0, at.1, at.2, message);
                *error = error.help("integers must divide exactly; where a fraction is meant, write `1.0 * a / b`");
                return Err(error);
            }
            Arithmetic::Div => a.checked_div(b),
            Arithmetic::Rem => Some(a.rem_euclid(b)),
        };
        result
            .map(Val::Int)
            .ok_or_else(|| self.fail(at.0, at.1, at.2, "the result does not fit 64 bits"))
    }

    fn floats(&mut self, op: Arithmetic, a: f64, b: f64, at: At<'_>) -> R<Val> {
        Ok(Val::Float(match op {
            Arithmetic::Add => a + b,
            Arithmetic::Sub => a - b,
            Arithmetic::Mul => a * b,
            Arithmetic::Div if b == 0.0 => return Err(self.fail(at.0, at.1, at.2, format!("{a} is divided by 0"))),
            Arithmetic::Div => a / b,
            Arithmetic::Rem => a.rem_euclid(b),
        }))
    }

    fn tensor_arithmetic(&mut self, op: Arithmetic, a: &Val, b: &Val, at: At<'_>) -> R<Val> {
        let op = match op {
            Arithmetic::Add => BinaryOp::Add,
            Arithmetic::Sub => BinaryOp::Sub,
            Arithmetic::Mul => BinaryOp::Mul,
            Arithmetic::Div => BinaryOp::Div,
            Arithmetic::Rem => {
                return Err(self.fail(at.0, at.1, at.2, "`%` is for plan values; of tensors write `mod(a, b)`"));
            }
        };
        let inputs = vec![Some(self.operand(a, at)?), Some(self.operand(b, at)?)];
        Ok(self.node(Op::Binary(op), inputs, at))
    }

    /// A tensor, or a number as a constant of the graph.
    pub(crate) fn operand(&mut self, value: &Val, at: At<'_>) -> R<Value> {
        let scalar = match value {
            Val::Tensor(serial, value) => return self.own(*serial, *value, at),
            Val::Int(i) => Scalar::Int(*i),
            Val::Float(x) => Scalar::Float(Num(*x)),
            other => {
                return Err(self.fail(
                    at.0,
                    at.1,
                    at.2,
                    format!("expected a tensor or a number, found {}", other.show()),
                ));
            }
        };
        let origin = self.origin(at.0, at.1, at.2);
        Ok(self.builder().push(Op::Const(scalar), Vec::new(), origin))
    }

    /// A value of the current graph, not of one around it.
    pub(crate) fn own(&mut self, serial: u32, value: Value, at: At<'_>) -> R<Value> {
        if serial == self.builder().serial {
            return Ok(value);
        }
        let sees = match self.builder().expert {
            Some(_) => "the body of `experts` sees its own input and parameters",
            None => "the block of `pair_bias` sees its own x and plan values",
        };
        Err(self.fail(at.0, at.1, at.2, format!("{sees}, not tensors from outside")))
    }

    /// A node of the current graph as a tensor value.
    pub(crate) fn node(&mut self, op: Op, inputs: Vec<Option<Value>>, at: At<'_>) -> Val {
        let origin = self.origin(at.0, at.1, at.2);
        let builder = self.builder();
        Val::Tensor(builder.serial, builder.push(op, inputs, origin))
    }

    /// Where an expression is written, for the graph.
    pub(crate) fn origin(&self, frame: FrameId, parsed: &Parsed, expr: &Expr) -> Origin {
        let state = &self.frames[frame.0];
        let span = parsed.equation.span_at(expr.span.0, expr.span.1);
        let name = state.pending.last().map(|n| format!(" {n}")).unwrap_or_default();
        Origin {
            chain: state.chain.clone(),
            file: parsed.equation.file.name.clone(),
            span: (span.start as u32, span.end as u32),
            equation: format!("[{}]{name}", state.table.label),
        }
    }

    fn compare(&mut self, op: Compare, a: &Val, b: &Val, at: At<'_>) -> R<bool> {
        let outcome = match op {
            Compare::Eq => a.equals(b),
            Compare::Ne => a.equals(b).map(|e| !e),
            Compare::In => match b {
                Val::List(list) => Some(list.iter().any(|v| v.equals(a) == Some(true))),
                Val::Map(map) => matches!(a, Val::Str(key) if map.contains_key(&**key)).into(),
                _ => None,
            },
            _ => order(a, b).map(|o| match op {
                Compare::Lt => o.is_lt(),
                Compare::Le => o.is_le(),
                Compare::Gt => o.is_gt(),
                _ => o.is_ge(),
            }),
        };
        outcome.ok_or_else(|| {
            let message = format!(
                "{} and {} cannot be compared so; comparisons are of plan values",
                a.show(),
                b.show()
            );
            self.fail(at.0, at.1, at.2, message)
        })
    }
}

fn order(a: &Val, b: &Val) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Val::Str(a), Val::Str(b)) => Some(a.cmp(b)),
        _ => a.number()?.partial_cmp(&b.number()?),
    }
}
