//! A model's config.json, read by name. What was read counts as handled, what is wrong is collected.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

/// What is wrong with a config.json.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Where, as a JSON pointer: `/num_attention_heads`; empty for the whole file.
    pub pointer: String,
    /// What is wrong, with the value.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl PlanError {
    /// An error at a place of config.json.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> PlanError {
        PlanError {
            pointer: pointer.into(),
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> PlanError {
        self.help = Some(help.into());
        self
    }
}

impl From<PlanError> for Vec<PlanError> {
    fn from(error: PlanError) -> Vec<PlanError> {
        vec![error]
    }
}

/// What all views of one config.json share.
#[derive(Default)]
struct Record {
    handled: BTreeSet<String>,
    errors: Vec<PlanError>,
}

/// A map of config.json: the file itself, or one of its sub-maps.
///
/// A getter that fails also remembers its error, so several are reported together:
///
/// ```ignore
/// let (hidden, heads) = (config.u64("hidden_size"), config.u64("num_attention_heads"));
/// let (hidden, heads) = (hidden?, heads?);   // both errors are shown, not the first alone
/// ```
///
/// A key with the value null counts as absent.
#[derive(Clone)]
pub struct Config {
    map: Rc<Map<String, Json>>,
    /// JSON pointer of this map; empty for the file.
    pointer: String,
    record: Rc<RefCell<Record>>,
}

impl Config {
    /// The file. Anything but a map reads as an empty one, with an error.
    pub fn new(json: Json) -> Config {
        let mut record = Record::default();
        let map = match json {
            Json::Object(map) => map,
            other => {
                let message = format!("config.json is not a map of keys but {}", show(&other));
                record.errors.push(PlanError::new("", message));
                Map::new()
            }
        };
        Config {
            map: Rc::new(map),
            pointer: String::new(),
            record: Rc::new(RefCell::new(record)),
        }
    }

    /// The value of a key, `None` if it is absent or null. The key counts as handled.
    pub fn get(&self, key: &str) -> Option<&Json> {
        if self.pointer.is_empty() {
            self.record.borrow_mut().handled.insert(key.to_owned());
        }
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// True if the key is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// True if the file states null for the key, which some models take for "none" rather than for "the default".
    pub fn is_null(&self, key: &str) -> bool {
        self.get(key).is_none() && self.map.contains_key(key)
    }

    /// A value of any type that [`FromConfig`] knows.
    ///
    /// # Errors
    /// The key is absent, or of another type.
    pub fn read<T: FromConfig>(&self, key: &str) -> Result<T, PlanError> {
        match self.optional(key)? {
            Some(value) => Ok(value),
            None => Err(self.fail(key, format!("config.json has no `{key}`, which this family needs"))),
        }
    }

    /// A value, or `None` if the key is absent or null.
    ///
    /// # Errors
    /// The value is of another type.
    pub fn optional<T: FromConfig>(&self, key: &str) -> Result<Option<T>, PlanError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match T::from_config(value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.fail(key, format!("{} is expected, not {}", T::WHAT, show(value)))),
        }
    }

    /// A value, or `default` if the key is absent or null.
    ///
    /// # Errors
    /// The value is of another type.
    pub fn get_or<T: FromConfig>(&self, key: &str, default: T) -> Result<T, PlanError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// A whole number of at least 0.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn u64(&self, key: &str) -> Result<u64, PlanError> {
        self.read(key)
    }

    /// A number.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn f64(&self, key: &str) -> Result<f64, PlanError> {
        self.read(key)
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn str(&self, key: &str) -> Result<String, PlanError> {
        self.read(key)
    }

    /// True or false.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn bool(&self, key: &str) -> Result<bool, PlanError> {
        self.read(key)
    }

    /// A list of values of one type.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn list<T: FromConfig>(&self, key: &str) -> Result<Vec<T>, PlanError> {
        self.read(key)
    }

    /// A sub-map, `None` if the key is absent or null.
    ///
    /// # Errors
    /// The value is no map.
    pub fn map(&self, key: &str) -> Result<Option<Config>, PlanError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Json::Object(map) = value else {
            return Err(self.fail(key, format!("a map is expected, not {}", show(value))));
        };
        Ok(Some(Config {
            map: Rc::new(map.clone()),
            pointer: self.pointer_to(key),
            record: self.record.clone(),
        }))
    }

    /// The keys of this map that are not null.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.map.iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| k.as_str())
    }

    /// States that a top-level key changes nothing; `_why` is for the reader.
    pub fn ignore(&self, key: &str, _why: &str) {
        self.record.borrow_mut().handled.insert(key.to_owned());
    }

    /// Stops with `why` if `when` holds: for settings that this family does not describe.
    ///
    /// # Errors
    /// `when` holds.
    pub fn refuse(&self, key: &str, when: bool, why: &str) -> Result<(), PlanError> {
        match when {
            true => Err(self.fail(key, why.to_owned())),
            false => Ok(()),
        }
    }

    /// An error at a key of this map, which is also remembered.
    pub fn fail(&self, key: &str, message: impl Into<String>) -> PlanError {
        let error = PlanError::new(self.pointer_to(key), message);
        let mut record = self.record.borrow_mut();
        if !record.errors.contains(&error) {
            record.errors.push(error.clone());
        }
        error
    }

    /// Everything that was wrong so far.
    pub fn errors(&self) -> Vec<PlanError> {
        self.record.borrow().errors.clone()
    }

    /// The top-level keys that were asked for or ignored, sorted.
    pub fn handled(&self) -> Vec<String> {
        self.record.borrow().handled.iter().cloned().collect()
    }

    fn pointer_to(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"))
    }
}

/// Types that a value of config.json can be read as.
pub trait FromConfig: Sized {
    /// What is expected, for messages: `a whole number`.
    const WHAT: &'static str;

    /// The value, if the JSON is one.
    fn from_config(json: &Json) -> Option<Self>;
}

/// Implements [`FromConfig`] by a function of the JSON.
macro_rules! from_config {
    ($($type:ty, $what:literal, $read:expr;)*) => {
        $(impl FromConfig for $type {
            const WHAT: &'static str = $what;
            fn from_config(json: &Json) -> Option<$type> {
                $read(json)
            }
        })*
    };
}

from_config! {
    u64, "a whole number of at least 0", Json::as_u64;
    i64, "a whole number", Json::as_i64;
    f64, "a number", number;
    bool, "true or false", Json::as_bool;
    String, "a string", |json: &Json| json.as_str().map(str::to_owned);
    Json, "a value", |json: &Json| Some(json.clone());
}

impl<T: FromConfig> FromConfig for Vec<T> {
    const WHAT: &'static str = "a list of values of one type";
    fn from_config(json: &Json) -> Option<Vec<T>> {
        json.as_array()?.iter().map(T::from_config).collect()
    }
}

/// A number; config.json files write infinite ones as `{"__float__": "Infinity"}`.
fn number(json: &Json) -> Option<f64> {
    match json.get("__float__").and_then(Json::as_str) {
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some("NaN") => Some(f64::NAN),
        _ => json.as_f64(),
    }
}

fn show(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
