//! Values that flow through a graph.

use crate::{Bias, RowSet, Tensor};
use sli_model::Scalar;
use std::sync::Arc;

/// A value of a graph: what a node makes, what enters from outside.
#[derive(Clone, Debug)]
pub enum RtValue {
    /// A tensor; with `rows`, its dim 0 are the rows of that token set.
    Tensor {
        /// The elements.
        tensor: Tensor,
        /// The token set of dim 0.
        rows: Option<Arc<RowSet>>,
    },
    /// A score bias of `attend`, evaluated tile by tile.
    Bias(Arc<Bias>),
    /// A plain number.
    Scalar(Scalar),
}

impl RtValue {
    /// A tensor whose dim 0 are the rows of `rows`.
    pub fn packed(tensor: Tensor, rows: &Arc<RowSet>) -> RtValue {
        RtValue::Tensor {
            tensor,
            rows: Some(rows.clone()),
        }
    }

    /// A tensor without a token set.
    pub fn plain(tensor: Tensor) -> RtValue {
        RtValue::Tensor { tensor, rows: None }
    }

    /// The tensor, if it is one.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            RtValue::Tensor { tensor, .. } => Some(tensor),
            _ => None,
        }
    }

    /// The token set of a tensor's rows, if it has one.
    pub fn rows(&self) -> Option<&Arc<RowSet>> {
        match self {
            RtValue::Tensor { rows, .. } => rows.as_ref(),
            _ => None,
        }
    }

    /// What it is, for messages: `[5, 16] BF16`, `a bias`, `2.5`.
    pub(crate) fn describe(&self) -> String {
        match self {
            RtValue::Tensor { tensor, .. } => format!("{:?} {}", tensor.shape(), tensor.dtype()),
            RtValue::Bias(_) => "a score bias".to_string(),
            RtValue::Scalar(scalar) => scalar.as_f64().to_string(),
        }
    }
}
