//! From names in a plan to tensors of a checkpoint: renames, ties, optional and numbered parameters.

use super::pieces::{Number, Pieces, Way};
use super::rename::Renames;
use super::{BindReport, BoundParam, Missing, Source, TensorInfo};
use crate::{Graph, NameRules, Op, Param, ParamForm};
use std::collections::{BTreeMap, HashMap};

/// Missing tensors of one numbered parameter that are listed.
const MAX_MISSING: usize = 16;
/// Most names that ties may lead to from one: ties that feed each other would go on for ever.
const MAX_TIED: usize = 64;
/// Names listed for one missing tensor.
const MAX_TRIED: usize = 32;

/// A parameter, found or not.
pub(super) enum Resolved {
    Bound(BoundParam),
    /// Tensors that are not there, and those of the same numbered parameter that are.
    Missing(Vec<Missing>, Vec<Source>),
    /// It is there, but not as its entry of `packed` says: why.
    Unfit(String),
}

/// The resolved parameters of a graph and of its bodies.
pub(super) struct GraphParams {
    pub(super) params: Vec<Resolved>,
    pub(super) experts: Vec<(u32, GraphParams)>,
}

/// Finds tensors by the names that plans use.
pub(super) struct Resolver<'a> {
    index: HashMap<&'a str, u32>,
    root: String,
    renames: Renames,
    pieces: Pieces,
    /// (left, right) in full; empty if ties do not apply.
    ties: Vec<(String, String)>,
    /// Both sides of every tie in all spellings, each with the other side.
    tie_sides: Vec<(Vec<String>, String)>,
    used_ties: BTreeMap<String, u32>,
    used_ways: BTreeMap<String, Made>,
    tensors: &'a [TensorInfo],
}

/// How a wanted tensor was made of stored ones.
enum Made {
    Piece(String),
    Joined(Vec<String>),
}

/// A spelling to look for: a full name with or without placeholder, and the written name if it is by a tie.
struct Spelling {
    name: String,
    by_tie: bool,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(rules: &NameRules, tensors: &'a [TensorInfo]) -> Resolver<'a> {
        let index = tensors
            .iter()
            .enumerate()
            .map(|(i, tensor)| (tensor.name.as_str(), i as u32))
            .collect();
        let root = rules
            .root_of(tensors.iter().map(|tensor| tensor.name.as_str()))
            .to_string();
        let ties = if rules.ties_apply { rules.tied.as_slice() } else { &[] };
        let ties: Vec<_> = ties
            .iter()
            .map(|(left, right)| (left.full(&root), right.full(&root)))
            .collect();
        let renames = Renames::new(&rules.rename);
        let sides = ties.iter().flat_map(|(left, right)| [(left, right), (right, left)]);
        let tie_sides = sides.map(|(from, to)| (renames.candidates(from), to.clone())).collect();
        Resolver {
            index,
            root,
            renames,
            pieces: Pieces::new(rules),
            ties,
            tie_sides,
            used_ties: BTreeMap::new(),
            used_ways: BTreeMap::new(),
            tensors,
        }
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Ties that were used: (wanted, read).
    pub(super) fn tied(&self) -> Vec<(String, String)> {
        let name = |tensor: u32| self.tensors[tensor as usize].name.clone();
        self.used_ties
            .iter()
            .map(|(wanted, read)| (wanted.clone(), name(*read)))
            .collect()
    }

    /// Lists in the report what `packed` and `joined` gave.
    pub(super) fn list_made(&mut self, report: &mut BindReport) {
        for (wanted, made) in std::mem::take(&mut self.used_ways) {
            match made {
                Made::Piece(stored) => report.packed.push((wanted, stored)),
                Made::Joined(stored) => report.joined.push((wanted, stored)),
            }
        }
    }

    /// Resolves the parameters of a graph that the marked nodes read, and of its bodies.
    /// `count` is the number of experts if the graph is a body.
    pub(super) fn graph(&mut self, graph: &Graph, count: u64) -> GraphParams {
        let params = graph.params.iter().map(|param| self.param(param, count)).collect();
        let bodies = graph
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| match &node.op {
                Op::Experts(options) => Some((index as u32, options)),
                _ => None,
            });
        let bodies: Vec<_> = bodies.collect();
        let experts = bodies
            .into_iter()
            .map(|(index, e)| (index, self.graph(&e.body, e.count)))
            .collect();
        GraphParams { params, experts }
    }

    fn param(&mut self, param: &Param, experts: u64) -> Resolved {
        let full = param.name.full(&self.root);
        match param.form {
            ParamForm::One | ParamForm::Slice => self.single(param, &full),
            ParamForm::Stack { count } => self.numbered(param, &full, "{n}", count),
            ParamForm::Expert => self.numbered(param, &full, "{e}", experts),
        }
    }

    fn single(&mut self, param: &Param, full: &str) -> Resolved {
        if let Some(tensor) = self.index.get(full) {
            return Resolved::Bound(BoundParam::One((*tensor).into()));
        }
        let spellings = self.spellings(full);
        for spelling in &spellings {
            if let Some(tensor) = self.index.get(spelling.name.as_str()).copied() {
                if spelling.by_tie {
                    self.used_ties.insert(full.to_string(), tensor);
                }
                return Resolved::Bound(BoundParam::One(tensor.into()));
            }
        }
        let ways = self.ways(&spellings);
        match self.make(&ways, full, None) {
            Some(Ok(source)) => Resolved::Bound(BoundParam::One(source)),
            Some(Err(message)) => Resolved::Unfit(message),
            None if param.optional => Resolved::Bound(BoundParam::Absent),
            None => Resolved::Missing(vec![missing(param, full, &spellings, &ways, None)], vec![]),
        }
    }

    /// What `packed` and `joined` offer for a tensor with these spellings.
    fn ways(&self, spellings: &[Spelling]) -> Vec<Way> {
        let names: Vec<&str> = spellings.iter().map(|spelling| spelling.name.as_str()).collect();
        self.pieces.ways(&names, &self.renames)
    }

    /// The first of the ways that this file allows.
    fn make(&mut self, ways: &[Way], wanted: &str, number: Option<Number<'_>>) -> Option<Result<Source, String>> {
        let found = |way: &Way| Some((way.take(number, &self.index, self.tensors)?, way.is_joined()));
        let (made, is_joined) = ways.iter().find_map(found)?;
        if let Ok(source) = &made
            && !self.used_ways.contains_key(wanted)
        {
            let mut names = source.tensors().iter().map(|t| self.tensors[*t as usize].name.clone());
            let made = match is_joined {
                false => Made::Piece(names.next().unwrap_or_default()),
                true => Made::Joined(names.collect()),
            };
            self.used_ways.insert(wanted.to_string(), made);
        }
        Some(made)
    }

    /// Spellings are made once for the name with its placeholder, then looked up number by number: tens
    /// of thousands of tensors of experts stay cheap.
    fn numbered(&mut self, param: &Param, template: &str, placeholder: &str, count: u64) -> Resolved {
        let each = self.renames.depend_on_number(template, placeholder);
        let shared = self.spellings(template);
        let mut ways: Option<Vec<Way>> = None;
        let mut sources = Vec::new();
        let mut absent = Vec::new();
        for at in 0..count {
            let digits = at.to_string();
            let fill = |name: &str| name.replace(placeholder, &digits);
            let spellings: Vec<Spelling> = match each {
                true => self.spellings(&fill(template)),
                false => shared
                    .iter()
                    .map(|s| Spelling {
                        name: fill(&s.name),
                        by_tie: s.by_tie,
                    })
                    .collect(),
            };
            let found = spellings
                .iter()
                .find_map(|s| self.index.get(s.name.as_str()).map(|t| (*t, s.by_tie)));
            if let Some((tensor, by_tie)) = found {
                sources.push(Source::Whole(tensor));
                if by_tie {
                    self.used_ties.insert(fill(template), tensor);
                }
                continue;
            }
            let ways = ways.get_or_insert_with(|| self.ways(&shared));
            let number = Number {
                placeholder,
                at,
                of: count,
            };
            match self.make(ways, template, Some(number)) {
                Some(Ok(source)) => sources.push(source),
                Some(Err(message)) => return Resolved::Unfit(message),
                None if param.optional && sources.is_empty() => {
                    return Resolved::Bound(BoundParam::Absent);
                }
                None => absent.push(missing(param, &fill(template), &spellings, ways, Some(number))),
            }
            if absent.len() == MAX_MISSING {
                break;
            }
        }
        if absent.is_empty() {
            Resolved::Bound(BoundParam::Many(sources))
        } else {
            Resolved::Missing(absent, sources)
        }
    }

    /// Every spelling of a name: as written, renamed, then what ties lead to, renamed, and so on.
    fn spellings(&self, full: &str) -> Vec<Spelling> {
        let mut found: Vec<Spelling> = Vec::new();
        let mut names = vec![full.to_string()];
        let mut next = 0;
        while next < names.len() {
            for candidate in self.renames.candidates(&names[next]) {
                if !found.iter().any(|spelling| spelling.name == candidate) {
                    found.push(Spelling {
                        name: candidate,
                        by_tie: next > 0,
                    });
                }
            }
            for right in self.tied_to(&names[next]) {
                if names.len() < MAX_TIED && !names.contains(&right) {
                    names.push(right);
                }
            }
            next += 1;
        }
        found
    }

    /// What the ties read for a name: `<right>.s` for `<left>.s`.
    fn tied_to(&self, name: &str) -> Vec<String> {
        let follow = |(left, right): &(String, String)| below(name, left).map(|rest| format!("{right}{rest}"));
        self.ties.iter().filter_map(follow).collect()
    }

    /// True if a tie names this tensor and its partner is there: a copy that need not be read.
    pub(super) fn is_copy(&self, name: &str) -> bool {
        let present = |full: String| {
            self.renames
                .candidates(&full)
                .iter()
                .any(|name| self.index.contains_key(name.as_str()))
        };
        self.tie_sides.iter().any(|(from, to)| {
            from.iter()
                .filter_map(|from| below(name, from))
                .any(|rest| present(format!("{to}{rest}")))
        })
    }
}

/// What follows `module` in `name`, with its dot; empty if they are equal.
fn below<'n>(name: &'n str, module: &str) -> Option<&'n str> {
    name.strip_prefix(module)
        .filter(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn missing(param: &Param, full: &str, spellings: &[Spelling], ways: &[Way], number: Option<Number<'_>>) -> Missing {
    let fill = |name: &str| match number {
        Some(number) => name.replace(number.placeholder, &number.at.to_string()),
        None => name.to_string(),
    };
    let others = ways.iter().flat_map(Way::names).map(fill);
    let mut tried: Vec<String> = Vec::new();
    for name in spellings.iter().map(|spelling| spelling.name.clone()).chain(others) {
        if tried.len() < MAX_TRIED && !tried.contains(&name) {
            tried.push(name);
        }
    }
    Missing {
        name: full.to_string(),
        tried,
        origin: param.origin.clone(),
    }
}
