//! `score`: negative log-likelihood and perplexity of every document, and of all.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use serde_json::{Value as Json, json};
use sli_config::Diagnostic;
use sli_config::pipeline::{RowFormat, ScoreStage, Stage as StageSection};

use super::{Arrival, Context, Model, Stage, causal, kernel};
use crate::data::Dataset;
use crate::error::{Result, RunError};
use crate::plan::StageCost;
use crate::points::{PointId, RowsOf};
use crate::write::Table;

/// Rows of the table that are collected before they are written.
const BATCH: usize = 1024;

/// One document's score.
#[derive(Clone, Debug, Default, PartialEq)]
struct Score1 {
    id: Box<str>,
    tokens: u64,
    scored: u64,
    nll: f64,
    /// Log-probability of every token but the first, if wanted.
    each: Vec<f32>,
}

/// Sums over all documents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    documents: u64,
    tokens: u64,
    scored: u64,
    nll: f64,
}

/// The stage.
pub(super) struct Score {
    name: String,
    ids: [PointId; 1],
    field: usize,
    per_token: bool,
    format: RowFormat,
    table: Option<Table>,
    /// Documents whose logits are on their way: their sums so far. Documents come in order.
    open: Option<(usize, Score1)>,
    done: Vec<Score1>,
    longest: u64,
    totals: Totals,
}

impl Score {
    /// The stage, or why the model cannot score.
    pub(super) fn new(
        section: &StageSection,
        options: &ScoreStage,
        model: &Model<'_>,
    ) -> std::result::Result<Score, Vec<Diagnostic>> {
        let label = || section.name.label("this stage");
        let Some(id) = model.points.find("logits") else {
            let reason = model.points.unknown("logits").message;
            let message = format!("the stage `score` needs the value `logits`: {reason}");
            let help = "score needs a causal language model with its head; remove the stage for other models";
            return Err(vec![Diagnostic::error(message).primary(label()).help(help)]);
        };
        if let Some(why) = causal::why_not(model) {
            let message =
                format!("the stage `score` needs a model that predicts the next token, and this one does not: {why}");
            return Err(vec![
                Diagnostic::error(message)
                    .primary(label())
                    .help("remove the stage for this model"),
            ]);
        }
        let RowsOf::Tokens { field } = model.points.get(id).rows else {
            let message = "the stage `score` needs `logits` of every token, and this model has them per document";
            return Err(vec![Diagnostic::error(message).primary(label())]);
        };
        Ok(Score {
            name: section.name.value.clone(),
            ids: [id],
            field,
            per_token: options.per_token,
            format: options.format,
            table: None,
            open: None,
            done: Vec::new(),
            longest: 0,
            totals: Totals::default(),
        })
    }

    fn file(&self) -> String {
        format!("{}.{}", self.name, self.format)
    }

    /// Writes the rows collected so far.
    fn flush(&mut self) -> Result<()> {
        if self.done.is_empty() {
            return Ok(());
        }
        let done = std::mem::take(&mut self.done);
        let rows = batch(&done, self.per_token).map_err(|error| RunError::run(Diagnostic::error(error.to_string())))?;
        self.table.as_mut().map_or(Ok(()), |table| table.write(&rows))
    }

    fn close(&mut self) -> Result<()> {
        if let Some((_, score)) = self.open.take() {
            self.totals.documents += 1;
            self.totals.tokens += score.tokens;
            self.totals.scored += score.scored;
            self.totals.nll += score.nll;
            self.done.push(score);
        }
        // Per-token lists are long: few documents make a batch then.
        if self.done.len() >= if self.per_token { 32 } else { BATCH } {
            self.flush()
        } else {
            Ok(())
        }
    }
}

impl Stage for Score {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &self.ids
    }

    fn attach(&mut self, dataset: &Arc<Dataset>) {
        self.longest = (0..dataset.len())
            .map(|document| dataset.fields[self.field].tokens(document))
            .max()
            .unwrap_or(0);
    }

    fn has_rows(&self) -> bool {
        true
    }

    fn cost(&self) -> StageCost {
        let lists = if self.per_token { 64 * self.longest * 4 } else { 0 };
        StageCost {
            fixed: Table::BUFFER_BYTES + BATCH as u64 * 128 + lists,
            per_row: 0,
            per_chunk_row: 16,
        }
    }

    fn begin(&mut self, context: &mut Context<'_>) -> Result<()> {
        let empty = batch(&[], self.per_token).map_err(|error| RunError::run(Diagnostic::error(error.to_string())))?;
        let jsonl = self.format == RowFormat::Jsonl;
        self.table = Some(context.table(&self.name, &self.file(), jsonl, empty.schema())?);
        Ok(())
    }

    fn arrive(&mut self, arrival: &Arrival<'_>, context: &mut Context<'_>) -> Result<()> {
        let field = &context.dataset.fields[self.field];
        let mut targets = Vec::new();
        for piece in arrival.pieces {
            let ids = field.document(piece.document);
            // Row t says what token t + 1 is; the last row says nothing that could be checked, so any target does.
            targets.extend(
                (0..piece.len).map(|row| ids.get((piece.first + row + 1) as usize).map_or(0, |id| i64::from(*id))),
            );
        }
        let scores =
            sli_torch::score::next_token_nll(arrival.tensor, &targets).map_err(|error| kernel(&self.name, &error))?;
        let mut at = 0;
        for piece in arrival.pieces {
            let tokens = field.tokens(piece.document);
            if self.open.as_ref().is_none_or(|open| open.0 != piece.document) {
                self.close()?;
                let id = context.dataset.ids[piece.document].clone();
                self.open = Some((
                    piece.document,
                    Score1 {
                        id,
                        tokens,
                        ..Score1::default()
                    },
                ));
            }
            let rows = &scores[at..at + piece.len as usize];
            at += piece.len as usize;
            let scored = &rows[..rows.len().min((tokens - 1 - piece.first.min(tokens - 1)) as usize)];
            if let Some((_, score)) = &mut self.open {
                score.scored += scored.len() as u64;
                score.nll -= scored.iter().map(|log| f64::from(*log)).sum::<f64>();
                if self.per_token {
                    score.each.extend(scored);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Result<Json> {
        self.close()?;
        self.flush()?;
        if let Some(table) = self.table.take() {
            let finished = table.finish()?;
            context.dir.complete(&self.file(), &self.name, "scores", finished);
        }
        let summary = summary(&self.totals, context.dataset);
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

/// The rows as columns.
fn batch(scores: &[Score1], per_token: bool) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
    let column =
        |value: &dyn Fn(&Score1) -> u64| -> ArrayRef { Arc::new(scores.iter().map(value).collect::<UInt64Array>()) };
    let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
        (
            "id",
            Arc::new(scores.iter().map(|score| Some(&*score.id)).collect::<StringArray>()),
            false,
        ),
        ("tokens", column(&|score| score.tokens), false),
        ("scored_tokens", column(&|score| score.scored), false),
        (
            "nll",
            Arc::new(scores.iter().map(|score| Some(score.nll)).collect::<Float64Array>()),
            false,
        ),
        (
            "perplexity",
            Arc::new(
                scores
                    .iter()
                    .map(|score| perplexity(score.nll, score.scored))
                    .collect::<Float64Array>(),
            ),
            true,
        ),
    ];
    if per_token {
        let mut lists = ListBuilder::new(Float32Builder::new());
        for score in scores {
            // The first token has no probability: nothing is before it.
            lists.values().append_null();
            lists.values().append_slice(&score.each);
            lists.append(true);
        }
        columns.push(("logprobs", Arc::new(lists.finish()), false));
    }
    RecordBatch::try_from_iter_with_nullable(columns)
}

fn perplexity(nll: f64, scored: u64) -> Option<f64> {
    (scored > 0).then(|| (nll / scored as f64).exp())
}

fn summary(totals: &Totals, dataset: &Dataset) -> Json {
    let bos = &dataset.bos;
    let treatment = match (bos.added, bos.as_given) {
        (0, _) => "nothing was put in front of a document; its first token is not scored",
        (_, 0) => {
            "the tokenizer put a token in front of every document; that token is not scored, the first of the text is"
        }
        _ => {
            "the tokenizer put a token in front of texts, rows with ids were taken as they are; a document's first token is not scored"
        }
    };
    json!({
        "documents": totals.documents,
        "tokens": totals.tokens,
        "scored_tokens": totals.scored,
        "nll": totals.nll,
        "perplexity": perplexity(totals.nll, totals.scored),
        "bits_per_token": (totals.scored > 0).then(|| totals.nll / totals.scored as f64 / std::f64::consts::LN_2),
        "bos": { "treatment": treatment, "added": bos.added, "token": bos.token, "as_given": bos.as_given },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;

    #[test]
    fn perplexity_is_that_of_the_scored_tokens() {
        let score = |scored, nll| Score1 {
            id: "a".into(),
            tokens: scored + 1,
            scored,
            nll,
            each: vec![-1.0; scored as usize],
        };
        let rows = batch(&[score(2, 2.0), score(0, 0.0)], true).unwrap();
        let perplexity = rows.column_by_name("perplexity").unwrap().as_primitive::<Float64Type>();
        assert!((perplexity.value(0) - 1f64.exp()).abs() < 1e-12 && perplexity.is_null(1));
        let lists = rows.column_by_name("logprobs").unwrap().as_list::<i32>();
        assert_eq!((lists.value(0).len(), lists.value(1).len()), (3, 1));
        assert!(lists.value(0).is_null(0));
    }
}
