//! Files that are no plugins of this version, found before any code runs.

use sli_config::SourceFile;
use sli_config::plugin::PluginKind;
use sli_plugin::pack::pack;

use crate::family::PLAN;
use crate::support::{Guest, HOST, fail_all, fails, name, says, some_manifest};

fn load(bytes: &[u8]) -> String {
    fail_all(|| HOST.load_bytes("plugins/x.wasm", bytes, Some(some_manifest())))
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {text})")).unwrap()
}

#[test]
fn versions_that_do_not_fit_say_which_side_is_old() {
    let newer = "(import \"sli-pipe:plugin/log@0.2.0\" (instance))";
    says(
        &load(&component(newer)),
        &[
            "the plugin needs plugin API 0.2.0 and this sli-pipe has 0.1.0",
            "help: update sli-pipe",
        ],
    );
    let older = "(import \"sli-pipe:plugin/log@0.0.3\" (instance))";
    says(
        &load(&component(older)),
        &[
            "the plugin was made for plugin API 0.0.3, this sli-pipe has 0.1.0",
            "rebuild it with the SDK of this version",
        ],
    );
    let exported = "(instance $i) (export \"sli-pipe:plugin/about@0.1.1\" (instance $i))";
    says(&load(&component(exported)), &["the plugin needs plugin API 0.1.1"]);
    let none = "(instance $i) (export \"sli-pipe:plugin/about\" (instance $i))";
    says(&load(&component(none)), &["names no version of the plugin API"]);
}

#[test]
fn imports_that_there_are_not_are_named() {
    let wasi = "(import \"wasi:cli/environment@0.2.3\" (instance)) (import \"wasi:io/streams@0.2.3\" (instance))";
    says(
        &load(&component(wasi)),
        &[
            "imports `wasi:cli/environment@0.2.3`, and there is no WASI here",
            "`wasi:io/streams@0.2.3`",
            "build it for `wasm32-unknown-unknown`",
        ],
    );
    says(
        &load(&component("(import \"my:own/thing@1.0.0\" (instance))")),
        &["imports `my:own/thing@1.0.0`, which sli-pipe does not have"],
    );
    says(
        &load(&component("(import \"sli-pipe:plugin/network@0.1.0\" (instance))")),
        &["imports `network`, which sli-pipe does not have"],
    );
    says(
        &load(&component("(import \"sli-pipe:plugin/log@0.1.0\" (instance))")),
        &["uses `log`, but its manifest does not ask for it", "`log = true`"],
    );
    says(
        &load(&component("(import \"sli-pipe:plugin/folder@0.1.0\" (instance))")),
        &["reads a folder, which a plugin of kind `family` cannot"],
    );
}

#[test]
fn exports_must_fit_the_kind() {
    says(
        &load(&component("")),
        &[
            "does not export `sli-pipe:plugin/about@0.1.0`",
            "does not export `sli-pipe:plugin/model-family@0.1.0`, as a plugin of kind `family` must",
        ],
    );
    let filter = Guest::filters("unreachable").bytes();
    says(
        &load(&filter),
        &[
            "does not export `sli-pipe:plugin/model-family@0.1.0`",
            "it exports `document-filter`",
        ],
    );
    // an export of the right name that is nothing
    let empty = "(instance $i) (export \"sli-pipe:plugin/about@0.1.0\" (instance $i)) (export \"sli-pipe:plugin/model-family@0.1.0\" (instance $i))";
    let plugin = HOST
        .load_bytes("plugins/x.wasm", &component(empty), Some(some_manifest()))
        .unwrap();
    says(
        &fails(|| plugin.prepare()),
        &["the plugin `test` cannot be used", "plugin API 0.1.0"],
    );
}

#[test]
fn other_files_are_told_apart() {
    let core = wat::parse_str("(module)").unwrap();
    says(
        &load(&core),
        &[
            "`plugins/x.wasm` is a core module, not a component",
            "`sli-pipe plugins pack` makes a plugin of it",
        ],
    );
    says(
        &load(b"id = \"toml\""),
        &["`plugins/x.wasm` is no WebAssembly component"],
    );
    says(&load(b""), &["is no WebAssembly component"]);
    let good = Guest::family(PLAN).bytes();
    for cut in [9, 40, good.len() / 2, good.len() - 1] {
        says(&load(&good[..cut]), &["`plugins/x.wasm`"]);
    }
    let none = fail_all(|| HOST.load_bytes("plugins/x.wasm", &component(""), None));
    says(&none, &["`plugins/x.wasm` has no manifest", "plugins pack"]);
}

#[test]
fn code_that_would_take_minutes_to_translate_is_refused() {
    let of = |count: u32, length: usize| {
        use wasm_encoder::{CodeSection, Component, FunctionSection, Module, ModuleSection, TypeSection};
        let mut body = vec![0x01; length];
        (body[0], body[length - 1]) = (0, 0x0b); // no locals, nops, end
        let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        types.ty().function([], []);
        for _ in 0..count {
            functions.function(0);
            code.raw(&body);
        }
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&code);
        let mut component = Component::new();
        component.section(&ModuleSection(&module));
        component.finish()
    };
    says(
        &load(&of(1, 600_000)),
        &["`plugins/x.wasm` has a function of 585.9 KiB; the limit is 512 KiB"],
    );
    says(
        &load(&of(20, 500_000)),
        &["has functions of 8.1 MiB; the limit is 8 MiB", "build it for size"],
    );
}

#[test]
fn a_plugin_must_be_what_its_manifest_says() {
    let guest = Guest::family(PLAN);
    let manifest = |from: &str, to: &str| SourceFile::new("plugin.toml", guest.manifest_text().replace(from, to));
    let bytes = guest.bytes();
    let check = |manifest| {
        let plugin = HOST.load_bytes("plugins/test.wasm", &bytes, Some(manifest)).unwrap();
        fail_all(|| plugin.check())
    };
    says(
        &check(manifest("\"test\"\nversion", "\"other\"\nversion")),
        &["says that its id is `test`, and its manifest `other`"],
    );
    says(
        &check(manifest("0.1.0", "0.2.0")),
        &["says that its version is `0.1.0`, and its manifest `0.2.0`"],
    );
}

#[test]
fn a_manifest_beside_the_file_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.wasm");
    let guest = Guest::family(PLAN);
    std::fs::write(&file, guest.bytes()).unwrap();
    let own = HOST.load(&file).unwrap();
    assert_eq!(own.manifest().title, "A test");
    let beside = guest.manifest_text().replace("A test", "Another title");
    std::fs::write(folder.path().join("test.toml"), beside).unwrap();
    let other = HOST.load(&file).unwrap();
    assert_eq!(other.manifest().title, "Another title");
    assert_ne!(own.digest(), other.digest());
    says(&fail_all(|| HOST.load(folder.path())), &["cannot be read"]);
}

#[test]
fn packing_replaces_a_manifest_and_refuses_what_does_not_fit() {
    let guest = Guest::family(PLAN);
    let once = guest.bytes();
    let (twice, _) = pack("x.wasm", &once, SourceFile::new("plugin.toml", guest.manifest_text())).unwrap();
    assert_eq!(once, twice);
    let other = guest.manifest_text().replace("A test", "Another title");
    let (other, _) = pack("x.wasm", &once, SourceFile::new("plugin.toml", other)).unwrap();
    assert_eq!(
        HOST.load_bytes("test.wasm", &other, None).unwrap().manifest().title,
        "Another title"
    );
    let empty = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
    let words = fail_all(|| pack("x.wasm", &empty, SourceFile::new("plugin.toml", guest.manifest_text())));
    says(
        &words,
        &["`x.wasm` cannot be made a plugin of kind `family`", "docs/plugins.md"],
    );
    let wasi = "(import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))";
    let core = wat::parse_str(guest.with_imports(wasi).wat()).unwrap();
    let words = fail_all(|| {
        pack(
            "x.wasm",
            &core,
            SourceFile::new("plugin.toml", Guest::family(PLAN).manifest_text()),
        )
    });
    says(
        &words,
        &["cannot be made a plugin of kind `family`", "wasi_snapshot_preview1"],
    );
}

#[test]
fn the_same_file_with_other_exports_is_of_another_kind() {
    let body = format!(
        "(func (export \"{}\") (param i32 i32) (result i32) unreachable)",
        name("model-family", "plan")
    );
    let guest = Guest::new(PluginKind::Family, body);
    let manifest = Guest::filters("").manifest_text();
    let words = fail_all(|| {
        pack(
            "x.wasm",
            &wat::parse_str(guest.wat()).unwrap(),
            SourceFile::new("plugin.toml", manifest),
        )
    });
    says(&words, &["cannot be made a plugin of kind `filter`"]);
}

#[test]
fn machine_code_is_kept_where_that_is_possible() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Guest::family(PLAN).bytes();
    let check = |cache: &std::path::Path| {
        let host = sli_plugin::Host::with(crate::support::tight(), Some(cache)).unwrap();
        host.load_bytes("plugins/test.wasm", &bytes, None)
            .unwrap()
            .check()
            .unwrap();
    };
    check(&folder.path().join("cache"));
    check(&folder.path().join("cache"));
    assert!(folder.path().join("cache").is_dir());
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    check(&file.join("below"));
}
