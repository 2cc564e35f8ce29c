//! A family with `extends` and `include` followed: every entry once, with the file that states it.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use sli_config::family::{BlockFile, Equations, FamilyFile, LayerChoice, MatchTable, PackedFile, PartsFile, ValueDef};
use sli_config::{Diagnostic, SourceFile, Span, Spanned};

use crate::expr::{Parsed, parse};
use crate::foreign::ForeignFunctions;
use crate::functions;

/// Equations of one table by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// As in the file: `block.norm`.
    pub(crate) label: String,
    pub(crate) equations: IndexMap<String, Arc<Parsed>>,
}

/// `[block.x]`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) args: Arc<Table>,
    pub(crate) table: Arc<Table>,
    pub(crate) doc: Option<String>,
}

/// An entry of `[values]`.
#[derive(Clone, Debug)]
pub(crate) enum FlatValue {
    Equation(Arc<Parsed>),
    Constant(serde_json::Value, Arc<SourceFile>),
}

/// `[[refuse]]`.
#[derive(Clone, Debug)]
pub(crate) struct FlatRefuse {
    pub(crate) name: Option<String>,
    pub(crate) when: Arc<Parsed>,
    pub(crate) why: String,
}

/// An entry of `names.packed`.
#[derive(Clone, Debug)]
pub(crate) struct FlatPacked {
    pub(crate) stated: PackedFile,
    /// The equation of `part`, if it has one.
    pub(crate) sizes: Option<Arc<Parsed>>,
}

/// Which class a layer has.
#[derive(Clone, Debug)]
pub(crate) struct LayerCase {
    pub(crate) class: Spanned<String>,
    pub(crate) when: Option<Arc<Parsed>>,
}

/// `[[stack]]`.
#[derive(Clone, Debug)]
pub(crate) struct FlatStack {
    pub(crate) name: String,
    pub(crate) file: Arc<SourceFile>,
    pub(crate) span: Span,
    pub(crate) prefix: Option<sli_config::family::Equation>,
    pub(crate) count: Option<Arc<Parsed>>,
    pub(crate) layer: Vec<LayerCase>,
    pub(crate) tokens: Option<String>,
    pub(crate) input: Option<Arc<Parsed>>,
    pub(crate) last: Option<Arc<Parsed>>,
    pub(crate) when: Option<Arc<Parsed>>,
    pub(crate) lets: Arc<Table>,
    pub(crate) carry: Arc<Table>,
}

/// The whole family.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) id: Spanned<String>,
    pub(crate) title: String,
    pub(crate) is_abstract: bool,
    /// Key of config.json whose map is this family's `config`.
    pub(crate) config: Option<String>,
    pub(crate) matches: Vec<(MatchTable, Option<Arc<Parsed>>)>,
    /// `[values]` entries that the file itself states.
    pub(crate) own_values: HashSet<String>,
    pub(crate) refuse: Vec<FlatRefuse>,
    pub(crate) ignore_config: IndexMap<String, String>,
    pub(crate) defaults: IndexMap<String, serde_json::Value>,
    pub(crate) values: IndexMap<String, FlatValue>,
    pub(crate) args: Table,
    pub(crate) inputs: IndexMap<String, String>,
    pub(crate) root: Vec<String>,
    pub(crate) tied: IndexMap<String, String>,
    pub(crate) ignore: Vec<String>,
    pub(crate) rename: IndexMap<String, Vec<String>>,
    pub(crate) packed: IndexMap<String, FlatPacked>,
    pub(crate) joined: IndexMap<String, Vec<String>>,
    pub(crate) embed: Arc<Table>,
    pub(crate) stacks: Vec<FlatStack>,
    pub(crate) layers: IndexMap<String, Arc<Table>>,
    pub(crate) blocks: IndexMap<String, Block>,
    pub(crate) parts: Vec<(String, Arc<SourceFile>, Span)>,
    pub(crate) head: Arc<Table>,
    /// Every file that took part, parents first.
    pub(crate) files: Vec<Arc<SourceFile>>,
    /// `needs` of std files: (name, file, span).
    pub(crate) needs: Vec<(String, Arc<SourceFile>, Span)>,
    /// Functions that plugins add.
    pub(crate) foreign: ForeignFunctions,
}

impl Flat {
    /// Every name that a call can have, for suggestions.
    pub(crate) fn callable(&self) -> impl Iterator<Item = &str> {
        let blocks = self.blocks.keys().map(String::as_str);
        functions::names().into_iter().chain(blocks).chain(self.foreign.names())
    }

    /// Whether something is called `name`.
    pub(crate) fn can_call(&self, name: &str) -> bool {
        functions::find(name).is_some() || self.blocks.contains_key(name) || self.foreign.get(name).is_some()
    }

    /// A family that states nothing yet.
    pub(crate) fn bare(file: Arc<SourceFile>, id: Spanned<String>) -> Flat {
        Flat {
            title: id.value.clone(),
            file,
            id,
            is_abstract: false,
            config: None,
            matches: Vec::new(),
            own_values: HashSet::new(),
            refuse: Vec::new(),
            ignore_config: IndexMap::new(),
            defaults: IndexMap::new(),
            values: IndexMap::new(),
            args: Table::default(),
            inputs: IndexMap::new(),
            root: vec![String::new()],
            tied: IndexMap::new(),
            ignore: Vec::new(),
            rename: IndexMap::new(),
            packed: IndexMap::new(),
            joined: IndexMap::new(),
            embed: Arc::default(),
            stacks: Vec::new(),
            layers: IndexMap::new(),
            blocks: IndexMap::new(),
            parts: Vec::new(),
            head: Arc::default(),
            files: Vec::new(),
            needs: Vec::new(),
            foreign: ForeignFunctions::default(),
        }
    }
}

/// Collects the parse errors of equations.
struct Parser {
    errors: Vec<Diagnostic>,
}

impl Parser {
    fn one(&mut self, equation: &sli_config::family::Equation) -> Option<Arc<Parsed>> {
        parse(equation).map_err(|mut e| self.errors.append(&mut e)).ok()
    }

    fn fill(&mut self, equations: &Equations, table: &mut IndexMap<String, Arc<Parsed>>) {
        for (name, equation) in equations {
            if let Some(parsed) = self.one(equation) {
                table.insert(name.clone(), parsed);
            }
        }
    }

    fn table(&mut self, label: String, equations: &Equations) -> Arc<Table> {
        let mut table = Table {
            label,
            ..Table::default()
        };
        self.fill(equations, &mut table.equations);
        Arc::new(table)
    }
}

/// Merges a chain of files, parent before child and each file's includes before it.
///
/// # Errors
/// Equations that cannot be parsed.
pub(crate) fn merge(chain: &[Arc<FamilyFile>]) -> Result<Flat, Vec<Diagnostic>> {
    let own = chain.last().expect("a chain ends with the family itself");
    let mut parser = Parser { errors: Vec::new() };
    let labelled = |label: &str| Table {
        label: label.to_owned(),
        ..Table::default()
    };
    let (mut embed, mut head, mut args) = (labelled("embed"), labelled("head"), labelled("args"));
    let mut flat = Flat::bare(own.file.clone(), own.id.clone());
    flat.title.clone_from(&own.title);
    flat.is_abstract = own.is_abstract;
    flat.own_values = own.values.keys().cloned().collect();
    flat.files = chain.iter().map(|f| f.file.clone()).collect();
    for table in &own.matches {
        let when = table.when.as_ref().and_then(|w| parser.one(w));
        flat.matches.push((table.clone(), when));
    }
    for file in chain {
        merge_lookup(&mut flat, file, &mut parser);
        parser.fill(&file.embed, &mut embed.equations);
        parser.fill(&file.head, &mut head.equations);
        parser.fill(&file.args, &mut args.equations);
        for (name, equations) in &file.layers {
            flat.layers
                .insert(name.clone(), parser.table(format!("layer.{name}"), equations));
        }
        for (name, block) in &file.blocks {
            flat.blocks.insert(name.clone(), merge_block(name, block, &mut parser));
        }
        merge_stacks(&mut flat.stacks, file, &mut parser);
    }
    flat.embed = Arc::new(embed);
    flat.head = Arc::new(head);
    flat.args = args;
    if parser.errors.is_empty() {
        Ok(flat)
    } else {
        Err(parser.errors)
    }
}

fn merge_lookup(flat: &mut Flat, file: &FamilyFile, parser: &mut Parser) {
    for (name, value) in &file.values {
        let value = match value {
            ValueDef::Equation(equation) => parser.one(equation).map(FlatValue::Equation),
            ValueDef::Constant { value, file, .. } => Some(FlatValue::Constant(value.clone(), file.clone())),
        };
        if let Some(value) = value {
            flat.values.insert(name.clone(), value);
        }
    }
    if file.config.is_some() {
        flat.config.clone_from(&file.config);
    }
    flat.ignore_config.extend(file.ignore_config.clone());
    flat.defaults.extend(file.defaults.clone());
    flat.inputs.extend(file.inputs.clone());
    if let Some(root) = &file.names.root {
        flat.root.clone_from(root);
    }
    flat.tied.extend(file.names.tied.clone());
    flat.ignore.extend(file.names.ignore.clone());
    flat.rename.extend(file.names.rename.clone());
    flat.joined.extend(file.names.joined.clone());
    for (left, stated) in &file.names.packed {
        let sizes = match stated.part.as_ref().map(|part| &part.of) {
            Some(PartsFile::Equation(equation)) => parser.one(equation),
            _ => None,
        };
        let stated = stated.clone();
        flat.packed.insert(left.clone(), FlatPacked { stated, sizes });
    }
    flat.parts.extend(
        file.parts
            .iter()
            .map(|(name, part)| (name.clone(), part.file.clone(), part.span.clone())),
    );
    flat.needs.extend(
        file.needs
            .iter()
            .map(|need| (need.value.clone(), file.file.clone(), need.span.clone())),
    );
    for refuse in &file.refuse {
        let Some(when) = parser.one(&refuse.when) else { continue };
        let entry = FlatRefuse {
            name: refuse.name.clone(),
            when,
            why: refuse.why.clone(),
        };
        match flat
            .refuse
            .iter_mut()
            .find(|r| r.name.is_some() && r.name == entry.name)
        {
            Some(inherited) => *inherited = entry,
            None => flat.refuse.push(entry),
        }
    }
}

fn merge_block(name: &str, block: &BlockFile, parser: &mut Parser) -> Block {
    Block {
        args: parser.table(format!("block.{name}.args"), &block.args),
        table: parser.table(format!("block.{name}"), &block.equations),
        doc: block.doc.clone(),
    }
}

fn merge_stacks(stacks: &mut Vec<FlatStack>, file: &FamilyFile, parser: &mut Parser) {
    for stack in &file.stacks {
        let name = &stack.name.value;
        let at = stacks.iter().position(|s| s.name == *name).unwrap_or_else(|| {
            stacks.push(FlatStack {
                name: name.clone(),
                file: stack.file.clone(),
                span: stack.name.span.clone(),
                prefix: None,
                count: None,
                layer: Vec::new(),
                tokens: None,
                input: None,
                last: None,
                when: None,
                lets: Arc::new(Table {
                    label: format!("stack {name} let"),
                    ..Table::default()
                }),
                carry: Arc::new(Table {
                    label: format!("stack {name} carry"),
                    ..Table::default()
                }),
            });
            stacks.len() - 1
        });
        let flat = &mut stacks[at];
        let mut set = |slot: &mut Option<Arc<Parsed>>, equation: &Option<sli_config::family::Equation>| {
            if let Some(parsed) = equation.as_ref().and_then(|e| parser.one(e)) {
                *slot = Some(parsed);
            }
        };
        set(&mut flat.count, &stack.count);
        set(&mut flat.input, &stack.input);
        set(&mut flat.last, &stack.final_);
        set(&mut flat.when, &stack.when);
        if stack.prefix.is_some() {
            flat.prefix.clone_from(&stack.prefix);
        }
        if stack.tokens.is_some() {
            flat.tokens.clone_from(&stack.tokens);
        }
        parser.fill(&stack.let_, &mut Arc::make_mut(&mut flat.lets).equations);
        parser.fill(&stack.carry, &mut Arc::make_mut(&mut flat.carry).equations);
        match &stack.layer {
            Some(LayerChoice::One(class)) => {
                flat.layer = vec![LayerCase {
                    class: class.clone(),
                    when: None,
                }]
            }
            Some(LayerChoice::Cases(cases)) => {
                flat.layer = (cases.iter())
                    .map(|c| LayerCase {
                        class: c.class.clone(),
                        when: c.when.as_ref().and_then(|w| parser.one(w)),
                    })
                    .collect();
            }
            None => {}
        }
    }
    let named: Vec<&String> = file.stacks.iter().map(|s| &s.name.value).collect();
    if named.len() == stacks.len() {
        stacks.sort_by_key(|s| named.iter().position(|n| **n == s.name));
    }
}
