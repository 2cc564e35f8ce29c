//! Plugins for sli-pipe, in Rust.
//!
//! A plugin is a small crate that is compiled for `wasm32-unknown-unknown` and packed with its `plugin.toml`. It is of
//! one kind, which is also the feature of this crate that it enables:
//!
//! | kind | implement | export with | what it does |
//! |---|---|---|---|
//! | `family` | [`family::Family`] | [`family!`] | config.json to a plan |
//! | `op` | [`op::Function`] | [`op!`] | functions of tensors |
//! | `filter` | [`filter::Filter`] | [`filter!`] | documents before they are tokenised |
//! | `reducer` | [`reducer::Reducer`] | [`reducer!`] | values of the model to a table |
//! | `formatter` | [`formatter::Formatter`] | [`formatter!`] | rows to bytes |
//!
//! A plugin sees nothing but its arguments, [`log`] and (stages) [`folder`]. Every call is made in a fresh instance: a
//! `static` does not outlive a call. A panic ends the call; its message goes to the log if the plugin may log.
//!
//! The macros take the plugin's id and version from its `Cargo.toml` (the name of the package is the id); both stand in
//! `plugin.toml` too, and the program checks that they agree.

/// The glue of one world of `wit/0.1.0`. Natively nothing is exported, so that all kinds can be tested together.
macro_rules! bindings {
    ($world:tt, $export:tt, $module:tt) => {
        #[cfg(target_arch = "wasm32")]
        wit_bindgen::generate!({
            path: "../wit/0.1.0",
            world: $world,
            pub_export_macro: true,
            export_macro_name: $export,
            default_bindings_module: $module,
            additional_derives: [PartialEq],
        });
        #[cfg(not(target_arch = "wasm32"))]
        wit_bindgen::generate!({
            path: "../wit/0.1.0",
            world: $world,
            additional_derives: [PartialEq],
        });
    };
}
pub(crate) use bindings;

#[cfg(feature = "family")]
pub mod config;
#[cfg(feature = "family")]
pub mod family;
#[cfg(feature = "filter")]
pub mod filter;
#[cfg(any(feature = "filter", feature = "reducer", feature = "formatter"))]
pub mod folder;
#[cfg(feature = "formatter")]
pub mod formatter;
pub mod log;
#[cfg(feature = "op")]
pub mod op;
#[cfg(feature = "family")]
pub mod plan;
#[cfg(feature = "reducer")]
pub mod reducer;

/// Who the plugin is. The macros of this crate implement it.
pub trait Described {
    /// The plugin's id, as in its manifest.
    const ID: &'static str;
    /// The plugin's version, as in its manifest.
    const VERSION: &'static str;
}

/// The options of a call or a stage from their JSON. The program has checked them against the manifest's schema before.
#[cfg(any(feature = "op", feature = "filter", feature = "reducer", feature = "formatter"))]
fn options<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("options: {error}"))
}

/// Implements [`Described`] for a type; of use to the other macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __described {
    ($type:ty) => {
        $crate::__described!($type, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    };
    ($type:ty, $id:expr, $version:expr) => {
        impl $crate::Described for $type {
            const ID: &'static str = $id;
            const VERSION: &'static str = $version;
        }
    };
}
