//! Functions that plugins add to the language.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use sli_config::Diagnostic;
use sli_model::{Graph, ModelPlan, Op, TensorFunction};

use crate::functions;

/// A function of a plugin, called in equations by its name.
pub struct ForeignFunction {
    /// Id of the plugin.
    pub plugin: String,
    /// Name in equations.
    pub name: String,
    /// Digest of the plugin's code.
    pub digest: String,
    /// Names of the arguments; true for one that may be null.
    pub inputs: Vec<(String, bool)>,
    /// Names of the results: of one the call is the tensor, of several a map.
    pub outputs: Vec<String>,
    /// What computes it.
    pub code: Arc<dyn TensorFunction>,
}

impl ForeignFunction {
    /// How it is called: `swirl(x, gate or null, {options})`.
    pub fn signature(&self) -> String {
        let inputs: Vec<String> = (self.inputs.iter())
            .map(|(name, optional)| format!("{name}{}", if *optional { " or null" } else { "" }))
            .collect();
        format!("{}({}, {{options}})", self.name, inputs.join(", "))
    }
}

/// The functions of all plugins, by name.
#[derive(Clone, Default)]
pub(crate) struct ForeignFunctions(IndexMap<String, Arc<ForeignFunction>>);

impl ForeignFunctions {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<ForeignFunction>> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn add(&mut self, function: ForeignFunction) -> Result<(), Box<Diagnostic>> {
        let (name, plugin) = (&function.name, &function.plugin);
        let taken = match self.0.get(name) {
            _ if functions::find(name).is_some() => "the engine has a function of that name".to_owned(),
            Some(other) if other.plugin != *plugin => format!("the plugin `{}` has one too", other.plugin),
            _ => {
                self.0.insert(name.clone(), Arc::new(function));
                return Ok(());
            }
        };
        let message = format!("the function `{name}` of the plugin `{plugin}` cannot be called: {taken}");
        Err(Box::new(Diagnostic::error(message).help(
            "give the function another name in the plugin's manifest and code",
        )))
    }

    /// Ties the calls of a plan that a plugin made to the code of the functions.
    pub(crate) fn tie(&self, plan: &mut ModelPlan) -> Result<(), Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let stacks = plan.stacks.iter_mut().flat_map(|stack| {
            let layers = stack.layers.iter_mut().map(|layer| &mut layer.graph);
            [&mut stack.enter].into_iter().chain(layers).chain(stack.last.as_mut())
        });
        for graph in stacks.chain([&mut plan.head]) {
            self.tie_graph(graph, &mut errors);
        }
        errors.dedup();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn tie_graph(&self, graph: &mut Graph, errors: &mut Vec<Diagnostic>) {
        for node in &mut graph.nodes {
            let Op::Foreign(call) = &mut node.op else { continue };
            if call.code.0.is_some() {
                continue;
            }
            let known = self.0.get(&call.function).filter(|known| known.plugin == call.plugin);
            let Some(known) = known else {
                let message = format!("there is no function `{}` of a plugin `{}`", call.function, call.plugin);
                errors
                    .push(Diagnostic::error(message).help("`sli-pipe plugins list` lists the plugins that are found"));
                continue;
            };
            call.digest.clone_from(&known.digest);
            call.code.0 = Some(Arc::clone(&known.code));
        }
    }
}

impl fmt::Debug for ForeignFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
