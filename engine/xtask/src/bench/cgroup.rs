//! A memory limit for the programs that are measured: a control group of its own, version 1 or 2.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the system shows its control groups.
const MOUNT: &str = "/sys/fs/cgroup";

/// A control group with a memory limit. It is removed when this is dropped, which needs its programs to have ended.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
}

impl Group {
    /// Makes a group of at most `bytes` of memory, page cache included.
    ///
    /// # Errors
    /// Why that cannot be, as a clause: not root, no memory controller here.
    fn new(bytes: u64) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let parent = parent(&own, Path::new(MOUNT), |folder| {
            folder.exists() && controls_memory(folder)
        })
        .ok_or("there is no memory controller in /sys/fs/cgroup for this process")?;
        let folder = parent.path.join(format!("sli-pipe-bench-{}", std::process::id()));
        let explain = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "control groups need root (run as root, or under `systemd-run --scope -p Delegate=yes`)".to_owned()
            }
            _ => format!("cannot make `{}`: {error}", folder.display()),
        };
        fs::create_dir(&folder).map_err(explain)?;
        let group = Self { folder };
        let write = |file: &str, value: u64| fs::write(group.folder.join(file), value.to_string());
        write(parent.limit, bytes).map_err(|error| format!("cannot set `{}`: {error}", parent.limit))?;
        // No swap: a limit that pages out would measure the swap. Not every kernel has the file.
        let _ = write(parent.swap, if parent.limit == V1.1 { bytes } else { 0 });
        Ok(group)
    }

    /// `program`, started inside the group: a shell enters it and becomes the program.
    fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
        command.arg(self.folder.join("cgroup.procs")).arg(program);
        command
    }
}

/// The memory a task may use.
#[derive(Debug)]
pub(super) enum Limit {
    /// As much as there is.
    None,
    /// So many bytes.
    Held(Group, u64),
    /// It was asked for and could not be had; the reason.
    Refused(String),
}

impl Limit {
    /// A limit of `bytes` where the system allows one.
    pub(super) fn of(bytes: u64) -> Self {
        Group::new(bytes).map_or_else(Self::Refused, |group| Self::Held(group, bytes))
    }

    /// A command for `program`, under the limit.
    pub(super) fn command(&self, program: &OsStr) -> Command {
        match self {
            Self::Held(group, _) => group.command(program),
            Self::None | Self::Refused(_) => Command::new(program),
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => write!(f, "no limit of memory"),
            Self::Held(_, bytes) => write!(f, "cgroup of {} MiB", bytes >> 20),
            Self::Refused(reason) => write!(f, "NO limit of memory: {reason}"),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Left behind it would only be an empty folder; the next run has a name of its own.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// File names of version 1: folder of the controller, limit, limit with swap.
const V1: (&str, &str, &str) = ("memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes");

/// Where a group can be made, and what its limits are called there.
#[derive(Debug, PartialEq)]
struct Parent {
    path: PathBuf,
    limit: &'static str,
    swap: &'static str,
}

/// The group to make ours in, from the text of `/proc/self/cgroup`: with version 1 the process's own, so that outer
/// limits hold; with version 2 the nearest above that may have groups with memory limits and is no leaf.
fn parent(own: &str, mount: &Path, usable: impl Fn(&Path) -> bool) -> Option<Parent> {
    let mut unified = None;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        if controllers.split(',').any(|name| name == V1.0) {
            let path = mount.join(V1.0).join(path);
            let (limit, swap) = (V1.1, V1.2);
            return Some(Parent { path, limit, swap });
        }
        if controllers.is_empty() {
            unified = Some(mount.join(path));
        }
    }
    let unified = unified?;
    let mut above = unified.ancestors().take_while(|folder| folder.starts_with(mount));
    let (limit, swap) = ("memory.max", "memory.swap.max");
    above.find(|folder| usable(folder)).map(|path| Parent {
        path: path.to_owned(),
        limit,
        swap,
    })
}

/// Whether groups inside `folder` have memory limits (version 2).
fn controls_memory(folder: &Path) -> bool {
    let controllers = fs::read_to_string(folder.join("cgroup.subtree_control"));
    controllers.is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_nests_in_the_processes_own_group() {
        let own = "9:name=systemd:/\n4:memory:/jobs/7\n0::/\n";
        let found = parent(own, Path::new("/m"), |_| false).unwrap();
        assert_eq!(found.path, Path::new("/m/memory/jobs/7"));
        assert_eq!(found.limit, "memory.limit_in_bytes");
    }

    #[test]
    fn version_2_takes_the_nearest_group_that_hands_memory_down() {
        let own = "0::/user.slice/session.scope\n";
        let found = parent(own, Path::new("/m"), |folder| !folder.ends_with("session.scope")).unwrap();
        assert_eq!(found.path, Path::new("/m/user.slice"));
        assert_eq!(found.limit, "memory.max");
        assert_eq!(parent(own, Path::new("/m"), |_| false), None);
    }

    #[test]
    fn a_program_in_a_group_has_its_limit() {
        // Without root there is nothing to test but the reason.
        match Group::new(64 << 20) {
            Err(reason) => assert!(!reason.is_empty()),
            Ok(group) => {
                let output = group.command("cat".as_ref()).arg("/proc/self/cgroup").output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("sli-pipe-bench"), "{text}");
                let folder = group.folder.clone();
                drop(group);
                assert!(!folder.exists());
            }
        }
    }
}
