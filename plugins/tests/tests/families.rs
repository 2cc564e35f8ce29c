//! The families of `guests/` plan what the descriptors plan, for the config.json of every parity fixture.

use plugin_tests::{assert_same, fixtures, planned, shipped};
use sli_pipe_plugin::Described;
use sli_pipe_plugin::family::Family;

/// Compares a plugin with the shipped family of this model type.
fn same_as_shipped<F: Family + Described>(model_type: &str) {
    for (name, config) in fixtures(model_type) {
        let theirs = shipped(&config);
        let (ours, handled) = planned::<F>(&config).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        assert_eq!(ours.family, F::ID);
        assert_same(&name, &ours, &theirs);
        // Keys that the descriptor's strictness would have missed must not count as handled by accident.
        assert!(!handled.iter().any(|key| key == "no_such_key"), "{name}");
    }
}

#[test]
fn mixtral_as_a_plugin_plans_what_its_descriptor_plans() {
    same_as_shipped::<mixtral_twin::MixtralTwin>("mixtral");
}

#[test]
fn gemma_3n_as_a_plugin_plans_what_its_descriptors_plan() {
    same_as_shipped::<gemma3n_twin::Gemma3nTwin>("gemma3n_text");
}

#[test]
fn several_errors_of_a_config_are_reported_together() {
    let (_, mut config) = fixtures("mixtral").remove(0);
    config.as_object_mut().unwrap().remove("num_hidden_layers");
    config["num_attention_heads"] = "four".into();
    let errors = planned::<mixtral_twin::MixtralTwin>(&config).unwrap_err();
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/num_hidden_layers", "/num_attention_heads"]);
    assert!(errors[1].message.contains("not \"four\""), "{}", errors[1].message);
}
