//! Everything that can be wrong with a checkpoint, in words that say where and what to do.

use std::io;
use std::path::PathBuf;

/// Why a folder is no usable checkpoint. All of these are found before any weight is read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The source is a hub id, not a folder.
    #[error(
        "`{id}` is no folder here and looks like a hub id; this release does not download from the hub. \
         Download the model and pass its local folder"
    )]
    HubId {
        /// The source as the user gave it.
        id: String,
    },
    /// There is nothing at the path.
    #[error("there is no folder `{}`. Pass the folder that holds the model's `config.json` and its `*.safetensors` files", .path.display())]
    NoFolder {
        /// The path that was looked up.
        path: PathBuf,
    },
    /// The path is a file.
    #[error("`{}` is a file, not a folder. Pass the folder that holds the model's `config.json` and its `*.safetensors` files", .path.display())]
    NotAFolder {
        /// The path that was looked up.
        path: PathBuf,
    },
    /// The folder has no `config.json`.
    #[error("the folder `{}` has no `config.json`, so what model it holds is unknown. Put the model's `config.json` beside its weights", .dir.display())]
    NoConfig {
        /// The model folder.
        dir: PathBuf,
    },
    /// `config.json` or the index is no valid JSON, or not of the expected form.
    #[error("{}:{line}:{column}: {message}. Correct the file or download it again", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: usize,
        /// Column in bytes as the JSON parser counts it, in the text as it is on disk.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// `config.json` or the index is larger than any real one.
    #[error("`{}` is {len} bytes long, more than the {limit} that such a file may have. It is not what its name says: download it again", .path.display())]
    TextTooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The folder holds no weights at all.
    #[error("the folder `{}` holds no `*.safetensors` file. Put the model's weights beside its `config.json`", .dir.display())]
    NoWeights {
        /// The model folder.
        dir: PathBuf,
    },
    /// The folder holds weights, but not as safetensors.
    #[error("the folder `{}` holds `{file}` and no `*.safetensors` file; this release reads safetensors. Get the model's safetensors files, or convert it", .dir.display())]
    OtherFormat {
        /// The model folder.
        dir: PathBuf,
        /// The first weight file of another format.
        file: String,
    },
    /// The operating system refused.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Io {
        /// What was tried, as a verb: `read`, `list`, `open`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason the system gives.
        source: io::Error,
    },
    /// One safetensors file is damaged or lies about itself.
    #[error("`{}`: {problem}", .path.display())]
    Header {
        /// The safetensors file.
        path: PathBuf,
        /// What is wrong with it.
        problem: HeaderProblem,
    },
    /// The same tensor is in two files.
    #[error(
        "the tensor `{name}` is in both `{first}` and `{second}`, so which one counts is unknown. Remove the file that does not belong to the model"
    )]
    Duplicate {
        /// The tensor.
        name: String,
        /// File name of the first.
        first: String,
        /// File name of the second.
        second: String,
    },
    /// The index names a shard outside the folder.
    #[error("`{}`: the shard `{shard}` is no plain file name. Shards must lie beside their index", .index.display())]
    ShardOutside {
        /// The index file.
        index: PathBuf,
        /// The shard as the index writes it.
        shard: String,
    },
    /// The index names a shard that is not there.
    #[error("`{}` names the shard `{shard}` (of the tensor `{tensor}`), which is not in the folder. Download the missing shard", .index.display())]
    ShardMissing {
        /// The index file.
        index: PathBuf,
        /// The shard that is missing.
        shard: String,
        /// One of its tensors.
        tensor: String,
    },
    /// The index puts a tensor in a shard that does not have it.
    #[error("`{}` says that the tensor `{tensor}` is in `{shard}`, {found}{}. Download index and shards of the same revision", .index.display(), .more.clause())]
    NotInShard {
        /// The index file.
        index: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shard that should hold it.
        shard: String,
        /// Where it is instead, as the end of the sentence.
        found: String,
        /// How many other tensors have the same fault.
        more: More,
    },
    /// A shard holds a tensor that the index does not know.
    #[error("`{shard}` holds the tensor `{tensor}`, which `{}` does not list{}. Download index and shards of the same revision", .index.display(), .more.clause())]
    NotInIndex {
        /// The index file.
        index: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shard that holds it.
        shard: String,
        /// How many other tensors have the same fault.
        more: More,
    },
}

/// How many other tensors share a fault, told in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct More(pub usize);

impl More {
    fn clause(self) -> String {
        match self.0 {
            0 => String::new(),
            1 => " (1 more tensor likewise)".to_owned(),
            n => format!(" ({n} more tensors likewise)"),
        }
    }
}

/// What is wrong inside one safetensors file: one case for each way it can be cut short or lie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// A pointer that Git LFS leaves in place of the file.
    #[error("this is a Git LFS pointer, not the weights. Fetch them with `git lfs pull`")]
    LfsPointer,
    /// Not even the length of the header fits.
    #[error(
        "the file holds {len} bytes, fewer than the 8 that give the length of its header. The download was cut short: download it again"
    )]
    TooShort {
        /// Length of the file in bytes.
        len: u64,
    },
    /// The promised header is longer than the format allows.
    #[error(
        "its first 8 bytes promise a header of {declared} bytes, more than the {limit} that the format allows. It is no safetensors file or it is damaged: download it again"
    )]
    HeaderTooLong {
        /// Promised bytes.
        declared: u64,
        /// The format's limit.
        limit: u64,
    },
    /// The file ends inside its header.
    #[error(
        "the file ends inside its header: {missing} of the header's {declared} bytes are missing. The download was cut short: download it again"
    )]
    HeaderCut {
        /// Promised bytes.
        declared: u64,
        /// How many of them are not there.
        missing: u64,
    },
    /// The header is no text.
    #[error("the header is no UTF-8 text (byte {at} of it). The file is damaged: download it again")]
    NotText {
        /// Offset in the header of the first bad byte.
        at: usize,
    },
    /// The header is no JSON of the expected form.
    #[error("the header is broken at line {line}, column {column}: {message}. The file is damaged: download it again")]
    Json {
        /// 1-based line in the header (headers usually have one).
        line: usize,
        /// Column in bytes.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// A name occurs twice in one header.
    #[error("the header lists the tensor `{name}` twice. Write the file again with the safetensors library")]
    Repeated {
        /// The tensor.
        name: String,
    },
    /// A tensor ends before it begins, or beyond any file.
    #[error(
        "the tensor `{name}` claims the bytes from {begin} to {end}, which is no range. The file is damaged: download it again"
    )]
    NoRange {
        /// The tensor.
        name: String,
        /// First byte, counted from the end of the header.
        begin: u64,
        /// One past the last byte.
        end: u64,
    },
    /// Shape times element size overflows.
    #[error(
        "the tensor `{name}` claims the shape {shape:?} of {dtype}, more bytes than a file can have. The file is damaged: download it again"
    )]
    Overflow {
        /// The tensor.
        name: String,
        /// Its dtype as the header spells it.
        dtype: String,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// Shape and byte range disagree.
    #[error(
        "the tensor `{name}` of {dtype} {shape:?} needs {needed} bytes but its range has {given}. The file is damaged: download it again"
    )]
    Size {
        /// The tensor.
        name: String,
        /// Its dtype as the header spells it.
        dtype: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Bytes by shape and dtype.
        needed: u64,
        /// Bytes by range.
        given: u64,
    },
    /// Two tensors share bytes.
    #[error(
        "the tensors `{first}` and `{second}` overlap: one ends at byte {end}, the other begins at {begin}. The file is damaged: download it again"
    )]
    Overlap {
        /// The tensor that begins first.
        first: String,
        /// The tensor that begins inside it.
        second: String,
        /// One past the last byte of the first.
        end: u64,
        /// First byte of the second.
        begin: u64,
    },
    /// Bytes that belong to no tensor, before one.
    #[error(
        "{bytes} bytes before the tensor `{name}` belong to no tensor, which the format forbids. Write the file again with the safetensors library"
    )]
    Hole {
        /// The tensor after the hole.
        name: String,
        /// Length of the hole.
        bytes: u64,
    },
    /// The file is shorter than its header promises.
    #[error(
        "the file is truncated: its header promises {promised} bytes, it holds {len}, so {missing} are missing. Download it again"
    )]
    Truncated {
        /// Bytes by the header.
        promised: u64,
        /// Bytes of the file.
        len: u64,
        /// The difference.
        missing: u64,
    },
    /// The file goes on after its last tensor.
    #[error(
        "{extra} bytes follow the last tensor and belong to none, which the format forbids. The file is damaged: download it again"
    )]
    Trailing {
        /// How many bytes follow.
        extra: u64,
    },
}
