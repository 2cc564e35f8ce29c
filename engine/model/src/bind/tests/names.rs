use super::*;
use crate::testing::{Builder, HIDDEN, VOCAB, embed, llama, llama_tensors, stack, tensor};
use crate::{GraphInput, NameRules, Op, ParamForm, ParamName};

#[test]
fn a_llama_binds_every_tensor_once() {
    let (report, binding) = must_bind(&llama(3), &llama_tensors(3));
    assert_eq!((report.bound, report.root.as_str()), (3 + 3 * 9, "model."));
    assert_eq!(
        binding.heads.iter().map(|head| head.name.as_str()).collect::<Vec<_>>(),
        ["final", "logits"]
    );
    assert!(
        binding
            .heads
            .iter()
            .all(|head| head.value.is_some() && head.reason.is_none())
    );
    assert_eq!(binding.stacks[0].layers[1].tensors(), (11..20).collect::<Vec<u32>>());
    assert!(binding.resident.is_empty());
}

#[test]
fn the_root_may_be_empty() {
    let tensors = renamed(llama_tensors(1), |name| name.replace("model.", ""));
    assert_eq!(must_bind(&llama(1), &tensors).0.root, "");
}

#[test]
fn a_present_bias_is_bound_and_a_missing_tensor_is_named_with_its_place() {
    let mut tensors = llama_tensors(1);
    tensors.push(tensor("model.layers.0.self_attn.q_proj.bias", &[HIDDEN]));
    assert_eq!(must_bind(&llama(1), &tensors).0.bound, tensors.len());
    let report = must_fail(&llama(1), &without(tensors, "model.layers.0.mlp.up_proj.weight"));
    assert_eq!(
        report.missing[0].to_string(),
        "decoder.0: missing tensor `model.layers.0.mlp.up_proj.weight`"
    );
    assert!(
        report.unused.is_empty() && report.mismatched.is_empty(),
        "one cause, one error"
    );
}

#[test]
fn a_tensor_that_nothing_uses_is_an_error_unless_it_is_ignored() {
    let mut tensors = llama_tensors(1);
    tensors.push(tensor("model.layers.0.rotary_emb.inv_freq", &[2]));
    assert_eq!(
        must_bind(&llama(1), &tensors).0.ignored,
        ["model.layers.0.rotary_emb.inv_freq"]
    );
    tensors.push(tensor("model.layers.0.self_attn.q_norm.weight", &[4]));
    tensors.push(tensor("model.layers.1.self_attn.q_norm.weight", &[4]));
    let report = must_fail(&llama(1), &tensors);
    assert_eq!(report.unused.len(), 2);
    let text = report.to_string();
    let expected = "unused tensor `model.layers.0.self_attn.q_norm.weight` (and 1 more of that kind)\n";
    assert!(text.contains(expected), "{text}");
    assert!(
        text.starts_with("12 tensors bound below `model.`, 1 ignored, 2 unused\n"),
        "{text}"
    );
}

#[test]
fn renames_apply_to_any_part_of_a_name_and_are_listed_when_nothing_is_found() {
    let mut plan = llama(1);
    plan.names.rename = vec![
        ("mlp.*".into(), vec!["feed_forward.*".into()]),
        ("gate_proj".into(), vec!["w1".into()]),
        ("lm_head".into(), vec!["output".into()]),
    ];
    let change = |name: &str| {
        name.replace("mlp", "feed_forward")
            .replace("gate_proj", "w1")
            .replace("lm_head", "output")
    };
    let tensors = renamed(llama_tensors(1), change);
    must_bind(&plan, &tensors);
    let report = must_fail(&plan, &without(tensors, "model.layers.0.feed_forward.w1.weight"));
    assert_eq!(
        report.missing[0].to_string(),
        "decoder.0: missing tensor `model.layers.0.mlp.gate_proj.weight` (nor `model.layers.0.feed_forward.gate_proj.weight`, \
         `model.layers.0.mlp.w1.weight`, `model.layers.0.feed_forward.w1.weight`)"
    );
}

#[test]
fn a_tied_tensor_is_read_from_its_partner_only_if_ties_apply() {
    let tensors = without(llama_tensors(1), "lm_head.weight");
    let mut plan = llama(1);
    let (report, _) = must_bind(&plan, &tensors);
    assert_eq!(
        report.unavailable,
        [(
            "logits".to_string(),
            "the checkpoint has no tensor `lm_head.weight`".to_string()
        )]
    );
    plan.names.ties_apply = true;
    let (report, binding) = must_bind(&plan, &tensors);
    assert_eq!(
        report.tied,
        [("lm_head.weight".to_string(), "model.embed_tokens.weight".to_string())]
    );
    assert_eq!(
        binding.head.tensors(),
        binding_of("model.embed_tokens.weight", "model.norm.weight", &tensors)
    );
    assert!(binding.resident.is_empty(), "a head is no layer");
    // A file that has the left tensor uses it.
    assert!(must_bind(&plan, &llama_tensors(1)).0.tied.is_empty());
}

fn binding_of(a: &str, b: &str, tensors: &[TensorInfo]) -> Vec<u32> {
    [a, b]
        .iter()
        .map(|name| tensors.iter().position(|t| t.name == *name).unwrap() as u32)
        .collect()
}

#[test]
fn ties_chain_through_renames_and_circles_end() {
    let mut plan = llama(0);
    plan.names.ties_apply = true;
    plan.names.tied = vec![
        (ParamName::file("lm_head"), ParamName::root("middle")),
        (ParamName::root("middle"), ParamName::root("embed_tokens")),
        (ParamName::root("embed_tokens"), ParamName::file("lm_head")),
    ];
    plan.names.rename = vec![("embed_tokens".into(), vec!["wte".into()])];
    let tensors = [
        tensor("model.wte.weight", &[VOCAB, HIDDEN]),
        tensor("model.norm.weight", &[HIDDEN]),
    ];
    let (report, _) = must_bind(&plan, &tensors);
    assert_eq!(
        report.tied,
        [("lm_head.weight".to_string(), "model.wte.weight".to_string())]
    );
    let report = must_fail(&plan, &tensors[1..]);
    assert_eq!(report.missing[0].name, "model.embed_tokens.weight");
    let tried = [
        "model.embed_tokens.weight",
        "model.wte.weight",
        "lm_head.weight",
        "model.middle.weight",
    ];
    assert_eq!(report.missing[0].tried, tried);
}

#[test]
fn copies_by_a_tie_need_not_be_read() {
    let mut plan = llama(0);
    plan.names.ties_apply = true;
    plan.names
        .tied
        .push((ParamName::root("encoder.embed_tokens"), ParamName::root("embed_tokens")));
    let mut tensors = llama_tensors(0);
    tensors.push(tensor("model.encoder.embed_tokens.weight", &[VOCAB, HIDDEN]));
    assert_eq!(
        must_bind(&plan, &tensors).0.copies,
        ["model.encoder.embed_tokens.weight"]
    );
    plan.names.ties_apply = false;
    assert_eq!(must_fail(&plan, &tensors).unused, ["model.encoder.embed_tokens.weight"]);
}

#[test]
fn tensors_of_several_layers_stay_resident() {
    let mut plan = llama(2);
    for layer in &mut plan.stacks[0].layers {
        layer.graph.params[0].name = ParamName::root("shared_norm.weight");
    }
    let mut tensors: Vec<_> = llama_tensors(2)
        .into_iter()
        .filter(|t| !t.name.contains("input_layernorm"))
        .collect();
    tensors.push(tensor("model.shared_norm.weight", &[HIDDEN]));
    assert_eq!(must_bind(&plan, &tensors).1.resident, [tensors.len() as u32 - 1]);
}

#[test]
fn stacked_parameters_get_a_new_first_dim_of_one_shape() {
    let mut b = Builder::new("decoder.0");
    let x = b.input(GraphInput::X);
    let w = b.param_as(
        ParamName::root("adapters.{n}.weight"),
        ParamForm::Stack { count: 2 },
        false,
    );
    let h = b.heads(x, 2, 4);
    let h = b.op(Op::Linear { transposed: false }, &[h, w]);
    let out = b.op(Op::MergeHeads, &[h]);
    let decoder = stack(
        "decoder",
        "input_ids",
        embed("embed_tokens.weight"),
        vec![b.output("out", out)],
    );
    let mut plan = ModelPlan {
        stacks: vec![decoder],
        ..llama(0)
    };
    let with = |shape: &[u64]| {
        let mut tensors = llama_tensors(0);
        tensors.extend([
            tensor("model.adapters.0.weight", &[4, 4]),
            tensor("model.adapters.1.weight", shape),
        ]);
        tensors
    };
    must_bind(&plan, &with(&[4, 4]));
    let expected = "decoder.0: `model.adapters.0.weight` is [4, 4], but `model.adapters.1.weight` is [4, 2]: they must have one shape";
    assert_eq!(mismatch(&plan, &with(&[4, 2])), expected);
    let report = must_fail(&plan, &without(with(&[4, 4]), "model.adapters.1.weight"));
    assert_eq!(report.missing[0].name, "model.adapters.1.weight");
    assert!(
        report.unused.is_empty(),
        "pieces that are there are not unused: {report}"
    );
    // Spellings of single pieces.
    plan.names = NameRules {
        rename: vec![("adapters.1".into(), vec!["second".into()])],
        ..plan.names
    };
    must_bind(
        &plan,
        &renamed(with(&[4, 4]), |name| name.replace("adapters.1", "second")),
    );
}

#[test]
fn a_parameter_read_in_another_shape_keeps_its_elements() {
    let mut plan = llama(1);
    plan.stacks[0].layers[0].graph.params[0].shape = Some(vec![1, HIDDEN]);
    must_bind(&plan, &llama_tensors(1));
    plan.stacks[0].layers[0].graph.params[0].shape = Some(vec![2, HIDDEN]);
    let expected = "decoder.0: `model.layers.0.input_layernorm.weight` [8] cannot be read as [2, 8]: the number of elements differs";
    assert_eq!(mismatch(&plan, &llama_tensors(1)), expected);
}
