//! Documents: from `.jsonl`, `.txt`, `.parquet` or standard input to token ids in memory.
//!
//! Everything is read, tokenised and checked before a run begins, so that bad input is found before the first
//! layer is read. What stays is 4 bytes a token ([`Dataset`]); texts are dropped as soon as they are tokenised.

mod dataset;
mod jsonl;
mod limits;
mod load;
mod parquet;
mod problems;
mod row;
mod source;
mod text;
mod tokenize;

pub use dataset::{Dataset, Field};
pub use limits::{FieldLimits, Limits};
pub use load::DataOptions;
pub(crate) use load::load;
pub use row::{Place, RawRow};
pub use tokenize::{Bos, Tokenize};
