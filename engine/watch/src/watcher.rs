//! A thread that looks when the system says that something happened, and now and then in any case.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::files::{Change, FileChange, Files, How};
use crate::names::is_an_editors_own;

/// What is watched. It need not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One file.
    File(PathBuf),
    /// The files of a folder and of folders in it whose names end in one of `endings` (without a dot).
    Folder {
        /// The folder.
        path: PathBuf,
        /// The endings.
        endings: Vec<&'static str>,
    },
}

impl Target {
    /// One file.
    pub fn file(path: impl Into<PathBuf>) -> Target {
        Target::File(path.into())
    }

    /// A folder.
    pub fn folder(path: impl Into<PathBuf>, endings: &[&'static str]) -> Target {
        Target::Folder {
            path: path.into(),
            endings: endings.to_vec(),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Target::File(path) | Target::Folder { path, .. } => path,
        }
    }
}

/// How to watch.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long nothing must happen before the files are looked at: an editor's save is several events.
    pub quiet: Duration,
    /// The longest that a stream of events may put this off.
    pub patience: Duration,
    /// How often files are looked at without any event, for folders whose events do not arrive, as on network drives.
    pub interval: Duration,
    /// The same where the system gives no events at all.
    pub polling: Duration,
    /// Ask the system for events.
    pub events: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            quiet: Duration::from_millis(200),
            patience: Duration::from_secs(1),
            interval: Duration::from_secs(2),
            polling: Duration::from_millis(400),
            events: true,
        }
    }
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    changes: Option<Receiver<Change>>,
    refused: Option<String>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Most events that wait to be looked at. They say only that something happened, so more of them say nothing more.
const EVENTS: usize = 64;

impl Watcher {
    /// Starts to watch. What the files hold now is what changes are told against, so load after this.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(targets: Vec<Target>, options: Options) -> std::io::Result<Watcher> {
        let (sign, signs) = bounded(EVENTS);
        let (stop, stopped) = bounded(0);
        let (out, changes) = bounded(1);
        let mut folders = Folders::new(options.events, sign);
        folders.follow(&targets);
        let refused = folders.refused.clone();
        let files = Files::scan(&targets);
        let worker = Worker {
            targets,
            options,
            folders,
            files,
            signs,
            stopped,
            out,
            pending: None,
        };
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || worker.run())?;
        Ok(Watcher {
            changes: Some(changes),
            refused,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where changes arrive. While nobody takes them they become one.
    pub fn changes(&self) -> &Receiver<Change> {
        self.changes
            .as_ref()
            .unwrap_or_else(|| unreachable!("taken only by drop"))
    }

    /// Why the system gives no events, if it gives none: files are then looked at every moment.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.changes = None;
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been told by the panic itself.
            let _ = thread.join();
        }
    }
}

struct Worker {
    targets: Vec<Target>,
    options: Options,
    folders: Folders,
    files: Files,
    signs: Receiver<()>,
    stopped: Receiver<()>,
    out: Sender<Change>,
    /// What nobody took yet.
    pending: Option<Change>,
}

impl Worker {
    fn run(mut self) {
        while let Some(seen) = self.wait() {
            self.look(seen);
        }
    }

    /// Waits until it is time to look; when the first sign of a change was seen. Nothing if it is time to end.
    fn wait(&self) -> Option<Instant> {
        let pause = match (self.pending.is_some(), self.folders.watcher.is_some()) {
            (true, _) => self.options.quiet.max(Duration::from_millis(10)),
            (false, true) => self.options.interval,
            (false, false) => self.options.polling,
        };
        crossbeam_channel::select! {
            recv(self.stopped) -> _ => None,
            recv(self.signs) -> _ => self.settle(Instant::now()),
            default(pause) => Some(Instant::now()),
        }
    }

    /// Waits until nothing has happened for a while.
    fn settle(&self, first: Instant) -> Option<Instant> {
        let latest = first + self.options.patience;
        loop {
            let left = latest.saturating_duration_since(Instant::now()).min(self.options.quiet);
            match self.signs.recv_timeout(left) {
                Ok(()) if Instant::now() < latest => {}
                Ok(()) | Err(RecvTimeoutError::Timeout) => return Some(first),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if !matches!(self.stopped.try_recv(), Err(crossbeam_channel::TryRecvError::Empty)) {
                return None;
            }
        }
    }

    fn look(&mut self, seen: Instant) {
        // First the folders, so that what is written into a new one while it is read is seen.
        self.folders.follow(&self.targets);
        let files = Files::scan(&self.targets);
        let changes = files.since(&self.files);
        self.files = files;
        self.pending = merge(self.pending.take(), changes, seen);
        if let Some(change) = self.pending.take()
            && let Err(TrySendError::Full(change)) = self.out.try_send(change)
        {
            self.pending = Some(change);
        }
    }
}

/// Two changes in a row as one.
fn merge(earlier: Option<Change>, later: Vec<FileChange>, seen: Instant) -> Option<Change> {
    let mut change = match earlier {
        Some(change) => change,
        None if later.is_empty() => return None,
        None => Change {
            files: Vec::new(),
            seen,
        },
    };
    for file in later {
        match change.files.iter().position(|other| other.path == file.path) {
            None => change.files.push(file),
            Some(at) => match (change.files[at].how, file.how) {
                (How::Added, How::Removed) => drop(change.files.remove(at)),
                (How::Added, _) => {}
                (How::Removed, How::Added) => change.files[at].how = How::Changed,
                (_, how) => change.files[at].how = how,
            },
        }
    }
    change.files.sort();
    (!change.files.is_empty()).then_some(change)
}

/// The folders that the system tells about.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    refused: Option<String>,
    /// Kept, so that the channel stays open without a watcher, too.
    _sign: Sender<()>,
}

impl Folders {
    fn new(events: bool, sign: Sender<()>) -> Folders {
        let signal = sign.clone();
        let told = move |event: notify::Result<Event>| {
            if matters(&event) {
                // A full channel holds enough signs already.
                let _ = signal.try_send(());
            }
        };
        let (watcher, refused) = match events.then(|| notify::recommended_watcher(told)) {
            None => (None, Some("events were not asked for".to_owned())),
            Some(Ok(watcher)) => (Some(watcher), None),
            Some(Err(error)) => (None, Some(reason(&error))),
        };
        Folders {
            watcher,
            watched: BTreeSet::new(),
            refused,
            _sign: sign,
        }
    }

    /// Watches the folders of the targets that are there now, and of each the one above, since a folder that is
    /// renamed or made says so there.
    ///
    /// All of them every time: a folder may have been replaced by another one, even by one of the same inode. To watch
    /// one that is watched already changes nothing.
    fn follow(&mut self, targets: &[Target]) {
        if self.watcher.is_none() {
            return;
        }
        let wanted: BTreeSet<PathBuf> = targets.iter().flat_map(folders_of).collect();
        for folder in self.watched.difference(&wanted) {
            if let Some(watcher) = &mut self.watcher {
                // It is gone; that the system has forgotten it already is no error.
                let _ = watcher.unwatch(folder);
            }
        }
        self.watched.clear();
        for folder in wanted {
            self.watch(folder);
        }
    }

    fn watch(&mut self, folder: PathBuf) {
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.watched.insert(folder)),
            // Gone since it was listed; the folder above tells when it comes back.
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "files are looked at every moment instead");
                self.refused = Some(reason(&error));
                self.watcher = None;
                self.watched.clear();
            }
        }
    }
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Folders to watch for a target.
fn folders_of(target: &Target) -> Vec<PathBuf> {
    let mut folders = vec![nearest(target.path().parent().unwrap_or(Path::new("")))];
    if let Target::Folder { path, .. } = target {
        let mut open = vec![(path.clone(), 0)];
        while let Some((folder, depth)) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            let inside = entries.flatten().map(|entry| entry.path());
            let followed = inside.filter(|path| depth < 2 && path.is_dir() && !is_an_editors_own(path));
            open.extend(followed.map(|path| (path, depth + 1)));
            folders.push(folder);
        }
    }
    folders
}

/// The folder, or the nearest one above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    let mut folder = folder;
    loop {
        if folder.as_os_str().is_empty() {
            return PathBuf::from(".");
        }
        if folder.is_dir() {
            return folder.to_owned();
        }
        folder = folder.parent().unwrap_or(Path::new(""));
    }
}

/// Whether an event may be about a watched file. What went wrong in between may have been.
fn matters(event: &notify::Result<Event>) -> bool {
    match event {
        Err(_) => true,
        Ok(event) if event.need_rescan() => true,
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
        Ok(event) => event.paths.is_empty() || event.paths.iter().any(|path| !is_an_editors_own(path)),
    }
}

fn reason(error: &notify::Error) -> String {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the system's limit of watched folders is reached (`fs.inotify.max_user_watches`)".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;

    /// Fast enough for tests, and still a batch for what a test does in a row.
    fn quick(events: bool) -> Options {
        Options {
            quiet: Duration::from_millis(120),
            patience: Duration::from_millis(600),
            interval: Duration::from_secs(600),
            polling: Duration::from_millis(30),
            events,
        }
    }

    /// A folder being watched.
    struct Watched {
        folder: tempfile::TempDir,
        watcher: Watcher,
    }

    impl Watched {
        /// Watches `families` and `p.toml` of a folder that `fill` has filled.
        fn new(events: bool, fill: impl FnOnce(&Path)) -> Watched {
            let folder = tempfile::tempdir().unwrap();
            fill(folder.path());
            let targets = vec![
                Target::folder(folder.path().join("families"), &["toml"]),
                Target::file(folder.path().join("p.toml")),
            ];
            let watcher = Watcher::start(targets, quick(events)).unwrap();
            Watched { folder, watcher }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        /// What is told next, as `name how` each.
        #[track_caller]
        fn next(&self) -> Vec<String> {
            let change = self.watcher.changes().recv_timeout(Duration::from_secs(20));
            let told = |file: &FileChange| {
                let path = file.path.strip_prefix(self.folder.path()).unwrap();
                format!("{} {}", path.display(), file.how.as_str())
            };
            change.expect("no change was told").files.iter().map(told).collect()
        }

        /// Whether nothing is told for some rounds of looking.
        fn is_silent(&self) -> bool {
            self.watcher.changes().recv_timeout(Duration::from_millis(400)).is_err()
        }
    }

    fn families(folder: &Path) {
        fs::create_dir(folder.join("families")).unwrap();
        fs::write(folder.join("families/a.toml"), "1").unwrap();
        fs::write(folder.join("p.toml"), "p").unwrap();
    }

    /// With events of the system, and without.
    fn both(test: impl Fn(bool)) {
        test(true);
        test(false);
    }

    #[test]
    fn edits_in_place_and_by_rename_are_told() {
        both(|events| {
            let watched = Watched::new(events, families);
            watched.write("families/a.toml", "2");
            assert_eq!(watched.next(), ["families/a.toml changed"]);
            watched.write("families/a.toml.tmp", "3");
            fs::rename(watched.path("families/a.toml.tmp"), watched.path("families/a.toml")).unwrap();
            assert_eq!(watched.next(), ["families/a.toml changed"]);
            watched.write("p.toml~", "q");
            fs::rename(watched.path("p.toml~"), watched.path("p.toml")).unwrap();
            assert_eq!(watched.next(), ["p.toml changed"]);
            fs::remove_file(watched.path("families/a.toml")).unwrap();
            assert_eq!(watched.next(), ["families/a.toml removed"]);
            watched.write("families/b.toml", "");
            assert_eq!(watched.next(), ["families/b.toml added"]);
        });
    }

    /// vim: probes with 4913, moves the file to `~`, writes it anew, deletes the backup.
    #[test]
    fn a_save_of_many_steps_is_one_change() {
        let watched = Watched::new(true, families);
        watched.write("families/4913", "");
        fs::remove_file(watched.path("families/4913")).unwrap();
        fs::rename(watched.path("families/a.toml"), watched.path("families/a.toml~")).unwrap();
        watched.write("families/a.toml", "2");
        fs::remove_file(watched.path("families/a.toml~")).unwrap();
        assert_eq!(watched.next(), ["families/a.toml changed"]);
        assert!(watched.is_silent());
    }

    #[test]
    fn the_same_contents_are_no_change() {
        both(|events| {
            let watched = Watched::new(events, families);
            watched.write("families/a.toml", "1");
            fs::rename(watched.path("p.toml"), watched.path("q")).unwrap();
            fs::rename(watched.path("q"), watched.path("p.toml")).unwrap();
            watched.write("families/.a.toml.swp", "x");
            watched.write("notes.txt", "x");
            assert!(watched.is_silent());
        });
    }

    #[test]
    fn folders_may_come_and_go() {
        both(|events| {
            let watched = Watched::new(events, |_| ());
            fs::create_dir(watched.path("families")).unwrap();
            watched.write("families/a.toml", "1");
            assert_eq!(watched.next(), ["families/a.toml added"]);
            fs::create_dir(watched.path("families/std")).unwrap();
            watched.write("families/std/s.toml", "1");
            assert_eq!(watched.next(), ["families/std/s.toml added"]);
            watched.write("families/std/s.toml", "2");
            assert_eq!(watched.next(), ["families/std/s.toml changed"]);
            fs::remove_dir_all(watched.path("families")).unwrap();
            assert_eq!(
                watched.next(),
                ["families/a.toml removed", "families/std/s.toml removed"]
            );
            // another folder of the same name
            fs::create_dir(watched.path("new")).unwrap();
            watched.write("new/a.toml", "5");
            fs::rename(watched.path("new"), watched.path("families")).unwrap();
            assert_eq!(watched.next(), ["families/a.toml added"]);
            watched.write("families/a.toml", "6");
            assert_eq!(watched.next(), ["families/a.toml changed"]);
        });
    }

    #[test]
    fn a_folder_replaced_at_once_is_followed() {
        let watched = Watched::new(true, families);
        fs::create_dir(watched.path("other")).unwrap();
        watched.write("other/a.toml", "2");
        fs::remove_dir_all(watched.path("families")).unwrap();
        fs::rename(watched.path("other"), watched.path("families")).unwrap();
        assert_eq!(watched.next(), ["families/a.toml changed"]);
        watched.write("families/a.toml", "3");
        assert_eq!(watched.next(), ["families/a.toml changed"], "the new folder is watched");
    }

    #[test]
    fn a_burst_is_few_changes_and_ends_with_the_truth() {
        let watched = Watched::new(true, families);
        for number in 0..500 {
            watched.write(&format!("families/f{}.toml", number % 50), &number.to_string());
        }
        let mut files = BTreeMap::new();
        let mut batches = 0;
        while files.len() < 50 || !watched.is_silent() {
            let Ok(change) = watched.watcher.changes().recv_timeout(Duration::from_secs(20)) else {
                continue;
            };
            batches += 1;
            for file in change.files {
                files.insert(file.path, file.how);
            }
        }
        assert_eq!(files.len(), 50);
        assert!(batches <= 20, "{batches} batches of 500 writes");
    }

    #[test]
    fn changes_that_nobody_takes_become_one() {
        let watched = Watched::new(false, families);
        watched.write("families/b.toml", "1");
        while watched.watcher.changes().is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        for (name, text) in [("a", "2"), ("c", "1"), ("a", "3")] {
            watched.write(&format!("families/{name}.toml"), text);
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::remove_file(watched.path("families/c.toml")).unwrap();
        assert_eq!(watched.next(), ["families/b.toml added"], "this one waited");
        assert_eq!(watched.next(), ["families/a.toml changed"], "and c came and went");
        assert!(watched.is_silent());
    }

    #[test]
    fn it_ends_when_it_is_dropped() {
        let watched = Watched::new(true, families);
        let started = Instant::now();
        drop(watched);
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn without_events_it_says_why() {
        assert!(Watched::new(false, families).watcher.refused().is_some());
        assert!(Watched::new(true, families).watcher.refused().is_none());
    }
}
