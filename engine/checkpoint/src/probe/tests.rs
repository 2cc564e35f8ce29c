//! Choosing how to read.

use super::remembered::Drive;
use super::*;
use crate::checkpoint::{Checkpoint, CheckpointFile};
use serde_json::json;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A file of `mib` MiB, and a place to remember.
fn files(folder: &Path, mib: usize) -> (Arc<OpenFiles>, Drives) {
    let path = folder.join("model.safetensors");
    let file = fs::File::create(&path).unwrap();
    // The write reaches the drive here, so that dropping its pages later works.
    std::io::Write::write_all(&mut &file, &vec![7; mib << 20]).unwrap();
    file.sync_all().unwrap();
    let table = vec![CheckpointFile {
        path,
        len: (mib as u64) << 20,
    }];
    let checkpoint = Checkpoint::from_parts(json!({}), table, vec![]).unwrap();
    (
        OpenFiles::open(&checkpoint).unwrap(),
        Drives::at(&folder.join("cache/deep/drives.json")),
    )
}

/// Takes the file's pages out of the page cache; those that are not written yet would stay.
fn forget(files: &OpenFiles) {
    for file in files.all() {
        rustix::fs::fsync(files.buffered(file)).unwrap();
        rustix::fs::fadvise(files.buffered(file), 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

#[test]
fn a_cached_file_is_read_from_the_cache_and_a_small_one_is_not_measured() {
    let folder = TempDir::new().unwrap();
    let (files, drives) = files(folder.path(), 4);
    let choice = choose_with(&files, &drives, None);
    assert_eq!(
        (choice.cached, choice.reason, choice.options),
        (1.0, ReadReason::Cached, from_page_cache())
    );
    forget(&files);
    let choice = choose_with(&files, &drives, None);
    if choice.cached < NEARLY_ALL {
        // Otherwise this folder lies in memory, and there is nothing to forget.
        assert_eq!(
            (choice.reason, choice.options),
            (ReadReason::Default, default_for(&files))
        );
    }
    let asked = choose_with(&files, &drives, Some("pread,depth=2"));
    assert_eq!((asked.reason, asked.options.depth), (ReadReason::Asked, 2));
}

#[test]
fn what_was_measured_is_remembered_for_the_drive() {
    let folder = TempDir::new().unwrap();
    let (files, drives) = files(folder.path(), 66);
    forget(&files);
    let first = choose_with(&files, &drives, None);
    if first.reason == ReadReason::Cached {
        return;
    }
    assert_eq!(first.reason, ReadReason::Measured);
    assert!(first.bytes_per_second.unwrap() > 1e6);
    forget(&files);
    let second = choose_with(&files, &drives, None);
    let expected = ReadChoice {
        reason: ReadReason::Remembered,
        cached: second.cached,
        ..first
    };
    assert_eq!(second, expected);
}

#[test]
fn a_broken_or_strange_file_is_measured_again_and_an_impossible_one_is_no_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("drives.json");
    let drives = Drives::at(&path);
    for text in [
        "",
        "{",
        "[]",
        r#"{"version":0,"drives":{"k":{"read_bytes_per_second":1.0}}}"#,
        r#"{"version":1,"drives":{"k":7}}"#,
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(drives.get("k"), None, "{text}");
        drives.update("k", |drive| drive.write_bytes_per_second = Some(2.0));
        assert_eq!(drives.get("k").unwrap().write_bytes_per_second, Some(2.0), "{text}");
    }
    drives.update("l", |drive| drive.read = Some(ReadOptions::default()));
    drives.update("k", |drive| drive.read_bytes_per_second = Some(3.0));
    let both = Drive {
        read: None,
        read_bytes_per_second: Some(3.0),
        write_bytes_per_second: Some(2.0),
    };
    assert_eq!(drives.get("k"), Some(both));
    assert_eq!(drives.get("l").unwrap().read, Some(ReadOptions::default()));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file stays"
    );
    let nowhere = Drives::at(&path.join("below/a/file"));
    nowhere.update("k", |drive| drive.read_bytes_per_second = Some(1.0));
    assert_eq!(nowhere.get("k"), None);
}
