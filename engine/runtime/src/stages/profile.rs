//! `profile`: statistics of named values, the influence of each layer, the load of experts.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use sli_config::Diagnostic;
use sli_config::pipeline::{ProfileStage, RowFormat};
use sli_model::infer::Kind;
use sli_torch::stats::{Accumulator, Cosines, Summary, cosine, counts};

use super::{Arrival, Context, Model, Stage, kernel};
use crate::error::{Result, RunError};
use crate::plan::StageCost;
use crate::points::{Point, PointId, Sort};

mod table;

/// Elements whose statistics are made at a time: they are widened to f64, with several copies.
const PIECE: u64 = 1 << 18;

/// What is known of one point.
struct Seen {
    point: Point,
    values: Accumulator,
    /// Of a layer's input and output.
    cosines: Cosines,
    /// How often each expert of the layer was chosen.
    experts: Vec<u64>,
    rows: u64,
}

/// One row of the table.
struct Row {
    point: String,
    rows: u64,
    width: u64,
    summary: Summary,
    /// Channels that stand out, the largest first, with their rms.
    outliers: Vec<(u32, f32)>,
    /// Mean cosine of a layer's input and output.
    cosine: Option<f64>,
    experts: Vec<u64>,
}

/// The stage.
pub(super) struct Profile {
    name: String,
    ids: Vec<PointId>,
    seen: Vec<Seen>,
    /// Place in `seen` of a point; for a router that of its layer.
    places: HashMap<PointId, usize>,
    outlier_ratio: f64,
    outlier_channels: usize,
    format: RowFormat,
}

impl Profile {
    /// The stage, or what is wrong with its points; patterns that match nothing are `warnings`.
    pub(super) fn new(
        name: String,
        options: &ProfileStage,
        model: &Model<'_>,
        warnings: &mut Vec<Diagnostic>,
    ) -> std::result::Result<Profile, Vec<Diagnostic>> {
        let (mut ids, found) = model.points.matching(&options.points)?;
        warnings.extend(found);
        // Whole numbers have no statistics worth the name.
        ids.retain(|id| model.points.get(*id).kind == Kind::Float);
        let (mut seen, mut places, mut layers) = (Vec::new(), HashMap::new(), HashMap::new());
        for id in &ids {
            let point = model.points.get(*id).clone();
            if point.sort == Sort::Layer {
                layers.insert(point.unit, seen.len());
            }
            places.insert(*id, seen.len());
            let (values, cosines, experts) = (Accumulator::new(), Cosines::default(), Vec::new());
            seen.push(Seen {
                point,
                values,
                cosines,
                experts,
                rows: 0,
            });
        }
        for (id, point) in model.points.iter() {
            if let (Sort::Router { experts }, Some(place)) = (point.sort, layers.get(&point.unit)) {
                seen[*place].experts = vec![0; experts as usize];
                places.insert(id, *place);
                ids.push(id);
            }
        }
        let (outlier_ratio, outlier_channels) = (options.outlier_ratio, options.outlier_channels as usize);
        Ok(Profile {
            name,
            ids,
            seen,
            places,
            outlier_ratio,
            outlier_channels,
            format: options.format,
        })
    }

    fn row(&self, seen: &Seen) -> Row {
        let summary = seen.values.finish();
        let rms = summary.channel_rms();
        let mut outliers: Vec<(u32, f32)> = summary
            .outlier_channels(self.outlier_ratio)
            .into_iter()
            .map(|channel| (channel as u32, rms[channel] as f32))
            .collect();
        outliers.sort_by(|a, b| b.1.total_cmp(&a.1));
        outliers.truncate(self.outlier_channels);
        let cosine = (seen.cosines.count > 0).then(|| seen.cosines.sum / seen.cosines.count as f64);
        let (point, rows, width) = (seen.point.name.clone(), seen.rows, seen.point.width);
        Row {
            point,
            rows,
            width,
            summary,
            outliers,
            cosine,
            experts: seen.experts.clone(),
        }
    }

    fn file(&self) -> String {
        format!("{}.{}", self.name, self.format)
    }
}

impl Stage for Profile {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &self.ids
    }

    fn has_rows(&self) -> bool {
        true
    }

    fn cost(&self) -> StageCost {
        let channels: u64 = self.seen.iter().map(|seen| seen.point.width).sum();
        let widest = self.seen.iter().map(|seen| seen.point.width).max().unwrap_or(0);
        // Moments are 7 numbers of 8 bytes; a piece is there about 8 times.
        StageCost {
            fixed: 56 * channels + 64 * PIECE.max(widest),
            per_row: 0,
            per_chunk_row: 0,
        }
    }

    fn begin(&mut self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn arrive(&mut self, arrival: &Arrival<'_>, _: &mut Context<'_>) -> Result<()> {
        let failed = |error: sli_torch::TensorError| kernel(&self.name, &error);
        let seen = &mut self.seen[self.places[&arrival.id]];
        if let Sort::Router { experts } = arrival.point.sort {
            let counted = counts(arrival.tensor, experts as usize).map_err(failed)?;
            seen.experts
                .iter_mut()
                .zip(counted)
                .for_each(|(sum, more)| *sum += more);
            return Ok(());
        }
        let rows: u64 = arrival.pieces.iter().map(|piece| piece.len).sum();
        seen.rows += rows;
        let step = (PIECE / arrival.point.width.max(1)).max(1);
        for start in (0..rows).step_by(step as usize) {
            let (start, len) = (start as i64, step.min(rows - start) as i64);
            let piece = arrival.tensor.rows(start, len).map_err(failed)?;
            seen.values.update(&piece).map_err(failed)?;
            if let Some(before) = arrival.before {
                let found = cosine(&before.rows(start, len).map_err(failed)?, &piece).map_err(failed)?;
                seen.cosines.count += found.count;
                seen.cosines.sum += found.sum;
            }
        }
        Ok(())
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Result<Json> {
        let rows: Vec<Row> = self.seen.iter().map(|seen| self.row(seen)).collect();
        let batch = table::batch(&rows).map_err(|error| RunError::run(Diagnostic::error(error.to_string())))?;
        let jsonl = self.format == RowFormat::Jsonl;
        let mut table = context.table(&self.name, &self.file(), jsonl, batch.schema())?;
        table.write(&batch)?;
        let finished = table.finish()?;
        context.dir.complete(&self.file(), &self.name, "statistics", finished);
        let summary = summary(&rows);
        let text = format!("{summary:#}\n");
        context.dir.write(
            &format!("{}.summary.json", self.name),
            &self.name,
            "summary",
            text.as_bytes(),
        )?;
        Ok(summary)
    }
}

/// What stands out.
fn summary(rows: &[Row]) -> Json {
    let influence = |row: &&Row| row.cosine.map(|cosine| (1.0 - cosine, row.point.clone()));
    let mut layers: Vec<(f64, String)> = rows.iter().filter_map(|row| influence(&row)).collect();
    layers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let named = |layer: &(f64, String)| json!({ "point": layer.1, "influence": layer.0 });
    let largest = rows
        .iter()
        .max_by(|a, b| a.summary.total.rms().total_cmp(&b.summary.total.rms()));
    let loads: Vec<Json> = rows.iter().filter(|row| !row.experts.is_empty()).map(load).collect();
    json!({
        "points": rows.len(),
        "most_influential": layers.first().map(named),
        "least_influential": layers.last().map(named),
        "largest_rms": largest.map(|row| json!({ "point": row.point, "rms": row.summary.total.rms() })),
        "points_with_outliers": rows.iter().filter(|row| !row.outliers.is_empty()).count(),
        "values_not_finite": rows.iter().map(|row| row.summary.not_finite).sum::<u64>(),
        "routers": loads,
    })
}

/// How evenly the experts of a layer are used: the busiest one's share times their number, 1 if even.
fn load(row: &Row) -> Json {
    let total: u64 = row.experts.iter().sum();
    let busiest = row.experts.iter().max().copied().unwrap_or(0);
    let imbalance = (total > 0).then(|| busiest as f64 * row.experts.len() as f64 / total as f64);
    json!({
        "point": row.point,
        "experts": row.experts.len(),
        "unused": row.experts.iter().filter(|count| **count == 0).count(),
        "imbalance": imbalance,
    })
}
