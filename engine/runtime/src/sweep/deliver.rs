//! Handing values to stages.

use std::time::Instant;

use sli_torch::{RtValue, Tensor};

use crate::error::Result;
use crate::points::{PointId, Points, RowsOf, Sort};
use crate::stages::{Arrival, Context, Piece, Stage, kernel};

/// Gives the rows `pieces` of a point to every stage that wants it. `before` is the input of the layer.
pub(super) fn deliver(
    id: PointId,
    points: &Points,
    value: &RtValue,
    before: Option<&RtValue>,
    pieces: &[Piece],
    stages: &mut [Box<dyn Stage>],
    context: &mut Context<'_>,
) -> Result<f64> {
    let start = Instant::now();
    let point = points.get(id);
    let rows: i64 = pieces.iter().map(|piece| piece.len as i64).sum();
    let shape = [rows, point.width as i64];
    let flat =
        |value: &RtValue| -> Option<sli_torch::Result<Tensor>> { value.tensor().map(|tensor| tensor.reshape(&shape)) };
    let failed = |error: sli_torch::TensorError| kernel(&point.name, &error);
    let Some(tensor) = flat(value).transpose().map_err(failed)? else {
        return Ok(0.0);
    };
    let before = match before.filter(|_| point.sort == Sort::Layer) {
        Some(before) => flat(before).transpose().map_err(failed)?,
        None => None,
    };
    for stage in stages.iter_mut().filter(|stage| stage.points().contains(&id)) {
        stage.arrive(
            &Arrival {
                id,
                point,
                tensor: &tensor,
                pieces,
                before: before.as_ref(),
            },
            context,
        )?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// The documents whose rows a point has, in a micro-batch.
pub(super) fn pieces_of(rows: RowsOf, micro: &super::micro::Micro) -> Vec<Piece> {
    match rows {
        RowsOf::Tokens { field } => micro.pieces(field),
        RowsOf::Documents => micro.document_pieces(),
    }
}
