//! How a drive is read best: measured once on a checkpoint's own files and remembered for each drive.

mod measure;
mod page_cache;
mod remembered;
mod wish;

pub(crate) use remembered::{Drives, key_of};

use crate::files::OpenFiles;
use crate::io::BackendKind;
use crate::loader::ReadOptions;
use std::sync::Arc;

/// Smaller checkpoints are read in the time that measuring would take.
const WORTH_MEASURING: u64 = 64 << 20;

/// From this share of cached pages on, the page cache is faster than going around it.
const NEARLY_ALL: f64 = 0.95;

/// How a checkpoint is to be read, and how fast that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadChoice {
    /// For [`crate::Loader::start`].
    pub options: ReadOptions,
    /// Bytes a second that the drive itself delivers, without help of the page cache; `None` if that is not known.
    pub bytes_per_second: Option<f64>,
    /// Share of the checkpoint that is in the page cache now, from 0 to 1, from a sample of its pages.
    pub cached: f64,
    /// Where `options` come from.
    pub reason: ReadReason,
}

/// Why a checkpoint is read as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReason {
    /// The environment variable `SLI_PIPE_READ` says so.
    Asked,
    /// Nearly all of it is in the page cache.
    Cached,
    /// Measured earlier on this drive.
    Remembered,
    /// Measured just now.
    Measured,
    /// Not measured: the checkpoint is small.
    Default,
}

/// Chooses how to read `files`: as `SLI_PIPE_READ` says (any of `io_uring`, `pread`, `direct`, `buffered`, `depth=8`,
/// `block=4M`, separated by commas), from the page cache if nearly all of them are there, as was measured earlier on
/// this drive, or as is measured now, which takes about 0.4 s on a drive of 1 GB/s. Small checkpoints are not measured.
///
/// What was measured is kept in `sli-pipe/drives.json` of the user's cache folder. A file that cannot be read or
/// written there is no error; it is measured again.
pub fn choose(files: &Arc<OpenFiles>) -> ReadChoice {
    choose_with(
        files,
        &Drives::of_user(),
        std::env::var("SLI_PIPE_READ").ok().as_deref(),
    )
}

fn choose_with(files: &Arc<OpenFiles>, drives: &Drives, asked: Option<&str>) -> ReadChoice {
    let known = remembered::key(files)
        .and_then(|key| drives.get(&key))
        .unwrap_or_default();
    let mut choice = ReadChoice {
        options: known.read.unwrap_or_else(|| default_for(files)),
        bytes_per_second: known.read_bytes_per_second,
        cached: page_cache::share(files),
        reason: if known.read.is_some() {
            ReadReason::Remembered
        } else {
            ReadReason::Default
        },
    };
    if let Some(asked) = asked {
        (choice.options, choice.reason) = (wish::options(asked, choice.options), ReadReason::Asked);
    } else if choice.cached >= NEARLY_ALL {
        (choice.options, choice.reason) = (from_page_cache(), ReadReason::Cached);
    } else if known.read.is_none() && files.bytes() >= WORTH_MEASURING {
        return measure_with(files, drives).unwrap_or(choice);
    }
    choice
}

/// Measures how `files` are read best and remembers it. `None` if they cannot be measured: nearly everything is in the
/// page cache and there is no way around it, or they cannot be read.
fn measure_with(files: &Arc<OpenFiles>, drives: &Drives) -> Option<ReadChoice> {
    let cached = page_cache::share(files);
    let best = measure::best(files)?;
    tracing::debug!(options = %best.options, bytes_per_second = best.bytes_per_second, "measured the drive");
    if let Some(key) = remembered::key(files) {
        drives.update(&key, |drive| {
            drive.read = Some(best.options);
            drive.read_bytes_per_second = Some(best.bytes_per_second);
        });
    }
    Some(ReadChoice {
        options: best.options,
        bytes_per_second: Some(best.bytes_per_second),
        cached,
        reason: ReadReason::Measured,
    })
}

fn default_for(files: &OpenFiles) -> ReadOptions {
    if files.allow_direct() {
        return ReadOptions::default();
    }
    ReadOptions {
        backend: BackendKind::Threads,
        direct: false,
        block_bytes: 2 << 20,
        depth: 4,
    }
}

/// Copying from the page cache keeps processors busy, not the drive; more threads would only take them from others.
fn from_page_cache() -> ReadOptions {
    ReadOptions {
        backend: BackendKind::Threads,
        direct: false,
        block_bytes: 2 << 20,
        depth: 2,
    }
}

#[cfg(test)]
mod tests;
