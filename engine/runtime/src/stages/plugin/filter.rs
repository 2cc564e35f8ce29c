//! A filter of the source: runs while documents are read, and reports like a stage.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value as Json, json};
use sli_config::Diagnostic;

use super::super::{Arrival, Context, Stage};
use super::failed;
use crate::data::RawRow;
use crate::error::Result;
use crate::plan::StageCost;
use crate::plugins::{DocumentFilter, SourceDocument};
use crate::points::PointId;

/// A filter and what it did.
pub(crate) struct FilterRun {
    name: String,
    code: Box<dyn DocumentFilter>,
    documents: u64,
    dropped: u64,
    changed: u64,
    split: u64,
}

/// Shared by the loader, which runs it, and the stage, which reports.
pub(crate) type SharedFilter = Rc<RefCell<FilterRun>>;

impl FilterRun {
    /// A filter that has seen nothing.
    pub(crate) fn shared(name: String, code: Box<dyn DocumentFilter>) -> SharedFilter {
        Rc::new(RefCell::new(FilterRun {
            name,
            code,
            documents: 0,
            dropped: 0,
            changed: 0,
            split: 0,
        }))
    }

    /// What rows become; the pieces of one that is split are called `<id>#0`, `<id>#1`, ….
    ///
    /// # Errors
    /// The plugin fails. A row without text is a problem of its own, told in the rows' place.
    pub(crate) fn apply(
        &mut self,
        rows: Vec<(u64, RawRow)>,
        problems: &mut Vec<Diagnostic>,
    ) -> Result<Vec<(u64, RawRow)>> {
        let (texts, others): (Vec<_>, Vec<_>) =
            (rows.into_iter()).partition(|(_, row)| row.text.is_some() && row.field("input_ids").is_none());
        problems.extend(others.iter().map(|(_, row)| self.cannot(row)));
        let id = |number: &u64, row: &RawRow| row.id.clone().unwrap_or_else(|| number.to_string());
        let documents = texts.iter().map(|(number, row)| SourceDocument {
            id: id(number, row),
            text: row.text.clone().unwrap_or_default(),
            fields: row.fields.clone().unwrap_or_else(|| "{}".to_owned()),
        });
        let documents: Vec<SourceDocument> = documents.collect();
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.code.filter(documents).map_err(|why| failed(&self.name, why))?;
        let mut kept = Vec::with_capacity(texts.len());
        for ((number, row), answer) in texts.into_iter().zip(answers) {
            self.documents += 1;
            match answer.len() {
                0 => self.dropped += 1,
                1 => self.changed += u64::from(row.text.as_deref() != Some(&answer[0])),
                _ => self.split += 1,
            }
            let pieces = answer.len();
            for (piece, text) in answer.into_iter().enumerate() {
                let mut new = row.clone();
                new.text = Some(text);
                if pieces > 1 {
                    new.id = Some(format!("{}#{piece}", id(&number, &row)));
                }
                kept.push((number, new));
            }
        }
        Ok(kept)
    }

    fn cannot(&self, row: &RawRow) -> Diagnostic {
        let message = format!(
            "{}: the row has token ids, and the stage `{}` filters texts",
            row.place, self.name
        );
        Diagnostic::error(message).help("filter the rows before they are tokenised, or remove the stage")
    }
}

/// What reports of a filter.
pub(super) struct FilterStage {
    name: String,
    run: SharedFilter,
}

impl FilterStage {
    pub(super) fn new(run: &SharedFilter) -> FilterStage {
        FilterStage {
            name: run.borrow().name.clone(),
            run: Rc::clone(run),
        }
    }
}

impl Stage for FilterStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &[]
    }

    fn cost(&self) -> StageCost {
        StageCost::default()
    }

    fn begin(&mut self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn arrive(&mut self, _: &Arrival<'_>, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &mut Context<'_>) -> Result<Json> {
        let run = self.run.borrow();
        Ok(json!({ "documents": run.documents, "dropped": run.dropped, "changed": run.changed, "split": run.split }))
    }
}
