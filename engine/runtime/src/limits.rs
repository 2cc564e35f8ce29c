//! What a model says about documents: sizes of its tables of tokens and positions.

use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_config::pipeline::DataSection;
use sli_model::infer::Dim;
use sli_model::{BinaryOp, Frequencies, Graph, GraphInput, ModelPlan, Op, Value};

use crate::data::{FieldLimits, Limits};
use crate::error::{Result, RunError};
use crate::units::Unit;

/// Keys of config.json with the longest sequence a model was made for.
const POSITION_KEYS: [&str; 6] = [
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
];

/// Fields that rows can have.
const KNOWN: [&str; 2] = ["input_ids", "decoder_input_ids"];

/// The dataset's fields, and which of them each stack reads.
///
/// # Errors
/// A stack that reads a field which rows cannot have.
pub(crate) fn fields(plan: &ModelPlan) -> Result<(Vec<String>, Vec<usize>)> {
    let mut names: Vec<String> = Vec::new();
    let mut fields = Vec::new();
    for stack in &plan.stacks {
        if !KNOWN.contains(&stack.tokens.as_str()) {
            let message = format!(
                "the stack `{}` of this model reads the field `{}`, which rows cannot have",
                stack.name, stack.tokens
            );
            return Err(RunError::input(
                Diagnostic::error(message).help("rows have `input_ids` and `decoder_input_ids`"),
            ));
        }
        let known = names.iter().position(|name| *name == stack.tokens);
        fields.push(known.unwrap_or_else(|| {
            names.push(stack.tokens.clone());
            names.len() - 1
        }));
    }
    Ok((names, fields))
}

/// The limits of the documents: by the model, and by `section`.
pub(crate) fn limits(
    plan: &ModelPlan,
    units: &[Unit<'_>],
    config: &Json,
    section: &DataSection,
    names: &[String],
    fields: &[usize],
) -> Limits {
    let mut limits = Limits {
        fields: names
            .iter()
            .map(|name| FieldLimits {
                name: name.clone(),
                ..FieldLimits::default()
            })
            .collect(),
        token_types: None,
        max_tokens: section.max_tokens,
        long: section.long,
        empty: section.empty,
    };
    for unit in units {
        let field = &mut limits.fields[fields[unit.role.stack(plan)]];
        for node in &unit.graph.nodes {
            let input = |index: usize| node.inputs.get(index).copied().flatten();
            match &node.op {
                Op::Embedding => {
                    let (Some(ids), Some(rows)) = (input(0), rows_of(unit, input(1))) else {
                        continue;
                    };
                    match source(unit.graph, ids) {
                        Some((Source::Tokens, 0)) => field.vocabulary = least(field.vocabulary, rows),
                        Some((Source::Types, 0)) => limits.token_types = least(limits.token_types, rows),
                        Some((Source::Positions, offset)) if offset >= 0 => {
                            field.positions = least(field.positions, rows.saturating_sub(offset as u64));
                        }
                        _ => {}
                    }
                }
                // Types may be compared without being looked up: any id is good then.
                Op::Input(GraphInput::TokenTypes) => limits.token_types = least(limits.token_types, 1 << 31),
                Op::LongConv => {
                    if let Some(rows) = rows_of(unit, input(1)) {
                        field.positions = least(field.positions, rows);
                    }
                }
                // Angles exist for any position, but beyond those of its training a model makes no sense. Who
                // says `max_tokens` has decided otherwise.
                Op::Rotary(rope) if section.max_tokens.is_none() => {
                    let grows = matches!(
                        rope.frequencies,
                        Frequencies::Dynamic { .. } | Frequencies::Doubling { .. }
                    );
                    if let Some(most) = POSITION_KEYS
                        .iter()
                        .find_map(|key| config.get(*key)?.as_u64())
                        .filter(|_| !grows)
                    {
                        field.positions = least(field.positions, most);
                    }
                }
                _ => {}
            }
        }
    }
    limits
}

fn least(known: Option<u64>, other: u64) -> Option<u64> {
    Some(known.map_or(other, |known| known.min(other)))
}

/// Rows of a table.
fn rows_of(unit: &Unit<'_>, table: Option<Value>) -> Option<u64> {
    match unit.value_type(table?)?.dims()?.first()? {
        Dim::Size(rows) => Some(*rows),
        _ => None,
    }
}

/// Where ids come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Tokens,
    Types,
    Positions,
}

/// What `value` is: ids or positions with something added.
fn source(graph: &Graph, value: Value) -> Option<(Source, i64)> {
    let node = &graph.nodes[value.node as usize];
    match &node.op {
        Op::Input(GraphInput::Tokens) => Some((Source::Tokens, 0)),
        Op::Input(GraphInput::TokenTypes) => Some((Source::Types, 0)),
        Op::Input(GraphInput::Positions) | Op::RowPositions => Some((Source::Positions, 0)),
        Op::Binary(BinaryOp::Add) => {
            let (a, b) = ((*node.inputs.first()?)?, (*node.inputs.get(1)?)?);
            let (ids, number) = match (graph.constant(a), graph.constant(b)) {
                (None, Some(number)) => (a, number),
                (Some(number), None) => (b, number),
                _ => return None,
            };
            let (source, offset) = source(graph, ids)?;
            Some((source, offset + number.0 as i64))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_model::{Origin, Scalar};

    #[test]
    fn positions_with_an_offset_are_recognised() {
        let mut graph = Graph::default();
        let positions = graph.push(Op::Input(GraphInput::Positions), vec![], Origin::default());
        let two = graph.push(Op::Const(Scalar::Int(2)), vec![], Origin::default());
        let sum = graph.push(
            Op::Binary(BinaryOp::Add),
            vec![Some(positions), Some(two)],
            Origin::default(),
        );
        let product = graph.push(
            Op::Binary(BinaryOp::Mul),
            vec![Some(positions), Some(two)],
            Origin::default(),
        );
        assert_eq!(source(&graph, sum), Some((Source::Positions, 2)));
        assert_eq!(source(&graph, positions), Some((Source::Positions, 0)));
        assert_eq!(source(&graph, product), None);
    }
}
