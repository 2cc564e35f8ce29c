//! Records that come back as they were, or say why not.

use super::*;
use crate::probe::Drives;
use rustix::io::Errno;
use std::fs;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// A record that tells its slot, round and, by runs of 1000 bytes, place.
fn record(slot: usize, round: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes
        .chunks_mut(1000)
        .enumerate()
        .for_each(|(i, run)| run.fill((i + 7 * slot + 31 * round) as u8));
    bytes
}

fn ways() -> [SpillOptions; 3] {
    let option = |direct, threads, buffers| SpillOptions {
        direct,
        threads,
        buffers,
        bytes: 0,
    };
    [option(true, 8, 4), option(false, 3, 3), option(true, 1, 2)]
}

/// Flips one bit of the file.
fn flip(file: &SpillFile, offset: u64) {
    let fd = &file.shared.raw.files[0];
    let mut byte = [0];
    rustix::io::pread(fd, &mut byte, offset).unwrap();
    rustix::io::pwrite(fd, &[byte[0] ^ 4], offset).unwrap();
}

#[test]
fn records_come_back_whatever_their_length_and_parts() {
    let folder = TempDir::new().unwrap();
    for options in ways() {
        let sizes = [9 * MIB as u64 + 5, 1, 0, 4096, MIB as u64, 70_000];
        let mut file = SpillFile::create(folder.path(), &sizes, options).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
        for round in 0..2 {
            // From round to round shorter, down to nothing.
            let len = |slot: usize| (sizes[slot] as usize).saturating_sub(round * 4097);
            for slot in 0..sizes.len() {
                let record = record(slot, round, len(slot));
                let (head, tail) = record.split_at(len(slot) / 3);
                file.write(slot, &[head, &[], tail]).unwrap();
            }
            for slot in (0..sizes.len()).rev() {
                file.prefetch(slot);
                assert!(
                    *file.read(slot).unwrap() == record(slot, round, len(slot)),
                    "slot {slot} of {options:?}"
                );
            }
        }
        let stats = file.stats();
        assert_eq!(stats.bytes_written, stats.bytes_read);
        assert!(
            stats.write_seconds > 0.0 && stats.read_seconds > 0.0 && stats.wait_seconds > 0.0,
            "{stats:?}"
        );
    }
}

#[test]
fn a_slot_is_read_after_it_was_written_and_again_after_it_was_written_again() {
    let folder = TempDir::new().unwrap();
    for options in ways() {
        let mut file = SpillFile::create(folder.path(), &[6 * MIB as u64; 2], options).unwrap();
        for round in 0..3 {
            file.write(0, &[&record(0, round, 6 * MIB)]).unwrap();
            // Read ahead while it is being written, then made useless by another write.
            file.prefetch(0);
            file.write(0, &[&record(0, round + 100, 5 * MIB)]).unwrap();
            file.prefetch(0);
            file.prefetch(0);
            assert!(
                *file.read(0).unwrap() == record(0, round + 100, 5 * MIB),
                "round {round} of {options:?}"
            );
            assert!(
                *file.read(0).unwrap() == record(0, round + 100, 5 * MIB),
                "and once more"
            );
        }
    }
}

#[test]
fn a_flipped_bit_is_found_and_told_with_its_place() {
    let folder = TempDir::new().unwrap();
    for options in ways() {
        let mut file = SpillFile::create(folder.path(), &[5000, 6 * MIB as u64], options).unwrap();
        let path = file.shared.raw.path.display().to_string();
        file.write(1, &[&record(1, 0, 5 * MIB + 10)]).unwrap();
        file.flush().unwrap();
        let slot = 8192;
        for (at, block, len) in [(4 * MIB + 17, 4 * MIB, MIB), (5 * MIB + 9, 5 * MIB, 10)] {
            flip(&file, slot + at as u64);
            assert_eq!(
                file.read(1).unwrap_err().to_string(),
                format!(
                    "the {len} bytes at offset {} of `{path}` are not those that were written there: the drive or the \
                     memory is faulty. Check both, or choose a folder on another drive, then run again",
                    slot as usize + block
                )
            );
            flip(&file, slot + at as u64);
            assert!(file.read(1).is_ok());
        }
        // What is behind the record does not matter.
        flip(&file, slot + 5 * MIB as u64 + 10);
        assert!(file.read(1).is_ok());
    }
}

#[test]
fn a_full_drive_is_told_before_anything_is_written() {
    let folder = TempDir::new().unwrap();
    let full = |_: &std::os::fd::OwnedFd, _| Err(Errno::NOSPC.into());
    let error = SpillFile::create_with(folder.path(), &[100, 5000], SpillOptions::default(), &full).unwrap_err();
    let SpillError::Full {
        wanted: 12_288, free, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        error.to_string(),
        format!(
            "activations need 12288 bytes in `{}`, where {free} bytes are free. Free some, choose a folder on another \
             drive, or keep activations in memory",
            folder.path().display()
        )
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let huge = SpillFile::create(folder.path(), &[1 << 50, u64::MAX], SpillOptions::default());
    assert!(matches!(huge, Err(SpillError::Full { .. } | SpillError::Create { .. })));
    let gone = SpillFile::create(&folder.path().join("gone"), &[1], SpillOptions::default()).unwrap_err();
    assert!(matches!(gone, SpillError::Create { .. }), "{gone}");
}

#[test]
fn an_error_of_writing_behind_comes_out_later_and_in_full_once() {
    let folder = TempDir::new().unwrap();
    let mut file = SpillFile::create(folder.path(), &[4096; 2], SpillOptions::default()).unwrap();
    let path = file.shared.raw.path.clone();
    // Handles that take no writes.
    let shared = Arc::get_mut(&mut file.shared).unwrap();
    let read_only = fs::File::open("/dev/null").unwrap();
    shared.raw.files = vec![read_only.into()];
    shared.raw.handles.direct = None;
    file.write(0, &[&[1; 100]]).unwrap();
    let error = file.flush().unwrap_err().to_string();
    let expected = format!(
        "cannot write 4096 bytes at offset 0 of `{}`: Bad file descriptor (os error 9). Check the drive, then run again",
        path.display()
    );
    assert_eq!(error, expected);
    assert!(matches!(file.write(1, &[&[1]]), Err(SpillError::Earlier)));
    assert!(matches!(file.read(0), Err(SpillError::Earlier)));
    assert!(matches!(file.flush(), Err(SpillError::Earlier)));
}

#[test]
fn what_cannot_be_done_is_said_and_harms_nothing() {
    let folder = TempDir::new().unwrap();
    let options = SpillOptions {
        buffers: 2,
        bytes: 0,
        ..SpillOptions::default()
    };
    let mut file = SpillFile::create(folder.path(), &[5000, 100, 100], options).unwrap();
    assert_eq!(
        (SpillFile::memory(&[5000, 100, 100], options), file.read_ahead()),
        (2 * 8192, 1)
    );
    let roomy = SpillOptions {
        bytes: 40_000,
        ..options
    };
    assert_eq!(
        SpillFile::memory(&[5000, 100, 100], roomy),
        4 * 8192,
        "as many as make 40 000 bytes"
    );
    assert_eq!(
        SpillFile::memory(&[100], roomy),
        2 * 4096,
        "and no more than are of use"
    );
    file.prefetch(0);
    assert_eq!(file.read(0).unwrap_err().to_string(), "slot 0 was never written");
    let long = file.write(1, &[&[0; 60], &[0; 41]]).unwrap_err();
    assert_eq!(long.to_string(), "101 bytes do not fit in slot 1, which has 100");
    (0..3).for_each(|slot| file.write(slot, &[&[slot as u8; 50]]).unwrap());
    let held = [file.read(0).unwrap(), file.read(1).unwrap()];
    let error = file.read(2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "all 2 buffers of the spill file are held by who read them; drop some first"
    );
    assert!(file.write(2, &[&[9]]).is_err());
    drop(held);
    assert_eq!(*file.read(2).unwrap(), [2; 50]);
    // Records that were read ahead make way for others.
    file.prefetch(0);
    file.prefetch(1);
    assert_eq!(*file.read(2).unwrap(), [2; 50]);
    file.write(2, &[&[7; 3]]).unwrap();
    assert_eq!(
        (&*file.read(0).unwrap(), &*file.read(2).unwrap()),
        (&[0; 50][..], &[7; 3][..])
    );
}

#[test]
fn dropping_it_while_it_writes_ends_well_and_buffers_outlive_it() {
    let folder = TempDir::new().unwrap();
    for options in ways() {
        let mut file = SpillFile::create(folder.path(), &[8 * MIB as u64; 3], options).unwrap();
        file.write(0, &[&record(0, 0, 8 * MIB)]).unwrap();
        let held = file.read(0).unwrap();
        file.write(1, &[&record(1, 0, 8 * MIB)]).unwrap();
        file.write(2, &[&record(2, 0, 8 * MIB)]).unwrap();
        file.prefetch(1);
        drop(file);
        let check = move || assert!(*held == record(0, 0, 8 * MIB));
        std::thread::spawn(check).join().unwrap();
    }
}

#[test]
fn files_and_buffers_go_where_they_are_needed() {
    fn anywhere<T: Send + Sync>() {}
    anywhere::<SpillBuffer>();
    anywhere::<SpillFile>();
}

#[test]
fn the_rate_of_writing_is_measured_once() {
    let folder = TempDir::new().unwrap();
    let drives = Drives::at(&folder.path().join("drives.json"));
    let rate = rate::rate_with(folder.path(), &drives).unwrap();
    assert!(rate > 0.0 && rate.is_finite());
    assert_eq!(rate::rate_with(folder.path(), &drives).unwrap(), rate);
    assert!(rate::rate_with(&folder.path().join("gone"), &drives).is_err());
}
