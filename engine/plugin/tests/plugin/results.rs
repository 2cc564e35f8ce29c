//! Results that lie: pointers out of memory, sizes without end, text that is none, plans that are none.

use serde_json::json;
use sli_family::Family as _;

use crate::family::PLAN;
use crate::limits::{document, filter};
use crate::support::{Guest, RETURN, fail_all, fails, ok_list, says};

fn plan_of(text: &str) -> String {
    let family = Guest::family(text).load().family();
    fail_all(|| family.plan(&json!({ "layers": 1 })))
}

/// A plan result whose text is at `at`, `len` bytes.
fn claims(at: u32, len: u32) -> String {
    let code = format!(
        "(i32.store (i32.const 64) (i32.const 0)) (i32.store (i32.const 68) (i32.const {at})) (i32.store (i32.const 72) (i32.const {len}))
         (i32.const {RETURN})"
    );
    let family = Guest::plans(&code).load().family();
    fail_all(|| family.plan(&json!({})))
}

#[test]
fn pointers_out_of_memory_are_found() {
    says(
        &claims(0, u32::MAX),
        &["the plugin `test` gave an invalid result in `plan`", "out of bounds"],
    );
    says(
        &claims(0xffff_fff0, 100),
        &["gave an invalid result in `plan`", "out of bounds"],
    );
    let family = Guest::plans("(i32.const -4)").load().family();
    says(
        &fail_all(|| family.plan(&json!({}))),
        &["gave an invalid result in `plan`"],
    );
    let tag = Guest::plans("(i32.store (i32.const 64) (i32.const 9)) (i32.const 64)")
        .load()
        .family();
    says(
        &fail_all(|| tag.plan(&json!({}))),
        &["gave an invalid result in `plan`"],
    );
}

#[test]
fn a_list_that_claims_to_be_giant_costs_nothing() {
    let code = ok_list("(i32.const 0)", "(i32.const 1073741824)");
    let words = fails(|| filter(&Guest::filters(&code)).run(&[document("a")]));
    says(&words, &["gave an invalid result in `filter`", "out of bounds"]);
}

#[test]
fn lists_that_grow_in_the_host_are_too_large() {
    // a million empty lists in zeroed memory: 8 MiB in the plugin, 24 MiB in the host
    let many = format!(
        "(drop (memory.grow (i32.const 200))) {}",
        ok_list("(i32.const 1048576)", "(i32.const 1048576)")
    );
    let words = fails(|| filter(&Guest::filters(&many)).run(&[document("a")]));
    says(
        &words,
        &[
            "the plugin `test` gave too large a result in `filter`: the limit is 1.0 MiB for this input",
            "cannot be raised",
        ],
    );
    // a thousand lists that are all the same hundred thousand empty texts
    let same = format!(
        "(drop (memory.grow (i32.const 200)))
         (loop $l
           (i32.store (i32.add (i32.const 8192) (i32.mul (local.get $i) (i32.const 8))) (i32.const 1048576))
           (i32.store (i32.add (i32.const 8196) (i32.mul (local.get $i) (i32.const 8))) (i32.const 100000))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const 1000)))) {}",
        ok_list("(i32.const 8192)", "(i32.const 1000)")
    );
    let words = fails(|| filter(&Guest::filters(&same)).run(&[document("a")]));
    says(&words, &["gave too large a result in `filter`"]);
}

#[test]
fn text_must_be_utf_8() {
    let code = "(i32.store (i32.const 4096) (i32.const 0xfffefdfc)) (i32.store (i32.const 64) (i32.const 0))
        (i32.store (i32.const 68) (i32.const 4096)) (i32.store (i32.const 72) (i32.const 4)) (i32.const 64)";
    let family = Guest::plans(code).load().family();
    says(
        &fail_all(|| family.plan(&json!({}))),
        &["gave an invalid result in `plan`", "utf-8"],
    );
}

#[test]
fn plans_that_are_none_say_where() {
    says(
        &plan_of("no plan"),
        &[
            "the plugin `test` gave an invalid result in `plan`",
            "expected",
            "at line 1 column 2",
        ],
    );
    says(
        &plan_of("{\"family\": \"test\", \"stacks\": 5}"),
        &[
            "invalid type: integer `5`",
            "after `{\"family\": \"test\", \"stacks\": 5`",
        ],
    );
    says(&plan_of(&"[".repeat(100_000)), &["the plan cannot be read"]);
    let nested = "{\"head\":{\"nodes\":[".to_owned() + &"{\"op\":{\"experts\":{\"body\":{\"nodes\":[".repeat(100_000);
    says(&plan_of(&nested), &["recursion limit exceeded"]);
    says(
        &plan_of(&PLAN.replace("silu", "sulu")),
        &["unknown variant `sulu`", "expected one of"],
    );
    says(
        &plan_of(&PLAN.replace("\"op\":\"embedding\"", "\"op\":\"magic\"")),
        &["unknown variant `magic`"],
    );
}

#[test]
fn plans_that_would_harm_are_found() {
    let cases = [
        (
            "[\"out\",{\"node\":1}]",
            "[\"out\",{\"node\":99}]",
            "layer 0 of `decoder`: `out` is node 99, but the graph has 2 nodes",
        ),
        (
            "\"silu\"},\"inputs\":[{\"node\":0}]",
            "\"silu\"},\"inputs\":[{\"node\":1}]",
            "reads node 1, which does not come before it",
        ),
        (
            "\"silu\"},\"inputs\":[{\"node\":0}]",
            "\"silu\"},\"inputs\":[{\"node\":4000000000}]",
            "reads node 4000000000",
        ),
        ("[\"out\",", "[\"uit\",", "layer 0 of `decoder` has no output `out`"),
        ("[\"x\",", "[\"y\",", "what enters stack `decoder` has no output `x`"),
        (
            "\"wte.weight\"}}",
            "\"wte.{e}\"},\"form\":\"expert\"}",
            "belongs to an expert, but stands outside `experts`",
        ),
        (
            "\"wte.weight\"}}",
            "\"wte.{n}\"},\"form\":{\"stack\":{\"count\":1000000000}}}",
            "stands for 1000000000 tensors",
        ),
        ("\"param\":0", "\"param\":7", "7 is beyond the 1 parameters"),
        (
            "\"family\":\"test\"",
            "\"family\":\"other\"",
            "its `family` is `other` and must be `test`",
        ),
        (
            "\"name\":\"decoder\"",
            "\"name\":\"\"",
            "the name of a stack is made of letters",
        ),
        (
            "\"class\":\"block\"",
            "\"class\":\"a\\u001b[31m\"",
            "the class of a layer has control characters",
        ),
        (
            "{\"activation\":\"silu\"}",
            "{\"range\":1000000000000}",
            "`range` with the number 1000000000000",
        ),
        (
            "\"tied\":[]",
            "\"tied\":[[{\"base\":\"root\",\"path\":\"a\"},{\"base\":\"root\",\"path\":\"a.a\"}]]",
            "which lies within it",
        ),
    ];
    for (from, to, words) in cases {
        let plan = PLAN.replacen(from, to, 1);
        assert_ne!(plan, PLAN, "{from}");
        says(
            &plan_of(&plan),
            &["the plugin `test` gave an invalid result in `plan`", words],
        );
    }
    let twice = PLAN.replacen("\"last\":null}]", "\"last\":null},{\"name\":\"decoder\",\"tokens\":\"input_ids\",\"enter\":{\"nodes\":[{\"op\":{\"const\":{\"int\":1}},\"inputs\":[]}],\"outputs\":[[\"x\",{\"node\":0}]]},\"layers\":[],\"last\":null}]", 1);
    says(&plan_of(&twice), &["two stacks are called `decoder`"]);
    let layer = "{\"class\":\"b\",\"graph\":{\"nodes\":[{\"op\":{\"input\":\"x\"},\"inputs\":[]}],\"outputs\":[[\"out\",{\"node\":0}]]}},";
    let many = PLAN.replacen("\"layers\":[", &format!("\"layers\":[{}", layer.repeat(5000)), 1);
    says(
        &plan_of(&many),
        &["the plan has 5001 layers; at most 4096 are possible"],
    );
}

#[test]
fn keys_that_nobody_handles_are_refused() {
    let family = Guest::family(PLAN).load().family();
    let words = fail_all(|| family.plan(&json!({ "layers": 1, "hidden_size": 3, "layres": 4, "nothing": null })));
    says(
        &words,
        &[
            "config.json says `layres: 4`, and the family `test` does nothing with that key",
            "the family must look at the key",
        ],
    );
    let quantised = json!({ "quantization_config": { "quant_method": "gptq" } });
    says(
        &fail_all(|| family.plan(&quantised)),
        &["this checkpoint is quantised (`quant_method: gptq`)"],
    );
}

#[test]
fn a_family_explains_config_json_by_pointers() {
    // one error: pointer `/heads`, message `must` with an escape, no help
    let data = b"/headsmust\x1b[1m divide".to_vec();
    let code = "(i32.store (i32.const 128) (i32.const 4096)) (i32.store (i32.const 132) (i32.const 6))
        (i32.store (i32.const 136) (i32.const 4102)) (i32.store (i32.const 140) (i32.const 15)) (i32.store (i32.const 144) (i32.const 0))
        (i32.store (i32.const 64) (i32.const 1)) (i32.store (i32.const 68) (i32.const 128)) (i32.store (i32.const 72) (i32.const 1))
        (i32.const 64)";
    let family = Guest::plans(code).with_data(data.clone()).load().family();
    let words = fail_all(|| family.plan(&json!({ "heads": 7 })));
    says(
        &words,
        &["config.json /heads = 7: must[1m divide", "so says the plugin `test`"],
    );
    let none = code.replace(
        "(i32.store (i32.const 72) (i32.const 1))",
        "(i32.store (i32.const 72) (i32.const 0))",
    );
    let family = Guest::plans(&none).with_data(data).load().family();
    says(&fail_all(|| family.plan(&json!({}))), &["neither a plan nor an error"]);
}

#[test]
fn refusals_of_a_plugin_are_shown_without_its_escapes() {
    let code = "(i32.store (i32.const 64) (i32.const 1)) (i32.store (i32.const 68) (i32.const 4096)) (i32.store (i32.const 72) (i32.const 9))
        (i32.const 64)";
    let words = fails(|| filter(&Guest::filters(code).with_data(b"no\x1b]0;x\x07y!".to_vec())).run(&[document("a")]));
    says(&words, &["the plugin `test` refuses in `filter`: no]0;xy"]);
}
