//! The header of one safetensors file, read once and believed in nothing.
//!
//! The format: 8 bytes little-endian length, a JSON object of that length (name -> dtype, shape, byte range), then
//! the tensors' bytes without gaps. The `safetensors` crate parses it as well, but keeps the last of two equal names,
//! refuses the whole file for one dtype it does not know, and does not say which tensor is at fault. So the parsing is
//! ours, and the crate is the oracle: a property test demands that both accept and refuse the same files.

use crate::config_json::bare_message;
use crate::error::{CheckpointError, HeaderProblem};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use sli_model::DType;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The longest header that the format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// Bytes before the header that hold its length.
const PREFIX: u64 = 8;

/// What a Git LFS pointer file begins with.
const LFS: &[u8; 8] = b"version ";

/// A parsed and proven header.
#[derive(Debug)]
pub(crate) struct Header {
    /// Length of the whole file in bytes.
    pub(crate) file_len: u64,
    /// The tensors in file order.
    pub(crate) tensors: Vec<HeaderTensor>,
}

/// One tensor of a header.
#[derive(Debug)]
pub(crate) struct HeaderTensor {
    pub(crate) name: String,
    /// The dtype as the header spells it; it may be one this project does not know.
    pub(crate) dtype: String,
    pub(crate) shape: Vec<u64>,
    /// Absolute offset in the file.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) len: u64,
}

/// Reads and proves the header of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Header, CheckpointError> {
    let io = |source| CheckpointError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let wrong = |problem| CheckpointError::Header {
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(io)?;
    let file_len = file.metadata().map_err(io)?.len();
    if file_len < PREFIX {
        return Err(wrong(HeaderProblem::TooShort { len: file_len }));
    }
    let mut prefix = [0; PREFIX as usize];
    file.read_exact_at(&mut prefix, 0).map_err(io)?;
    let declared = header_len(prefix, file_len).map_err(wrong)?;
    let mut json = vec![0; declared as usize];
    file.read_exact_at(&mut json, PREFIX).map_err(io)?;
    let tensors = prove(&json, file_len).map_err(wrong)?;
    Ok(Header { file_len, tensors })
}

fn header_len(prefix: [u8; 8], file_len: u64) -> Result<u64, HeaderProblem> {
    let declared = u64::from_le_bytes(prefix);
    if &prefix == LFS {
        return Err(HeaderProblem::LfsPointer);
    }
    if declared > MAX_HEADER {
        return Err(HeaderProblem::HeaderTooLong {
            declared,
            limit: MAX_HEADER,
        });
    }
    match (PREFIX + declared).checked_sub(file_len) {
        None | Some(0) => Ok(declared),
        Some(missing) => Err(HeaderProblem::HeaderCut { declared, missing }),
    }
}

/// Parses the header's JSON and checks it against the length of its file.
fn prove(json: &[u8], file_len: u64) -> Result<Vec<HeaderTensor>, HeaderProblem> {
    let text = std::str::from_utf8(json).map_err(|error| HeaderProblem::NotText {
        at: error.valid_up_to(),
    })?;
    let mut raw = parse(text).map_err(|error| HeaderProblem::Json {
        line: error.line(),
        column: error.column(),
        message: bare_message(&error),
    })?;
    refuse_repeats(&raw)?;
    raw.sort_by_key(|(_, tensor)| tensor.data_offsets);
    raw.iter().try_for_each(|(name, tensor)| check_size(name, tensor))?;
    let data_start = PREFIX + json.len() as u64;
    check_cover(&raw, data_start, file_len)?;
    let tensors = raw.into_iter().map(|(name, tensor)| {
        let (begin, end) = tensor.data_offsets;
        HeaderTensor {
            name,
            dtype: tensor.dtype,
            shape: tensor.shape,
            offset: data_start + begin,
            len: end - begin,
        }
    });
    Ok(tensors.collect())
}

fn refuse_repeats(raw: &[(String, RawTensor)]) -> Result<(), HeaderProblem> {
    let mut seen = HashSet::with_capacity(raw.len());
    match raw.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(HeaderProblem::Repeated { name: name.clone() }),
    }
}

/// One tensor by itself: its range is a range, and as long as dtype and shape say. Of a dtype that is not known here
/// only the range can be checked.
fn check_size(name: &str, tensor: &RawTensor) -> Result<(), HeaderProblem> {
    let (begin, end) = tensor.data_offsets;
    let Some(given) = end.checked_sub(begin) else {
        return Err(HeaderProblem::NoRange {
            name: name.to_owned(),
            begin,
            end,
        });
    };
    let Some(dtype) = DType::parse(&tensor.dtype) else {
        return Ok(());
    };
    let mut dims = tensor.shape.iter().copied().chain([dtype.size() as u64]);
    let needed = dims.try_fold(1_u64, u64::checked_mul);
    let (name, dtype, shape) = (name.to_owned(), tensor.dtype.clone(), tensor.shape.clone());
    match needed {
        None => Err(HeaderProblem::Overflow { name, dtype, shape }),
        Some(needed) if needed != given => Err(HeaderProblem::Size {
            name,
            dtype,
            shape,
            needed,
            given,
        }),
        Some(_) => Ok(()),
    }
}

/// All tensors together, in file order: no overlap, no hole, and the file ends with the last of them.
fn check_cover(raw: &[(String, RawTensor)], data_start: u64, file_len: u64) -> Result<(), HeaderProblem> {
    let mut last: (&str, u64) = ("", 0);
    for (name, tensor) in raw {
        let (begin, end) = tensor.data_offsets;
        if begin < last.1 {
            let (first, second) = (last.0.to_owned(), name.clone());
            return Err(HeaderProblem::Overlap {
                first,
                second,
                end: last.1,
                begin,
            });
        }
        if begin > last.1 {
            return Err(HeaderProblem::Hole {
                name: name.clone(),
                bytes: begin - last.1,
            });
        }
        if data_start.checked_add(end).is_none() {
            return Err(HeaderProblem::NoRange {
                name: name.clone(),
                begin,
                end,
            });
        }
        last = (name, end);
    }
    let promised = data_start + last.1;
    match promised.cmp(&file_len) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(HeaderProblem::Truncated {
            promised,
            len: file_len,
            missing: promised - file_len,
        }),
        std::cmp::Ordering::Less => Err(HeaderProblem::Trailing {
            extra: file_len - promised,
        }),
    }
}

#[derive(serde::Deserialize)]
#[serde(expecting = "an object with dtype, shape and data_offsets")]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    /// First and one past the last byte, counted from the end of the header.
    data_offsets: (u64, u64),
}

fn parse(text: &str) -> serde_json::Result<Vec<(String, RawTensor)>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let raw = deserializer.deserialize_map(HeaderVisitor)?;
    deserializer.end()?;
    Ok(raw)
}

/// Keeps the entries in a list, because a map would hide that a name occurs twice.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Vec<(String, RawTensor)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that gives each tensor its dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tensors = Vec::new();
        let mut has_metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            if name != "__metadata__" {
                tensors.push((name, map.next_value()?));
            } else if std::mem::replace(&mut has_metadata, true) {
                return Err(A::Error::duplicate_field("__metadata__"));
            } else {
                map.next_value::<Option<HashMap<String, String>>>()?;
            }
        }
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use safetensors::SafeTensors;

    fn file(json: &str, data: usize) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    fn ours(bytes: &[u8]) -> Result<Vec<HeaderTensor>, HeaderProblem> {
        let len = bytes.len() as u64;
        let Some(prefix) = bytes.first_chunk::<8>() else {
            return Err(HeaderProblem::TooShort { len });
        };
        let declared = header_len(*prefix, len)? as usize;
        prove(&bytes[8..8 + declared], len)
    }

    fn problem(json: &str, data: usize) -> String {
        ours(&file(json, data)).unwrap_err().to_string()
    }

    #[test]
    fn tensors_come_in_file_order_with_absolute_offsets() {
        let json = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[2,10]},"__metadata__":{"format":"pt"},
            "a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"e":{"dtype":"F32","shape":[0],"data_offsets":[10,10]}}"#;
        let start = 8 + json.len() as u64;
        let got = ours(&file(json, 10)).unwrap();
        let got: Vec<_> = got.iter().map(|t| (t.name.as_str(), t.offset - start, t.len)).collect();
        assert_eq!(got, [("a", 0, 2), ("b", 2, 8), ("e", 10, 0)]);
    }

    #[test]
    fn a_dtype_of_tomorrow_is_kept_by_its_name() {
        let json = r#"{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}"#;
        assert_eq!(ours(&file(json, 2)).unwrap()[0].dtype, "F4");
    }

    #[test]
    fn each_lie_has_its_sentence() {
        let one = |range: &str| format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{range}}}}}"#);
        assert_eq!(
            problem(&one("[8,0]"), 8),
            "the tensor `a` claims the bytes from 8 to 0, which is no range. The file is damaged: download it again"
        );
        assert_eq!(
            problem(&one("[0,7]"), 7),
            "the tensor `a` of F32 [2] needs 8 bytes but its range has 7. The file is damaged: download it again"
        );
        assert_eq!(
            problem(&one("[4,12]"), 12),
            "4 bytes before the tensor `a` belong to no tensor, which the format forbids. \
             Write the file again with the safetensors library"
        );
        assert_eq!(
            problem(&one("[0,8]"), 11),
            "3 bytes follow the last tensor and belong to none, which the format forbids. \
             The file is damaged: download it again"
        );
        let len = 8 + one("[0,8]").len() as u64;
        assert_eq!(
            problem(&one("[0,8]"), 3),
            format!(
                "the file is truncated: its header promises {} bytes, it holds {}, so 5 are missing. Download it again",
                len + 8,
                len + 3
            )
        );
        let overflow = r#"{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}"#;
        assert_eq!(
            problem(overflow, 0),
            "the tensor `a` claims the shape [4611686018427387904] of F32, more bytes than a file can have. \
             The file is damaged: download it again"
        );
        let far = r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#;
        assert_eq!(
            problem(far, 0),
            "the tensor `a` claims the bytes from 0 to 18446744073709551615, which is no range. \
             The file is damaged: download it again"
        );
    }

    #[test]
    fn tensors_must_not_disagree_with_each_other() {
        let overlap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
        assert_eq!(
            problem(overlap, 6),
            "the tensors `a` and `b` overlap: one ends at byte 4, the other begins at 2. \
             The file is damaged: download it again"
        );
        let twice = r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#;
        assert_eq!(
            problem(twice, 0),
            "the header lists the tensor `a` twice. Write the file again with the safetensors library"
        );
    }

    #[test]
    fn broken_prefixes_and_texts_have_their_sentence() {
        assert_eq!(
            ours(b"version https://git-lfs").unwrap_err().to_string(),
            "this is a Git LFS pointer, not the weights. Fetch them with `git lfs pull`"
        );
        assert_eq!(
            ours(&[1, 2]).unwrap_err().to_string(),
            "the file holds 2 bytes, fewer than the 8 that give the length of its header. \
             The download was cut short: download it again"
        );
        assert_eq!(
            ours(&[0xff; 16]).unwrap_err().to_string(),
            "its first 8 bytes promise a header of 18446744073709551615 bytes, more than the 100000000 that the format \
             allows. It is no safetensors file or it is damaged: download it again"
        );
        assert_eq!(
            ours(&file("{}", 0)[..9]).unwrap_err().to_string(),
            "the file ends inside its header: 1 of the header's 2 bytes are missing. \
             The download was cut short: download it again"
        );
        assert_eq!(
            problem(r#"{"a": 1}"#, 0),
            "the header is broken at line 1, column 7: invalid type: integer `1`, expected an object with dtype, shape and data_offsets. \
             The file is damaged: download it again"
        );
        let mut bytes = file("{ }", 0);
        bytes[9] = 0xff;
        assert_eq!(
            ours(&bytes).unwrap_err().to_string(),
            "the header is no UTF-8 text (byte 1 of it). The file is damaged: download it again"
        );
    }

    /// Headers near the edge of validity: offsets mostly chained, sometimes off by a little.
    fn header_near_validity() -> impl Strategy<Value = (String, usize)> {
        let tensor = (
            0..4_usize,
            prop::collection::vec(0..4_u64, 0..3),
            prop_oneof![9 => Just(0_i64), 1 => -2..3_i64],
        );
        let slip = prop_oneof![5 => Just(0_i64), 1 => -3..4_i64];
        (prop::collection::vec(tensor, 0..5), slip).prop_map(|(tensors, slip)| {
            let mut at = 0_i64;
            let mut entries = Vec::new();
            for (i, (dtype, shape, error)) in tensors.into_iter().enumerate() {
                let (dtype, size) = [("F32", 4), ("BF16", 2), ("BOOL", 1), ("F8_E4M3", 1)][dtype];
                let begin = (at + error).max(0);
                at = begin + shape.iter().product::<u64>() as i64 * size;
                entries.push(format!(
                    r#""t{i}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{at}]}}"#
                ));
            }
            // Reversed, so that order in the text and in the file differ.
            entries.reverse();
            (format!("{{{}}}", entries.join(",")), (at + slip).max(0) as usize)
        })
    }

    proptest! {
        #[test]
        fn the_safetensors_crate_agrees_on_made_up_headers((json, data) in header_near_validity()) {
            let bytes = file(&json, data);
            let oracle = SafeTensors::deserialize(&bytes);
            let ours = ours(&bytes);
            prop_assert_eq!(ours.is_ok(), oracle.is_ok(), "{} {} {:?} {:?}", json, data, ours, oracle);
            for tensor in ours.into_iter().flatten() {
                let view = oracle.as_ref().unwrap().tensor(&tensor.name).unwrap();
                let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
                prop_assert_eq!((tensor.offset as usize, tensor.len as usize), (offset, view.data().len()));
            }
        }

        #[test]
        fn damaged_bytes_never_panic_and_never_pass_where_the_crate_refuses(
            (json, data) in header_near_validity(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            keep in any::<bool>(),
        ) {
            let mut bytes = file(&json, data);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !keep {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            // Only stricter: repeated names. Only laxer: dtypes that nobody knows yet.
            match (ours(&bytes), SafeTensors::deserialize(&bytes)) {
                (Ok(tensors), Err(_)) => prop_assert!(tensors.iter().any(|t| DType::parse(&t.dtype).is_none())),
                (Err(HeaderProblem::Repeated { .. }), _) | (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
                (Err(problem), Ok(_)) => prop_assert!(false, "refused a good file: {problem}"),
            }
        }
    }
}
