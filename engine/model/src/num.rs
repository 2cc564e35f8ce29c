//! Numbers in plans: floats that can be compared and hashed.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float of a plan. Equality and hash are those of its bits, so that plans are comparable data.
///
/// In JSON a number; the ones that JSON lacks are the strings `"inf"`, `"-inf"`, `"NaN"`.
#[derive(Clone, Copy, Debug)]
pub struct Num(pub f64);

impl Serialize for Num {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(&self.0.to_string())
        }
    }
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Num, D::Error> {
        deserializer.deserialize_any(NumVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Num {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Num".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number.",
            "anyOf": [
                { "type": "number", "description": "A finite number." },
                { "const": "inf", "description": "Infinity, which JSON has no number for." },
                { "const": "-inf", "description": "Negative infinity." },
                { "const": "NaN", "description": "Not a number." },
            ],
        })
    }
}

struct NumVisitor;

impl Visitor<'_> for NumVisitor {
    type Value = Num;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"inf\", \"-inf\" or \"NaN\"")
    }

    fn visit_f64<E: Error>(self, x: f64) -> Result<Num, E> {
        Ok(Num(x))
    }

    fn visit_i64<E: Error>(self, x: i64) -> Result<Num, E> {
        Ok(Num(x as f64))
    }

    fn visit_u64<E: Error>(self, x: u64) -> Result<Num, E> {
        Ok(Num(x as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Num, E> {
        match text {
            "inf" => Ok(Num(f64::INFINITY)),
            "-inf" => Ok(Num(f64::NEG_INFINITY)),
            "NaN" => Ok(Num(f64::NAN)),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

impl PartialEq for Num {
    fn eq(&self, other: &Num) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Num {}

impl Hash for Num {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A number that takes part in tensor arithmetic; an integer keeps integer tensors integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scalar {
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(Num),
}

impl Scalar {
    /// The number as a float.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Int(i) => i as f64,
            Scalar::Float(x) => x.0,
        }
    }
}

/// x as f32, rounded to bfloat16, ties to even.
pub fn round_bf16(x: f64) -> f64 {
    let bits = (x as f32).to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    f64::from(f32::from_bits(rounded))
}

/// x rounded to IEEE half, ties to even; beyond its largest number 65504 (from 65520 on) infinite.
pub fn round_f16(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    // 10 bits behind the leading one; below 2^-14 the steps stay the same
    let exponent = (((x.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(-14);
    let step = f64::from(exponent - 10).exp2();
    let rounded = (x / step).round_ties_even() * step;
    if rounded.abs() > 65504.0 {
        f64::INFINITY.copysign(x)
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_eleven_bits_and_an_end() {
        let cases = [
            (0.0, 0.0),
            (1.0 / 3.0, 0.333_251_953_125),
            (2049.0, 2048.0), // ties to even
            (2051.0, 2052.0),
            (-2050.9, -2050.0),
            (65504.0, 65504.0),
            (65519.99, 65504.0),
            (65520.0, f64::INFINITY),
            (-1e300, f64::NEG_INFINITY),
            // the steps of the smallest numbers are 2^-24
            (2f64.powi(-24), 2f64.powi(-24)),
            (2f64.powi(-25), 0.0),
            (2f64.powi(-25) * 1.001, 2f64.powi(-24)),
            (2f64.powi(-14) - 2f64.powi(-26), 2f64.powi(-14)),
            (1e-300, 0.0),
        ];
        for (x, expected) in cases {
            assert_eq!(round_f16(x), expected, "{x}");
        }
        assert!(round_f16(f64::NAN).is_nan() && round_f16(-0.0).is_sign_negative());
    }
}
