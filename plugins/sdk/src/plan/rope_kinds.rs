//! The types of rotary scaling. The order of every operation is that of `engine/family/src/functions/rope.rs`.

use std::f64::consts::PI;

use super::text::{Text, json};

use super::{Axial, Rope, RopeOptions, yarn_mscale};
use crate::config::{Config, PlanError};

/// Keys of a scaling map that every type may have.
const COMMON: [&str; 9] = [
    "type",
    "rope_type",
    "rope_theta",
    "partial_rotary_factor",
    "original_max_position_embeddings",
    "max_position_embeddings",
    "mrope_section",
    "mrope_interleaved",
    "finetuned",
];

/// Keys of a scaling map by type.
fn keys_of(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "default" | "linear" | "dynamic" | "proportional" => &["factor"],
        "mrope" => &[],
        "llama3" => &["factor", "low_freq_factor", "high_freq_factor"],
        "yarn" => &[
            "factor",
            "attention_factor",
            "mscale",
            "mscale_all_dim",
            "beta_fast",
            "beta_slow",
            "truncate",
        ],
        "longrope" | "su" => &[
            "factor",
            "short_factor",
            "long_factor",
            "short_mscale",
            "long_mscale",
            "attention_factor",
        ],
        _ => return None,
    })
}

/// theta^(-2j / width) for j = 0 .. width/2 - 1.
pub(super) fn base_frequencies(theta: f64, width: u64) -> Vec<f64> {
    (0..width / 2)
        .map(|j| libm::pow(theta, -2.0 * j as f64 / width as f64))
        .collect()
}

fn fixed(inv_freq: impl IntoIterator<Item = f64>, scale: f64) -> Text {
    let inv_freq: Vec<f64> = inv_freq.into_iter().collect();
    json!({"fixed": {"inv_freq": inv_freq, "scale": scale}})
}

/// What options, scaling map and config say together.
pub(super) struct Source<'c> {
    map: &'c Config,
    options: &'c RopeOptions,
    scaling: Option<Config>,
    kind: String,
}

type Found<T> = Result<T, PlanError>;

impl<'c> Source<'c> {
    pub(super) fn new(map: &'c Config, options: &'c RopeOptions) -> Found<Source<'c>> {
        let mut source = Source {
            map,
            options,
            scaling: scaling_of(map, options)?,
            kind: "default".to_owned(),
        };
        for key in ["max_position_embeddings", "original_max_position_embeddings"] {
            map.get(key);
        }
        if let Some(scaling) = &source.scaling {
            let stated = scaling.optional("rope_type")?.or(scaling.optional("type")?);
            source.kind = stated.unwrap_or(source.kind);
        }
        source.check_keys()?;
        Ok(source)
    }

    fn check_keys(&self) -> Found<()> {
        let Some(known) = keys_of(&self.kind) else {
            return Err(self.fail(
                "rope_type",
                format!("rotary scaling of type `{}` is not known", self.kind),
            ));
        };
        let keys = self.scaling.iter().flat_map(Config::keys);
        match keys
            .into_iter()
            .find(|key| !COMMON.contains(key) && !known.contains(key))
        {
            None => Ok(()),
            Some(key) => {
                let message = format!("rotary scaling of type `{}` does not use `{key}`", self.kind);
                Err(self.fail(key, message))
            }
        }
    }

    fn fail(&self, key: &str, message: String) -> PlanError {
        self.scaling.as_ref().unwrap_or(self.map).fail(key, message)
    }

    /// A number of the scaling map.
    fn scaled(&self, key: &str) -> Found<Option<f64>> {
        self.scaling.as_ref().map_or(Ok(None), |map| map.optional(key))
    }

    /// A number that the scaling map must have.
    fn needed(&self, key: &str) -> Found<f64> {
        self.scaled(key)?
            .ok_or_else(|| self.fail(key, format!("rotary scaling of type `{}` needs `{key}`", self.kind)))
    }

    /// A number of the scaling map, else of the map around.
    fn either(&self, key: &str) -> Found<Option<f64>> {
        let around = self.map.optional(key)?;
        Ok(self.scaled(key)?.or(around))
    }

    pub(super) fn rope(&self) -> Found<Rope> {
        let stated = self.either("rope_theta")?;
        let theta = self.options.theta.or(stated).or(self.options.default_theta);
        let theta = theta.unwrap_or(10000.0);
        let partial = self.partial()?;
        let dim = self.options.dim as f64;
        let width = match self.kind.as_str() {
            "proportional" => self.options.dim,
            _ => (dim * partial) as u64,
        };
        if width == 0 || width % 2 != 0 {
            let message = format!(
                "{width} rotated features of a head of {} are no pairs",
                self.options.dim
            );
            return Err(self.fail("partial_rotary_factor", message));
        }
        Ok(Rope {
            width,
            interleaved: self.options.interleaved,
            frequencies: self.frequencies(theta, width, partial)?,
            axes: self.axes(theta, width)?,
        })
    }

    fn partial(&self) -> Found<f64> {
        let stated = self.either("partial_rotary_factor")?;
        if let Some(partial) = self.options.partial {
            return Ok(partial);
        }
        let default = self.options.default_partial;
        let key = "partial_rotary_factor";
        let null = self.map.is_null(key) || self.scaling.as_ref().is_some_and(|map| map.is_null(key));
        if stated.is_none() && null && default.is_some_and(|default| default != 1.0) {
            let message = "null, and whether that is the default or none cannot be told";
            return Err(self.map.fail(key, message).help("remove the key, or write the number"));
        }
        match (stated, default) {
            (Some(stated), None) if stated != 1.0 => Err(self
                .map
                .fail(key, "this family turns whole heads, whatever the key says")),
            _ => Ok(stated.or(default).unwrap_or(1.0)),
        }
    }

    fn longest(&self) -> Found<f64> {
        match (self.options.max_position, self.map.optional("max_position_embeddings")?) {
            (Some(given), _) | (None, Some(given)) => Ok(given),
            _ => {
                let message = format!("rotary scaling of type `{}` needs it", self.kind);
                Err(self.map.fail("max_position_embeddings", message))
            }
        }
    }

    fn original(&self) -> Found<f64> {
        let key = "original_max_position_embeddings";
        let scaled = self.scaled(key)?;
        match self.map.optional(key)?.or(scaled) {
            Some(original) => Ok(original),
            None => self.longest(),
        }
    }

    fn factor(&self, original: f64) -> Found<f64> {
        match self.scaled("factor")? {
            Some(factor) => Ok(factor),
            None => Ok(self.longest()? / original),
        }
    }

    fn frequencies(&self, theta: f64, width: u64, partial: f64) -> Found<Text> {
        let base = base_frequencies(theta, width);
        Ok(match self.kind.as_str() {
            "linear" => {
                let factor = self.needed("factor")?;
                fixed(base.iter().map(|f| f / factor), 1.0)
            }
            "dynamic" => json!({"dynamic": {
                "theta": theta,
                "factor": self.needed("factor")?,
                "max_position": self.longest()?,
            }}),
            "llama3" => self.llama3(&base)?,
            "yarn" => self.yarn(&base, theta, width)?,
            "longrope" | "su" => self.longrope(&base)?,
            "proportional" => {
                let factor = self.scaled("factor")?.unwrap_or(1.0);
                let turning = (partial * self.options.dim as f64 / 2.0) as usize;
                let turned = |(j, f): (usize, &f64)| if j < turning { f / factor } else { 0.0 };
                fixed(base.iter().enumerate().map(turned), 1.0)
            }
            _ => fixed(base, 1.0),
        })
    }

    /// Llama 3.1: low frequencies divided by the factor, high ones kept, a ramp between.
    fn llama3(&self, base: &[f64]) -> Found<Text> {
        let (factor, low) = (self.needed("factor")?, self.needed("low_freq_factor")?);
        let (high, original) = (self.needed("high_freq_factor")?, self.original()?);
        let scaled = base.iter().map(|&f| {
            let wavelength = 2.0 * PI / f;
            if wavelength > original / low {
                f / factor
            } else if wavelength < original / high {
                f
            } else {
                let t = (original / wavelength - low) / (high - low);
                (1.0 - t) * f / factor + t * f
            }
        });
        Ok(fixed(scaled, 1.0))
    }

    /// YaRN (arXiv 2309.00071, sections 3.2 and 3.4).
    fn yarn(&self, base: &[f64], theta: f64, width: u64) -> Found<Text> {
        let original = self.original()?;
        let factor = self.factor(original)?;
        let stated = self.scaled("attention_factor")?;
        let scale = match (stated, self.scaled("mscale")?, self.scaled("mscale_all_dim")?) {
            (Some(stated), _, _) => stated,
            (None, Some(a), Some(b)) if a != 0.0 && b != 0.0 => yarn_mscale(factor, a) / yarn_mscale(factor, b),
            _ => yarn_mscale(factor, 1.0),
        };
        let w = width as f64;
        let corner = |beta: f64| w * libm::log(original / (beta * 2.0 * PI)) / (2.0 * libm::log(theta));
        let mut lo = corner(self.scaled("beta_fast")?.unwrap_or(32.0));
        let mut hi = corner(self.scaled("beta_slow")?.unwrap_or(1.0));
        let truncate = match &self.scaling {
            Some(map) => map.get_or("truncate", true)?,
            None => true,
        };
        if truncate {
            (lo, hi) = (lo.floor(), hi.ceil());
        }
        (lo, hi) = (lo.max(0.0), hi.min(w - 1.0));
        let span = if hi == lo { 0.001 } else { hi - lo };
        let blend = base.iter().enumerate().map(|(j, f)| {
            let r = ((j as f64 - lo) / span).clamp(0.0, 1.0);
            f / factor * r + f * (1.0 - r)
        });
        Ok(fixed(blend, scale))
    }

    /// LongRoPE (arXiv 2402.13753) as Phi-3 uses it.
    fn longrope(&self, base: &[f64]) -> Found<Text> {
        let original = self.original()?;
        let (short, long) = (self.scaled("short_mscale")?, self.scaled("long_mscale")?);
        let scale = match self.scaled("attention_factor")? {
            Some(scale) => scale,
            None if short.is_some() && long.is_some() => 1.0,
            None => match self.factor(original)? {
                factor if factor <= 1.0 => 1.0,
                factor => (1.0 + libm::log(factor) / libm::log(original)).sqrt(),
            },
        };
        let divided = |key: &str| -> Found<Vec<f64>> {
            let list: Option<Vec<f64>> = match &self.scaling {
                Some(map) => map.optional(key)?,
                None => None,
            };
            match list {
                Some(list) if list.len() == base.len() => Ok(base.iter().zip(list).map(|(f, by)| f / by).collect()),
                other => {
                    let found = other.map_or(0, |list| list.len());
                    Err(self.fail(key, format!("{found} factors for {} pairs of features", base.len())))
                }
            }
        };
        Ok(json!({"by_length": {
            "short": divided("short_factor")?,
            "long": divided("long_factor")?,
            "original": original,
            "short_scale": short.unwrap_or(scale),
            "long_scale": long.unwrap_or(scale),
        }}))
    }

    fn axes(&self, theta: f64, width: u64) -> Found<Text> {
        let stated = match &self.scaling {
            Some(map) => map.optional("mrope_section")?,
            None => None,
        };
        let sizes: Vec<u64> = match (&self.options.axial, stated) {
            (Axial::Split, _) => return Ok(json!({"split": {"theta": theta}})),
            (Axial::Alternate, _) => return Ok(json!("alternate")),
            (Axial::Sections(sizes), _) => sizes.clone(),
            (Axial::Stated, Some(sizes)) => sizes,
            (Axial::Stated, None) => return Ok(json!("one")),
        };
        let pairs = width / 2;
        if sizes.iter().sum::<u64>() != pairs {
            let message = format!("the sections {sizes:?} do not add up to the {pairs} pairs of features");
            return Err(self.fail("mrope_section", message));
        }
        let mixed = match &self.scaling {
            Some(map) => map.get_or("mrope_interleaved", false)?,
            None => false,
        };
        let mut axis = vec![0u64; pairs as usize];
        let mut start = 0;
        for (a, &size) in sizes.iter().enumerate() {
            if !mixed {
                axis[start..start + size as usize].fill(a as u64);
                start += size as usize;
            } else if a > 0 {
                let end = (3 * size).min(pairs) as usize;
                (a..end).step_by(3).for_each(|j| axis[j] = a as u64);
            }
        }
        Ok(json!({ "sections": axis }))
    }
}

/// The scaling map: `rope_parameters` (its entry for the layer's type), else `rope_scaling`; both must say the same.
fn scaling_of(map: &Config, options: &RopeOptions) -> Found<Option<Config>> {
    let (new, old) = (map.map("rope_parameters")?, map.map("rope_scaling")?);
    if let (Some(new), Some(old)) = (&new, &old) {
        let same = |key: &str| match key {
            "type" => new.get("rope_type").or(new.get("type")) == old.get("type"),
            _ => new.get(key) == old.get(key),
        };
        if let Some(key) = old.keys().find(|key| !same(key)) {
            return Err(old.fail(key, "differs from `rope_parameters`; remove one of the maps"));
        }
    }
    if options.unscaled {
        return Ok(None);
    }
    let Some(found) = new.or(old) else { return Ok(None) };
    match options.layer_type.as_deref() {
        Some(kind) if found.has(kind) => found.map(kind),
        Some(kind) if found.is_null(kind) => Ok(None),
        _ => Ok(Some(found)),
    }
}
