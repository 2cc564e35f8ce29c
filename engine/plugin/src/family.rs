//! A plugin as a family: config.json in, plan out. The plan is foreign input and is checked as such.

use std::sync::Arc;

use serde_json::Value as Json;
use sli_config::{Diagnostic, SourceFile};
use sli_family::{Family, refusal_of_format, unhandled_by};
use sli_model::{Graph, ModelPlan, Op, Origin};

use crate::api::{PlanError, PlanText};
use crate::call::invalid;
use crate::limits::{ERROR_BYTES, PLAN_BYTES, PLAN_ERRORS, PLAN_VALUES, RESULT_SLACK, bytes};
use crate::plugin::Plugin;
use sli_pack::clean;

/// A family whose plans a plugin makes.
#[derive(Clone, Debug)]
pub struct PluginFamily {
    plugin: Plugin,
    files: Arc<[Arc<SourceFile>]>,
}

impl PluginFamily {
    pub(crate) fn new(plugin: Plugin) -> PluginFamily {
        let files = [Arc::clone(&plugin.manifest().file)].into();
        PluginFamily { plugin, files }
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Makes the plan twice, which must give the same text both times.
    ///
    /// # Errors
    /// As [`Family::plan`], or two plans that differ.
    pub fn check(&self, config: &Json) -> Result<ModelPlan, Vec<Diagnostic>> {
        let texts = [self.text(config)?, self.text(config)?];
        let [first, second] = &texts;
        if first.json != second.json || first.handled != second.handled {
            return Err(vec![
                invalid(&self.plugin, "plan", "it gave two different plans for one config.json")
                    .help("the plan may follow from config.json alone"),
            ]);
        }
        self.proven(config, first)
    }

    /// What the plugin says, unchecked.
    fn text(&self, config: &Json) -> Result<PlanText, Vec<Diagnostic>> {
        let given = config.to_string();
        let result = PLAN_BYTES + RESULT_SLACK;
        self.plugin
            .own_call("plan")
            .run(given.len(), result, |guest, store| guest.plan(store, &given))
            .map_err(|error| vec![error])?
            .map_err(|errors| self.refusals(config, errors))
    }

    fn refusals(&self, config: &Json, errors: Vec<PlanError>) -> Vec<Diagnostic> {
        if errors.is_empty() {
            return vec![invalid(&self.plugin, "plan", "neither a plan nor an error")];
        }
        let left = errors.len().saturating_sub(PLAN_ERRORS);
        let errors = errors.into_iter().take(PLAN_ERRORS);
        let mut shown: Vec<Diagnostic> = errors.map(|error| self.refusal(config, &error)).collect();
        if left > 0 {
            shown.push(Diagnostic::error(format!("... and {left} more")));
        }
        shown
    }

    fn refusal(&self, config: &Json, error: &PlanError) -> Diagnostic {
        let message = clean(&error.message, ERROR_BYTES);
        let pointer = clean(&error.pointer, 200);
        let place = match config.pointer(&error.pointer) {
            _ if pointer.is_empty() => "config.json".to_owned(),
            Some(value) => format!("config.json {pointer} = {}", clean(&value.to_string(), 60)),
            None => format!("config.json {pointer}"),
        };
        Diagnostic::error(format!("{place}: {message}"))
            .note(format!("so says the plugin `{}`", self.plugin.id()))
            .help_opt(error.help.as_deref().map(|help| clean(help, ERROR_BYTES)))
    }

    /// The plan in a text, with everything that others rely on proven.
    fn proven(&self, config: &Json, text: &PlanText) -> Result<ModelPlan, Vec<Diagnostic>> {
        let one = |why: String| vec![invalid(&self.plugin, "plan", why)];
        let mut plan = parse(&text.json).map_err(one)?;
        let id = self.plugin.id();
        if plan.family != id {
            let family = clean(&plan.family, 100);
            return Err(one(format!("its `family` is `{family}` and must be `{id}`")));
        }
        if let Err(errors) = plan.check() {
            let errors = errors
                .iter()
                .map(|why| invalid(&self.plugin, "plan", clean(&why.to_string(), ERROR_BYTES)));
            return Err(errors.collect());
        }
        let unhandled = unhandled_by(config, id, &text.handled);
        if !unhandled.is_empty() {
            return Err(unhandled);
        }
        let file = self.plugin.path().display().to_string();
        each_graph(&mut plan, &mut |graph| give_origin(graph, &file));
        Ok(plan)
    }
}

impl Family for PluginFamily {
    fn id(&self) -> &str {
        self.plugin.id()
    }

    fn title(&self) -> &str {
        &self.plugin.manifest().title
    }

    fn fingerprint(&self) -> String {
        self.plugin.digest().to_owned()
    }

    fn files(&self) -> &[Arc<SourceFile>] {
        &self.files
    }

    fn plan(&self, config: &Json) -> Result<ModelPlan, Vec<Diagnostic>> {
        if let Some(error) = refusal_of_format(config) {
            return Err(vec![error]);
        }
        let text = self.text(config)?;
        self.proven(config, &text)
    }
}

/// The plan that a text says; `Err` is why it says none, with the place.
fn parse(json: &str) -> Result<ModelPlan, String> {
    if json.len() > PLAN_BYTES {
        return Err(format!("the plan is larger than {}", bytes(PLAN_BYTES as u64)));
    }
    // every value but the first of a list or map follows one of these
    let values = json.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > PLAN_VALUES {
        return Err(format!("the plan has more than {PLAN_VALUES} values"));
    }
    serde_json::from_str(json).map_err(|why| {
        let near = excerpt(json, why.line(), why.column());
        format!(
            "the plan cannot be read: {}{near}",
            clean(&why.to_string(), ERROR_BYTES)
        )
    })
}

/// The text before a place: `, after \`"op":"softmacks"\``.
fn excerpt(json: &str, line: usize, column: usize) -> String {
    let Some(start) = line.checked_sub(1).and_then(|line| json.split('\n').nth(line)) else {
        return String::new();
    };
    let mut end = column.min(start.len());
    while !start.is_char_boundary(end) {
        end -= 1;
    }
    let mut from = end.saturating_sub(60);
    while !start.is_char_boundary(from) {
        from += 1;
    }
    let near = clean(&start[from..end], 80);
    if near.is_empty() {
        near
    } else {
        format!(", after `{near}`")
    }
}

fn each_graph(plan: &mut ModelPlan, change: &mut dyn FnMut(&mut Graph)) {
    for stack in &mut plan.stacks {
        change(&mut stack.enter);
        stack.layers.iter_mut().for_each(|layer| change(&mut layer.graph));
        stack.last.iter_mut().for_each(&mut *change);
    }
    change(&mut plan.head);
}

/// Says of every node and parameter without a file that it came from the plugin's.
fn give_origin(graph: &mut Graph, file: &str) {
    let give = |origin: &mut Origin| {
        if origin.file.is_empty() {
            file.clone_into(&mut origin.file);
        }
    };
    graph.params.iter_mut().for_each(|param| give(&mut param.origin));
    for node in &mut graph.nodes {
        give(&mut node.origin);
        match &mut node.op {
            Op::Experts(options) => give_origin(&mut options.body, file),
            Op::PairBias(pair) => give_origin(&mut pair.body, file),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_plan_that_cannot_be_read_says_where() {
        let why = parse("{\"family\": \"x\",\n \"stacks\": [], \"colour\": 1}").unwrap_err();
        assert!(
            why.contains("unknown field `colour`") && why.contains("at line 2"),
            "{why}"
        );
        assert!(why.contains("after `\"stacks\": [], \"colour\"`"), "{why}");
    }

    #[test]
    fn depth_and_number_of_values_are_limited() {
        let deep = format!("{{\"family\":{}", "[".repeat(100_000));
        assert!(parse(&deep).is_err());
        let nested = "{\"stacks\":[{\"enter\":{\"nodes\":[".to_owned()
            + &"{\"op\":{\"experts\":{\"body\":{\"nodes\":[".repeat(100_000);
        let why = parse(&nested).unwrap_err();
        assert!(why.contains("recursion limit exceeded"), "{why}");
        let many = ",".repeat(crate::limits::PLAN_VALUES + 1);
        assert!(parse(&many).unwrap_err().contains("more than 8000000 values"));
    }
}
