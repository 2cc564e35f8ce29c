//! Reading, tokenising and checking all rows of a source.

use std::collections::HashMap;
use std::path::PathBuf;

use sli_config::Diagnostic;
use sli_config::pipeline::{DataFormat, EmptyDocuments, LongDocuments};

use super::dataset::{Dataset, Field};
use super::limits::{FieldLimits, Limits, check_ids};
use super::problems::Problems;
use super::row::{Place, RawRow};
use super::source;
use super::tokenize::{Encoded, Tokenize};
use crate::error::{Result, RunError};
use crate::observer::{Event, Observer};
use crate::stages::SharedFilter;

/// Rows tokenised at once, so that all cores have work and few texts are in memory.
const BATCH: usize = 256;
/// Bytes of text tokenised at once.
const BATCH_BYTES: usize = 4 << 20;

/// The `[data]` of a pipeline, resolved.
#[derive(Clone, Debug)]
pub struct DataOptions {
    /// The file, or `-`.
    pub source: PathBuf,
    /// What messages call it.
    pub shown: String,
    /// What it holds.
    pub format: DataFormat,
    /// The field to tokenise.
    pub text: String,
    /// A `.txt` file is one document.
    pub whole: bool,
    /// Read only so many rows.
    pub limit: Option<u64>,
    /// Add the tokenizer's special tokens.
    pub special_tokens: bool,
    /// `tokenizer.json` of the checkpoint; it may be missing if every row has ids.
    pub tokenizer: PathBuf,
}

/// Reads all documents; `filters` decide, one after the other, what becomes of each.
///
/// # Errors
/// Everything that is wrong with the rows, the first of them at least; see the module `limits` for the rules.
pub(crate) fn load(
    options: &DataOptions,
    limits: &Limits,
    filters: &[SharedFilter],
    observer: &dyn Observer,
) -> Result<Dataset> {
    let rows = source::open(options, !filters.is_empty())?;
    let rows = rows.take(options.limit.map_or(usize::MAX, |limit| limit as usize));
    let mut loader = Loader::new(limits, options);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for row in rows {
        match row {
            Ok(row) => {
                bytes += row.text.as_ref().map_or(0, String::len);
                batch.push((loader.rows, row));
            }
            Err(diagnostic) => loader.problems.push(diagnostic),
        }
        loader.rows += 1;
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            loader.take(std::mem::take(&mut batch), filters)?;
            bytes = 0;
            observer.event(&Event::Reading {
                documents: loader.dataset.len() as u64,
                tokens: loader.dataset.total_tokens(),
            });
        }
    }
    loader.take(batch, filters)?;
    loader.finish(&options.shown)
}

struct Loader<'a> {
    limits: &'a Limits,
    options: &'a DataOptions,
    tokenizer: Option<Tokenize>,
    dataset: Dataset,
    /// Row of each id; kept until all rows are seen.
    seen: HashMap<Box<str>, Place>,
    rows: u64,
    problems: Problems,
}

impl<'a> Loader<'a> {
    fn new(limits: &'a Limits, options: &'a DataOptions) -> Loader<'a> {
        let fields = limits.fields.iter().map(|field| Field::new(&*field.name)).collect();
        let token_types = limits.token_types.map(|_| Field::new("token_type_ids"));
        let dataset = Dataset {
            fields,
            token_types,
            ..Dataset::default()
        };
        let (seen, problems) = (HashMap::new(), Problems::default());
        Loader {
            limits,
            options,
            tokenizer: None,
            dataset,
            seen,
            rows: 0,
            problems,
        }
    }

    fn take(&mut self, mut batch: Vec<(u64, RawRow)>, filters: &[SharedFilter]) -> Result<()> {
        for filter in filters {
            let mut found = Vec::new();
            batch = filter.borrow_mut().apply(batch, &mut found)?;
            found.into_iter().for_each(|problem| self.problems.push(problem));
        }
        let special = self.options.special_tokens;
        let needs_text = |row: &RawRow| row.field("input_ids").is_none();
        let texts: Vec<&str> = (batch.iter().filter(|(_, row)| needs_text(row)))
            .filter_map(|(_, row)| row.text.as_deref())
            .collect();
        let mut encoded = if texts.is_empty() {
            Vec::new()
        } else {
            self.tokenizer()?.batch(texts, special)?
        }
        .into_iter();
        for (number, row) in &batch {
            let encoded = if needs_text(row) { encoded.next() } else { None };
            let empty_text = encoded.is_some() && row.text.as_deref() == Some("");
            if let Err(diagnostic) = self.add(*number, row, encoded, empty_text) {
                self.problems.push(diagnostic);
            }
        }
        Ok(())
    }

    fn tokenizer(&mut self) -> Result<&Tokenize> {
        if self.tokenizer.is_none() {
            self.tokenizer = Some(Tokenize::open(&self.options.tokenizer)?);
        }
        Ok(self.tokenizer.as_ref().expect("it was just opened"))
    }

    fn add(
        &mut self,
        number: u64,
        row: &RawRow,
        encoded: Option<Encoded>,
        empty: bool,
    ) -> std::result::Result<(), Diagnostic> {
        let place = &row.place;
        let (bos, encoded_ids, encoded_types) = match &encoded {
            Some(encoded) => (encoded.bos, Some(encoded.ids.as_slice()), encoded.types.as_deref()),
            None => (None, None, None),
        };
        let mut fields = Vec::new();
        for field in &self.limits.fields {
            let given = row.field(&field.name);
            let ids = if field.name == "input_ids" {
                given.or(encoded_ids)
            } else {
                given
            };
            let ids = ids.ok_or_else(|| {
                Diagnostic::error(format!(
                    "{place}: the row has no `{}`, which this model needs",
                    field.name
                ))
            })?;
            if empty || ids.is_empty() {
                return self.empty(place, &field.name);
            }
            fields.push(check_ids(ids, field.vocabulary, &field.name, place)?);
        }
        let types = self.types(row, encoded_types, fields[0].len())?;
        let id = row.id.clone().unwrap_or_else(|| number.to_string());
        self.place(id, place, fields, types)?;
        match bos {
            Some(token) => {
                self.dataset.bos.added += 1;
                self.dataset.bos.token = Some(token);
            }
            None => self.dataset.bos.as_given += 1,
        }
        Ok(())
    }

    fn empty(&mut self, place: &Place, field: &str) -> std::result::Result<(), Diagnostic> {
        match self.limits.empty {
            EmptyDocuments::Skip => {
                self.dataset.skipped += 1;
                Ok(())
            }
            EmptyDocuments::Error => Err(Diagnostic::error(format!(
                "{place}: the document is empty (`{field}` has no tokens)"
            ))
            .help("remove the row, or set `[data] empty = \"skip\"`")),
        }
    }

    fn types(&self, row: &RawRow, encoded: Option<&[i64]>, tokens: usize) -> std::result::Result<Vec<u32>, Diagnostic> {
        let Some(rows) = self.limits.token_types else {
            return Ok(Vec::new());
        };
        let place = &row.place;
        match row.field("token_type_ids").or(encoded) {
            None => Ok(vec![0; tokens]),
            Some(types) if types.len() == tokens => check_ids(types, Some(rows), "token_type_ids", place),
            Some(types) => {
                let message = format!(
                    "{place}: `token_type_ids` has {} entries for {tokens} tokens",
                    types.len()
                );
                Err(Diagnostic::error(message).help("give one token type for each token"))
            }
        }
    }

    /// Adds a document, cut or split where it is too long.
    fn place(
        &mut self,
        id: String,
        place: &Place,
        mut fields: Vec<Vec<u32>>,
        types: Vec<u32>,
    ) -> std::result::Result<(), Diagnostic> {
        let limits = self.limits;
        let over = |field: &FieldLimits, ids: &Vec<u32>| limits.longest(field).filter(|most| ids.len() as u64 > most.0);
        let long = limits
            .fields
            .iter()
            .zip(&fields)
            .find_map(|(field, ids)| Some((field, ids.len(), over(field, ids)?)));
        let Some((field, tokens, (most, who))) = long else {
            return self.push(&id, place, &fields, &types);
        };
        match limits.long {
            LongDocuments::Truncate => {
                for (field, ids) in limits.fields.iter().zip(&mut fields) {
                    let before = ids.len();
                    ids.truncate(limits.longest(field).map_or(usize::MAX, |most| most.0 as usize));
                    self.dataset.tokens_cut += (before - ids.len()) as u64;
                }
                self.dataset.truncated += 1;
                let types = &types[..types.len().min(fields[0].len())];
                self.push(&id, place, &fields, types)
            }
            LongDocuments::Split if fields.len() == 1 => {
                self.dataset.split += 1;
                for (part, ids) in fields[0].chunks(most as usize).enumerate() {
                    let start = part * most as usize;
                    let types = types.get(start..start + ids.len()).unwrap_or_default();
                    self.push(&format!("{id}#{part}"), place, &[ids.to_vec()], types)?;
                }
                Ok(())
            }
            _ => {
                let message = format!("{place}: `{}` has {tokens} tokens, but {who} allow {most}", field.name);
                let message = if who.starts_with('`') {
                    message.replace(" allow ", " allows ")
                } else {
                    message
                };
                Err(Diagnostic::error(message)
                    .help("set `[data] long = \"truncate\"` or `\"split\"`, or shorten the document"))
            }
        }
    }

    fn push(
        &mut self,
        id: &str,
        place: &Place,
        fields: &[Vec<u32>],
        types: &[u32],
    ) -> std::result::Result<(), Diagnostic> {
        if let Some(first) = self.seen.insert(id.into(), place.clone()) {
            let message = format!("{place}: the id `{id}` is already that of {first}");
            return Err(Diagnostic::error(message).help("row ids must differ: they name the outputs"));
        }
        self.dataset.ids.push(id.into());
        for (field, ids) in self.dataset.fields.iter_mut().zip(fields) {
            field.push(ids);
        }
        if let Some(field) = &mut self.dataset.token_types {
            field.push(types);
        }
        Ok(())
    }

    fn finish(mut self, shown: &str) -> Result<Dataset> {
        self.problems.into_result()?;
        if self.dataset.is_empty() {
            let error = match self.rows {
                0 => Diagnostic::error(format!("`{shown}` has no documents")),
                rows => Diagnostic::error(format!("none of the {rows} rows of `{shown}` is left as a document")),
            };
            return Err(RunError::input(
                error.help("check `[data] source`, and `format` if it is given"),
            ));
        }
        let zeros = |field: &Field| field.slice(0..self.dataset.ids.len()).iter().all(|kind| *kind == 0);
        if self.dataset.token_types.as_ref().is_some_and(zeros) {
            self.dataset.token_types = None;
        }
        self.dataset.shrink();
        Ok(self.dataset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::Silent;
    use std::io::Write;

    fn limits() -> Limits {
        let field = FieldLimits {
            name: "input_ids".into(),
            vocabulary: Some(5),
            positions: Some(4),
        };
        Limits {
            fields: vec![field],
            ..Limits::default()
        }
    }

    fn load_lines(lines: &str, limits: &Limits) -> Result<Dataset> {
        let mut source = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
        source.write_all(lines.as_bytes()).unwrap();
        let tokenizer = super::super::tokenize::tests::file();
        let options = DataOptions {
            source: source.path().to_owned(),
            shown: "rows.jsonl".into(),
            format: DataFormat::Jsonl,
            text: "text".into(),
            limit: None,
            special_tokens: true,
            whole: false,
            tokenizer: tokenizer.path().to_owned(),
        };
        load(&options, limits, &[], &Silent)
    }

    fn error(lines: &str, limits: &Limits) -> String {
        load_lines(lines, limits).unwrap_err().to_string()
    }

    #[test]
    fn text_and_ids_mix_and_ids_default_to_row_numbers() {
        let rows = "{\"text\": \"a b\"}\n{\"input_ids\": [3, 2], \"id\": \"x\"}\n{\"text\": \"c\"}\n";
        let dataset = load_lines(rows, &limits()).unwrap();
        assert_eq!(dataset.ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["0", "x", "2"]);
        assert_eq!(dataset.fields[0].slice(0..3), [0, 1, 2, 3, 2, 0, 3]);
        assert_eq!(
            dataset.bos,
            super::super::Bos {
                added: 2,
                token: Some(0),
                as_given: 1
            }
        );
    }

    #[test]
    fn all_wrong_rows_are_reported_at_once() {
        let rows = "{\"text\": \"\"}\n{\"input_ids\": [5]}\n{\"input_ids\": [1, 1, 1, 1, 1]}\n{\"input_ids\": []}\n";
        let text = error(rows, &limits());
        assert!(text.contains("rows.jsonl:1: the document is empty"), "{text}");
        assert!(text.contains("rows.jsonl:2: token 0 of `input_ids` is 5"), "{text}");
        assert!(
            text.contains("rows.jsonl:3: `input_ids` has 5 tokens, but the model's positions allow 4"),
            "{text}"
        );
        assert!(text.contains("rows.jsonl:4: the document is empty"), "{text}");
    }

    #[test]
    fn two_rows_of_one_id_are_both_named() {
        let text = error("{\"input_ids\": [1]}\n{\"input_ids\": [1], \"id\": 0}\n", &limits());
        assert_eq!(text, "rows.jsonl:2: the id `0` is already that of rows.jsonl:1");
    }

    #[test]
    fn long_documents_are_cut_or_split_and_empty_ones_left_out() {
        let rows = "{\"input_ids\": [1, 2, 3, 4, 1], \"id\": \"a\"}\n{\"input_ids\": []}\n";
        let with = |long| Limits {
            long,
            empty: EmptyDocuments::Skip,
            ..limits()
        };
        let cut = load_lines(rows, &with(LongDocuments::Truncate)).unwrap();
        assert_eq!(
            (cut.fields[0].document(0), cut.truncated, cut.tokens_cut, cut.skipped),
            (&[1, 2, 3, 4][..], 1, 1, 1)
        );
        let split = load_lines(rows, &with(LongDocuments::Split)).unwrap();
        assert_eq!(split.ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["a#0", "a#1"]);
        assert_eq!(
            (split.fields[0].document(0), split.fields[0].document(1)),
            (&[1, 2, 3, 4][..], &[1][..])
        );
    }

    #[test]
    fn token_types_are_checked_and_kept_only_if_used() {
        let limits = Limits {
            token_types: Some(2),
            ..limits()
        };
        let row = |types: &str| format!("{{\"input_ids\": [1, 2], \"token_type_ids\": {types}}}\n");
        assert_eq!(load_lines(&row("[0, 0]"), &limits).unwrap().token_types, None);
        assert_eq!(
            load_lines(&row("[0, 1]"), &limits)
                .unwrap()
                .token_types
                .unwrap()
                .document(0),
            [0, 1]
        );
        assert!(error(&row("[0]"), &limits).contains("has 1 entries for 2 tokens"));
        assert!(error(&row("[0, 2]"), &limits).contains("there are 2 token types"));
    }

    #[test]
    fn a_model_with_two_token_sets_needs_both_fields() {
        let mut limits = limits();
        limits.fields.push(FieldLimits {
            name: "decoder_input_ids".into(),
            ..FieldLimits::default()
        });
        assert!(error("{\"input_ids\": [1]}\n", &limits).contains("the row has no `decoder_input_ids`"));
        let dataset = load_lines("{\"input_ids\": [1], \"decoder_input_ids\": [7, 8]}\n", &limits).unwrap();
        assert_eq!(dataset.field("decoder_input_ids").unwrap().document(0), [7, 8]);
    }
}
