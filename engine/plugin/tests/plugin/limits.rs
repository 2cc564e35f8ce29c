//! Plugins that take without end: each limit, its words, and that nothing else waits.

use std::time::Instant;

use serde_json::json;
use sli_config::plugin::PluginKind;
use sli_family::Family as _;
use sli_plugin::{Document, Filter, Grants};

use crate::support::{CLOCK, Guest, bounded, fail_all, fails, name, ok_list, says};

const LOOP: &str = "(loop $l (br $l)) unreachable";

pub(crate) fn document(text: &str) -> Document {
    Document {
        id: "0".into(),
        text: text.into(),
        fields: "{}".into(),
    }
}

pub(crate) fn filter(guest: &Guest) -> Filter {
    guest.load().filter(&json!({}), &Grants::default()).unwrap()
}

fn plan_fails(guest: &Guest) -> String {
    let family = guest.load().family();
    fail_all(|| family.plan(&json!({})))
}

#[test]
fn an_endless_loop_runs_out_of_instructions() {
    let words = plan_fails(&Guest::plans(LOOP));
    says(
        &words,
        &[
            "the plugin `test` ran out of instructions in `plan`: the limit is 50000",
            "`[plugin.test] seconds = 300`",
            "plugins/test.wasm",
        ],
    );
    let words = fails(|| filter(&Guest::filters(LOOP)).run(&[document("a")]));
    says(&words, &["ran out of instructions in `filter`", "it was in `filter`"]);
}

#[test]
fn a_slow_plugin_is_ended_by_the_clock() {
    let family = Guest::plans(LOOP).load_in(&CLOCK).family();
    let words = fail_all(|| family.plan(&json!({})));
    says(
        &words,
        &["the plugin `test` did not end in time in `plan`: the limit is 1 seconds"],
    );
}

#[test]
fn grants_widen_limits_only_where_the_manifest_asks() {
    let asks = Guest::plans(LOOP).with_manifest("asks = { seconds = 4 }\n");
    let grants = Grants {
        seconds: Some(8),
        ..Grants::default()
    };
    let plugin = asks.load();
    says(
        &fail_all(|| plugin.family().plan(&json!({}))),
        &["its manifest asks for more: grant it with `[plugin.test] seconds = 4`"],
    );
    let words = fail_all(|| plugin.granted(grants.clone()).family().plan(&json!({})));
    // twice the seconds are twice the instructions
    says(
        &words,
        &["the limit is 1000", "the smaller one of what the manifest asks for"],
    );
    let silent = Guest::plans(LOOP).load();
    says(
        &fail_all(|| silent.granted(grants).family().plan(&json!({}))),
        &["the limit is 50000", "its manifest must ask"],
    );
}

#[test]
fn loops_before_the_call_are_ended_too() {
    let mut guest = Guest::plans("unreachable");
    guest.body.push_str("(func $before (loop $l (br $l))) (start $before)");
    let words = plan_fails(&guest);
    says(
        &words,
        &[
            "ran out of instructions while it was started for `plan`",
            "it was in `before`",
        ],
    );
}

#[test]
fn deep_recursion_runs_out_of_stack() {
    let mut guest = Guest::plans("(call $deep (i32.const 1))");
    guest.body.push_str("(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))");
    let words = plan_fails(&guest);
    says(
        &words,
        &[
            "the plugin `test` ran out of stack in `plan`: the limit is 1 MiB",
            "it calls itself too deeply",
            "`deep`, called by `deep`",
        ],
    );
}

#[test]
fn memory_that_grows_without_end_is_refused() {
    let grow = "(loop $l (drop (memory.grow (i32.const 16))) (br $l)) unreachable";
    let words = plan_fails(&Guest::plans(grow));
    says(
        &words,
        &[
            "the plugin `test` ran out of memory in `plan`",
            "the limit is 16 MiB",
            "`[asks] memory = \"2GiB\"`",
        ],
    );
    let at_once = plan_fails(&Guest::plans("(drop (memory.grow (i32.const 65000))) unreachable"));
    says(&at_once, &["it wanted 4.0 GiB, the limit is 16 MiB"]);
    let asks = Guest::plans(grow)
        .with_manifest("asks = { memory = \"64MiB\" }\n")
        .load();
    let grants = Grants {
        memory: Some(24 << 20),
        ..Grants::default()
    };
    says(
        &fail_all(|| asks.granted(grants).family().plan(&json!({}))),
        &["the limit is 24 MiB"],
    );
}

#[test]
fn tables_and_first_memories_count_as_memory() {
    let mut guest = Guest::plans("(drop (table.grow $t (ref.null func) (i32.const 2000000))) unreachable");
    guest.body.push_str("(table $t 1 funcref)");
    says(
        &plan_fails(&guest),
        &["ran out of memory in `plan`: it wanted 30.8 MiB"],
    );
    let mut guest = Guest::plans("unreachable");
    guest.body.push_str("(table $t 9000000 funcref)");
    says(
        &plan_fails(&guest),
        &["ran out of memory while it was started for `plan`"],
    );
}

#[test]
fn a_crash_names_the_functions_that_led_to_it() {
    let mut guest = Guest::plans("(call $outer)");
    guest
        .body
        .push_str("(func $inner (result i32) unreachable) (func $outer (result i32) (call $inner))");
    let words = plan_fails(&guest);
    says(
        &words,
        &[
            "the plugin `test` crashed in `plan`: it panicked or aborted",
            "it was in `inner`, called by `outer`, called by `plan`",
        ],
    );
    let words = plan_fails(&Guest::plans("(i32.load (i32.const -8))"));
    says(&words, &["crashed in `plan`", "out of bounds memory access"]);
    let words = plan_fails(&Guest::plans("(i32.div_u (i32.const 1) (local.get $i))"));
    says(&words, &["crashed in `plan`", "divide by zero"]);
}

#[test]
fn nothing_lives_longer_than_a_call() {
    let code = format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (i32.store8 (i32.const 256) (i32.add (i32.load8_u (i32.const 256)) (i32.const 1)))
         (i32.store8 (i32.const 300) (i32.add (i32.const 48) (global.get $calls)))
         (i32.store8 (i32.const 301) (i32.add (i32.const 48) (i32.load8_u (i32.const 256))))
         (i32.store (i32.const 304) (i32.const 300)) (i32.store (i32.const 308) (i32.const 2))
         (i32.store (i32.const 312) (i32.const 304)) (i32.store (i32.const 316) (i32.const 1)) {}",
        ok_list("(i32.const 312)", "(i32.const 1)")
    );
    let mut guest = Guest::filters(&code);
    guest.body.push_str("(global $calls (mut i32) (i32.const 0))");
    let filter = filter(&guest);
    for _ in 0..3 {
        assert_eq!(filter.run(&[document("a")]).unwrap(), [["11"]]);
    }
}

#[test]
fn messages_are_counted_cut_and_cleaned() {
    let import = "(import \"sli-pipe:plugin/log@0.1.0\" \"write\" (func $log (param i32 i32 i32)))";
    let code = "(loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 65536)) (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 5000)))) unreachable";
    let guest = Guest::plans(code)
        .with_imports(import)
        .with_manifest("asks = { log = true }\n");
    let plugin = guest.load();
    plan_fails(&guest);
    let granted = plugin.granted(Grants {
        log: true,
        ..Grants::default()
    });
    fail_all(|| granted.family().plan(&json!({})));
    let messages = granted.messages();
    assert_eq!(messages.len(), 101);
    assert!(messages.iter().all(|m| m.text.len() <= 4100 && !m.text.contains('\0')));
    assert_eq!(
        messages[100].text,
        "4900 more messages of this call were dropped: it may write 100"
    );
    assert_eq!(granted.messages(), []);
    fail_all(|| plugin.family().plan(&json!({})));
    assert_eq!(plugin.messages(), [], "nothing is granted");
}

#[test]
fn other_plugins_go_on_while_one_loops() {
    let spinning = Guest::plans(LOOP).load_in(&CLOCK);
    spinning.prepare().unwrap();
    let good = Guest::family(crate::family::PLAN).load_in(&CLOCK);
    good.prepare().unwrap();
    std::thread::scope(|scope| {
        let spin = scope.spawn(move || {
            let words = fail_all(|| spinning.family().plan(&json!({})));
            (words, Instant::now())
        });
        let start = Instant::now();
        for _ in 0..20 {
            good.family().plan(&json!({ "layers": 1 })).unwrap();
        }
        let done = Instant::now();
        bounded(start);
        let (words, ended) = spin.join().unwrap();
        says(&words, &["did not end in time"]);
        assert!(done < ended, "the calls waited for the plugin that loops");
    });
}

#[test]
fn many_instances_inside_one_component_are_refused() {
    let bytes = crowded(&Guest::plans("unreachable").bytes(), 200);
    let plugin = crate::support::HOST
        .load_bytes("plugins/many.wasm", &bytes, Some(crate::support::some_manifest()))
        .unwrap();
    let words = fail_all(|| plugin.family().plan(&json!({})));
    says(
        &words,
        &[
            "the plugin `test` cannot be started for `plan`",
            "resource limit exceeded",
        ],
    );
}

/// A component around `packed` that makes `count` instances of a module of its own beside it.
fn crowded(packed: &[u8], count: usize) -> Vec<u8> {
    use wasm_encoder::{
        Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentInstanceSection,
        ComponentSectionId, InstanceSection, ModuleArg, RawSection,
    };
    let module = wat::parse_str("(module (memory 1))").unwrap();
    let raw = |id: ComponentSectionId, data| RawSection { id: id as u8, data };
    let mut component = Component::new();
    component.section(&raw(ComponentSectionId::CoreModule, &module));
    let mut instances = InstanceSection::new();
    for _ in 0..count {
        instances.instantiate::<_, &str>(0, std::iter::empty::<(&str, ModuleArg)>());
    }
    component.section(&instances);
    component.section(&raw(ComponentSectionId::Component, packed));
    let mut inner = ComponentInstanceSection::new();
    inner.instantiate::<_, &str>(0, []);
    component.section(&inner);
    let mut exports = ComponentExportSection::new();
    let mut aliases = ComponentAliasSection::new();
    for (k, interface) in ["about", "model-family"].iter().enumerate() {
        let name = format!("sli-pipe:plugin/{interface}@0.1.0");
        aliases.alias(Alias::InstanceExport {
            instance: 0,
            kind: ComponentExportKind::Instance,
            name: &name,
        });
        exports.export(name.as_str(), ComponentExportKind::Instance, k as u32 + 1, None);
    }
    component.section(&aliases);
    component.section(&exports);
    component.finish()
}

#[test]
fn describe_has_limits_too() {
    let mut guest = Guest::new(
        PluginKind::Family,
        format!(
            "(func (export \"{}\") (param i32 i32) (result i32) unreachable)",
            name("model-family", "plan")
        ),
    );
    guest.body.push_str("(func $before (loop $l (br $l))) (start $before)");
    let plugin = guest.load();
    says(
        &fail_all(|| plugin.check()),
        &["ran out of instructions while it was started for `describe`"],
    );
}
