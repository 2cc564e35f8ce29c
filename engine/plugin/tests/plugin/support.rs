//! Plugins written as WebAssembly text. The layouts are those of the canonical ABI for the WIT files.

use std::sync::{Arc, LazyLock};

use sli_config::plugin::PluginKind;
use sli_config::{Diagnostic, SourceFile};
use sli_plugin::limits::Budget;
use sli_plugin::{Host, Limits, Plugin, pack};

/// Where a function may build what it returns.
pub(crate) const RETURN: u32 = 64;
/// Where data of a test begins.
pub(crate) const DATA: u32 = 4096;

/// Limits small enough for tests that run into them.
pub(crate) fn tight() -> Limits {
    let light = Budget {
        fuel: 50_000_000,
        fuel_per_byte: 100,
        seconds: 2,
        memory: 16 << 20,
    };
    let heavy = Budget {
        memory: 32 << 20,
        ..light
    };
    Limits {
        light,
        heavy,
        folder_bytes: 1 << 20,
    }
}

/// One host for all tests: its limits are [`tight`].
pub(crate) static HOST: LazyLock<Host> = LazyLock::new(|| Host::with(tight(), None).unwrap());

/// A host whose clock ends calls before their fuel is spent.
pub(crate) static CLOCK: LazyLock<Host> = LazyLock::new(|| {
    let mut limits = tight();
    limits.light.fuel = u64::MAX / 4;
    limits.light.seconds = 1;
    limits.heavy.fuel = u64::MAX / 4;
    limits.heavy.seconds = 1;
    Host::with(limits, None).unwrap()
});

/// A guest under construction.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) kind: PluginKind,
    pub(crate) imports: String,
    pub(crate) body: String,
    pub(crate) data: Vec<u8>,
    pub(crate) manifest: String,
    pub(crate) id: &'static str,
}

impl Guest {
    pub(crate) fn new(kind: PluginKind, body: impl Into<String>) -> Guest {
        Guest {
            kind,
            imports: String::new(),
            body: body.into(),
            data: Vec::new(),
            manifest: String::new(),
            id: "test",
        }
    }

    /// A family whose `plan` gives this text and says it handles `layers`.
    pub(crate) fn family(plan: &str) -> Guest {
        let mut data = plan.as_bytes().to_vec();
        let key = data.len() as u32 + DATA;
        data.extend_from_slice(b"layers");
        while !data.len().is_multiple_of(4) {
            data.push(0);
        }
        let list = data.len() as u32 + DATA;
        data.extend_from_slice(&key.to_le_bytes());
        data.extend_from_slice(&6u32.to_le_bytes());
        let body = format!(
            "(func (export \"{}\") (param i32 i32) (result i32)
               (i32.store (i32.const 64) (i32.const 0))
               (i32.store (i32.const 68) (i32.const {DATA})) (i32.store (i32.const 72) (i32.const {}))
               (i32.store (i32.const 76) (i32.const {list})) (i32.store (i32.const 80) (i32.const 1))
               (i32.const 64))",
            name("model-family", "plan"),
            plan.len(),
        );
        Guest::new(PluginKind::Family, body).with_data(data)
    }

    /// A family whose `plan` runs `code`, which leaves the address of its result.
    pub(crate) fn plans(code: &str) -> Guest {
        let body = format!(
            "(func $plan (export \"{}\") (param $at i32) (param $len i32) (result i32) (local $i i32) {code})",
            name("model-family", "plan")
        );
        Guest::new(PluginKind::Family, body)
    }

    /// A filter that runs `code`; the documents are at `$at`, `$n` of them.
    pub(crate) fn filters(code: &str) -> Guest {
        let body = format!(
            "(func $filter (export \"{}\") (param $options i32) (param $ol i32) (param $at i32) (param $n i32) (result i32)
               (local $i i32) (local $j i32) {code})",
            name("document-filter", "filter")
        );
        Guest::new(PluginKind::Filter, body)
    }

    pub(crate) fn with_data(mut self, data: Vec<u8>) -> Guest {
        self.data = data;
        self
    }

    pub(crate) fn with_manifest(mut self, text: &str) -> Guest {
        self.manifest.push_str(text);
        self
    }

    pub(crate) fn with_imports(mut self, text: &str) -> Guest {
        self.imports.push_str(text);
        self
    }

    /// `plugin.toml`.
    pub(crate) fn manifest_text(&self) -> String {
        let more = match self.kind {
            PluginKind::Family => "[match]\nmodel_types = [\"test\"]\n",
            PluginKind::Formatter => "",
            _ => "",
        };
        let extension = if self.kind == PluginKind::Formatter {
            "extension = \"txt\"\n"
        } else {
            ""
        };
        format!(
            "schema = 1\nid = \"{}\"\nversion = \"0.1.0\"\ntitle = \"A test\"\nkind = \"{}\"\n{extension}{}{more}",
            self.id,
            self.kind.as_str(),
            self.manifest
        )
    }

    /// The core module as text.
    pub(crate) fn wat(&self) -> String {
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let pages = 4 + self.data.len() / 65536;
        let id = self.id;
        let id_len = id.len();
        format!(
            "(module
               {}
               (memory (export \"memory\") {pages})
               (global $next (mut i32) (i32.const {}))
               (func $alloc (export \"cabi_realloc\") (param i32 i32 $align i32) (param $new i32) (result i32)
                 (local $at i32)
                 (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
                 (global.set $next (i32.add (local.get $at) (local.get $new)))
                 (block $fits
                   (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
                   (drop (memory.grow (i32.add (i32.const 1) (i32.div_u
                     (i32.sub (global.get $next) (i32.mul (memory.size) (i32.const 65536))) (i32.const 65536))))))
                 (local.get $at))
               (data (i32.const 1024) \"{id}\") (data (i32.const 1536) \"0.1.0\")
               (data (i32.const {DATA}) \"{data}\")
               (func (export \"{}\") (result i32)
                 (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const {id_len}))
                 (i32.store (i32.const 24) (i32.const 1536)) (i32.store (i32.const 28) (i32.const 5))
                 (i32.const 16))
               {})",
            self.imports,
            DATA as usize + self.data.len(),
            name("about", "describe"),
            self.body
        )
        .replace("(param i32 i32 $align i32)", "(param i32 i32) (param $align i32)")
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let core = wat::parse_str(self.wat()).unwrap();
        let manifest = SourceFile::new("plugin.toml", self.manifest_text());
        match pack::pack("core.wasm", &core, manifest) {
            Ok((bytes, _)) => bytes,
            Err(errors) => panic!("{}", text(&errors)),
        }
    }

    pub(crate) fn load(&self) -> Plugin {
        self.load_in(&HOST)
    }

    pub(crate) fn load_in(&self, host: &Host) -> Plugin {
        match host.load_bytes("plugins/test.wasm", &self.bytes(), None) {
            Ok(plugin) => plugin,
            Err(errors) => panic!("{}", text(&errors)),
        }
    }
}

/// The name under which a core module exports a function of the contract.
pub(crate) fn name(interface: &str, function: &str) -> String {
    format!("sli-pipe:plugin/{interface}@0.1.0#{function}")
}

/// Diagnostics as people read them.
pub(crate) fn text(errors: &[Diagnostic]) -> String {
    sli_config::render(errors, false)
}

/// A manifest for bytes that carry none.
pub(crate) fn some_manifest() -> Arc<SourceFile> {
    SourceFile::new("plugins/test.toml", Guest::plans("unreachable").manifest_text())
}

impl Guest {
    /// An op with the function `f` of `x` and perhaps `y`; the codes see the inputs at `$in`, and leave the address of
    /// their result.
    pub(crate) fn op(infer: &str, compute: &str) -> Guest {
        let body = format!(
            "(func (export \"{}\") (param $f i32) (param $fl i32) (param $o i32) (param $ol i32) (param $in i32) (param $n i32)
               (result i32) {infer})
             (func (export \"{}\") (param $f i32) (param $fl i32) (param $o i32) (param $ol i32) (param $in i32) (param $n i32)
               (param $lengths i32) (param $ln i32) (result i32) (local $i i32) (local $at i32) {compute})",
            name("tensor-op", "infer"),
            name("tensor-op", "compute")
        );
        let functions = "[functions.f]\ndoc = \"x [N, C] -> [N, C]\"\ninputs = [\"x\", \"y?\"]\noutputs = [\"out\"]\n";
        Guest::new(PluginKind::Op, body).with_manifest(functions)
    }
}

/// Leaves an ok result that is a list of `len` elements at `at`.
pub(crate) fn ok_list(at: &str, len: &str) -> String {
    format!(
        "(i32.store (i32.const {RETURN}) (i32.const 0)) (i32.store (i32.const 68) {at}) (i32.store (i32.const 72) {len})
         (i32.const {RETURN})"
    )
}

/// The result is the first input, as it is given.
pub(crate) fn echo() -> String {
    ok_list("(i32.add (local.get $in) (i32.const 4))", "(i32.const 1)")
}

/// The words of the diagnostic that a call ends in. It ends soon, and the whole suite needs little memory.
pub(crate) fn fails<T>(call: impl FnOnce() -> Result<T, Diagnostic>) -> String {
    fail_all(|| call().map_err(|error| vec![error]))
}

/// As [`fails`], with all diagnostics.
pub(crate) fn fail_all<T>(call: impl FnOnce() -> Result<T, Vec<Diagnostic>>) -> String {
    let start = std::time::Instant::now();
    let Err(errors) = call() else {
        panic!("the call went well");
    };
    bounded(start);
    text(&errors)
}

/// Little time has passed, and the process has never been large.
pub(crate) fn bounded(start: std::time::Instant) {
    let seconds = start.elapsed().as_secs();
    assert!(seconds < 20, "{seconds} s");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    if let Some(kib) = peak {
        assert!(kib < 1 << 20, "the peak is {kib} KiB");
    }
}

/// Asserts that a text says all of these.
#[track_caller]
pub(crate) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not said:\n{text}");
    }
}
