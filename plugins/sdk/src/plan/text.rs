//! The JSON text of a plan. It is written as it is made: a tree of values in between would be most of a plugin's size.

use std::fmt::Write as _;

/// JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Text(pub(crate) String);

/// Values that are written as JSON.
pub(crate) trait Json {
    fn write(&self, out: &mut String);
}

impl Text {
    pub(crate) fn of(value: &dyn Json) -> Text {
        let mut out = String::new();
        value.write(&mut out);
        Text(out)
    }
}

/// Text of a literal, an object or a value, as `serde_json::json!` has them.
macro_rules! json {
    ({ $($members:tt)* }) => {{
        let mut out = String::new();
        $crate::plan::text::object!(&mut out, $($members)*);
        $crate::plan::text::Text(out)
    }};
    ($value:expr) => {
        $crate::plan::text::Text::of(&$value)
    };
}
pub(crate) use json;

/// Writes an object to a string.
macro_rules! object {
    ($out:expr, $($members:tt)*) => {{
        let out: &mut String = $out;
        out.push('{');
        $crate::plan::text::members!(out, $($members)*);
        $crate::plan::text::close(out, '}');
    }};
}
pub(crate) use object;

/// Writes members of an object, each followed by a comma.
macro_rules! members {
    ($out:ident,) => {};
    ($out:ident, $key:literal : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::plan::text::member($out, $key);
        $crate::plan::text::object!($out, $($inner)*);
        $out.push(',');
        $crate::plan::text::members!($out, $($($rest)*)?);
    };
    ($out:ident, $key:literal : $value:expr $(, $($rest:tt)*)?) => {
        $crate::plan::text::member($out, $key);
        $crate::plan::text::Json::write(&$value, $out);
        $out.push(',');
        $crate::plan::text::members!($out, $($($rest)*)?);
    };
}
pub(crate) use members;

/// Writes the name of a member.
pub(crate) fn member(out: &mut String, key: &str) {
    key.write(out);
    out.push(':');
}

/// Ends a list or an object: its last comma goes.
pub(crate) fn close(out: &mut String, bracket: char) {
    if out.ends_with(',') {
        out.pop();
    }
    out.push(bracket);
}

impl Json for Text {
    fn write(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Json for str {
    fn write(&self, out: &mut String) {
        out.push('"');
        for c in self.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c < ' ' => {
                    let _ = write!(out, "\\u{:04x}", c as u32);
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

impl Json for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

impl Json for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Json for i64 {
    fn write(&self, out: &mut String) {
        let _ = write!(out, "{self}");
    }
}

impl Json for u64 {
    fn write(&self, out: &mut String) {
        let _ = write!(out, "{self}");
    }
}

impl Json for u32 {
    fn write(&self, out: &mut String) {
        u64::from(*self).write(out);
    }
}

impl Json for u16 {
    fn write(&self, out: &mut String) {
        u64::from(*self).write(out);
    }
}

/// The shortest text that reads as the same number. JSON has no infinities: they are text in a plan.
impl Json for f64 {
    fn write(&self, out: &mut String) {
        match serde_json::Number::from_f64(*self) {
            Some(number) => out.push_str(&number.to_string()),
            None if self.is_nan() => out.push_str("\"NaN\""),
            None if *self > 0.0 => out.push_str("\"inf\""),
            None => out.push_str("\"-inf\""),
        }
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Json> Json for [T] {
    fn write(&self, out: &mut String) {
        out.push('[');
        for value in self {
            value.write(out);
            out.push(',');
        }
        close(out, ']');
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut String) {
        self.as_slice().write(out);
    }
}

impl<A: Json, B: Json> Json for (A, B) {
    fn write(&self, out: &mut String) {
        out.push('[');
        self.0.write(out);
        out.push(',');
        self.1.write(out);
        out.push(']');
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn the_text_is_json() {
        let list: Vec<Option<f64>> = vec![Some(1.0), None, Some(1e-7), Some(f64::NEG_INFINITY), Some(f64::NAN)];
        let text = json!({
            "a\"\\\n": "ü\u{1}",
            "nested": {"empty": {}, "none": None::<u64>, "pair": (1u64, true)},
            "list": list,
            "nothing": Vec::<u64>::new(),
        });
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text.0).unwrap(),
            serde_json::json!({
                "a\"\\\n": "ü\u{1}",
                "nested": {"empty": {}, "none": null, "pair": [1, true]},
                "list": [1.0, null, 1e-7, "-inf", "NaN"],
                "nothing": [],
            })
        );
    }

    #[test]
    fn numbers_read_back_bit_for_bit() {
        for x in [0.1, 1e300, 5e-324, -0.0, 1.0 / 3.0, 16777217.0, 1e21, 123456789.123] {
            let text = json!(x).0;
            assert_eq!(
                serde_json::from_str::<f64>(&text).unwrap().to_bits(),
                x.to_bits(),
                "{text}"
            );
        }
    }
}
