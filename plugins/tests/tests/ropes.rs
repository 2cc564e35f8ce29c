//! Rotary embeddings of the plan builder are those of the engine, bit for bit, for every type of scaling.

use mixtral_twin::MixtralTwin;
use plugin_tests::{assert_same, fixtures, planned, shipped};
use serde_json::{Value as Json, json};
use sli_family::Registry;

/// The first fixture's config with these members.
fn config(members: Json) -> Json {
    let (_, mut config) = fixtures("mixtral").remove(0);
    let map = config.as_object_mut().unwrap();
    for key in [
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "max_position_embeddings",
    ] {
        map.remove(key);
    }
    map.insert("head_dim".to_owned(), json!(16));
    map.insert("max_position_embeddings".to_owned(), json!(131_072));
    map.extend(members.as_object().unwrap().clone());
    config
}

fn list(f: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..8).map(f).collect()
}

#[test]
fn every_type_of_scaling_gives_the_same_floats() {
    let longrope = |more: Json| {
        let mut map = json!({
            "type": "longrope",
            "short_factor": list(|j| 1.0 + 0.13 * j as f64),
            "long_factor": list(|j| 1.7 + 3.1 * j as f64),
        });
        map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"rope_scaling": map, "rope_theta": 1e4, "original_max_position_embeddings": 4096})
    };
    let cases = [
        json!({}),
        json!({"rope_theta": 500_000}),
        json!({"rope_parameters": {"rope_type": "default", "rope_theta": 12_345.6}}),
        json!({"rope_scaling": {"type": "linear", "factor": 2.5}}),
        json!({"rope_scaling": {"type": "dynamic", "factor": 4.0}, "rope_theta": 10_000.0}),
        json!({"rope_parameters": {
            "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }}),
        json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}}),
        json!({"rope_scaling": {
            "rope_type": "yarn", "original_max_position_embeddings": 4096, "mscale": 0.707, "mscale_all_dim": 1.1,
            "beta_fast": 16, "beta_slow": 2, "truncate": false,
        }}),
        json!({"rope_scaling": {"rope_type": "yarn", "factor": 32.0, "attention_factor": 1.3}}),
        longrope(json!({})),
        longrope(json!({"factor": 32.0})),
        longrope(json!({"short_mscale": 1.1, "long_mscale": 1.3})),
        json!({"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}),
        json!({"rope_scaling": {"type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": true}}),
        json!({"rope_scaling": null, "partial_rotary_factor": 1.0}),
    ];
    for case in cases {
        let config = config(case.clone());
        let (ours, _) = planned::<MixtralTwin>(&config).unwrap_or_else(|errors| panic!("{case}: {errors:?}"));
        assert_same(&case.to_string(), &ours, &shipped(&config));
    }
}

#[test]
fn what_the_engine_refuses_is_refused() {
    let cases = [
        (
            json!({"rope_scaling": {"type": "unheard_of"}}),
            "/rope_scaling/rope_type",
        ),
        (json!({"rope_scaling": {"type": "linear"}}), "/rope_scaling/factor"),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0, "beta_fast": 3}}),
            "/rope_scaling/beta_fast",
        ),
        (
            json!({"rope_scaling": {"type": "mrope", "mrope_section": [2, 3]}}),
            "/rope_scaling/mrope_section",
        ),
        (
            json!({"rope_scaling": {"type": "su", "short_factor": [1.0], "long_factor": [1.0]}}),
            "/rope_scaling/short_factor",
        ),
        (json!({"partial_rotary_factor": 0.5}), "/partial_rotary_factor"),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "default"}}),
            "/rope_scaling/type",
        ),
    ];
    for (case, pointer) in cases {
        let config = config(case.clone());
        let errors = planned::<MixtralTwin>(&config).expect_err(&case.to_string());
        assert!(
            errors.iter().any(|error| error.pointer == pointer),
            "{case}: {errors:?}"
        );
        let family = Registry::shipped().detect(&config).unwrap();
        assert!(family.plan(&config).is_err(), "{case}: the engine takes it");
    }
}
