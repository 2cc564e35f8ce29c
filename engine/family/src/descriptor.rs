//! A family stated by TOML files, and the contract that every family fulfils.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use sli_config::family::{FamilyFile, PackedFile, PartsFile};
use sli_config::{Diagnostic, SourceFile};
use sli_model::ModelPlan;

use crate::check::{Reached, check, reach, unhandled, unhandled_keys};
use crate::compile::compile;
use crate::flat::{Flat, FlatValue, Table, merge};
use crate::foreign::ForeignFunctions;

/// One architecture: recognised, named and computed. A descriptor or a plugin.
pub trait Family: Send + Sync {
    /// Its id, as `llama`.
    fn id(&self) -> &str;

    /// One line for people.
    fn title(&self) -> &str;

    /// Hex sha256 over everything the family is made of.
    fn fingerprint(&self) -> String;

    /// The files it is made of, for messages that point into them.
    fn files(&self) -> &[Arc<SourceFile>];

    /// The plan for one config.json.
    ///
    /// # Errors
    /// All that is wrong with this family and this config together: unhandled keys, refusals, equations
    /// that have no value.
    fn plan(&self, config: &Json) -> Result<ModelPlan, Vec<Diagnostic>>;
}

impl std::fmt::Debug for dyn Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

/// A family stated by a TOML file, its parents and the std files it includes.
#[derive(Clone, Debug)]
pub struct Descriptor {
    flat: Flat,
    reached: Reached,
}

impl Descriptor {
    /// Merges and checks a chain of files: parents first, each file's includes before it.
    ///
    /// # Errors
    /// Equations that cannot be parsed, unknown names, shadowing, dead values, unmet needs.
    pub(crate) fn new(chain: &[Arc<FamilyFile>], foreign: &ForeignFunctions) -> Result<Descriptor, Vec<Diagnostic>> {
        let mut flat = merge(chain)?;
        flat.foreign = foreign.clone();
        let reached = reach(&flat);
        let errors = check(&flat, &reached);
        if errors.is_empty() {
            Ok(Descriptor { flat, reached })
        } else {
            Err(errors)
        }
    }

    /// Keys of a config.json that this family does nothing with.
    pub fn unhandled(&self, config: &Json) -> Vec<String> {
        unhandled_keys(&self.flat, &self.reached, &self.own_config(config))
    }

    /// The map that the key `config` names, with what it lacks read beside it; config.json as it is without such a key.
    fn own_config<'c>(&self, config: &'c Json) -> Cow<'c, Json> {
        let own = self
            .flat
            .config
            .as_ref()
            .and_then(|key| Some((key, config.get(key)?.as_object()?)));
        let (Some((key, own)), Some(whole)) = (own, config.as_object()) else {
            return Cow::Borrowed(config);
        };
        let mut merged = whole.clone();
        merged.remove(key);
        merged.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
        Cow::Owned(Json::Object(merged))
    }

    /// The flattened family as TOML, each entry with the file that states it.
    pub fn show(&self) -> String {
        let flat = &self.flat;
        let mut out = format!("id    = \"{}\"\ntitle = \"{}\"\n", flat.id.value, flat.title);
        for (table, _) in &flat.matches {
            out.push_str("\n[[match]]\n");
            out.extend(table.model_types.iter().map(|list| format!("model_types = {list:?}\n")));
            out.extend(
                table
                    .architectures
                    .iter()
                    .map(|list| format!("architectures = {list:?}\n")),
            );
            out.extend(table.when.iter().map(|when| format!("when = {:?}\n", when.text)));
        }
        for refuse in &flat.refuse {
            let file = &refuse.when.equation.file.name;
            let _ = write!(
                out,
                "\n[[refuse]]  # {file}\nwhen = {:?}\nwhy  = {:?}\n",
                refuse.when.equation.text, refuse.why
            );
        }
        show_map(
            &mut out,
            "ignore_config",
            flat.ignore_config.iter().map(|(k, v)| (k, format!("{v:?}"))),
        );
        show_map(
            &mut out,
            "defaults",
            flat.defaults.iter().map(|(k, v)| (k, v.to_string())),
        );
        show_values(&mut out, flat);
        let _ = writeln!(out, "\n[names]\nroot   = {:?}\nignore = {:?}", flat.root, flat.ignore);
        show_map(
            &mut out,
            "names.tied",
            flat.tied.iter().map(|(k, v)| (k, format!("{v:?}"))),
        );
        show_map(
            &mut out,
            "names.rename",
            flat.rename.iter().map(|(k, v)| (k, format!("{v:?}"))),
        );
        show_map(
            &mut out,
            "names.packed",
            flat.packed.iter().map(|(k, v)| (k, show_piece(&v.stated))),
        );
        show_map(
            &mut out,
            "names.joined",
            flat.joined.iter().map(|(k, v)| (k, format!("{v:?}"))),
        );
        show_table(&mut out, &flat.embed);
        for stack in &flat.stacks {
            show_stack(&mut out, stack);
        }
        flat.layers.values().for_each(|table| show_table(&mut out, table));
        for block in flat.blocks.values() {
            show_table(&mut out, &block.table);
            out.extend(block.doc.iter().map(|doc| format!("doc = {doc:?}\n")));
            if !block.args.equations.is_empty() {
                show_table(&mut out, &block.args);
            }
        }
        show_table(&mut out, &flat.head);
        out
    }
}

fn show_map<'a>(out: &mut String, label: &str, entries: impl Iterator<Item = (&'a String, String)>) {
    let mut entries = entries.peekable();
    if entries.peek().is_some() {
        let _ = writeln!(out, "\n[{label}]");
    }
    for (key, value) in entries {
        let _ = writeln!(out, "{key:?} = {value}");
    }
}

fn show_piece(piece: &PackedFile) -> String {
    let mut out = format!("{{ from = {:?}", piece.from);
    if let Some(part) = &piece.part {
        let _ = match &part.of {
            PartsFile::Equal(n) => write!(out, ", part = [{}, {n}]", part.index),
            PartsFile::Equation(sizes) => write!(out, ", part = [{}, {:?}]", part.index, sizes.text),
        };
    }
    out.push_str(if piece.transposed { ", transposed = true" } else { "" });
    out.push_str(if piece.interleaved { ", interleaved = true" } else { "" });
    out + " }"
}

fn show_values(out: &mut String, flat: &Flat) {
    out.push_str("\n[values]\n");
    for (name, value) in &flat.values {
        let (text, file) = match value {
            FlatValue::Equation(parsed) => (format!("{:?}", parsed.equation.text), &parsed.equation.file),
            FlatValue::Constant(json, file) => (json.to_string(), file),
        };
        let _ = writeln!(out, "{name} = {text}  # {}", file.name);
    }
}

fn show_table(out: &mut String, table: &Table) {
    let _ = writeln!(out, "\n[{}]", table.label);
    for (name, parsed) in &table.equations {
        let _ = writeln!(
            out,
            "{name} = {:?}  # {}",
            parsed.equation.text, parsed.equation.file.name
        );
    }
}

fn show_stack(out: &mut String, stack: &crate::flat::FlatStack) {
    let _ = writeln!(out, "\n[[stack]]  # {}\nname = {:?}", stack.file.name, stack.name);
    let prefix = stack.prefix.iter().map(|e| ("prefix", e));
    let keys = [
        ("count", &stack.count),
        ("input", &stack.input),
        ("final", &stack.last),
        ("when", &stack.when),
    ];
    let rest = keys.into_iter().filter_map(|(k, p)| Some((k, &p.as_ref()?.equation)));
    for (key, equation) in prefix.chain(rest) {
        let _ = writeln!(out, "{key} = {:?}  # {}", equation.text, equation.file.name);
    }
    out.extend(stack.tokens.iter().map(|tokens| format!("tokens = {tokens:?}\n")));
    for case in &stack.layer {
        let when = case
            .when
            .as_ref()
            .map_or(String::new(), |w| format!(", when = {:?}", w.equation.text));
        let _ = writeln!(out, "layer = {{ class = {:?}{when} }}", case.class.value);
    }
    for table in [&stack.lets, &stack.carry] {
        if !table.equations.is_empty() {
            show_table(out, table);
        }
    }
}

impl Family for Descriptor {
    fn id(&self) -> &str {
        &self.flat.id.value
    }

    fn title(&self) -> &str {
        &self.flat.title
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.flat.files {
            hash.update(file.text.len().to_le_bytes());
            hash.update(file.text.as_bytes());
        }
        for function in &self.reached.foreign {
            hash.update(self.flat.foreign.get(function).map_or("", |known| &known.digest));
        }
        hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    fn files(&self) -> &[Arc<SourceFile>] {
        &self.flat.files
    }

    fn plan(&self, config: &Json) -> Result<ModelPlan, Vec<Diagnostic>> {
        let config = &*self.own_config(config);
        if let Some(error) = refusal_of_format(config) {
            return Err(vec![error]);
        }
        let mut errors = unhandled(&self.flat, &self.reached, config);
        match compile(&self.flat, &self.reached, config) {
            Ok(plan) if errors.is_empty() => match plan.check() {
                Ok(()) => Ok(plan),
                Err(errors) => Err(errors.iter().map(|e| Diagnostic::error(e.to_string())).collect()),
            },
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        }
    }
}

/// Why no family can describe this config.json, if so: quantised checkpoints are refused by name, not by their keys.
pub fn refusal_of_format(config: &Json) -> Option<Diagnostic> {
    let quantisation = config.get("quantization_config").filter(|q| !q.is_null())?;
    let method = quantisation
        .get("quant_method")
        .and_then(Json::as_str)
        .unwrap_or("unknown");
    Some(
        Diagnostic::error(format!(
            "this checkpoint is quantised (`quant_method: {method}`), and quantised checkpoints cannot be read yet"
        ))
        .help("use the unquantised checkpoint (safetensors in f32, f16 or bf16)"),
    )
}
