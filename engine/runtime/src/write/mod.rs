//! Writing results: files with temporary names and running hashes, tables, safetensors shards.

mod file;
mod shards;
mod table;

pub(crate) use file::sha256_of;
pub(crate) use file::{Finished, OutFile};
pub(crate) use shards::{Series, ShardTensor, Shards};
pub(crate) use table::{Table, cell as json_cell};

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
