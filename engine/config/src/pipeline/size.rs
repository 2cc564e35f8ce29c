//! Sizes in bytes as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

/// A number of bytes, at least 1. Written `"900MiB"`, `"8GiB"`, `"1.5GB"` or as an integer of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// Units with their sizes in bytes, binary first, largest first.
const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Why a text is no size; the text of the error says what one looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeError(&'static str);

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for SizeError {}

impl FromStr for ByteSize {
    type Err = SizeError;

    /// A decimal number and a unit; a space between them and the case of the unit do not matter.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let digits = text
            .find(|char: char| !char.is_ascii_digit() && char != '.')
            .unwrap_or(text.len());
        let (number, unit) = (&text[..digits], text[digits..].trim());
        if number.is_empty() {
            return Err(SizeError("a size starts with a number"));
        }
        let number: f64 = number
            .parse()
            .map_err(|_| SizeError("the number of this size cannot be read"))?;
        let factor = match unit {
            "" => 1,
            unit => {
                let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
                known
                    .ok_or(SizeError("the unit must be B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"))?
                    .1
            }
        };
        let bytes = number * factor as f64;
        if bytes < 1.0 {
            return Err(SizeError("a size must be at least one byte"));
        }
        // Above 2^53 a float skips integers; nobody has an exabyte of memory to budget.
        if bytes > (1_u64 << 53) as f64 {
            return Err(SizeError("this size is beyond 8192 TiB"));
        }
        Ok(Self(bytes.round() as u64))
    }
}

/// The shortest form: `8GiB`, `1.5GB`, else one decimal of the largest binary unit.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, unit): &&(&str, u64)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        match UNITS
            .iter()
            .find(exact)
            .filter(|(name, unit)| self.0 / unit < 10_000 && *name != "B")
        {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => match UNITS[..4].iter().find(|(_, unit)| self.0 >= *unit) {
                Some((name, unit)) => write!(f, "{:.1}{name}", self.0 as f64 / *unit as f64),
                None => write!(f, "{}B", self.0),
            },
        }
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": crate::schema::sizes() })
    }
}

/// What [`ByteSize::from_str`] accepts, as a pattern without case flags.
pub(crate) const PATTERN: &str = r"^\s*[0-9]+(\.[0-9]*)?\s*(([KkMmGgTt][Ii]?)?[Bb])?\s*$";

#[cfg(test)]
mod tests {
    use super::ByteSize;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("900MiB", 900 << 20),
            ("8GiB", 8 << 30),
            ("1.5GB", 1_500_000_000),
            ("1.5 GiB", 3 << 29),
            ("512kb", 512_000),
            ("17", 17),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in [
            "",
            "GiB",
            "8G",
            "8 gigabytes",
            "-1GiB",
            "0",
            "1.2.3MB",
            "0.1B",
            "9000TiB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_the_shortest_form() {
        for text in ["900MiB", "8GiB", "1500MB", "17B", "3kB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!(ByteSize((3 << 30) + 12_345_678).to_string(), "3.0GiB");
    }
}
