//! The rows of a profile as columns.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, UInt32Builder, UInt64Builder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::ArrowError;

use super::Row;

/// One row a point, in the order of the sweep.
pub(super) fn batch(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let number = |value: &dyn Fn(&Row) -> Option<f64>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<Float64Array>())
    };
    let count = |value: &dyn Fn(&Row) -> u64| -> ArrayRef { Arc::new(rows.iter().map(value).collect::<UInt64Array>()) };
    let mut channels = ListBuilder::new(UInt32Builder::new());
    let mut channel_rms = ListBuilder::new(Float32Builder::new());
    let mut experts = ListBuilder::new(UInt64Builder::new());
    for row in rows {
        row.outliers
            .iter()
            .for_each(|outlier| channels.values().append_value(outlier.0));
        row.outliers
            .iter()
            .for_each(|outlier| channel_rms.values().append_value(outlier.1));
        channels.append(true);
        channel_rms.append(true);
        experts.values().append_slice(&row.experts);
        experts.append(!row.experts.is_empty());
    }
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        (
            "point",
            Arc::new(rows.iter().map(|row| Some(row.point.as_str())).collect::<StringArray>()),
            false,
        ),
        ("rows", count(&|row| row.rows), false),
        ("width", count(&|row| row.width), false),
        ("mean", number(&|row| Some(row.summary.total.mean)), false),
        ("rms", number(&|row| Some(row.summary.total.rms())), false),
        ("std", number(&|row| Some(row.summary.total.std())), false),
        ("min", number(&|row| Some(row.summary.total.min)), false),
        ("max", number(&|row| Some(row.summary.total.max)), false),
        (
            "excess_kurtosis",
            number(&|row| Some(row.summary.total.excess_kurtosis())),
            false,
        ),
        ("not_finite", count(&|row| row.summary.not_finite), false),
        ("cosine", number(&|row| row.cosine), true),
        ("influence", number(&|row| row.cosine.map(|cosine| 1.0 - cosine)), true),
        ("outlier_channels", Arc::new(channels.finish()), false),
        ("outlier_rms", Arc::new(channel_rms.finish()), false),
        ("expert_load", Arc::new(experts.finish()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns)
}
