//! What plugins cost: starting one, a plan, tensors across the boundary, documents, loading with and without the cache.
//!
//! ```sh
//! cargo bench -p sli-plugin --bench plugin -- [plugins/x.wasm ...]
//! ```
//!
//! Guests are written as WebAssembly text and do as little as they can: what is measured is the host. Files that are
//! named are loaded with and without machine code in the cache. Prints one line a figure, the median of all rounds.

#![allow(clippy::print_stdout)] // this is a program

use std::error::Error;
use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sli_config::{Diagnostic, SourceFile};
use sli_family::{Family, Registry};
use sli_model::infer::Kind;
use sli_model::{ForeignDim, ForeignTensor, ForeignType, ForeignValues};
use sli_plugin::{Document, Grants, Host, Limits, Plugin, pack};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let host = Host::with(Limits::default(), None).map_err(words)?;
    starting(&host)?;
    plans(&host)?;
    tensors(&host)?;
    documents(&host)?;
    for file in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        loading(Path::new(&file))?;
    }
    Ok(())
}

/// A call that does nothing: a store, an instance and its end.
fn starting(host: &Host) -> Result<()> {
    let plugin = filter(host)?;
    let stage = plugin.filter(&json!({}), &Grants::default()).map_err(words)?;
    let time = median(2000, || stage.run(&[]).map(drop).map_err(words))?;
    row("a call of a filter without documents", time, "");
    Ok(())
}

/// The plan of a model of 32 layers: as a descriptor makes it, and from a plugin that has it ready.
fn plans(host: &Host) -> Result<()> {
    let config = json!({
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 11008,
        "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "vocab_size": 32000,
        "hidden_act": "silu", "rope_theta": 10000.0, "max_position_embeddings": 4096,
    });
    let descriptor = Registry::shipped().detect(&config).map_err(all_words)?;
    let mut plan = descriptor.plan(&config).map_err(all_words)?;
    let time = median(20, || descriptor.plan(&config).map(drop).map_err(all_words))?;
    row("a plan of 32 layers by a descriptor", time, "");
    let time = median(20, || plan.check().map_err(|errors| format!("{errors:?}").into()))?;
    row("  of which checking the plan", time, "");
    plan.family = "bench".into();
    let text = serde_json::to_string(&plan)?;
    let keys: Vec<&str> = config
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let family = family(host, &text, &keys)?.family();
    let time = median(20, || family.plan(&config).map(drop).map_err(all_words))?;
    row(
        "the same plan by a plugin",
        time,
        &format!("{} KiB of JSON", text.len() >> 10),
    );
    Ok(())
}

/// Floats through a function that gives back what it gets.
fn tensors(host: &Host) -> Result<()> {
    let function = op(host)?.function("f").ok_or("no function")?;
    for (bytes, rounds) in [(1usize << 10, 1000), (1 << 20, 200), (64 << 20, 7)] {
        let width = 64;
        let rows = bytes / 4 / width;
        let given = ForeignType {
            kind: Kind::Float,
            dims: vec![ForeignDim::Rows, ForeignDim::Size(width as u64)],
        };
        function.infer("{}", &[Some(given)])?;
        let mut value = Some(ForeignTensor {
            shape: vec![rows as u64, width as u64],
            values: ForeignValues::Floats(vec![1.0; rows * width]),
        });
        let time = median(rounds, || {
            let found = function.compute("{}", vec![value.take()], &[rows as u64])?;
            value = found.into_iter().next();
            Ok(())
        })?;
        let speed = format!(
            "{:.2} GB/s there and back",
            2.0 * bytes as f64 / time.as_secs_f64() / 1e9
        );
        row(&format!("{} KiB in and out of an op", bytes >> 10), time, &speed);
    }
    Ok(())
}

/// Documents through a filter that keeps all.
fn documents(host: &Host) -> Result<()> {
    let stage = filter(host)?.filter(&json!({}), &Grants::default()).map_err(words)?;
    for count in [1, 1000] {
        let documents: Vec<Document> = (0..count)
            .map(|k| Document {
                id: k.to_string(),
                text: "word ".repeat(400),
                fields: "{}".into(),
            })
            .collect();
        let time = median(200, || stage.run(&documents).map(drop).map_err(words))?;
        let each = format!(
            "{:.2} µs a document of 2 kB",
            time.as_secs_f64() * 1e6 / f64::from(count)
        );
        row(&format!("a filter on {count} documents"), time, &each);
    }
    Ok(())
}

/// Loading a file and starting it once: machine code made, and taken from the cache.
fn loading(file: &Path) -> Result<()> {
    let cache = tempfile::tempdir()?;
    let once = || -> Result<()> {
        let host = Host::with(Limits::default(), Some(cache.path())).map_err(words)?;
        let plugin = host.load(file).map_err(all_words)?;
        plugin.check().map_err(all_words)
    };
    let start = Instant::now();
    once()?;
    let name = file.display();
    row(&format!("{name}: load and first call"), start.elapsed(), "cold");
    // the cache is written by a thread of its own
    std::thread::sleep(Duration::from_millis(500));
    let time = median(20, once)?;
    row(&format!("{name}: load and first call"), time, "warm");
    Ok(())
}

fn median(rounds: usize, mut call: impl FnMut() -> Result<()>) -> Result<Duration> {
    call()?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[rounds / 2])
}

fn row(what: &str, time: Duration, more: &str) {
    println!("{what:48} {:>12.1} µs  {more}", time.as_secs_f64() * 1e6);
}

fn words(error: Diagnostic) -> Box<dyn Error> {
    all_words(vec![error])
}

fn all_words(errors: Vec<Diagnostic>) -> Box<dyn Error> {
    sli_config::render(&errors, false).into()
}

/// Memory, an allocator that only moves on, and `describe`; `data` lies at 4096.
fn guest(host: &Host, kind: &str, manifest: &str, data: &[u8], body: &str) -> Result<Plugin> {
    let text: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let wat = format!(
        "(module (memory (export \"memory\") {pages}) (global $next (mut i32) (i32.const {end}))
           (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32) (local $more i32)
             (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
             (global.set $next (i32.add (local.get $at) (local.get 3)))
             (local.set $more (i32.sub (i32.shr_u (i32.add (global.get $next) (i32.const 65535)) (i32.const 16)) (memory.size)))
             (if (i32.gt_s (local.get $more) (i32.const 0)) (then (drop (memory.grow (local.get $more)))))
             (local.get $at))
           (data (i32.const 1024) \"bench0.1.0\") (data (i32.const 4096) \"{text}\")
           (func (export \"sli-pipe:plugin/about@0.1.0#describe\") (result i32)
             (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 5))
             (i32.store (i32.const 24) (i32.const 1029)) (i32.store (i32.const 28) (i32.const 5)) (i32.const 16))
           {body})",
        pages = 4 + data.len() / 65536,
        end = 4096 + data.len(),
    );
    let manifest =
        format!("schema = 1\nid = \"bench\"\nversion = \"0.1.0\"\ntitle = \"B\"\nkind = \"{kind}\"\n{manifest}");
    let core = wat::parse_str(wat)?;
    let (bytes, _) = pack::pack("bench", &core, SourceFile::new("plugin.toml", manifest)).map_err(all_words)?;
    host.load_bytes("bench.wasm", &bytes, None).map_err(all_words)
}

fn result(at: &dyn Display, len: &dyn Display) -> String {
    format!(
        "(i32.store (i32.const 64) (i32.const 0)) (i32.store (i32.const 68) {at}) (i32.store (i32.const 72) {len}) (i32.const 64)"
    )
}

/// Keeps every document: an answer is the place of its text in the input.
fn filter(host: &Host) -> Result<Plugin> {
    let body = format!(
        "(func (export \"sli-pipe:plugin/document-filter@0.1.0#filter\") (param i32 i32 i32 i32) (result i32) (local $i i32)
           (block $done (loop $l (br_if $done (i32.eq (local.get $i) (local.get 3)))
             (i32.store (i32.add (i32.const 8192) (i32.mul (local.get $i) (i32.const 8)))
               (i32.add (local.get 2) (i32.add (i32.mul (local.get $i) (i32.const 24)) (i32.const 8))))
             (i32.store (i32.add (i32.const 8196) (i32.mul (local.get $i) (i32.const 8))) (i32.const 1))
             (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $l)))
           {})",
        result(&"(i32.const 8192)", &"(local.get 3)")
    );
    // room for the answers, before what the allocator hands out
    guest(host, "filter", "", &[0; 65536], &body)
}

/// Gives back its first input.
fn op(host: &Host) -> Result<Plugin> {
    let echo = result(&"(i32.add (local.get 4) (i32.const 4))", &"(i32.const 1)");
    let body = format!(
        "(func (export \"sli-pipe:plugin/tensor-op@0.1.0#infer\") (param i32 i32 i32 i32 i32 i32) (result i32) {echo})
         (func (export \"sli-pipe:plugin/tensor-op@0.1.0#compute\") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {echo})"
    );
    let manifest = "[functions.f]\ndoc = \"x\"\ninputs = [\"x\"]\noutputs = [\"out\"]\n";
    guest(host, "op", manifest, &[], &body)
}

/// Gives a plan that lies ready, and the keys it handles.
fn family(host: &Host, plan: &str, keys: &[&str]) -> Result<Plugin> {
    let mut data = plan.as_bytes().to_vec();
    let places: Vec<(usize, usize)> = keys
        .iter()
        .map(|key| {
            data.extend_from_slice(key.as_bytes());
            (4096 + data.len() - key.len(), key.len())
        })
        .collect();
    data.resize(data.len().next_multiple_of(4), 0);
    let list = 4096 + data.len();
    for number in places.iter().flat_map(|(at, len)| [*at, *len]) {
        data.extend_from_slice(&u32::try_from(number)?.to_le_bytes());
    }
    let body = format!(
        "(func (export \"sli-pipe:plugin/model-family@0.1.0#plan\") (param i32 i32) (result i32)
           (i32.store (i32.const 76) (i32.const {list})) (i32.store (i32.const 80) (i32.const {}))
           {})",
        keys.len(),
        result(&"(i32.const 4096)", &format!("(i32.const {})", plan.len()))
    );
    guest(host, "family", "[match]\nmodel_types = [\"bench\"]\n", &data, &body)
}
