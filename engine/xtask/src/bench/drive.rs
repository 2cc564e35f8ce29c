//! The rate of the drive: the best of several ways to read the very files of a checkpoint, past the page cache.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use rustix::fs::{Advice, OFlags, fadvise};

use super::ring;
use crate::{failure::Failure, interrupt};

/// Direct reads want memory, places and lengths that are multiples of this.
const PAGE: usize = 4096;

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Bytes that one measurement reads at most.
const MEASURED: u64 = 4 << 30;

/// Bytes that each setting reads while the best are looked for.
const SCOUTED: u64 = 256 << 20;

/// How many of the best settings every round measures.
const KEPT: usize = 2;

/// Who asks the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As many threads as requests, each with `pread`.
    Threads,
    /// One thread with an io_uring.
    Ring,
}

/// One way to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    how: How,
    /// Requests in flight.
    pub(super) depth: usize,
    /// Bytes of a request.
    pub(super) block: usize,
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match self.how {
            How::Threads => "threads",
            How::Ring => "io_uring",
        };
        write!(f, "{how}, {} × {} MiB", self.depth, self.block >> 20)
    }
}

impl Setting {
    /// Memory for its requests.
    fn buffers(self) -> Vec<Aligned> {
        (0..self.depth).map(|_| Aligned::new(self.block)).collect()
    }
}

/// One request: which file, where, how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) file: usize,
    pub(super) offset: u64,
    pub(super) bytes: usize,
}

/// The files of one checkpoint, opened for direct reading, and the settings that were best for them.
pub(super) struct Drive {
    files: Vec<(PathBuf, File, u64)>,
    best: Vec<Setting>,
}

impl Drive {
    /// Opens the checkpoint in `folder` and looks for its best settings.
    ///
    /// # Errors
    /// [`Failure::Io`] where the files cannot be read, as on a file system without direct I/O.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let direct = OFlags::DIRECT.bits().cast_signed();
        let open = |path: PathBuf| {
            let file = OpenOptions::new().read(true).custom_flags(direct).open(&path);
            let file = file.map_err(Failure::io("open for direct reading", &path))?;
            let bytes = file.metadata().map_err(Failure::io("read", &path))?.len();
            Ok((path, file, bytes))
        };
        let files = weights(folder)?.into_iter().map(open).collect::<Result<_, Failure>>()?;
        let mut drive = Self {
            files,
            best: Vec::new(),
        };
        let mut rates = Vec::new();
        for (turn, setting) in settings().into_iter().enumerate() {
            let pieces = drive.pieces(setting.block, SCOUTED, turn as u64 * SCOUTED);
            // A kernel without io_uring has one way less to be fast.
            match drive.rate(setting, &pieces) {
                Ok(rate) => rates.push((rate, setting)),
                Err(_) if setting.how == How::Ring => {}
                Err(failure) => return Err(failure),
            }
        }
        rates.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        drive.best = rates.into_iter().take(KEPT).map(|(_, setting)| setting).collect();
        Ok(drive)
    }

    /// The best setting of all.
    pub(super) fn setting(&self) -> Setting {
        self.best[0]
    }

    /// 10⁹ bytes a second, now: the better of the best settings over the whole checkpoint, or its first 4 GiB.
    pub(super) fn measure(&self) -> Result<f64, Failure> {
        let mut most: f64 = 0.0;
        for setting in &self.best {
            most = most.max(self.rate(*setting, &self.pieces(setting.block, MEASURED, 0))?);
        }
        Ok(most)
    }

    /// Requests for up to `limit` bytes in file order, from `start` bytes into the checkpoint on, and around its end.
    fn pieces(&self, block: usize, limit: u64, start: u64) -> Vec<Piece> {
        let sizes: Vec<u64> = self.files.iter().map(|(_, _, bytes)| *bytes).collect();
        pieces(&sizes, block, limit, start)
    }

    fn rate(&self, setting: Setting, pieces: &[Piece]) -> Result<f64, Failure> {
        interrupt::check()?;
        // Memory is fetched before the clock starts: only the drive counts.
        let mut buffers = setting.buffers();
        let started = Instant::now();
        let bytes = match setting.how {
            How::Threads => self.read_with_threads(&mut buffers, pieces),
            How::Ring => {
                let files: Vec<&File> = self.files.iter().map(|(_, file, _)| file).collect();
                let failed = |(at, source): (usize, _)| Failure::io("read", &self.files[at].0)(source);
                ring::read(&files, pieces, buffers).map_err(failed)
            }
        }?;
        Ok(bytes as f64 / 1e9 / started.elapsed().as_secs_f64())
    }

    fn read_with_threads(&self, buffers: &mut [Aligned], pieces: &[Piece]) -> Result<u64, Failure> {
        let next = AtomicUsize::new(0);
        let work = |buffer: &mut Aligned| -> Result<u64, Failure> {
            let mut sum = 0;
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (path, file, _) = &self.files[piece.file];
                // the end of a file answers with fewer bytes than were asked for
                let read = file.read_at(&mut buffer.bytes()[..piece.bytes], piece.offset);
                sum += read.map_err(Failure::io("read", path))? as u64;
            }
            Ok(sum)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = buffers.iter_mut().map(|buffer| scope.spawn(|| work(buffer))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).sum()
        })
    }
}

/// Drops the pages of every file in `folder` from the page cache, so that the next read is the disk's.
pub(super) fn forget(folder: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::io("list", folder))? {
        let path = entry.map_err(Failure::io("list", folder))?.path();
        if path.is_dir() {
            continue;
        }
        let file = File::open(&path).map_err(Failure::io("open", &path))?;
        // pages that are not written yet stay
        file.sync_all().map_err(Failure::io("write", &path))?;
        let dropped = fadvise(&file, 0, None, Advice::DontNeed);
        dropped.map_err(|error| Failure::io("drop the cached pages of", &path)(error.into()))?;
    }
    Ok(())
}

/// Reads the weights in `folder` into the page cache, which a program that reads past it would not do.
pub(super) fn warm(folder: &Path) -> Result<(), Failure> {
    for path in weights(folder)? {
        interrupt::check()?;
        let mut file = File::open(&path).map_err(Failure::io("open", &path))?;
        io::copy(&mut file, &mut io::sink()).map_err(Failure::io("read", &path))?;
    }
    Ok(())
}

/// The safetensors files of a checkpoint, in order.
fn weights(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::io("list", folder))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect();
    files.sort();
    Ok(files)
}

fn settings() -> Vec<Setting> {
    let ways = [(How::Threads, [4, 8, 16]), (How::Ring, [8, 16, 32])];
    let depths = ways
        .into_iter()
        .flat_map(|(how, depths)| depths.map(|depth| (how, depth)));
    depths
        .flat_map(|(how, depth)| {
            [1, 4, 8].map(|mebibytes| Setting {
                how,
                depth,
                block: mebibytes << 20,
            })
        })
        .collect()
}

fn pieces(sizes: &[u64], block: usize, limit: u64, start: u64) -> Vec<Piece> {
    let all: Vec<Piece> = (sizes.iter().enumerate())
        .flat_map(|(file, size)| {
            let offsets = (0..*size).step_by(block);
            offsets.map(move |offset| Piece {
                file,
                offset,
                bytes: (size - offset).min(block as u64).next_multiple_of(PAGE as u64) as usize,
            })
        })
        .collect();
    let count = (limit / block as u64) as usize;
    let skipped = (start / block as u64) as usize % all.len().max(1);
    all.iter()
        .cycle()
        .skip(skipped)
        .take(count.min(all.len()))
        .copied()
        .collect()
}

/// Memory that direct reads can go into, in huge pages where the system has them: with small ones some drives split
/// requests and give half their rate.
pub(super) struct Aligned {
    room: Vec<u8>,
    bytes: usize,
}

impl Aligned {
    /// `bytes` zeros that start at a huge page.
    pub(super) fn new(bytes: usize) -> Self {
        let room = vec![0; bytes + HUGE];
        let mut all = Self { room, bytes };
        ring::ask_for_huge_pages(all.bytes());
        // Written, so that every page is there.
        all.bytes().fill(1);
        all
    }

    /// The memory; its place does not change.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let start = self.room.as_ptr().align_offset(HUGE);
        &mut self.room[start..start + self.bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_byte_once_and_start_where_told() {
        let sizes = [10_000, 5_000];
        let all = pieces(&sizes, 8192, u64::MAX, 0);
        let places: Vec<_> = all
            .iter()
            .map(|piece| (piece.file, piece.offset, piece.bytes))
            .collect();
        assert_eq!(places, [(0, 0, 8192), (0, 8192, 4096), (1, 0, 8192)]);
        let later = pieces(&sizes, 8192, 2 * 8192, 8192 * 5);
        assert_eq!(later, [all[2], all[0]]);
    }

    #[test]
    fn every_way_reads_every_byte() {
        // in the target folder, because a file system in memory may know no direct I/O
        let folder = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        for (name, bytes) in [("a", 3 << 20), ("b", (1 << 20) + 77)] {
            fs::write(folder.path().join(name).with_extension("safetensors"), vec![1; bytes]).unwrap();
        }
        let drive = Drive::open(folder.path()).unwrap();
        assert!(drive.measure().unwrap() > 0.0);
        for setting in settings() {
            let pieces = drive.pieces(setting.block, MEASURED, 0);
            let read = match setting.how {
                How::Threads => drive.read_with_threads(&mut setting.buffers(), &pieces).unwrap(),
                How::Ring => {
                    let files: Vec<&File> = drive.files.iter().map(|(_, file, _)| file).collect();
                    match ring::read(&files, &pieces, setting.buffers()) {
                        Ok(read) => read,
                        Err(_) => continue, // refused here
                    }
                }
            };
            assert_eq!(read, (4 << 20) + 77, "{setting}");
        }
    }
}
