//! What a document must keep to.

use sli_config::Diagnostic;
use sli_config::pipeline::{EmptyDocuments, LongDocuments};

use super::row::Place;

/// What the model says about one field of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldLimits {
    /// Name of the field: `input_ids`, `decoder_input_ids`.
    pub name: String,
    /// Rows of the embedding table that the ids look up.
    pub vocabulary: Option<u64>,
    /// Most tokens of a document, by the model's table of positions or its configuration.
    pub positions: Option<u64>,
}

/// What the model and the pipeline say about documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The fields that the model reads, `input_ids` first if it does.
    pub fields: Vec<FieldLimits>,
    /// Rows of the table of token types, if the model has one.
    pub token_types: Option<u64>,
    /// `[data] max_tokens`.
    pub max_tokens: Option<u64>,
    /// `[data] long`.
    pub long: LongDocuments,
    /// `[data] empty`.
    pub empty: EmptyDocuments,
}

impl Default for Limits {
    fn default() -> Limits {
        let (long, empty) = (LongDocuments::Error, EmptyDocuments::Error);
        Limits {
            fields: Vec::new(),
            token_types: None,
            max_tokens: None,
            long,
            empty,
        }
    }
}

impl Limits {
    /// The most tokens a document may have in `field`, and what says so.
    pub(super) fn longest(&self, field: &FieldLimits) -> Option<(u64, &'static str)> {
        let by_user = self.max_tokens.map(|most| (most, "`[data] max_tokens`"));
        let by_model = field.positions.map(|most| (most, "the model's positions"));
        match (by_user, by_model) {
            (Some(user), Some(model)) => Some(if model.0 < user.0 { model } else { user }),
            (user, model) => user.or(model),
        }
    }
}

/// Checks that `ids` are numbers from 0 below `rows`.
pub(super) fn check_ids(
    ids: &[i64],
    rows: Option<u64>,
    field: &str,
    place: &Place,
) -> std::result::Result<Vec<u32>, Diagnostic> {
    let rows = rows.unwrap_or(u64::from(u32::MAX));
    match ids
        .iter()
        .enumerate()
        .find(|(_, id)| u64::try_from(**id).map_or(true, |id| id >= rows))
    {
        None => Ok(ids.iter().map(|id| *id as u32).collect()),
        Some((at, id)) => {
            let (thing, remedy) = match field {
                "token_type_ids" => ("token types", "token types count from 0"),
                _ => (
                    "entries in the model's vocabulary",
                    "use the tokenizer that belongs to this model",
                ),
            };
            let message = format!("{place}: token {at} of `{field}` is {id}, but there are {rows} {thing}");
            Err(Diagnostic::error(message).help(remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_beyond_the_table_are_named() {
        let place = Place::Line("a.jsonl".into(), 2);
        assert_eq!(check_ids(&[0, 9], Some(10), "input_ids", &place), Ok(vec![0, 9]));
        for bad in [10, -1] {
            let error = check_ids(&[0, bad], Some(10), "input_ids", &place).unwrap_err();
            let want = format!(
                "a.jsonl:2: token 1 of `input_ids` is {bad}, but there are 10 entries in the model's vocabulary"
            );
            assert_eq!(error.message, want);
        }
    }

    #[test]
    fn the_stricter_limit_wins() {
        let field = FieldLimits {
            positions: Some(8),
            ..FieldLimits::default()
        };
        let limits = |max_tokens| Limits {
            max_tokens,
            ..Limits::default()
        };
        assert_eq!(limits(None).longest(&field).unwrap().0, 8);
        assert_eq!(limits(Some(4)).longest(&field).unwrap().0, 4);
        assert_eq!(limits(Some(9)).longest(&field), Some((8, "the model's positions")));
        assert_eq!(limits(None).longest(&FieldLimits::default()), None);
    }
}
