//! What an equation can be at plan time.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;
use sli_model::{Rope, Value};

/// A plan value, a tensor of the graph being built, or a list or map of these.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    List(Arc<Vec<Val>>),
    Map(Arc<IndexMap<String, Val>>),
    Rope(Arc<Rope>),
    /// A tensor of the graph with this serial number.
    Tensor(u32, Value),
    /// A score bias of the graph with this serial number.
    Bias(u32, Value),
    /// A finished stack by name.
    Stack(Arc<str>),
    /// `<stack>.hidden`, before its index.
    Hidden(Arc<str>),
    /// `input`, before its field.
    Fields,
}

impl Val {
    /// A value of config.json or of a TOML constant. `Infinity` and `{"__float__": "Infinity"}` are floats.
    pub(crate) fn from_json(json: &Json) -> Val {
        match json {
            Json::Null => Val::Null,
            Json::Bool(b) => Val::Bool(*b),
            Json::Number(n) => n
                .as_i64()
                .map_or_else(|| Val::Float(n.as_f64().unwrap_or(f64::NAN)), Val::Int),
            Json::String(s) => Val::Str(s.as_str().into()),
            Json::Array(list) => Val::List(Arc::new(list.iter().map(Val::from_json).collect())),
            Json::Object(map) => match special_float(map) {
                Some(x) => Val::Float(x),
                None => Val::Map(Arc::new(
                    map.iter().map(|(k, v)| (k.clone(), Val::from_json(v))).collect(),
                )),
            },
        }
    }

    /// A short name of the kind of value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "a bool",
            Val::Int(_) => "an integer",
            Val::Float(_) => "a number",
            Val::Str(_) => "a string",
            Val::List(_) => "a list",
            Val::Map(_) => "a map",
            Val::Rope(_) => "a rope",
            Val::Tensor(..) => "a tensor",
            Val::Bias(..) => "a score bias",
            Val::Stack(_) => "a stack",
            Val::Hidden(_) => "the list of a stack's hidden states",
            Val::Fields => "the inputs",
        }
    }

    /// The value as a message shows it: `3`, `'relu'`, `a tensor`.
    pub(crate) fn show(&self) -> String {
        match self {
            Val::Bool(b) => b.to_string(),
            Val::Int(i) => i.to_string(),
            Val::Float(x) => x.to_string(),
            Val::Str(s) => format!("'{s}'"),
            Val::List(list) => format!("[{}]", list.iter().map(Val::show).collect::<Vec<_>>().join(", ")),
            other => other.kind().to_owned(),
        }
    }

    /// The number, if it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Val::Int(i) => Some(*i as f64),
            Val::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// The integer, also if written as a whole float (`2.0`).
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Val::Int(i) => Some(*i),
            Val::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => Some(*x as i64),
            _ => None,
        }
    }

    /// Equality of plan values; `None` where the kinds cannot be compared (tensors).
    pub(crate) fn equals(&self, other: &Val) -> Option<bool> {
        Some(match (self, other) {
            (Val::Tensor(..) | Val::Bias(..) | Val::Rope(_), Val::Null)
            | (Val::Null, Val::Tensor(..) | Val::Bias(..) | Val::Rope(_)) => false,
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Str(a), Val::Str(b)) => a == b,
            (Val::Int(_) | Val::Float(_), Val::Int(_) | Val::Float(_)) => self.number() == other.number(),
            (Val::List(a), Val::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b) == Some(true))
            }
            (Val::Map(a), Val::Map(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(k, v)| b.get(k).is_some_and(|w| v.equals(w) == Some(true)))
            }
            (Val::Tensor(..) | Val::Bias(..) | Val::Rope(_) | Val::Stack(_), _)
            | (_, Val::Tensor(..) | Val::Bias(..) | Val::Rope(_) | Val::Stack(_)) => return None,
            _ => false,
        })
    }
}

/// `{"__float__": "Infinity"}`, the form in which transformers writes such numbers.
fn special_float(map: &serde_json::Map<String, Json>) -> Option<f64> {
    let text = map.get("__float__")?.as_str()?;
    (map.len() == 1).then(|| text.replace("Infinity", "inf").parse().ok())?
}
