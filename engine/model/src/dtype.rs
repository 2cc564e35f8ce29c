//! Element types of stored tensors.

use serde::{Deserialize, Serialize};

/// Element type of a tensor in a checkpoint or an output file, named as safetensors spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum DType {
    F64,
    F32,
    F16,
    BF16,
    F8E4M3,
    F8E5M2,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

/// Every dtype with its safetensors spelling and size in bytes.
const TABLE: [(DType, &str, usize); 15] = [
    (DType::F64, "F64", 8),
    (DType::F32, "F32", 4),
    (DType::F16, "F16", 2),
    (DType::BF16, "BF16", 2),
    (DType::F8E4M3, "F8_E4M3", 1),
    (DType::F8E5M2, "F8_E5M2", 1),
    (DType::I64, "I64", 8),
    (DType::I32, "I32", 4),
    (DType::I16, "I16", 2),
    (DType::I8, "I8", 1),
    (DType::U64, "U64", 8),
    (DType::U32, "U32", 4),
    (DType::U16, "U16", 2),
    (DType::U8, "U8", 1),
    (DType::Bool, "BOOL", 1),
];

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        self.row().2
    }

    /// The spelling of safetensors headers, as `BF16`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The dtype that a safetensors header calls `name`, if it is one of ours.
    pub fn parse(name: &str) -> Option<DType> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// True for the floating point types.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            DType::F64 | DType::F32 | DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2
        )
    }

    fn row(self) -> (DType, &'static str, usize) {
        TABLE[self as usize]
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_rows_match_their_variant() {
        for (dtype, name, size) in TABLE {
            assert_eq!(DType::parse(name), Some(dtype));
            assert_eq!((dtype.name(), dtype.size()), (name, size));
        }
        assert_eq!(DType::parse("F4"), None);
    }
}
