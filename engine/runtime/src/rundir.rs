//! The run directory: outputs under temporary names until all of them are complete.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sli_config::Diagnostic;

use crate::error::{Result, RunError};
use crate::write::{Finished, OutFile};

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// Name of the report.
pub const REPORT: &str = "report.json";
/// What temporary names end with.
const PARTIAL: &str = ".partial";

/// One output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name in the run directory.
    pub file: String,
    /// Name of the stage that wrote it.
    pub stage: String,
    /// What it holds: `scores`, `tensors`, `statistics`, `summary`, `embeddings`.
    pub kind: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// What made the outputs: equal fingerprints mean equal inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of the checkpoint.
    pub model: String,
    /// Of the family descriptor or plugin.
    pub descriptor: String,
    /// Of `tokenizer.json`; empty where none was used.
    pub tokenizer: String,
    /// Of row ids and token ids.
    pub data: String,
    /// Of the options that decide results.
    pub options: String,
}

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub version: u32,
    /// What made the outputs.
    pub fingerprint: Fingerprint,
    /// The outputs, by name.
    pub outputs: Vec<Output>,
}

/// A run directory while its outputs are written. Dropped without [`RunDir::commit`] it removes them again.
#[derive(Debug)]
pub(crate) struct RunDir {
    dir: PathBuf,
    /// The folder did not exist before.
    made: bool,
    /// Outputs of the run that is replaced.
    replaced: Vec<String>,
    temporary: Vec<PathBuf>,
    outputs: Vec<Output>,
    committed: bool,
    write_seconds: f64,
}

/// Checks that a run may write into `dir`; returns the files of an earlier run that it replaces.
///
/// # Errors
/// The folder holds something and `overwrite` is not set, or something that is not of an earlier run.
pub(crate) fn check(dir: &Path, overwrite: bool) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            let message = format!("the output folder `{}` is a file", dir.display());
            return Err(RunError::input(
                Diagnostic::error(message).help("choose another `[output] dir`"),
            ));
        }
        Err(error) => return Err(RunError::read(dir, &error)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let names: std::io::Result<Vec<String>> = names.collect();
    let names = names.map_err(|error| RunError::read(dir, &error))?;
    // What a killed run left never looked whole, and nobody else uses such names here.
    let mut names: Vec<String> = names.into_iter().filter(|name| !name.ends_with(PARTIAL)).collect();
    names.sort();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let shown = dir.display();
    if !overwrite {
        let message = format!("the output folder `{shown}` is not empty: it holds `{}`", names[0]);
        let help = "set `[output] overwrite = true` to replace an earlier run, or choose another `[output] dir`";
        return Err(RunError::input(Diagnostic::error(message).help(help)));
    }
    let known = earlier(dir);
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(known),
        Some(foreign) => {
            let message = format!("`{shown}` holds `{foreign}`, which no earlier run wrote");
            Err(RunError::input(
                Diagnostic::error(message).help("choose another `[output] dir`, or move that file away"),
            ))
        }
    }
}

/// The files of the run that `dir` holds.
fn earlier(dir: &Path) -> Vec<String> {
    let manifest = fs::read(dir.join(MANIFEST))
        .ok()
        .and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
    let outputs = manifest
        .into_iter()
        .flat_map(|manifest| manifest.outputs)
        .map(|output| output.file);
    outputs.chain([MANIFEST.into(), REPORT.into()]).collect()
}

impl RunDir {
    /// Makes the folder and clears what a killed run left.
    ///
    /// # Errors
    /// As [`check`], or the folder cannot be made.
    pub(crate) fn create(dir: &Path, overwrite: bool) -> Result<RunDir> {
        let replaced = check(dir, overwrite)?;
        let made = !dir.exists();
        fs::create_dir_all(dir).map_err(|error| RunError::write(dir, &error))?;
        let run_dir = RunDir {
            dir: dir.to_owned(),
            made,
            replaced,
            temporary: Vec::new(),
            outputs: Vec::new(),
            committed: false,
            write_seconds: 0.0,
        };
        for entry in fs::read_dir(dir)
            .map_err(|error| RunError::read(dir, &error))?
            .flatten()
        {
            if entry.file_name().to_string_lossy().ends_with(PARTIAL) {
                fs::remove_file(entry.path()).map_err(|error| RunError::write(&entry.path(), &error))?;
            }
        }
        Ok(run_dir)
    }

    /// Begins an output called `name` under its temporary name, and returns that path too.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn begin(&mut self, name: &str) -> Result<(OutFile, PathBuf)> {
        let path = self.dir.join(format!("{name}{PARTIAL}"));
        let file = OutFile::create(&path)?;
        self.temporary.push(path.clone());
        Ok((file, path))
    }

    /// Notes a complete output.
    pub(crate) fn complete(&mut self, name: &str, stage: &str, kind: &str, finished: Finished) {
        self.write_seconds += finished.seconds;
        let Finished { bytes, sha256, .. } = finished;
        self.outputs.push(Output {
            file: name.into(),
            stage: stage.into(),
            kind: kind.into(),
            bytes,
            sha256,
        });
    }

    /// Writes a small output in one go.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&mut self, name: &str, stage: &str, kind: &str, bytes: &[u8]) -> Result<()> {
        let (mut file, _) = self.begin(name)?;
        file.write_at(0, bytes)?;
        let finished = file.finish()?;
        self.complete(name, stage, kind, finished);
        Ok(())
    }

    /// The complete outputs so far.
    pub(crate) fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Seconds spent in writing and hashing complete outputs.
    pub(crate) fn write_seconds(&self) -> f64 {
        self.write_seconds
    }

    /// Gives all outputs their names, then writes the manifest, then the report: a folder with a report is a
    /// whole run.
    ///
    /// # Errors
    /// The folder cannot be written; what has its name by then stays without manifest and report.
    pub(crate) fn commit(mut self, fingerprint: Fingerprint, report: &impl Serialize) -> Result<Vec<Output>> {
        self.outputs.sort_by(|a, b| a.file.cmp(&b.file));
        // The report goes first and comes last, so that at no time a report stands beside other outputs.
        for name in self.replaced.iter().rev() {
            let path = self.dir.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RunError::write(&path, &error));
                }
                _ => {}
            }
        }
        for output in &self.outputs {
            self.rename(&output.file)?;
        }
        let manifest = Manifest {
            version: 1,
            fingerprint,
            outputs: self.outputs.clone(),
        };
        self.write_json(MANIFEST, &manifest)?;
        self.write_json(REPORT, report)?;
        self.committed = true;
        Ok(std::mem::take(&mut self.outputs))
    }

    fn write_json(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(value)
            .map_err(|error| RunError::run(Diagnostic::error(format!("`{name}` could not be made: {error}"))))?;
        text.push(b'\n');
        let (mut file, _) = self.begin(name)?;
        file.write_at(0, &text)?;
        file.finish()?;
        self.rename(name)
    }

    fn rename(&self, name: &str) -> Result<()> {
        let to = self.dir.join(name);
        fs::rename(self.dir.join(format!("{name}{PARTIAL}")), &to).map_err(|error| RunError::write(&to, &error))
    }
}

/// Removes what was not committed. Errors are not told: the reason for being here matters more.
impl Drop for RunDir {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        for path in &self.temporary {
            let _ = fs::remove_file(path);
        }
        if self.made {
            // Fails, as it should, if anything is left in it.
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn outputs_get_their_names_at_the_end_and_the_manifest_lists_them() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("runs/a");
        let mut run = RunDir::create(&dir, false).unwrap();
        run.write("score.jsonl", "score", "scores", b"abc").unwrap();
        assert_eq!(names(&dir), ["score.jsonl.partial"]);
        run.commit(Fingerprint::default(), &serde_json::json!({"a": 1}))
            .unwrap();
        assert_eq!(names(&dir), [MANIFEST, REPORT, "score.jsonl"]);
        let manifest: Manifest = serde_json::from_slice(&fs::read(dir.join(MANIFEST)).unwrap()).unwrap();
        assert_eq!((manifest.version, manifest.outputs[0].bytes), (1, 3));
        assert_eq!(
            manifest.outputs[0].sha256,
            crate::write::sha256_of(&dir.join("score.jsonl")).unwrap()
        );
    }

    #[test]
    fn a_failed_run_leaves_nothing_that_was_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a");
        let mut run = RunDir::create(&dir, false).unwrap();
        run.begin("x").unwrap();
        drop(run);
        assert!(!dir.exists());
        fs::create_dir(&dir).unwrap();
        drop(RunDir::create(&dir, false).unwrap());
        assert!(dir.exists(), "a folder of the user stays");
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        fs::write(dir.join("old.partial"), "").unwrap();
        check(dir, false).unwrap();
        fs::write(dir.join("thesis.tex"), "").unwrap();
        let error = check(dir, false).unwrap_err();
        assert!(
            error.to_string().ends_with("is not empty: it holds `thesis.tex`"),
            "{error}"
        );
        let error = check(dir, true).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("holds `thesis.tex`, which no earlier run wrote"),
            "{error}"
        );
        let error = check(&dir.join("thesis.tex"), false).unwrap_err();
        assert!(error.to_string().ends_with("is a file"), "{error}");
    }

    #[test]
    fn an_earlier_run_is_replaced_only_by_a_complete_one() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let run = |name: &str, overwrite| {
            let mut run = RunDir::create(dir, overwrite).unwrap();
            run.write(name, "score", "scores", name.as_bytes()).unwrap();
            run
        };
        run("a", false).commit(Fingerprint::default(), &()).unwrap();
        drop(run("b", true));
        assert_eq!(names(dir), ["a", MANIFEST, REPORT]);
        run("b", true).commit(Fingerprint::default(), &()).unwrap();
        assert_eq!(names(dir), ["b", MANIFEST, REPORT]);
    }
}
