//! `logits` against those of transformers.

use sli_tests::compare::relative_error;
use sli_tests::fixture::{arrays, named};
use sli_tests::numbers::assert_close;
use sli_tests::scene::Scene;

#[test]
fn all_logits_are_those_of_the_reference() {
    for fixture in ["llama", "gpt2"] {
        let scene = Scene::of(fixture, "[[stage]]\nuses = \"logits\"\nall  = true\n");
        let (found, reference) = (scene.finish(&[]).tensors(), named(fixture).reference());
        for id in ["a", "b"] {
            let key = format!("{id}/logits");
            assert_eq!(found[&key].shape, reference[&key].shape);
            assert!(
                relative_error(&found[&key].values, &reference[&key].values) < 2e-5,
                "{fixture} {key}"
            );
        }
        assert_eq!(found.len(), 2);
    }
}

#[test]
fn the_largest_come_first_with_their_token_ids() {
    let stages = "[[stage]]\nuses  = \"logits\"\ntop_k = 5\n\n[[stage]]\nuses  = \"logits\"\nname  = \"half\"\ntop_k = 5\ndtype = \"bf16\"\n";
    let scene = Scene::of("llama", stages);
    let run = scene.finish(&[]);
    let (found, halves) = (
        arrays(&run.dir.join("logits.safetensors")),
        arrays(&run.dir.join("half.safetensors")),
    );
    for (key, logits) in named("llama")
        .reference()
        .iter()
        .filter(|(key, _)| key.ends_with("/logits"))
    {
        let (values, indices) = (&found[&format!("{key}.values")], &found[&format!("{key}.indices")]);
        assert_eq!(
            (values.shape.as_slice(), &values.shape),
            ([logits.shape[0], 5].as_slice(), &indices.shape)
        );
        for (at, row) in logits.rows().enumerate() {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            for (place, expected) in order.iter().take(5).enumerate() {
                let token = indices.row(at)[place] as usize;
                assert_eq!(token, *expected, "{key} row {at}");
                assert_close(f64::from(values.row(at)[place]), f64::from(row[token]), 2e-5, key);
            }
            assert_eq!(halves[&format!("{key}.indices")].row(at), indices.row(at));
        }
    }
}
