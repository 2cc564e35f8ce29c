//! A descriptor that calls a plugin's function.

use sli_tests::fixture::captured;
use sli_tests::scene::{Scene, documents};

use crate::install;

const ROWS: usize = 3;

/// Llama whose layers end in a running median.
fn descriptor(call: &str) -> String {
    format!(
        "schema = 1\nid = \"medians\"\ntitle = \"Llama with medians\"\nextends = \"llama\"\n\
         [match]\nmodel_types = [\"llama_medians\"]\n[layer.decoder]\n\
         h = \"x + attention(norm(x, 'input_layernorm'), 'self_attn')\"\n\
         plain = \"h + mlp(norm(h, 'post_attention_layernorm'), 'mlp')\"\nout = \"{call}\"\n"
    )
}

fn scene(call: &str) -> Scene {
    let stages = "[[stage]]\nuses = \"capture\"\npoints = [\"decoder.*\", \"decoder.*.plain\"]\n";
    let scene = Scene::of("llama", stages);
    scene.edit_json("model/config.json", |config| {
        config["model_type"] = "llama_medians".into()
    });
    scene.rows(&documents(12, 20, 96));
    scene.write("families/medians.toml", descriptor(call));
    install(&scene, "median-window");
    scene
}

/// The median of the last `ROWS` rows, feature by feature.
fn medians(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let at = |t: usize, c: usize| {
        let mut window: Vec<f32> = rows[(t + 1).saturating_sub(ROWS)..=t]
            .iter()
            .map(|row| row[c])
            .collect();
        window.sort_by(f32::total_cmp);
        let middle = window.len() / 2;
        if window.len() % 2 == 1 {
            window[middle]
        } else {
            (window[middle - 1] + window[middle]) / 2.0
        }
    };
    (0..rows.len())
        .map(|t| (0..rows[0].len()).map(|c| at(t, c)).collect())
        .collect()
}

#[test]
fn a_function_of_a_plugin_works_on_each_sequence_by_itself() {
    let scene = scene("median_window(plain, null, {'rows': 3})");
    scene.finish(&["--set", "stage.0.dtype=f32"]);
    let values = captured(&scene.path("out"));
    let mut seen = 0;
    for (key, plain) in values.iter().filter(|(key, _)| key.ends_with(".plain")) {
        let out = &values[key.strip_suffix(".plain").unwrap()];
        let rows: Vec<Vec<f32>> = plain.rows().map(<[f32]>::to_vec).collect();
        assert_eq!(out.values, medians(&rows).concat(), "{key}");
        seen += 1;
    }
    assert_eq!(seen, 36, "12 documents, 3 layers");
    // The same in halves: what crosses is f32, what comes back has the type of the rest.
    scene.finish_again(&["--set", "engine.dtype=bf16"]);
    assert_eq!(captured(&scene.path("out")).len(), 72);
}

#[test]
fn a_call_that_does_not_fit_is_said_before_anything_is_read() {
    let cases = [
        ("median_window(plain)", "`median_window` takes 2 tensors, not 1"),
        (
            "median_window(plain, null, {'rows': 0})",
            "the options of `median_window` do not fit: /rows: 0 is less than the minimum of 1",
        ),
        ("median_window(plain, null, {'row': 3})", "'row' was unexpected"),
        ("median_windw(plain, null)", "did you mean `median_window`?"),
        (
            "median_window(split_heads(plain, 4, null), null)",
            "`median_window` of the plugin `median-window`",
        ),
    ];
    for (call, words) in cases {
        let ended = scene(call).run(&["plan", "p.toml"]);
        assert_eq!(ended.code, 2, "{call}: {}", ended.stdout);
        let text = ended.stderr.replace("\n   | ", " ");
        assert!(text.contains(words), "{call}: {text}");
    }
    let scene = scene("median_window(plain, null)");
    std::fs::remove_file(scene.path("plugins/median-window.wasm")).unwrap();
    let ended = scene.run(&["plan", "p.toml"]);
    assert!(
        ended.stderr.contains("there is no function or block `median_window`"),
        "{}",
        ended.stderr
    );
}
