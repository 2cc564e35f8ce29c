//! The folder of a stage: what may be read and what not.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use sli_plugin::{Filter, Grants};

use crate::limits::document;
use crate::support::{Guest, fails, says};

/// A filter whose answer is the content of the file that the document names.
fn reader(manifest: &str) -> Guest {
    let import = "(import \"sli-pipe:plugin/folder@0.1.0\" \"read\" (func $read (param i32 i32 i32)))
        (import \"sli-pipe:plugin/folder@0.1.0\" \"names\" (func $names (param i32)))";
    let code = "(if (i32.eqz (i32.load offset=12 (local.get $at)))
          (then (call $names (i32.const 128))
            (if (i32.eqz (i32.load8_u (i32.const 128))) (then
              (i32.store (i32.const 168) (i32.load (i32.const 132))) (i32.store (i32.const 172) (i32.load (i32.const 136))))))
          (else (call $read (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)) (i32.const 128))
            (i32.store (i32.const 160) (i32.load (i32.const 132))) (i32.store (i32.const 164) (i32.load (i32.const 136)))
            (i32.store (i32.const 168) (i32.const 160)) (i32.store (i32.const 172) (i32.const 1))))
        (i32.store (i32.const 64) (i32.load8_u (i32.const 128)))
        (if (i32.load8_u (i32.const 128))
          (then (i32.store (i32.const 68) (i32.load (i32.const 132))) (i32.store (i32.const 72) (i32.load (i32.const 136))))
          (else (i32.store (i32.const 68) (i32.const 168)) (i32.store (i32.const 72) (i32.const 1))))
        (i32.const 64)";
    Guest::filters(code).with_imports(import).with_manifest(manifest)
}

fn open(folder: Option<&Path>) -> Filter {
    let grants = Grants {
        folder: folder.map(Path::to_owned),
        ..Grants::default()
    };
    reader("asks = { folder = true }\n")
        .load()
        .filter(&json!({}), &grants)
        .unwrap()
}

fn refused(filter: &Filter, name: &str) -> String {
    fails(|| filter.run(&[document(name)]))
}

#[test]
fn files_of_the_folder_are_read_and_nothing_else() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("words"), "hello").unwrap();
    std::fs::create_dir(at("below")).unwrap();
    symlink(outside.path().join("secret"), at("link")).unwrap();
    symlink("words", at("near")).unwrap();
    std::fs::write(at("huge"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let filter = open(Some(folder.path()));
    assert_eq!(filter.run(&[document("words")]).unwrap(), [["hello"]]);
    assert_eq!(filter.run(&[document("")]).unwrap(), [["huge", "words"]]);
    let up = format!("../{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
    for name in [up.as_str(), "/etc/passwd", "..", ".", "below/x", "a\\b"] {
        says(&refused(&filter, name), &["a file is named by its name alone"]);
    }
    for name in ["link", "near"] {
        says(
            &refused(&filter, name),
            &["it is a link; only regular files can be read"],
        );
    }
    for name in ["below", "pipe"] {
        says(&refused(&filter, name), &["it is no regular file"]);
    }
    says(
        &refused(&filter, "huge"),
        &["more than 1 MiB are read from the folder in one call"],
    );
    says(
        &refused(&filter, "nothing"),
        &["the file cannot be read", "refuses in `filter`"],
    );
}

#[test]
fn without_a_grant_there_is_no_folder() {
    says(&refused(&open(None), "words"), &["no folder is granted to this plugin"]);
    let missing = Grants {
        folder: Some("/nowhere/at/all".into()),
        ..Grants::default()
    };
    let plugin = reader("asks = { folder = true }\n").load();
    says(
        &fails(|| plugin.filter(&json!({}), &missing)),
        &["the folder `/nowhere/at/all` that is granted to the plugin `test` cannot be opened"],
    );
}

#[test]
fn the_manifest_must_ask_for_what_the_code_uses() {
    let core = wat::parse_str(reader("").wat()).unwrap();
    let manifest = sli_config::SourceFile::new("plugin.toml", reader("").manifest_text());
    let words = crate::support::fail_all(|| sli_plugin::pack::pack("core.wasm", &core, manifest));
    says(
        &words,
        &[
            "`core.wasm` uses `folder`, but its manifest does not ask for it",
            "add `folder = true` to the table `[asks]`",
        ],
    );
}
