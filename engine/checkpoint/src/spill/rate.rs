//! How fast a drive is written.

use super::{SpillError, SpillFile, SpillOptions};
use crate::probe::{Drives, key_of};
use rustix::fs::{Mode, OFlags};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of one record of the measurement, and how many there are at most: 256 MiB.
const RECORD: usize = 8 << 20;
const RECORDS: usize = 32;

/// After this time no further record is begun.
const ENOUGH: Duration = Duration::from_millis(400);

/// Bytes a second that activations are written to the drive of `folder`, if that was measured before.
pub fn known_write_rate(folder: &Path) -> Option<f64> {
    Drives::of_user().get(&key(folder)?)?.write_bytes_per_second
}

/// Bytes a second that activations are written to the drive of `folder`: as measured before, or as measured now by
/// writing up to 256 MiB there, for about 0.4 s, to a file that is gone afterwards.
///
/// # Errors
/// As [`SpillFile::create`] and [`SpillFile::write`].
pub fn write_rate(folder: &Path) -> Result<f64, SpillError> {
    rate_with(folder, &Drives::of_user())
}

pub(super) fn rate_with(folder: &Path, drives: &Drives) -> Result<f64, SpillError> {
    let key = key(folder);
    if let Some(rate) = key.as_ref().and_then(|key| drives.get(key)?.write_bytes_per_second) {
        return Ok(rate);
    }
    let rate = measure(folder)?;
    if let Some(key) = &key {
        drives.update(key, |drive| drive.write_bytes_per_second = Some(rate));
    }
    Ok(rate)
}

fn measure(folder: &Path) -> Result<f64, SpillError> {
    let mut file = SpillFile::create(folder, &[RECORD as u64; RECORDS], SpillOptions::default())?;
    // Something that a drive cannot make smaller.
    let mut word = 1_u64;
    let record: Vec<u8> = std::iter::repeat_with(|| {
        word = word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (word >> 56) as u8
    })
    .take(RECORD)
    .collect();
    // The first takes memory from the system.
    (0..4).try_for_each(|slot| file.write(slot, &[&record]))?;
    file.flush()?;
    let start = Instant::now();
    let mut written = 0;
    while written + 4 < RECORDS && (written < 4 || start.elapsed() < ENOUGH) {
        file.write(written + 4, &[&record])?;
        written += 1;
    }
    file.flush()?;
    Ok((written * RECORD) as f64 / start.elapsed().as_secs_f64())
}

fn key(folder: &Path) -> Option<String> {
    key_of(
        rustix::fs::open(
            folder,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .ok()?,
    )
}
