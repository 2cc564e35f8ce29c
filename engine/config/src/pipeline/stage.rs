//! `[[stage]]` tables, in two steps: `uses` first, then the keys that this kind of stage has.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;
use crate::pipeline::parse::check_file_name;
use crate::pipeline::size::ByteSize;
use crate::pipeline::stage_types::{
    CaptureStage, EmbedStage, LogitsStage, PluginStage, Pooling, ProfileStage, RowFormat, ScoreStage, Stage, StageKind,
    StoredDtype, VectorFormat,
};
use crate::places::Places;
use crate::plugin::{is_plugin_id, not_an_id};
use crate::read::table::TableReader;
use crate::read::tree::NodeValue;
use crate::source::Located;
use crate::suggest::{list, suggest};

/// What `uses` begins with where it names a plugin.
const PLUGIN: &str = "plugin:";

const SHARD_SIZE: ByteSize = ByteSize(1 << 30);

/// All stages of the file, at least one, whose names must differ.
pub(super) fn read_stages(reader: &mut TableReader<'_>) -> Vec<Stage> {
    let tables = reader.tables("stage", false);
    if reader
        .entry("stage")
        .is_none_or(|entry| matches!(&entry.node.value, NodeValue::Array(list) if list.is_empty()))
    {
        reader.report(
            Diagnostic::error("the pipeline has no stage, so nothing would come of it")
                .primary(reader.place().clone())
                .help("add a `[[stage]]` table with `uses = \"score\"`"),
        );
    }
    let mut stages: Vec<Stage> = Vec::new();
    for table in tables {
        let Some(stage) = read_stage(table) else {
            continue;
        };
        match stages.iter().find(|other| other.name == stage.name) {
            Some(first) => reader.report(
                Diagnostic::error(format!("two stages are called `{}`", stage.name))
                    .primary(stage.name.label("the second"))
                    .secondary(first.name.label("the first"))
                    .note("outputs are named by their stage; without a `name` a stage is called as what it uses")
                    .help(format!("add a `name` to one of them, as `name = \"{}-2\"`", stage.name)),
            ),
            None => stages.push(stage),
        }
    }
    stages
}

fn read_stage(mut table: TableReader<'_>) -> Option<Stage> {
    let name = table.string("name");
    if let Some(name) = &name {
        check_file_name(&table, name);
    }
    let uses = table.required("uses", "uses = \"score\"")?;
    if let Some(plugin) = plugin_of(&uses) {
        let kind = read_plugin(&mut table, plugin.clone());
        table.finish();
        return Some(Stage {
            name: name.unwrap_or(plugin),
            kind: StageKind::Plugin(Box::new(kind?)),
        });
    }
    let kind = match uses.as_str() {
        "score" => Some(StageKind::Score(read_score(&mut table))),
        "capture" => read_capture(&mut table).map(StageKind::Capture),
        "profile" => Some(StageKind::Profile(read_profile(&mut table))),
        "embed" => Some(StageKind::Embed(read_embed(&mut table))),
        "logits" => read_logits(&mut table).map(StageKind::Logits),
        _ => {
            table.report(unknown_stage(&uses));
            return None;
        }
    };
    table.finish();
    Some(Stage {
        name: name.unwrap_or(uses),
        kind: kind?,
    })
}

fn unknown_stage(uses: &Located<String>) -> Diagnostic {
    let help = match suggest(uses, StageKind::USES.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("known here: {}, and `plugin:<id>`", list(StageKind::USES)),
    };
    Diagnostic::error(format!("there is no stage `{}`", uses.value))
        .primary(uses.label(""))
        .help(help)
}

/// The id in `plugin:<id>`, with its own place.
fn plugin_of(uses: &Located<String>) -> Option<Located<String>> {
    let id = uses.strip_prefix(PLUGIN)?;
    // Exact where the text has no escapes; else the whole literal.
    let exact = uses
        .file
        .text
        .get(uses.span.clone())
        .and_then(|literal| literal.find(uses.as_str()));
    let span = exact.map_or(uses.span.clone(), |start| {
        let start = uses.span.start + start + PLUGIN.len();
        start..start + id.len()
    });
    Some(Located {
        value: id.to_owned(),
        file: Arc::clone(&uses.file),
        span,
    })
}

fn read_plugin(table: &mut TableReader<'_>, plugin: Located<String>) -> Option<PluginStage> {
    let known = is_plugin_id(&plugin);
    if !known {
        table.report(not_an_id(&plugin, plugin.label("")));
    }
    let absent = table.entry("with").is_none();
    let with = table.json_object("with");
    let points = read_points(table);
    let of = table.entry("of").and_then(|_| table.filled("of", ""));
    let format = table.located("format", TableReader::choice);
    let nothing = || (Value::Object(Map::new()), Places::none(table.place().clone()));
    let (with, places) = if absent { nothing() } else { with? };
    known.then_some(PluginStage {
        plugin,
        with,
        places,
        points,
        of,
        format,
    })
}

fn read_score(table: &mut TableReader<'_>) -> ScoreStage {
    ScoreStage {
        per_token: table.boolean("per_token").unwrap_or(false),
        format: table.choice("format").unwrap_or(RowFormat::Parquet),
    }
}

fn read_capture(table: &mut TableReader<'_>) -> Option<CaptureStage> {
    table.require("points", "points = [\"decoder.*\"]");
    let points = read_points(table);
    let dtype = table.choice("dtype").unwrap_or(StoredDtype::F32);
    let shard_size = table.size("shard_size").unwrap_or(SHARD_SIZE);
    Some(CaptureStage {
        points: points?,
        dtype,
        shard_size,
    })
}

fn read_profile(table: &mut TableReader<'_>) -> ProfileStage {
    let points = read_points(table).unwrap_or_else(|| vec![default_at(table, "*.*")]);
    ProfileStage {
        points,
        outlier_ratio: read_outlier_ratio(table).unwrap_or(6.0),
        outlier_channels: table.integer32("outlier_channels", 0).unwrap_or(8),
        format: table.choice("format").unwrap_or(RowFormat::Parquet),
    }
}

fn read_outlier_ratio(table: &mut TableReader<'_>) -> Option<f64> {
    let key = "outlier_ratio";
    let ratio = table.number(key)?;
    if ratio.value > 1.0 && ratio.value.is_finite() {
        return Some(ratio.value);
    }
    table.report(
        Diagnostic::error(format!("`{key}` must be larger than 1"))
            .primary(ratio.label(""))
            .note("it is how many times the median channel's rms a channel must exceed"),
    );
    None
}

fn read_embed(table: &mut TableReader<'_>) -> EmbedStage {
    EmbedStage {
        point: table.point("final"),
        pooling: table.choice("pooling").unwrap_or(Pooling::Mean),
        normalize: table.boolean("normalize").unwrap_or(false),
        format: table.choice("format").unwrap_or(VectorFormat::Parquet),
    }
}

fn read_logits(table: &mut TableReader<'_>) -> Option<LogitsStage> {
    let before = table.errors().borrow().len();
    let stage = LogitsStage {
        point: table.point("logits"),
        top_k: table.integer32("top_k", 1),
        all: table.boolean("all").unwrap_or(false),
        dtype: table.choice("dtype").unwrap_or(StoredDtype::F32),
        shard_size: table.size("shard_size").unwrap_or(SHARD_SIZE),
    };
    let found_more = table.errors().borrow().len() > before;
    let message = match (stage.top_k, stage.all) {
        (Some(_), true) => "a `logits` stage stores either the `top_k` largest or `all`, not both",
        // A wrong `top_k` has been reported, and is no missing one.
        (None, false) if !found_more => "a `logits` stage must say how many logits of each token to store",
        _ => return Some(stage),
    };
    let help = "write `top_k = 64`, or `all = true` for the whole vocabulary";
    table.report(Diagnostic::error(message).primary(table.place().clone()).help(help));
    None
}

/// A list of points that is not empty; nothing if it is absent or wrong.
fn read_points(table: &mut TableReader<'_>) -> Option<Vec<Located<String>>> {
    let points = table.strings("points")?;
    let place = table.entry("points")?.node.label("");
    if points.is_empty() {
        let message = "`points` is empty: the stage would see nothing";
        table.report(
            Diagnostic::error(message)
                .primary(place)
                .help("name values, as `points = [\"decoder.*\"]`"),
        );
        return None;
    }
    for point in points.iter().filter(|point| point.split('.').any(str::is_empty)) {
        let message = format!("`{}` is no name of a value: a part of it is empty", point.value);
        table.report(Diagnostic::error(message).primary(point.label("")));
    }
    Some(points)
}

/// `value`, as if it stood where the stage does.
fn default_at(table: &TableReader<'_>, value: &str) -> Located<String> {
    let place = table.place();
    Located {
        value: value.to_owned(),
        file: Arc::clone(&place.file),
        span: place.span.clone(),
    }
}

impl TableReader<'_> {
    /// The key `point`, the name of one value.
    fn point(&mut self, default: &str) -> Located<String> {
        let point = self.entry("point").and_then(|_| self.filled("point", ""));
        point.unwrap_or_else(|| default_at(self, default))
    }

    /// An integer or float.
    fn number(&mut self, key: &'static str) -> Option<Located<f64>> {
        let node = &self.entry(key)?.node;
        let value = match node.value {
            NodeValue::Integer(number) => number as f64,
            NodeValue::Float(number) => number,
            _ => return self.wrong(node, key, "a number"),
        };
        Some(Located {
            value,
            file: Arc::clone(&node.file),
            span: node.span.clone(),
        })
    }
}
