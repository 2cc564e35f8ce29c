//! `dev`: samples at each edit.

use std::fs;

use serde_json::Value;
use sli_tests::fixture::named;
use sli_tests::scene::{Scene, documents, root};

use crate::talk::Talk;

/// A small Llama with a score.
fn scene() -> Scene {
    let scene = Scene::of("llama", "[[stage]]\nuses = \"score\"\n");
    scene.rows(&documents(20, 50, 96));
    scene
}

/// Writes as many editors do: another file first, which then takes the place.
fn save(scene: &Scene, name: &str, text: &str) {
    scene.write(&format!("{name}.tmp"), text);
    fs::rename(scene.path(&format!("{name}.tmp")), scene.path(name)).unwrap();
}

fn read(scene: &Scene, name: &str) -> String {
    fs::read_to_string(scene.path(name)).unwrap()
}

fn shipped(id: &str) -> String {
    fs::read_to_string(root().join(format!("families/{id}.toml"))).unwrap()
}

/// Milliseconds from the edit to the state.
#[track_caller]
fn milliseconds(live: &Value) -> f64 {
    let ms = live["ms"].as_f64().unwrap();
    assert!(ms < 5000.0, "{ms} ms to live");
    ms
}

#[test]
fn an_edit_of_the_pipeline_is_told_and_run() {
    let scene = scene();
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json", "--rows", "3"]);
    assert_eq!(dev.event("watching", &[])["polling"], Value::Null);
    let live = dev.event("live", &[]);
    assert_eq!((&live["number"], &live["plan"]), (&Value::from(1), &Value::Null));
    let sample = dev.event("sample", &[]);
    assert_eq!(sample["stages"]["score"]["documents"], 3, "{sample}");

    let text = read(&scene, "p.toml");
    save(
        &scene,
        "p.toml",
        &text.replace("uses = \"score\"", "uses = \"score\"\nper_token = true"),
    );
    let changed = dev.event("changed", &[]);
    assert_eq!(changed["files"][0]["how"], "changed");
    let live = dev.event("live", &[]);
    assert_eq!(live["pipeline"][0], "stage.0.per_token false -> true", "{live}");
    assert!(live["plan"]["parts"].as_array().unwrap().is_empty(), "{live}");
    println!("edit to live: {} ms", milliseconds(&live));
    assert_eq!(dev.event("sample", &[])["number"], 2);

    // A comment changes nothing that is computed.
    let text = read(&scene, "p.toml");
    save(&scene, "p.toml", &format!("# a comment\n{text}"));
    let live = dev.event("live", &["changed"]);
    assert!(live["pipeline"].as_array().unwrap().is_empty(), "{live}");
    assert!(dev.is_silent(), "no sample of the same");
    assert!(!scene.path("out").exists(), "a sample is written elsewhere");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_family_that_comes_into_a_new_folder_is_live() {
    let scene = scene();
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json"]);
    let first = dev.event("sample", &["watching", "live"]);
    // The shipped one, with another eps.
    fs::create_dir(scene.path("families")).unwrap();
    let family = shipped("llama").replace("rms_norm(x, '.', eps)", "rms_norm(x, '.', eps * 1000)");
    save(&scene, "families/llama.toml", &family);
    let live = dev.event("live", &["changed"]);
    assert_eq!(live["families"][0], "llama", "{live}");
    let text = live["plan"]["parts"].to_string();
    assert!(text.contains("decoder.0-") && text.contains("rms_norm: eps"), "{text}");
    println!("dropped in to live: {} ms", milliseconds(&live));
    let second = dev.event("sample", &[]);
    assert_ne!(first["stages"]["score"]["nll"], second["stages"]["score"]["nll"]);
    assert!(second["changes"].to_string().contains("score.perplexity"), "{second}");

    // One that the pipeline does not use is checked, too.
    save(
        &scene,
        "families/other.toml",
        "schema = 1\nid = \"other\"\ntitle = \"O\"\n",
    );
    let live = dev.event("live", &["changed"]);
    assert_eq!(live["problems"], 1, "{live}");
    assert!(
        live["diagnostics"][0]["message"]
            .as_str()
            .unwrap()
            .contains("which models"),
        "{live}"
    );

    // Gone again: the shipped one is back.
    fs::remove_dir_all(scene.path("families")).unwrap();
    let live = dev.event("live", &["changed"]);
    assert_eq!(live["problems"], 0, "{live}");
    let third = dev.event("sample", &[]);
    assert_eq!(first["stages"]["score"]["nll"], third["stages"]["score"]["nll"]);
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_broken_edit_keeps_the_last_state_and_is_said_once() {
    let scene = scene();
    scene.write("families/llama.toml", shipped("llama"));
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json", "--no-run"]);
    dev.event("live", &["watching"]);
    let broken = shipped("llama").replace("rms_norm(x, '.', eps)", "rms_nrom(x, '.', eps)");
    save(&scene, "families/llama.toml", &broken);
    let told = dev.event("broken", &["changed"]);
    assert!(told["diagnostics"].to_string().contains("rms_nrom"), "{told}");
    let text = read(&scene, "p.toml");
    save(&scene, "p.toml", &format!("{text}# a comment\n"));
    let told = dev.event("broken", &["changed"]);
    assert_eq!(told["diagnostics"].as_array().unwrap().len(), 0, "{told}");
    assert!(told["problems"].as_u64().unwrap() > 0);
    save(&scene, "families/llama.toml", &shipped("llama"));
    let live = dev.event("live", &["changed"]);
    assert_eq!(
        (&live["mended"], &live["number"]),
        (&Value::from(true), &Value::from(2))
    );
    assert_eq!(dev.interrupt(), Some(0));
}

/// A pipeline that cannot be loaded at first is loaded when it is mended.
#[test]
fn it_may_begin_broken() {
    let scene = scene();
    let text = read(&scene, "p.toml");
    scene.write("p.toml", "[model\n");
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json"]);
    assert!(
        dev.event("broken", &["watching"])["diagnostics"]
            .to_string()
            .contains("not TOML")
    );
    fs::remove_file(scene.path("p.toml")).unwrap();
    dev.event("broken", &["changed"]);
    save(&scene, "p.toml", &text);
    assert_eq!(dev.event("live", &["changed"])["mended"], true);
    dev.event("sample", &[]);
    assert_eq!(dev.interrupt(), Some(0));
}

/// What a sample finds wrong does not end anything.
#[test]
fn a_sample_that_fails_is_told() {
    let scene = scene();
    let mut dev = Talk::start(&scene, &["dev", "p.toml"]);
    dev.until("a sample", |line| line.starts_with("sample: 2 documents"));
    dev.until("its score", |line| line.contains("score: perplexity"));
    let text = read(&scene, "p.toml");
    save(&scene, "p.toml", &text.replace("rows.jsonl", "gone.jsonl"));
    dev.until("the reason", |line| line.contains("gone.jsonl"));
    dev.until("the end of the sample", |line| line == "the sample could not be run");
    save(&scene, "p.toml", &text);
    dev.until("another sample", |line| line.starts_with("sample: 2 documents"));
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn many_edits_are_live_soon_and_take_no_memory() {
    let scene = scene();
    let (vocabulary, _) = sli_tests::scene::sizes(&named("llama"));
    scene.rows(&documents(4, 20, vocabulary));
    let text = read(&scene, "p.toml");
    let mut dev = Talk::start(&scene, &["dev", "p.toml", "--json"]);
    dev.event("sample", &["watching", "live"]);
    let (mut times, mut early) = (Vec::new(), 0);
    for edit in 0..40 {
        if edit % 2 == 0 {
            let cap = 20 + edit;
            let family = shipped("llama").replace("softcap  = \"null\"", &format!("softcap = \"{cap}.0\""));
            save(&scene, "families/llama.toml", &family);
        } else {
            save(&scene, "p.toml", &format!("{text}# {edit}\n"));
        }
        let live = dev.event("live", &["changed"]);
        times.push(milliseconds(&live));
        if edit % 2 == 0 {
            dev.event("sample", &[]);
        }
        if edit == 9 {
            early = dev.rss();
        }
    }
    let late = dev.rss();
    times.sort_by(f64::total_cmp);
    println!(
        "edit to live: median {:.0} ms, most {:.0} ms; memory {early} -> {late}",
        times[20], times[39]
    );
    assert!(late < early + (64 << 20), "memory grew from {early} to {late} bytes");
    assert_eq!(dev.interrupt(), Some(0));
}
