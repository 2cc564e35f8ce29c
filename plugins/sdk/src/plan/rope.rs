//! Rotary embeddings from config.json's own words (section 10 of the language).

use super::text::{Text, json};

use super::rope_kinds::{Source, base_frequencies};
use crate::config::{Config, PlanError};

/// A rotary embedding: which features turn, how fast, and by which position.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    pub(crate) width: u64,
    pub(crate) interleaved: bool,
    pub(crate) frequencies: Text,
    pub(crate) axes: Text,
}

/// How positions with several axes `[N, A]` turn the features.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Axial {
    /// One position per token; P.mrope_section, if config.json has it, gives the axis of each pair.
    #[default]
    Stated,
    /// Axis a turns its own width / A features.
    Split,
    /// Axis a takes frequencies a, a + A, ….
    Alternate,
    /// So many pairs of each axis, in runs.
    Sections(Vec<u64>),
}

/// What the model's code fixes about its rotary embedding, beside what config.json says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RopeOptions {
    /// Width of a head; needed.
    pub dim: u64,
    /// The base, whatever config.json says.
    pub theta: Option<f64>,
    /// The share of a head that turns, whatever config.json says.
    pub partial: Option<f64>,
    /// The base where config.json has none; 10000 if this is none either.
    pub default_theta: Option<f64>,
    /// The share where config.json has none. Stated if the model's code reads `partial_rotary_factor` at all: a factor
    /// that it would not read is an error.
    pub default_partial: Option<f64>,
    /// The member of `rope_parameters` that holds this layer's parameters.
    pub layer_type: Option<String>,
    /// Pairs (2j, 2j+1) instead of (j, j + width/2).
    pub interleaved: bool,
    /// No scaling, whatever config.json says.
    pub unscaled: bool,
    /// What `dynamic`, `longrope` and `yarn` compare with, instead of `max_position_embeddings`.
    pub max_position: Option<f64>,
    /// Positions with several axes.
    pub axial: Axial,
}

impl RopeOptions {
    /// A head of this width, and no other option.
    pub fn of(dim: u64) -> RopeOptions {
        RopeOptions {
            dim,
            ..RopeOptions::default()
        }
    }
}

impl Rope {
    /// The rope that a config.json (or a sub-map of it) states. Types of scaling: default, mrope, linear, dynamic,
    /// llama3, yarn, longrope (su), proportional. Arithmetic is that of the engine's `rope_config`, bit for bit.
    ///
    /// # Errors
    /// An unknown type, a parameter that its type does not use, one that is missing, features that make no pairs.
    pub fn from_config(config: &Config, options: &RopeOptions) -> Result<Rope, PlanError> {
        Source::new(config, options)?.rope()
    }

    /// A rope without a config: theta^(-2j / width), divided by `factor`.
    ///
    /// # Panics
    /// An odd width, or none.
    pub fn plain(width: u64, theta: f64, factor: f64) -> Rope {
        assert!(width > 0 && width.is_multiple_of(2), "{width} features make no pairs");
        let inv_freq: Vec<f64> = base_frequencies(theta, width).into_iter().map(|f| f / factor).collect();
        Rope {
            width,
            interleaved: false,
            frequencies: json!({"fixed": {"inv_freq": inv_freq, "scale": 1.0}}),
            axes: json!("one"),
        }
    }

    pub(crate) fn json(&self) -> Text {
        json!({
            "width": self.width,
            "interleaved": self.interleaved,
            "frequencies": self.frequencies,
            "axes": self.axes,
        })
    }
}
