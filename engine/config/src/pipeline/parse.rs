//! From a pipeline's text and the command line's overrides to a [`Pipeline`].

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::pipeline::overrides;
use crate::pipeline::size::ByteSize;
use crate::pipeline::stage::read_stages;
use crate::pipeline::types::{
    Activations, DataFormat, DataSection, Device, Dtype, EmptyDocuments, EngineSection, Experts, LongDocuments,
    ModelSection, OutputSection, Pipeline,
};
use crate::plugin::read_grants;
use crate::read::choice::Choice;
use crate::read::table::{Errors, TableReader};
use crate::read::tree::{Node, NodeValue, parse_document};
use crate::source::{Located, SourceFile};

/// Reads a pipeline. Each override is a key (`engine.memory`, `stage.0.per_token`) with its value as typed,
/// and takes effect before anything is checked.
///
/// # Errors
/// All that is wrong with the file and the overrides, in the order of their places.
pub fn parse_pipeline(file: Arc<SourceFile>, overrides: &[(String, String)]) -> Result<Pipeline, Vec<Diagnostic>> {
    let (mut root, found) = parse_document(&file);
    if found.has_errors() {
        return Err(found.into_sorted());
    }
    let errors = Errors::default();
    for (key, value) in overrides {
        overrides::apply(&mut root, key, value, &errors);
    }
    let pipeline = read_pipeline(&root, &errors);
    let found: Diagnostics = errors.into_inner();
    match pipeline {
        Some(pipeline) => found.or(pipeline),
        None => Err(found.into_sorted()),
    }
}

fn read_pipeline(root: &Node, errors: &Errors) -> Option<Pipeline> {
    let mut reader = TableReader::document(root, errors);
    let name = read_name(&mut reader);
    let model = read_model(reader.sub_or_empty("model"));
    let data = read_data(reader.sub_or_empty("data"));
    let engine = read_engine(reader.sub_or_empty("engine"));
    let output = read_output(reader.sub_or_empty("output"), &name);
    let stages = read_stages(&mut reader);
    let plugins = reader
        .sub("plugin")
        .map(|tables| read_grants(&tables))
        .unwrap_or_default();
    let file = Arc::clone(reader.file());
    reader.finish();
    Some(Pipeline {
        file,
        name,
        model: model?,
        data: data?,
        engine,
        output,
        stages,
        plugins,
    })
}

/// `name`, else the stem of the file's name.
fn read_name(reader: &mut TableReader<'_>) -> String {
    let Some(name) = reader.string("name") else {
        let file = &reader.file().name;
        let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let stem = stem.strip_suffix(".toml").unwrap_or(stem);
        return if is_file_name(stem) {
            stem.to_owned()
        } else {
            "pipeline".to_owned()
        };
    };
    check_file_name(reader, &name);
    name.value
}

/// Reports a name that no output could be called.
pub(super) fn check_file_name(reader: &TableReader<'_>, name: &Located<String>) {
    if !is_file_name(name) {
        reader.report(
            Diagnostic::error(format!(
                "outputs are named by `name`, and `{}` is no name of a file",
                name.value
            ))
            .primary(name.label(""))
            .help("use letters, digits, `-`, `_` and `.`"),
        );
    }
}

fn is_file_name(name: &str) -> bool {
    let forbidden = |char: char| char.is_control() || matches!(char, '/' | '\\');
    !name.trim().is_empty() && name.len() <= 100 && !name.starts_with('.') && !name.contains(forbidden)
}

fn read_model(mut table: TableReader<'_>) -> Option<ModelSection> {
    let source = table.filled("source", "source = \"folder-or-hub/id\"");
    let revision = table.text("revision").unwrap_or_else(|| "main".to_owned());
    let family = table.string("family");
    table.finish();
    Some(ModelSection {
        source: source?,
        revision,
        family,
    })
}

fn read_data(mut table: TableReader<'_>) -> Option<DataSection> {
    let source = table.filled("source", "source = \"documents.jsonl\"");
    let format = read_format(&mut table, source.as_ref());
    let text = table.text("text").unwrap_or_else(|| "text".to_owned());
    let whole = table.boolean("whole").unwrap_or(false);
    if let (true, Some(entry), Some(format)) = (whole, table.entry("whole"), format)
        && format != DataFormat::Txt
    {
        table.report(
            Diagnostic::error("`whole` takes a text file as one document")
                .primary(entry.key.clone())
                .note(format!(
                    "the source is read as `{format}`, in which each row is a document"
                ))
                .help("remove `whole`, or write `format = \"txt\"`"),
        );
    }
    let max_tokens = table.integer("max_tokens", 1..=u64::MAX);
    let limit = table.integer("limit", 1..=u64::MAX);
    let long = table.choice("long").unwrap_or(LongDocuments::Error);
    let empty = table.choice("empty").unwrap_or(EmptyDocuments::Error);
    let add_special_tokens = table.boolean("add_special_tokens").unwrap_or(true);
    table.finish();
    Some(DataSection {
        source: source?,
        format: format?,
        text,
        whole,
        max_tokens,
        limit,
        long,
        empty,
        add_special_tokens,
    })
}

/// `format`, or what the source's name ends in.
fn read_format(table: &mut TableReader<'_>, source: Option<&Located<String>>) -> Option<DataFormat> {
    if table.entry("format").is_some_and(|entry| !entry.node.is_text("auto")) {
        return table.choice("format");
    }
    let source = source?;
    if source.value == "-" {
        return Some(DataFormat::Jsonl);
    }
    let ending = source
        .rsplit(['/', '\\'])
        .next()
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, ending)| ending);
    let format = match ending.unwrap_or_default().to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => Some(DataFormat::Jsonl),
        "txt" | "text" => Some(DataFormat::Txt),
        "parquet" => Some(DataFormat::Parquet),
        _ => None,
    };
    if format.is_none() {
        table.report(
            Diagnostic::error(format!("the name `{}` does not tell what the file holds", source.value))
                .primary(source.label("does not end in `.jsonl`, `.txt` or `.parquet`"))
                .help(format!("add `format` with one of {}", DataFormat::known())),
        );
    }
    format
}

fn read_engine(mut table: TableReader<'_>) -> EngineSection {
    let engine = EngineSection {
        device: read_device(&mut table).unwrap_or(Device::Auto),
        dtype: table.choice("dtype").unwrap_or(Dtype::Auto),
        memory: table.auto_or("memory", TableReader::size),
        gpu_memory: table.auto_or("gpu_memory", TableReader::size),
        activations: table.choice("activations").unwrap_or(Activations::Auto),
        prefetch: table.auto_or("prefetch", |table, key| table.integer32(key, 0)),
        experts: table.choice("experts").unwrap_or(Experts::Auto),
        threads: table.auto_or("threads", |table, key| table.integer32(key, 1)),
    };
    table.finish();
    engine
}

fn read_device(table: &mut TableReader<'_>) -> Option<Device> {
    let word = table.string("device")?;
    match word.as_str() {
        "auto" => return Some(Device::Auto),
        "cpu" => return Some(Device::Cpu),
        "cuda" => return Some(Device::Cuda(0)),
        _ => {}
    }
    let index = word.strip_prefix("cuda:").and_then(|index| index.parse().ok());
    if index.is_none() {
        table.report(
            Diagnostic::error(format!("`device` cannot be `{}`", word.value))
                .primary(word.label("expected one of `auto`, `cpu`, `cuda`, `cuda:0`")),
        );
    }
    index.map(Device::Cuda)
}

fn read_output(mut table: TableReader<'_>, name: &str) -> OutputSection {
    let dir = match table.entry("dir") {
        Some(_) => table.filled("dir", ""),
        None => None,
    };
    let place = table.place();
    let default = || Located {
        value: format!("runs/{name}"),
        file: Arc::clone(&place.file),
        span: place.span.clone(),
    };
    let dir = dir.unwrap_or_else(default);
    let overwrite = table.boolean("overwrite").unwrap_or(false);
    table.finish();
    OutputSection { dir, overwrite }
}

impl TableReader<'_> {
    /// A string that must be there and not be empty.
    pub(crate) fn filled(&mut self, key: &'static str, example: &str) -> Option<Located<String>> {
        let text = self.required(key, example)?;
        if text.trim().is_empty() {
            self.report(Diagnostic::error(format!("`{key}` is empty")).primary(text.label("")));
            return None;
        }
        Some(text)
    }

    /// Nothing for `auto` or an absent key, else what `read` makes of it.
    fn auto_or<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self, &'static str) -> Option<T>) -> Option<T> {
        if self.entry(key)?.node.is_text("auto") {
            None
        } else {
            read(self, key)
        }
    }

    /// A size in bytes.
    pub(crate) fn size(&mut self, key: &'static str) -> Option<ByteSize> {
        let node = &self.entry(key)?.node;
        let size = match &node.value {
            NodeValue::Integer(bytes) => u64::try_from(*bytes).map(|bytes| bytes.to_string()).unwrap_or_default(),
            NodeValue::String(text) => text.clone(),
            _ => return self.wrong(node, key, "a size such as `\"8GiB\"`"),
        };
        match size.parse() {
            Ok(size) => Some(size),
            Err(error) => {
                self.report(
                    Diagnostic::error(format!("`{key}` is no size: {error}"))
                        .primary(node.label(""))
                        .help("write it like `\"8GiB\"`, `\"900MiB\"`, `\"1.5GB\"` or as an integer of bytes"),
                );
                None
            }
        }
    }

    /// An integer of at least `least` that fits into 32 bits.
    pub(super) fn integer32(&mut self, key: &'static str, least: u32) -> Option<u32> {
        let number = self.integer(key, u64::from(least)..=u64::from(u32::MAX))?;
        u32::try_from(number).ok()
    }
}
