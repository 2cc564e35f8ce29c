//! `rope_config`: from the config's spelling of a rotary embedding to its frequencies (section 10).

use std::sync::Arc;

use indexmap::IndexMap;
use sli_config::suggest;
use sli_model::{Axes, Frequencies, Num, Rope};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// What `rotary` turns by, from config.json's own words: `map` is `config` or a sub-map. The second map states what
    /// the model's code fixes; the third gives defaults for what neither the second nor config.json says. Section 10 of
    /// the language has the frequencies of every type of scaling: `default`, `mrope`, `linear`, `dynamic`, `llama3`,
    /// `yarn`, `longrope` (`su`), `proportional`, `doubling`. The parameters P are `rope_parameters` (transformers 5)
    /// or `rope_scaling`; if both are there they must say the same.
    /// * `dim` (needed): width of a head.
    /// * `theta` (P.rope_theta, else map.rope_theta, else the third map, else 10000): the base.
    /// * `partial` (P.partial_rotary_factor, else map.partial_rotary_factor, else the third map, else 1): the share of
    ///   a head that turns; width = int(dim * partial). A factor other than 1 in config.json is an error unless the
    ///   option or the third map names `partial`: most models' code never reads the key.
    /// * `layer_type`: the member of `rope_parameters` that holds this layer's parameters, where the map has one per
    ///   kind.
    /// * `interleaved` (false): pairs (2j, 2j+1) instead of (j, j + width/2).
    /// * `scaling`: P itself; null for none, whatever config.json says.
    /// * `max_position` (map.max_position_embeddings): what `dynamic`, `longrope` and `yarn` compare with.
    /// * `axial` (false): positions with A axes [N, A]; true: axis a turns its own width/A features; 'alternate': axis
    ///   a takes frequencies a, a + A, …
    /// * `sections` (P.mrope_section): the axis of each frequency, in runs; they add up to width/2.
    ///
    /// It handles these keys of the map: rope_theta, rope_scaling, rope_parameters, partial_rotary_factor,
    /// max_position_embeddings, original_max_position_embeddings. An unknown type, and a key of P that its type does
    /// not use, are errors. (Rotary: arXiv 2104.09864; YaRN: 2309.00071; LongRoPE: 2402.13753; the others as in
    /// transformers' `modeling_rope_utils`.)
    "rope_config" 1..=3 []
        "rope_config(config, {dim, theta, partial, layer_type, interleaved, scaling, max_position, axial, sections}, {theta, partial})" => rope_config;
};

/// Names of the second argument.
const OPTIONS: [&str; 9] = [
    "dim",
    "theta",
    "partial",
    "layer_type",
    "interleaved",
    "scaling",
    "max_position",
    "axial",
    "sections",
];
/// Names of the third argument.
const DEFAULTS: [&str; 2] = ["theta", "partial"];
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
const BY_TYPE: [(&str, &[&str]); 10] = [
    ("default", &["factor"]),
    ("mrope", &[]),
    ("linear", &["factor"]),
    ("dynamic", &["factor"]),
    ("llama3", &["factor", "low_freq_factor", "high_freq_factor"]),
    (
        "yarn",
        &[
            "factor",
            "attention_factor",
            "mscale",
            "mscale_all_dim",
            "beta_fast",
            "beta_slow",
            "truncate",
        ],
    ),
    (
        "longrope",
        &[
            "factor",
            "short_factor",
            "long_factor",
            "short_mscale",
            "long_mscale",
            "attention_factor",
        ],
    ),
    (
        "su",
        &[
            "factor",
            "short_factor",
            "long_factor",
            "short_mscale",
            "long_mscale",
            "attention_factor",
        ],
    ),
    ("proportional", &["factor"]),
    ("doubling", &[]),
];

/// Top-level keys of config.json that a reachable `rope_config(config, …)` handles.
pub(crate) const HANDLED: [&str; 6] = [
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
    "max_position_embeddings",
    "original_max_position_embeddings",
];

/// m(a) = 0.1 a ln(factor) + 1, 1 if factor <= 1.
pub(super) fn mscale(factor: f64, a: f64) -> f64 {
    if factor <= 1.0 {
        1.0
    } else {
        0.1 * a * libm::log(factor) + 1.0
    }
}

type Map = IndexMap<String, Val>;

/// What options, scaling map, config and defaults say together.
struct Source {
    map: Arc<Map>,
    options: Arc<Map>,
    defaults: Arc<Map>,
    scaling: Arc<Map>,
}

fn present<'m>(map: &'m Map, key: &str) -> Option<&'m Val> {
    map.get(key).filter(|v| !matches!(v, Val::Null))
}

fn rope_config(mut call: Call<'_, '_, '_>) -> R<Val> {
    let map = map_of(&mut call, 0)?;
    let options = if call.count() > 1 {
        map_of(&mut call, 1)?
    } else {
        Arc::default()
    };
    let defaults = if call.count() > 2 {
        map_of(&mut call, 2)?
    } else {
        Arc::default()
    };
    check_names(&call, 1, &options, &OPTIONS)?;
    check_names(&call, 2, &defaults, &DEFAULTS)?;
    let scaling = scaling_of(&call, &map, &options)?;
    let source = Source {
        map,
        options,
        defaults,
        scaling,
    };
    source.build(&call).map(|rope| Val::Rope(Arc::new(rope)))
}

fn map_of(call: &mut Call<'_, '_, '_>, k: usize) -> R<Arc<Map>> {
    match call.val(k)? {
        Val::Map(map) => Ok(map),
        Val::Null => Ok(Arc::default()),
        other => Err(call.fail_at(call.args[k], format!("a map is expected, not {}", other.show()))),
    }
}

fn check_names(call: &Call<'_, '_, '_>, k: usize, map: &Map, known: &[&'static str]) -> R<()> {
    let Some(name) = map.keys().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let near = suggest(name, known.iter().copied()).map(|n| format!("did you mean `{n}`?"));
    let mut error = call.fail_at(call.args[k], format!("`rope_config` has no option `{name}`"));
    *error = error.help_opt(near);
    Err(error)
}

/// The scaling map: the option, `rope_parameters` (its entry `layer_type`), `rope_scaling`.
fn scaling_of(call: &Call<'_, '_, '_>, map: &Map, options: &Map) -> R<Arc<Map>> {
    agree(call, map)?;
    if let Some(given) = options.get("scaling") {
        return match given {
            Val::Map(map) => Ok(map.clone()),
            Val::Null => Ok(Arc::default()),
            other => Err(call.fail(format!("the option `scaling` is a map, not {}", other.show()))),
        };
    }
    for key in ["rope_parameters", "rope_scaling"] {
        let Some(value) = present(map, key) else { continue };
        let Val::Map(found) = value else {
            return Err(call.fail(format!("`{key}` of config.json is a map, not {}", value.show())));
        };
        let inner = match present(options, "layer_type") {
            Some(Val::Str(kind)) => found.get(&**kind),
            _ => None,
        };
        return match inner {
            Some(Val::Map(inner)) => Ok(inner.clone()),
            Some(Val::Null) => Ok(Arc::default()),
            _ => Ok(found.clone()),
        };
    }
    Ok(Arc::default())
}

/// The new map and the old one may both be there if they say the same; readers of config.json differ in which one they take.
fn agree(call: &Call<'_, '_, '_>, map: &Map) -> R<()> {
    let (Some(Val::Map(new)), Some(Val::Map(old))) = (present(map, "rope_parameters"), present(map, "rope_scaling"))
    else {
        return Ok(());
    };
    let same = |key: &str, value: &Val| {
        let other = match key {
            "type" => present(new, "rope_type").or_else(|| present(new, "type")),
            key => present(new, key),
        };
        matches!(value, Val::Null) || other.is_some_and(|other| value.equals(other) == Some(true))
    };
    match old.iter().find(|(key, value)| !same(key, value)) {
        None => Ok(()),
        Some((key, _)) => Err(call.fail(format!(
            "config.json has both `rope_parameters` and `rope_scaling`, and `{key}` is not the same in both; remove one of the maps"
        ))),
    }
}

impl Source {
    fn number(&self, call: &Call<'_, '_, '_>, maps: &[&Map], key: &str) -> R<Option<f64>> {
        for map in maps {
            if let Some(value) = present(map, key) {
                let number = value.number();
                return number
                    .map(Some)
                    .ok_or_else(|| call.fail(format!("`{key}` is a number, not {}", value.show())));
            }
        }
        Ok(None)
    }

    /// A number that the scaling map must have.
    fn needed(&self, call: &Call<'_, '_, '_>, kind: &str, key: &str) -> R<f64> {
        self.number(call, &[&self.scaling], key)?.ok_or_else(|| {
            call.fail(format!(
                "rotary scaling of type `{kind}` needs `{key}`, which config.json does not give"
            ))
        })
    }

    fn flag(&self, map: &Map, key: &str) -> bool {
        matches!(map.get(key), Some(Val::Bool(true)))
    }

    fn kind(&self, call: &Call<'_, '_, '_>) -> R<String> {
        let stated = present(&self.scaling, "rope_type").or_else(|| present(&self.scaling, "type"));
        match stated {
            None => Ok("default".to_owned()),
            Some(Val::Str(kind)) => Ok(kind.to_string()),
            Some(other) => Err(call.fail(format!("the type of rotary scaling is a name, not {}", other.show()))),
        }
    }

    fn check_keys(&self, call: &Call<'_, '_, '_>, kind: &str) -> R<()> {
        let Some((_, known)) = BY_TYPE.iter().find(|row| row.0 == kind) else {
            let kinds: Vec<&str> = BY_TYPE.iter().map(|row| row.0).collect();
            return Err(call.fail(format!(
                "rotary scaling of type `{kind}` is not known; known are `{}`",
                kinds.join("`, `")
            )));
        };
        let mentioned = |key: &str| call.compiler.mentions_scaling(key);
        let stray = (self.scaling.iter()).find(|(key, value)| {
            !matches!(value, Val::Null)
                && !COMMON.contains(&key.as_str())
                && !known.contains(&key.as_str())
                && !mentioned(key)
        });
        match stray {
            None => Ok(()),
            Some((key, _)) => Err(call.fail(format!(
                "rotary scaling of type `{kind}` does not use `{key}`, which config.json gives"
            ))),
        }
    }

    fn build(&self, call: &Call<'_, '_, '_>) -> R<Rope> {
        let kind = self.kind(call)?;
        self.check_keys(call, &kind)?;
        let dim = self
            .number(call, &[&self.options], "dim")?
            .ok_or_else(|| call.fail("the option `dim`, the width of a head, is needed"))?;
        let theta = match self.number(call, &[&self.options], "theta")? {
            Some(theta) => theta,
            None => self
                .number(call, &[&self.scaling, &self.map], "rope_theta")?
                .or(self.number(call, &[&self.defaults], "theta")?)
                .unwrap_or(10000.0),
        };
        let partial = match self.number(call, &[&self.options], "partial")? {
            Some(partial) => partial,
            None => {
                let stated = self.number(call, &[&self.scaling, &self.map], "partial_rotary_factor")?;
                let default = self.number(call, &[&self.defaults], "partial")?;
                let null = |map: &Map| matches!(map.get("partial_rotary_factor"), Some(Val::Null));
                if stated.is_none() && default.is_some_and(|d| d != 1.0) && (null(&self.scaling) || null(&self.map)) {
                    let message = "config.json says null for `partial_rotary_factor`, and whether that is the default or none cannot be told";
                    return Err(Box::new(call.fail(message).help("remove the key, or write the number")));
                }
                // The code of most models never reads the key.
                if let (Some(stated), None) = (stated, default)
                    && stated != 1.0
                {
                    let message = format!(
                        "config.json gives `partial_rotary_factor` {stated}, but this family turns whole heads"
                    );
                    let help = "if the model's own code reads the key, say so with its default, as `{'partial': 1.0}` in the third map";
                    return Err(Box::new(call.fail(message).help(help)));
                }
                stated.or(default).unwrap_or(1.0)
            }
        };
        let width = if kind == "proportional" {
            dim as u64
        } else {
            (dim * partial) as u64
        };
        if width == 0 || width % 2 != 0 || dim.fract() != 0.0 {
            return Err(call.fail(format!("{width} rotated features of a head of {dim} are no pairs")));
        }
        let frequencies = self.frequencies(call, &kind, theta, width, partial, dim)?;
        let axes = self.axes(call, theta, width)?;
        Ok(Rope {
            width,
            interleaved: self.flag(&self.options, "interleaved"),
            frequencies,
            axes,
        })
    }

    fn max_position(&self, call: &Call<'_, '_, '_>) -> R<Option<f64>> {
        let given = self.number(call, &[&self.options], "max_position")?;
        Ok(given.or(self.number(call, &[&self.map], "max_position_embeddings")?))
    }

    fn longest(&self, call: &Call<'_, '_, '_>, kind: &str) -> R<f64> {
        self.max_position(call)?.ok_or_else(|| {
            call.fail(format!(
                "rotary scaling of type `{kind}` needs `max_position_embeddings`"
            ))
        })
    }

    fn original(&self, call: &Call<'_, '_, '_>, kind: &str) -> R<f64> {
        match self.number(call, &[&self.map, &self.scaling], "original_max_position_embeddings")? {
            Some(original) => Ok(original),
            None => self.longest(call, kind),
        }
    }

    fn frequencies(
        &self,
        call: &Call<'_, '_, '_>,
        kind: &str,
        theta: f64,
        width: u64,
        partial: f64,
        dim: f64,
    ) -> R<Frequencies> {
        let base = Rope::base(theta, width);
        let fixed = |inv_freq: Vec<f64>, scale: f64| Frequencies::Fixed {
            inv_freq: nums(inv_freq),
            scale: Num(scale),
        };
        Ok(match kind {
            "linear" => {
                let factor = self.needed(call, kind, "factor")?;
                fixed(base.iter().map(|f| f / factor).collect(), 1.0)
            }
            "dynamic" => Frequencies::Dynamic {
                theta: Num(theta),
                factor: Num(self.needed(call, kind, "factor")?),
                max_position: Num(self.longest(call, kind)?),
            },
            "llama3" => fixed(self.llama3(call, kind, &base)?, 1.0),
            "yarn" => {
                let (inv_freq, scale) = self.yarn(call, kind, &base, theta, width)?;
                fixed(inv_freq, scale)
            }
            "longrope" | "su" => self.longrope(call, kind, &base)?,
            "proportional" => {
                let factor = self.number(call, &[&self.scaling], "factor")?.unwrap_or(1.0);
                let turning = (partial * dim / 2.0) as usize;
                fixed(
                    base.iter()
                        .enumerate()
                        .map(|(j, f)| if j < turning { f / factor } else { 0.0 })
                        .collect(),
                    1.0,
                )
            }
            "doubling" => Frequencies::Doubling {
                theta: Num(theta),
                original: Num(self.original(call, kind)?),
            },
            _ => fixed(base, 1.0),
        })
    }

    /// Llama 3.1: low frequencies divided by the factor, high ones kept, a ramp between.
    fn llama3(&self, call: &Call<'_, '_, '_>, kind: &str, base: &[f64]) -> R<Vec<f64>> {
        let factor = self.needed(call, kind, "factor")?;
        let low = self.needed(call, kind, "low_freq_factor")?;
        let high = self.needed(call, kind, "high_freq_factor")?;
        let original = self.original(call, kind)?;
        let scaled = base.iter().map(|&f| {
            let wavelength = 2.0 * std::f64::consts::PI / f;
            if wavelength > original / low {
                f / factor
            } else if wavelength < original / high {
                f
            } else {
                let t = (original / wavelength - low) / (high - low);
                (1.0 - t) * f / factor + t * f
            }
        });
        Ok(scaled.collect())
    }

    /// YaRN (arXiv 2309.00071, sections 3.2 and 3.4).
    fn yarn(&self, call: &Call<'_, '_, '_>, kind: &str, base: &[f64], theta: f64, width: u64) -> R<(Vec<f64>, f64)> {
        let get = |key: &str| self.number(call, &[&self.scaling], key);
        let original = self.original(call, kind)?;
        let factor = match get("factor")? {
            Some(factor) => factor,
            None => self.longest(call, kind)? / original,
        };
        let scale = match (get("attention_factor")?, get("mscale")?, get("mscale_all_dim")?) {
            (Some(stated), _, _) => stated,
            (None, Some(a), Some(b)) if a != 0.0 && b != 0.0 => mscale(factor, a) / mscale(factor, b),
            _ => mscale(factor, 1.0),
        };
        let w = width as f64;
        let corner =
            |beta: f64| w * libm::log(original / (beta * 2.0 * std::f64::consts::PI)) / (2.0 * libm::log(theta));
        let (mut lo, mut hi) = (
            corner(get("beta_fast")?.unwrap_or(32.0)),
            corner(get("beta_slow")?.unwrap_or(1.0)),
        );
        if !matches!(self.scaling.get("truncate"), Some(Val::Bool(false))) {
            (lo, hi) = (lo.floor(), hi.ceil());
        }
        (lo, hi) = (lo.max(0.0), hi.min(w - 1.0));
        let span = if hi == lo { 0.001 } else { hi - lo };
        let blend = base.iter().enumerate().map(|(j, f)| {
            let r = ((j as f64 - lo) / span).clamp(0.0, 1.0);
            f / factor * r + f * (1.0 - r)
        });
        Ok((blend.collect(), scale))
    }

    /// LongRoPE (arXiv 2402.13753) as Phi-3 uses it.
    fn longrope(&self, call: &Call<'_, '_, '_>, kind: &str, base: &[f64]) -> R<Frequencies> {
        let get = |key: &str| self.number(call, &[&self.scaling], key);
        let original = self.original(call, kind)?;
        let (short, long) = (get("short_mscale")?, get("long_mscale")?);
        let scale = match get("attention_factor")? {
            Some(scale) => scale,
            None if short.is_some() && long.is_some() => 1.0,
            None => {
                let factor = match get("factor")? {
                    Some(factor) => factor,
                    None => self.longest(call, kind)? / original,
                };
                if factor <= 1.0 {
                    1.0
                } else {
                    (1.0 + libm::log(factor) / libm::log(original)).sqrt()
                }
            }
        };
        let divided = |key: &str| -> R<Vec<Num>> {
            let Some(Val::List(list)) = present(&self.scaling, key) else {
                return Err(call.fail(format!("rotary scaling of type `{kind}` needs the list `{key}`")));
            };
            if list.len() != base.len() {
                return Err(call.fail(format!(
                    "`{key}` has {} factors for {} pairs of features",
                    list.len(),
                    base.len()
                )));
            }
            let numbers: Option<Vec<f64>> = list.iter().map(Val::number).collect();
            let numbers = numbers.ok_or_else(|| call.fail(format!("`{key}` is a list of numbers")))?;
            Ok(base.iter().zip(numbers).map(|(f, by)| Num(f / by)).collect())
        };
        Ok(Frequencies::ByLength {
            short: divided("short_factor")?,
            long: divided("long_factor")?,
            original: Num(original),
            short_scale: Num(short.unwrap_or(scale)),
            long_scale: Num(long.unwrap_or(scale)),
        })
    }

    fn axes(&self, call: &Call<'_, '_, '_>, theta: f64, width: u64) -> R<Axes> {
        match present(&self.options, "axial") {
            Some(Val::Bool(true)) => return Ok(Axes::Split { theta: Num(theta) }),
            Some(Val::Str(text)) if &**text == "alternate" => return Ok(Axes::Alternate),
            None | Some(Val::Bool(false)) => {}
            Some(other) => return Err(call.fail(format!("`axial` is true or 'alternate', not {}", other.show()))),
        }
        let sections = present(&self.options, "sections").or_else(|| present(&self.scaling, "mrope_section"));
        let Some(Val::List(sections)) = sections else {
            return Ok(Axes::One);
        };
        let sizes: Option<Vec<i64>> = sections.iter().map(Val::integer).collect();
        let sizes = sizes.ok_or_else(|| call.fail("the sections of a rope are a list of integers"))?;
        let pairs = (width / 2) as usize;
        if sizes.iter().any(|s| *s < 0) || sizes.iter().sum::<i64>() != pairs as i64 {
            return Err(call.fail(format!(
                "the sections {sizes:?} do not add up to the {pairs} pairs of features"
            )));
        }
        if self.flag(&self.scaling, "mrope_interleaved") {
            let mut axis = vec![0u32; pairs];
            for (a, size) in sizes.iter().enumerate().skip(1) {
                for j in (a..(3 * *size as usize).min(pairs)).step_by(3) {
                    axis[j] = a as u32;
                }
            }
            return Ok(Axes::Sections(axis));
        }
        let runs = sizes
            .iter()
            .enumerate()
            .flat_map(|(a, size)| std::iter::repeat_n(a as u32, *size as usize));
        Ok(Axes::Sections(runs.collect()))
    }
}

fn nums(values: Vec<f64>) -> Vec<Num> {
    values.into_iter().map(Num).collect()
}
