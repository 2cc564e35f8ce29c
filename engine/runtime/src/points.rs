//! Names of the values that stages can ask for, and patterns over them.

use std::collections::HashMap;

use globset::GlobBuilder;
use serde::Serialize;
use sli_config::{Diagnostic, Located, suggest};
use sli_model::infer::{Dim, Kind, ValueType};
use sli_model::{ModelPlan, Op, Value};

use crate::units::{Role, Unit};

/// A point: its place in [`Points`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct PointId(pub usize);

/// What a point has a row of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowsOf {
    /// Tokens of that field of the dataset.
    Tokens {
        /// Which field.
        field: usize,
    },
    /// Documents.
    Documents,
}

/// A named value.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// Its name.
    pub(crate) name: String,
    /// The unit that makes it.
    pub(crate) unit: usize,
    /// The value in the unit's graph.
    pub(crate) value: Value,
    /// What it has a row of.
    pub(crate) rows: RowsOf,
    /// Elements of a row, trailing dims multiplied.
    pub(crate) width: u64,
    /// Float or integer.
    pub(crate) kind: Kind,
    /// What it is.
    pub(crate) sort: Sort,
}

/// What a point is, for stages that treat some specially.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The output of a layer; its input is delivered with it.
    Layer,
    /// Chosen experts, `[N, k]` of that many; has a name that no pattern matches.
    Router {
        /// Number of experts.
        experts: u64,
    },
    /// A value of the head.
    Head,
    /// Any other.
    Plain,
}

/// All points of a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    all: Vec<Point>,
    by_name: HashMap<String, PointId>,
    /// Names that exist but cannot be delivered, with the reason.
    unavailable: Vec<(String, String)>,
}

impl Points {
    /// The points of `units`. `fields` gives the dataset's field of each token set; `heads` the reasons of
    /// heads that the checkpoint does not have.
    pub(crate) fn new(plan: &ModelPlan, units: &[Unit<'_>], fields: &[usize], heads: &[(String, String)]) -> Points {
        let mut points = Points {
            unavailable: heads.to_vec(),
            ..Points::default()
        };
        let several = plan.stacks.len() > 1;
        for (index, unit) in units.iter().enumerate() {
            let add = &mut |name: String, value: Value, sort: Sort| points.add(name, index, unit, value, fields, sort);
            let stack = &plan.stacks[unit.role.stack(plan)].name;
            let named = unit.role.name(plan);
            match unit.role {
                Role::Enter { .. } => {
                    unit.graph
                        .output("x")
                        .into_iter()
                        .for_each(|value| add(named.clone(), value, Sort::Plain));
                }
                Role::Layer { .. } => {
                    unit.graph
                        .output("out")
                        .into_iter()
                        .for_each(|value| add(named.clone(), value, Sort::Layer));
                    for point in unit.graph.points.iter().filter(|point| !point.name.is_empty()) {
                        add(format!("{named}.{}", point.name), point.value, Sort::Plain);
                    }
                    for (node, value, experts) in routers(unit) {
                        add(format!("{named}#router{node}"), value, Sort::Router { experts });
                    }
                }
                Role::Last { .. } => {
                    if let Some(value) = unit.graph.output("final") {
                        add(format!("{stack}.final"), value, Sort::Plain);
                        if !several && plan.head.output("final").is_none() {
                            add("final".into(), value, Sort::Plain);
                        }
                    }
                }
                Role::Head => {
                    for (name, value) in &unit.graph.outputs {
                        add(name.clone(), *value, Sort::Head);
                        let own = plan.stacks.last().is_some_and(|stack| stack.last.is_some());
                        if several && name == "final" && !own {
                            add(format!("{stack}.final"), *value, Sort::Head);
                        }
                    }
                    for point in &unit.graph.points {
                        if unit.graph.output(&point.name).is_none() && !point.name.is_empty() {
                            add(point.name.clone(), point.value, Sort::Head);
                        }
                    }
                }
            }
        }
        points
    }

    fn add(&mut self, name: String, index: usize, unit: &Unit<'_>, value: Value, fields: &[usize], sort: Sort) {
        let Some(kind @ ValueType::Tensor { dims, kind: elements }) = unit.value_type(value) else {
            return;
        };
        let rows = match dims.first() {
            Some(Dim::Rows(set)) => fields.get(set.0 as usize).map(|field| RowsOf::Tokens { field: *field }),
            Some(Dim::Seqs(_)) => Some(RowsOf::Documents),
            _ => None,
        };
        let width: Option<u64> = dims.iter().skip(1).map(|dim| dim.size()).product();
        match (rows, width) {
            (Some(rows), Some(width)) => {
                let id = PointId(self.all.len());
                if !self.by_name.contains_key(&name) {
                    self.by_name.insert(name.clone(), id);
                    self.all.push(Point {
                        name,
                        unit: index,
                        value,
                        rows,
                        width,
                        kind: *elements,
                        sort,
                    });
                }
            }
            _ => self.unavailable.push((
                name,
                format!("its shape is {kind}, which is no row per token or document"),
            )),
        }
    }

    /// One point.
    pub(crate) fn get(&self, id: PointId) -> &Point {
        &self.all[id.0]
    }

    /// All points, in the order of the sweep.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PointId, &Point)> {
        self.all
            .iter()
            .enumerate()
            .map(|(index, point)| (PointId(index), point))
    }

    /// The point called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<PointId> {
        self.by_name.get(name).copied()
    }

    /// The point called `name`, or an error at the name's place that says what there is.
    ///
    /// # Errors
    /// There is no such point, or the checkpoint does not have what it needs.
    pub(crate) fn named(&self, name: &Located<String>) -> Result<PointId, Diagnostic> {
        self.find(name)
            .ok_or_else(|| self.unknown(name).primary(name.label("")))
    }

    /// The points that `patterns` match, in the order of the sweep, each once; and a warning for each pattern
    /// that matches nothing.
    ///
    /// # Errors
    /// A name that no value has, or a pattern that cannot be read.
    pub(crate) fn matching(
        &self,
        patterns: &[Located<String>],
    ) -> Result<(Vec<PointId>, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (mut found, mut warnings, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for pattern in patterns {
            if !pattern.contains(['*', '?', '[', '{']) {
                match self.named(pattern) {
                    Ok(id) => found.push(id),
                    Err(error) => errors.push(error),
                }
                continue;
            }
            match self.glob(pattern) {
                Ok(ids) if ids.is_empty() => warnings.push(
                    Diagnostic::warning(format!(
                        "the pattern `{}` matches no value of this model",
                        pattern.value
                    ))
                    .primary(pattern.label("")),
                ),
                Ok(ids) => found.extend(ids),
                Err(why) => errors.push(
                    Diagnostic::error(format!("`{}` is no pattern: {why}", pattern.value)).primary(pattern.label("")),
                ),
            }
        }
        found.sort();
        found.dedup();
        if errors.is_empty() {
            Ok((found, warnings))
        } else {
            Err(errors)
        }
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PointId>, String> {
        // Globs know one separator, `/`; names have dots and never a slash.
        let glob = GlobBuilder::new(&pattern.replace('.', "/"))
            .literal_separator(true)
            .build();
        let matcher = glob.map_err(|error| error.kind().to_string())?.compile_matcher();
        let matches = |point: &Point| {
            !matches!(point.sort, Sort::Router { .. }) && matcher.is_match(point.name.replace('.', "/"))
        };
        Ok(self
            .iter()
            .filter(|(_, point)| matches(point))
            .map(|(id, _)| id)
            .collect())
    }

    /// An error that says what there is instead of `name`.
    pub(crate) fn unknown(&self, name: &str) -> Diagnostic {
        if let Some((_, why)) = self.unavailable.iter().find(|known| known.0 == name) {
            return Diagnostic::error(format!("`{name}` is unavailable: {why}"));
        }
        let names = || {
            self.all
                .iter()
                .filter(|point| !matches!(point.sort, Sort::Router { .. }))
                .map(|point| point.name.as_str())
        };
        let error = Diagnostic::error(format!("this model has no value `{name}`"));
        match suggest(name, names()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => {
                let shown: Vec<String> = names()
                    .filter(|name| name.matches('.').count() < 2)
                    .map(|name| format!("`{name}`"))
                    .collect();
                let (shown, more) = shown.split_at(shown.len().min(12));
                let more = if more.is_empty() {
                    String::new()
                } else {
                    format!(" and {} more", more.len())
                };
                error.help(format!("there are {}{more}", shown.join(", ")))
            }
        }
    }
}

/// The `experts` nodes of a layer with the value that chooses experts and their number.
fn routers(unit: &Unit<'_>) -> Vec<(usize, Value, u64)> {
    let nodes = unit.graph.nodes.iter().enumerate();
    let router = |(index, node): (usize, &sli_model::Node)| match &node.op {
        Op::Experts(experts) => Some((index, (*node.inputs.get(1)?)?, experts.count + experts.identity)),
        _ => None,
    };
    nodes.filter_map(router).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_config::SourceFile;

    fn points(names: &[&str]) -> Points {
        let mut points = Points::default();
        for (index, name) in names.iter().enumerate() {
            let value = Value { node: 0, out: 0 };
            let rows = RowsOf::Tokens { field: 0 };
            let sort = if name.contains('#') {
                Sort::Router { experts: 2 }
            } else {
                Sort::Plain
            };
            points.by_name.insert((*name).into(), PointId(index));
            points.all.push(Point {
                name: (*name).into(),
                unit: 0,
                value,
                rows,
                width: 1,
                kind: Kind::Float,
                sort,
            });
        }
        points
            .unavailable
            .push(("pooled".into(), "the checkpoint lacks `pooler.weight`".into()));
        points
    }

    fn model() -> Points {
        points(&[
            "embed",
            "decoder.0",
            "decoder.0.attention.q",
            "decoder.0#router7",
            "decoder.1",
            "final",
            "logits",
        ])
    }

    fn located(pattern: &str) -> Located<String> {
        Located {
            value: pattern.into(),
            file: SourceFile::new("p.toml", pattern),
            span: 0..pattern.len(),
        }
    }

    fn matched(pattern: &str) -> Vec<String> {
        let points = model();
        let (ids, _) = points.matching(&[located(pattern)]).unwrap();
        ids.into_iter().map(|id| points.get(id).name.clone()).collect()
    }

    #[test]
    fn a_star_stops_at_dots_and_two_do_not() {
        assert_eq!(matched("decoder.*"), ["decoder.0", "decoder.1"]);
        assert_eq!(matched("*.*"), ["decoder.0", "decoder.1"]);
        assert_eq!(matched("*"), ["embed", "final", "logits"]);
        assert_eq!(matched("decoder.0.**"), ["decoder.0.attention.q"]);
        assert_eq!(
            matched("decoder.**"),
            ["decoder.0", "decoder.0.attention.q", "decoder.1"]
        );
        assert_eq!(matched("decoder.[1-9]"), ["decoder.1"]);
    }

    #[test]
    fn the_order_is_that_of_the_sweep_whatever_was_asked_first() {
        let (ids, warnings) = model()
            .matching(&[located("final"), located("decoder.*"), located("decoder.1")])
            .unwrap();
        assert_eq!(ids, [PointId(1), PointId(4), PointId(5)]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn names_that_do_not_exist_are_errors_and_empty_patterns_warnings() {
        let errors = model()
            .matching(&[located("decoder.O"), located("pooled"), located("[")])
            .unwrap_err();
        assert_eq!(errors[0].message, "this model has no value `decoder.O`");
        assert_eq!(errors[0].help, ["did you mean `decoder.0`?"]);
        assert_eq!(
            errors[1].message,
            "`pooled` is unavailable: the checkpoint lacks `pooler.weight`"
        );
        assert!(
            errors[2].message.starts_with("`[` is no pattern"),
            "{}",
            errors[2].message
        );
        let (ids, warnings) = model().matching(&[located("encoder.*")]).unwrap();
        assert!(ids.is_empty());
        assert_eq!(
            warnings[0].message,
            "the pattern `encoder.*` matches no value of this model"
        );
        let far = model().matching(&[located("zzzzzzzz")]).unwrap_err();
        assert_eq!(
            far[0].help,
            ["there are `embed`, `decoder.0`, `decoder.1`, `final`, `logits`"]
        );
    }
}
