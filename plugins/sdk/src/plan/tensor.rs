//! Handles to values of a graph, and their arithmetic.

use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::text::{Text, json};

use super::graph::{Sheet, Value};

/// A tensor of the graph being built.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    pub(crate) sheet: &'g Sheet,
    pub(crate) value: Value,
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}.{}", self.value.node, self.value.out)
    }
}

/// A handle that `let` and `carry` can hold: a [`Tensor`] or a [`ScoreBias`](super::ScoreBias).
pub trait Handle<'g>: Copy {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn of(sheet: &'g Sheet, value: Value) -> Self;
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn value(self) -> Value;
}

#[allow(private_interfaces)]
impl<'g> Handle<'g> for Tensor<'g> {
    fn of(sheet: &'g Sheet, value: Value) -> Tensor<'g> {
        Tensor { sheet, value }
    }

    fn value(self) -> Value {
        self.value
    }
}

/// A tensor or a number, where an operation takes either.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'g> {
    /// A tensor.
    Tensor(Tensor<'g>),
    /// A whole number, which keeps integer tensors integer.
    Int(i64),
    /// Any other number.
    Float(f64),
}

impl<'g> From<Tensor<'g>> for Operand<'g> {
    fn from(x: Tensor<'g>) -> Operand<'g> {
        Operand::Tensor(x)
    }
}

impl From<i64> for Operand<'_> {
    fn from(x: i64) -> Self {
        Operand::Int(x)
    }
}

impl From<f64> for Operand<'_> {
    fn from(x: f64) -> Self {
        Operand::Float(x)
    }
}

impl Sheet {
    /// A tensor, or a number as a constant of the graph.
    pub(crate) fn operand(&self, operand: Operand<'_>) -> Value {
        match operand {
            Operand::Tensor(x) => x.on(self),
            Operand::Int(x) => self.push(json!({"const": {"int": x}}), Vec::new()),
            Operand::Float(x) => self.push(json!({"const": {"float": x}}), Vec::new()),
        }
    }
}

impl<'g> Tensor<'g> {
    /// The value, if it belongs to this graph.
    pub(crate) fn on(self, sheet: &Sheet) -> Value {
        assert!(
            std::ptr::eq(self.sheet, sheet),
            "a tensor of another graph: the body of `experts` and of `pair_bias` sees only its own input and parameters"
        );
        self.value
    }

    /// An operation on this and other tensors.
    pub(crate) fn apply(self, op: Text, others: &[Option<Tensor<'g>>]) -> Tensor<'g> {
        let mut inputs = vec![Some(self.value)];
        inputs.extend(others.iter().map(|other| other.map(|x| x.on(self.sheet))));
        Tensor {
            sheet: self.sheet,
            value: self.sheet.push(op, inputs),
        }
    }

    /// Another result of the same node.
    pub(crate) fn result(self, out: u16) -> Tensor<'g> {
        Tensor {
            sheet: self.sheet,
            value: Value {
                node: self.value.node,
                out,
            },
        }
    }

    pub(crate) fn binary(self, op: &str, other: impl Into<Operand<'g>>) -> Tensor<'g> {
        let other = self.sheet.operand(other.into());
        let inputs = vec![Some(self.value), Some(other)];
        Tensor {
            sheet: self.sheet,
            value: self.sheet.push(json!({ "binary": op }), inputs),
        }
    }

    /// The same with the number on the left.
    fn binary_after(self, op: &str, number: Operand<'g>) -> Tensor<'g> {
        let number = self.sheet.operand(number);
        let inputs = vec![Some(number), Some(self.value)];
        Tensor {
            sheet: self.sheet,
            value: self.sheet.push(json!({ "binary": op }), inputs),
        }
    }
}

impl<'g> Neg for Tensor<'g> {
    type Output = Tensor<'g>;

    fn neg(self) -> Tensor<'g> {
        self.apply(json!({"unary": "neg"}), &[])
    }
}

/// Implements an operator for tensors and numbers.
macro_rules! operator {
    ($($trait:ident $method:ident $op:literal;)*) => {$(
        impl<'g, T: Into<Operand<'g>>> $trait<T> for Tensor<'g> {
            type Output = Tensor<'g>;

            fn $method(self, other: T) -> Tensor<'g> {
                self.binary($op, other)
            }
        }

        impl<'g> $trait<Tensor<'g>> for f64 {
            type Output = Tensor<'g>;

            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                other.binary_after($op, self.into())
            }
        }

        impl<'g> $trait<Tensor<'g>> for i64 {
            type Output = Tensor<'g>;

            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                other.binary_after($op, self.into())
            }
        }
    )*};
}

operator! {
    Add add "add";
    Sub sub "sub";
    Mul mul "mul";
    Div div "div";
}
