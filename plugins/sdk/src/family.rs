//! Families: from a model's config.json to its plan.

use std::marker::PhantomData;

pub use crate::config::{Config, PlanError};
pub use crate::plan::Plan;
use crate::{Described, log};

/// The generated glue; of use to [`family!`](crate::family!) only.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod bindings {
    crate::bindings!("family", "__export_family", "sli_pipe_plugin::family::bindings");
}

/// A family of models, as code.
pub trait Family {
    /// The plan for one config.json. The same config must give the same plan.
    ///
    /// Keys that `config` was asked for count as handled; any other key of the file that is not harmless is an error.
    ///
    /// # Errors
    /// What is wrong with the config. Errors that `config` itself has found are reported beside these.
    fn plan(config: &Config) -> Result<Plan, Vec<PlanError>>;
}

/// The plan as JSON and the keys handled, or everything that is wrong: what the program gets.
///
/// # Errors
/// Those of the family and those that its config found.
pub fn plan<F: Family + Described>(config: &str) -> Result<(String, Vec<String>), Vec<PlanError>> {
    let json = serde_json::from_str(config).map_err(|error| PlanError::new("", format!("no JSON: {error}")))?;
    let config = Config::new(json);
    match F::plan(&config) {
        Ok(plan) => match config.errors() {
            errors if errors.is_empty() => Ok((plan.finish(F::ID), config.handled())),
            errors => Err(errors),
        },
        Err(errors) => {
            let mut all = config.errors();
            all.extend(errors.into_iter().filter(|error| !config.errors().contains(error)));
            Err(all)
        }
    }
}

/// A family as the exports of a component; of use to [`family!`](crate::family!) only.
#[doc(hidden)]
pub struct Exported<F>(PhantomData<F>);

use bindings::exports::sli_pipe::plugin as exports;

impl<F: Family + Described> exports::about::Guest for Exported<F> {
    fn describe() -> exports::about::Description {
        exports::about::Description {
            id: F::ID.to_owned(),
            version: F::VERSION.to_owned(),
        }
    }
}

impl<F: Family + Described> exports::model_family::Guest for Exported<F> {
    fn plan(config: String) -> Result<exports::model_family::ModelPlan, Vec<exports::model_family::PlanError>> {
        log::panics();
        let error = |error: PlanError| exports::model_family::PlanError {
            pointer: error.pointer,
            message: error.message,
            help: error.help,
        };
        match plan::<F>(&config) {
            Ok((plan, handled)) => Ok(exports::model_family::ModelPlan { plan, handled }),
            Err(errors) => Err(errors.into_iter().map(error).collect()),
        }
    }
}

/// Exports a type that implements [`family::Family`](crate::family::Family) as the plugin.
#[macro_export]
macro_rules! family {
    ($type:ty $(, id = $id:expr, version = $version:expr)?) => {
        $crate::__described!($type $(, $id, $version)?);
        type __SliPipePlugin = $crate::family::Exported<$type>;
        #[cfg(target_arch = "wasm32")]
        $crate::family::bindings::__export_family!(__SliPipePlugin with_types_in $crate::family::bindings);
    };
}
