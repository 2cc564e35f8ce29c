//! A thousand random edits in a row, as editors make them: after each burst the state is what it would be if it had been
//! loaded from scratch, and nothing is kept of the states between.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sli_config::Diagnostic;
use sli_family::Registry;
use sli_model::ModelPlan;
use sli_model::diff::plan_diff;
use sli_tests::fixture::named;
use sli_watch::{Live, Options, Target, Watcher};

use crate::talk::rss;

const EDITS: usize = 1000;

/// How long a state may be behind the files. Usually it is some dozen milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What memory may grow by between edit 200 and edit 1000: pages of the allocator, not states, of which each has
/// megabytes.
const GROWTH: u64 = 24 << 20;

/// Everything from scratch: the shipped families, those of the folder, the one that describes the config, its plan.
fn load(folder: &Path, config: &Value) -> Result<ModelPlan, Vec<Diagnostic>> {
    let mut registry = Registry::shipped();
    if folder.is_dir() {
        let cannot = |error: std::io::Error| vec![Diagnostic::error(format!("cannot be read: {error}"))];
        registry.add_dir(folder).map_err(cannot)?;
    }
    sli_family::Family::plan(&*registry.detect(config)?, config)
}

/// Numbers by a rule, so that a failure can be made again; `SLI_SEED` starts others.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// The files that are edited: a parent, its child, which is the family of the model, and a part that the child
/// includes.
struct Files {
    folder: PathBuf,
    random: Random,
}

const CHILD: &str = "schema = 1\nid = \"mine\"\ntitle = \"Mine\"\nextends = \"parent\"\ninclude = [\"std/cut\"]\n\n\
                     [match]\nmodel_types = [\"mine\"]\n\n[values]\neps = \"config.rms_norm_eps + EPS\"\n";
const CUT: &str = "[block.mlp]\nh = \"linear(activation(linear(x, 'gate_proj'), act) * linear(x, 'up_proj'), 'down_proj')\"\n\
                   out = \"h * EPS\"\n";

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn parent(&self) -> String {
        let root = sli_tests::scene::root();
        let llama = fs::read_to_string(root.join("families/llama.toml")).unwrap();
        let own = llama.replacen("id      = \"llama\"", "id = \"parent\"", 1);
        own.replacen("[\"llama\"]", "[\"nothing\"]", 1).replacen(
            "[\"LlamaForCausalLM\", \"LlamaModel\"]",
            "[\"Nothing\"]",
            1,
        )
    }

    /// One of the files with a random number in it.
    fn text(&mut self) -> (&'static str, String) {
        let number = format!("{}e-6", 1 + self.random.below(50));
        match self.random.below(3) {
            0 => ("mine.toml", CHILD.replace("EPS", &number)),
            1 => ("std/cut.toml", CUT.replace("EPS", &number)),
            _ => (
                "parent.toml",
                self.parent()
                    .replacen("softcap  = \"null\"", &format!("softcap = \"{number}\""), 1),
            ),
        }
    }

    /// As editors write: in place, or under another name first.
    fn write(&mut self, name: &str, text: &str) {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).unwrap();
        }
        match self.random.below(3) {
            0 => fs::write(&path, text).unwrap(),
            1 => {
                let other = path.with_extension("toml.tmp");
                fs::write(&other, text).unwrap();
                fs::rename(&other, &path).unwrap();
            }
            _ => {
                let backup = path.with_extension("toml~");
                // The first time there is nothing to keep.
                let _ = fs::rename(&path, &backup);
                fs::write(&path, text).unwrap();
                let _ = fs::remove_file(&backup);
            }
        }
    }

    /// All files as they should be, and no others.
    fn all(&mut self) {
        for name in ["rival.toml", "moved.toml"] {
            // Usually there is none.
            let _ = fs::remove_file(self.path(name));
        }
        for (name, text) in [
            ("parent.toml", self.parent()),
            ("std/cut.toml", CUT.replace("EPS", "1e-6")),
            ("mine.toml", CHILD.replace("EPS", "1e-6")),
        ] {
            self.write(name, &text);
        }
    }

    /// One random edit.
    fn edit(&mut self) {
        let (name, text) = self.text();
        match self.random.below(24) {
            0 => self.write(name, &text.replacen('"', "", 1)),
            1 => self.write(name, &text.chars().take(text.len() / 2).collect::<String>()),
            2 => self.write(name, &text.replace("linear(", "linaer(")),
            3 => self.write(name, ""),
            4 => drop(fs::remove_file(self.path(name))),
            5 => drop(fs::rename(self.path(name), self.path("moved.toml"))),
            6 => drop(fs::rename(self.path("moved.toml"), self.path(name))),
            7 => drop(fs::remove_dir_all(&self.folder)),
            8 => self.write(
                "rival.toml",
                &CHILD
                    .replace("\"mine\"", "\"rival\"")
                    .replace("[\"rival\"]", "[\"mine\"]"),
            ),
            9 => drop(fs::remove_file(self.path("rival.toml"))),
            10 => self.write("other.toml", "id = 3"),
            11 => {
                // The same contents again are no edit.
                if let Ok(same) = fs::read_to_string(self.path(name)) {
                    self.write(name, &same);
                }
            }
            12..=17 => self.all(),
            _ => self.write(name, &text),
        }
    }
}

/// Whether what is live is what the files say.
fn agrees(live: &Live<ModelPlan>, files: &Result<ModelPlan, Vec<Diagnostic>>) -> bool {
    match (files, live.get()) {
        (Ok(plan), Some(snapshot)) => live.problems().is_empty() && snapshot.state == *plan,
        (Ok(_), None) => false,
        (Err(problems), _) => live.problems() == *problems,
    }
}

#[test]
fn a_thousand_random_edits_leave_no_stale_state_and_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = named("llama").config();
    config["model_type"] = json!("mine");
    config["architectures"] = json!(["MineForCausalLM"]);
    let mut files = Files {
        folder: folder.path().join("families"),
        random: Random(
            std::env::var("SLI_SEED")
                .ok()
                .and_then(|seed| seed.parse().ok())
                .unwrap_or(7),
        ),
    };
    files.all();
    let options = Options {
        quiet: Duration::from_millis(10),
        // Only events: what they do not tell would stay unseen.
        interval: Duration::from_secs(3600),
        ..Options::default()
    };
    let target = Target::folder(&files.folder, &["toml"]);
    let watcher = Watcher::start(vec![target], options).unwrap();
    assert_eq!(watcher.refused(), None);
    let live = Arc::new(Live::new());
    live.offer(load(&files.folder, &config));
    assert!(live.get().is_some(), "{:?}", live.problems());

    let (mut times, mut whole, mut broken, mut early) = (Vec::new(), 0, 0, 0);
    let changes = watcher.changes().clone();
    let (shared, dir, wanted) = (Arc::clone(&live), files.folder.clone(), config.clone());
    let rebuilding = std::thread::spawn(move || {
        for _ in changes {
            shared.offer(load(&dir, &wanted));
        }
    });
    let mut done = 0;
    while done < EDITS {
        let burst = 1 + files.random.below(6);
        for _ in 0..burst {
            files.edit();
            done += 1;
        }
        let edited = Instant::now();
        let expected = load(&files.folder, &config);
        while !agrees(&live, &expected) {
            assert!(
                edited.elapsed() < PATIENCE,
                "stale after edit {done}: {expected:?}\nlive with {:?}",
                live.problems()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        times.push(edited.elapsed());
        match &expected {
            Ok(plan) => {
                whole += 1;
                let snapshot = live.get().unwrap();
                assert!(plan_diff(&snapshot.state, plan).is_empty());
            }
            Err(_) => broken += 1,
        }
        if early == 0 && done >= 200 {
            early = rss(std::process::id());
        }
    }
    let late = rss(std::process::id());
    drop(watcher);
    rebuilding.join().unwrap();
    times.sort();
    println!(
        "{done} edits in {} bursts, {whole} whole and {broken} broken states; edit to live: median {:?}, 99% {:?}, most \
         {:?}; memory {early} -> {late} bytes",
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1]
    );
    assert!(
        whole > 50 && broken > 50,
        "{whole} whole, {broken} broken: the edits are not a mixture"
    );
    assert!(late < early + GROWTH, "memory grew from {early} to {late} bytes");
}
