//! `sli-pipe report RUN_DIR`.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::json;
use sli_config::Diagnostic;
use sli_runtime::report::Report;
use sli_runtime::rundir::{MANIFEST, Manifest, REPORT};

use crate::args::ReportArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{print, print_json};
use crate::summary::summary;

/// The most bytes that either file may have; a manifest of a million shards has 200 MB.
const LIMIT: u64 = 1 << 30;

/// Prints the summary of a finished run.
pub(crate) fn report(args: &ReportArgs) -> Outcome {
    let dir = args.run.as_path();
    if !dir.is_dir() {
        let message = format!("there is no run directory `{}`", dir.display());
        let help = "name the `[output] dir` of a finished run";
        return Err(Failure::input(Diagnostic::error(message).help(help)));
    }
    let report: Report = read(dir, REPORT)?;
    let manifest: Manifest = read(dir, MANIFEST)?;
    if args.json {
        print_json(&json!({ "dir": dir, "report": report, "outputs": manifest.outputs }))
    } else {
        print(&summary(&report, &manifest.outputs, dir))
    }
}

fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Outcome<T> {
    let path = dir.join(name);
    let shown = path.display();
    let wrong = |message: String, help: &str| Failure::input(Diagnostic::error(message).help(help));
    let too_long = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LIMIT);
    if too_long {
        return Err(wrong(
            format!("`{shown}` is too large to be the {name} of a run"),
            "name a run directory of sli-pipe",
        ));
    }
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let message = format!("`{}` holds no `{name}`: no run finished there", dir.display());
            wrong(
                message,
                "the report is written last; run the pipeline again if it was interrupted",
            )
        }
        _ => wrong(format!("`{shown}` cannot be read: {error}"), "check its permissions"),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        wrong(
            format!("`{shown}` is not what this version of sli-pipe writes: {error}"),
            "run the pipeline again",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_report_is_no_finished_run() {
        let folder = tempfile::tempdir().unwrap();
        let of = |run: std::path::PathBuf| report(&ReportArgs { run, json: false }).unwrap_err();
        assert_eq!(of(folder.path().join("none")).code(), 2);
        let failure = of(folder.path().to_owned());
        assert_eq!(failure.code(), 2);
        let message = failure.into_diagnostics().remove(0).message;
        assert!(
            message.ends_with("holds no `report.json`: no run finished there"),
            "{message}"
        );
        std::fs::write(folder.path().join(REPORT), "{}").unwrap();
        let message = of(folder.path().to_owned()).into_diagnostics().remove(0).message;
        assert!(
            message.contains("is not what this version of sli-pipe writes"),
            "{message}"
        );
    }
}
