//! `dev` and plugins: dropped in, replaced, broken, mended.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sli_tests::scene::{Scene, root};

use crate::talk::Talk;

fn guest(id: &str) -> PathBuf {
    root().join(format!("plugins/guests/{id}/{id}.wasm"))
}

/// Puts a file where it belongs in one go, as a build or an editor does.
fn put(scene: &Scene, id: &str, bytes: &[u8]) -> Instant {
    scene.write(&format!("plugins/{id}.wasm.new"), bytes);
    fs::rename(
        scene.path(&format!("plugins/{id}.wasm.new")),
        scene.path(&format!("plugins/{id}.wasm")),
    )
    .unwrap();
    Instant::now()
}

/// The plugin with other bytes and the same meaning: one more custom section of a byte.
fn other(bytes: &[u8], mark: u8) -> Vec<u8> {
    [bytes, &[0, 3, 1, b'x', mark]].concat()
}

fn scene() -> Scene {
    let scene = Scene::with_tokenizer(
        "llama",
        "[[stage]]\nuses = \"plugin:length-filter\"\nwith = { min = 4 }\n[[stage]]\nuses = \"score\"\n",
    );
    let texts = ["to be", "or", "not to be", "that is the question"];
    scene.rows(&texts.map(|text| json!({ "text": text })));
    scene
}

#[track_caller]
fn soon(what: &str, since: Instant) -> Duration {
    let took = since.elapsed();
    println!("{what}: {} ms", took.as_millis());
    assert!(took < Duration::from_secs(20), "{what} took {took:?}");
    took
}

#[test]
fn a_stage_is_live_when_its_plugin_lands_and_when_it_is_replaced() {
    let scene = scene();
    fs::create_dir(scene.path("plugins")).unwrap();
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json", "--rows", "4"]);
    let broken = dev.event("broken", &["watching"]);
    assert!(
        broken["diagnostics"]
            .to_string()
            .contains("there is no plugin `length-filter`"),
        "{broken}"
    );

    let whole = fs::read(guest("length-filter")).unwrap();
    let landed = put(&scene, "length-filter", &whole);
    let live = dev.event("live", &["changed"]);
    soon("a plugin dropped in, its machine code made", landed);
    assert_eq!(
        (&live["mended"], &live["families"][0]),
        (&Value::from(true), &Value::from("length-filter"))
    );
    let sample = dev.event("sample", &[]);
    assert_eq!(sample["stages"]["length-filter"]["dropped"], 1, "{sample}");

    // Other code is another state, and is run.
    let landed = put(&scene, "length-filter", &other(&whole, 1));
    let live = dev.event("live", &["changed"]);
    soon("a plugin replaced", landed);
    assert_eq!(
        live["pipeline"][0], "the plugin of the stage `length-filter` has other code",
        "{live}"
    );
    dev.event("sample", &[]);

    // Half a file: the state stays, and the reason is said.
    put(&scene, "length-filter", &whole[..whole.len() / 2]);
    let broken = dev.event("broken", &["changed"]);
    assert!(
        broken["diagnostics"].to_string().contains("length-filter.wasm"),
        "{broken}"
    );
    put(&scene, "length-filter", &other(&whole, 1));
    let live = dev.event("live", &["changed"]);
    assert!(
        live["mended"] == true && live["pipeline"].as_array().unwrap().is_empty(),
        "{live}"
    );
    assert!(dev.is_silent(), "nothing is computed anew");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_family_is_live_when_its_plugin_lands() {
    let scene = Scene::of("mixtral", "[[stage]]\nuses = \"score\"\n");
    scene.edit_json("model/config.json", |config| {
        config["model_type"] = "mixtral_twin".into()
    });
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json"]);
    dev.event("broken", &["watching"]);
    fs::create_dir(scene.path("plugins")).unwrap();
    let landed = put(&scene, "mixtral-twin", &fs::read(guest("mixtral-twin")).unwrap());
    let live = dev.event("live", &["changed"]);
    soon("a family dropped in, its machine code made", landed);
    assert_eq!(live["families"][0], "mixtral-twin", "{live}");
    dev.event("sample", &[]);
    assert_eq!(dev.interrupt(), Some(0));
}

/// Many edits of a plugin: every one becomes the state, and memory stays.
#[test]
fn many_plugins_in_a_row_are_live_soon_and_take_no_memory() {
    let scene = scene();
    let whole = fs::read(guest("length-filter")).unwrap();
    put(&scene, "length-filter", &whole);
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json", "--no-run"]);
    dev.event("live", &["watching"]);
    let (mut times, mut early) = (Vec::new(), 0);
    for edit in 0..30u8 {
        let landed = put(&scene, "length-filter", &other(&whole, edit + 1));
        let live = dev.event("live", &["changed"]);
        assert_eq!(live["pipeline"].as_array().unwrap().len(), 1, "{live}");
        times.push(soon("edit", landed));
        if edit == 9 {
            early = dev.rss();
        }
    }
    times.sort();
    println!(
        "median {:?}, worst {:?}; resident {early} then {} bytes",
        times[15],
        times[29],
        dev.rss()
    );
    assert!(
        dev.rss() < early + (32 << 20),
        "memory grows: {early} then {}",
        dev.rss()
    );
    assert_eq!(dev.interrupt(), Some(0));
}
