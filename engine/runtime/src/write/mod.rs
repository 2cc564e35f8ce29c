//! Writing results: files with temporary names and running hashes, tables, safetensors shards.

mod file;
mod shards;
mod table;

pub(crate) use file::sha256_of;
pub use file::{Finished, OutFile};
pub use shards::{Series, ShardTensor, Shards};
pub use table::Table;

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
