//! Stages: good ones, and those whose answers do not fit.

use serde_json::json;
use sli_config::plugin::PluginKind;
use sli_plugin::{Block, Cell, Column, ColumnKind, Grants, Piece, PointState};

use crate::limits::{document, filter};
use crate::support::{Guest, fails, name, ok_list, says};

/// Keeps documents of at least 3 bytes as they are.
fn long_ones() -> Guest {
    let code = format!(
        "(loop $l
           (i32.store (i32.add (i32.const 8192) (i32.mul (local.get $i) (i32.const 8)))
             (i32.add (local.get $at) (i32.add (i32.mul (local.get $i) (i32.const 24)) (i32.const 8))))
           (i32.store (i32.add (i32.const 8196) (i32.mul (local.get $i) (i32.const 8)))
             (i32.ge_u (i32.load offset=12 (i32.add (local.get $at) (i32.mul (local.get $i) (i32.const 24)))) (i32.const 3)))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (local.get $n)))) {}",
        ok_list("(i32.const 8192)", "(local.get $n)")
    );
    Guest::filters(&code)
}

/// Counts values: the state is their number in 8 bytes; the table has a row for the first point.
fn counter(table: &str) -> Guest {
    let body = format!(
        "(func (export \"{}\") (param $o i32) (param $ol i32) (param $s i32) (param $sl i32) (param $p i32) (param $pl i32)
           (param $w i64) (param $v i32) (param $vl i32) (param $pc i32) (param $pcl i32) (param $t i32) (param $tl i32) (result i32)
           (i64.store (i32.const 256) (i64.extend_i32_u (local.get $vl)))
           (if (i32.eq (local.get $sl) (i32.const 8))
             (then (i64.store (i32.const 256) (i64.add (i64.load (i32.const 256)) (i64.load (local.get $s))))))
           {})
         (func (export \"{}\") (param $o i32) (param $ol i32) (param $s i32) (param $n i32) (result i32)
           ;; columns `test` text and `0.1.0` integer
           (i32.store (i32.const 512) (i32.const 1024)) (i32.store (i32.const 516) (i32.const 4)) (i32.store (i32.const 520) (i32.const 0))
           (i32.store (i32.const 524) (i32.const 1536)) (i32.store (i32.const 528) (i32.const 5)) (i32.store (i32.const 532) (i32.const 1))
           ;; one row: the point and its number
           (i32.store (i32.const 640) (i32.const 1)) (i32.store (i32.const 648) (i32.load (local.get $s)))
           (i32.store (i32.const 652) (i32.load offset=4 (local.get $s)))
           (i32.store (i32.const 656) (i32.const 2)) (i64.store (i32.const 664) (i64.load (i32.load offset=16 (local.get $s))))
           (i32.store (i32.const 700) (i32.const 640)) (i32.store (i32.const 704) (i32.const 2))
           (i32.store (i32.const 64) (i32.const 0))
           (i32.store (i32.const 68) (i32.const 512)) (i32.store (i32.const 72) (i32.const 2))
           (i32.store (i32.const 76) (i32.const 700)) (i32.store (i32.const 80) (i32.const 1))
           {table}
           (i32.const 64))",
        name("value-reducer", "step"),
        ok_list("(i32.const 256)", "(i32.const 8)"),
        name("value-reducer", "finish"),
    );
    Guest::new(PluginKind::Reducer, body)
}

fn block() -> Block {
    Block {
        point: "decoder.0".into(),
        width: 2,
        values: vec![1.0; 6],
        pieces: vec![Piece {
            document: "0".into(),
            first: 0,
            rows: 3,
        }],
        tokens: vec![1, 2, 3],
    }
}

fn finish(table: &str) -> Result<sli_plugin::TableRows, sli_config::Diagnostic> {
    let reducer = counter(table).load().reducer(&json!({}), &Grants::default()).unwrap();
    let state = reducer.step(&[], &block()).unwrap();
    let state = reducer.step(&state, &block()).unwrap();
    reducer.finish(&[PointState {
        point: "decoder.0".into(),
        width: 2,
        state,
    }])
}

#[test]
fn filters_drop_and_keep() {
    let filter = filter(&long_ones());
    let documents = ["a", "long", "ab", "xyz"].map(document);
    let empty: [&str; 0] = [];
    let found = filter.run(&documents).unwrap();
    assert_eq!(found, [empty.to_vec(), vec!["long"], empty.to_vec(), vec!["xyz"]]);
}

#[test]
fn as_many_answers_as_documents_are_wanted() {
    let code = ok_list("(i32.const 0)", "(i32.const 0)");
    let words = fails(|| filter(&Guest::filters(&code)).run(&[document("a"), document("b")]));
    says(
        &words,
        &["the plugin `test` gave an invalid result in `filter`: 0 answers for 2 documents"],
    );
}

#[test]
fn reducers_fold_and_give_a_table() {
    let table = finish("").unwrap();
    let names: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    assert_eq!(names, [("test", ColumnKind::Text), ("0.1.0", ColumnKind::Integer)]);
    assert_eq!(table.rows, [[Cell::Text("decoder.0".into()), Cell::Integer(12)]]);
}

#[test]
fn tables_must_be_tables() {
    says(
        &fails(|| finish("(i32.store (i32.const 704) (i32.const 1))")),
        &["gave an invalid result in `finish`: row 0 has 1 cells, and there are 2 columns"],
    );
    says(
        &fails(|| finish("(i32.store (i32.const 656) (i32.const 3))")),
        &["row 0 has number in the column `0.1.0`, which is integer"],
    );
    says(
        &fails(|| finish("(i32.store (i32.const 72) (i32.const 0))")),
        &["a table of 0 columns"],
    );
    says(
        &fails(|| finish("(i32.store (i32.const 516) (i32.const 0))")),
        &["`` is no name of a column"],
    );
    says(
        &fails(|| finish("(i32.store (i32.const 524) (i32.const 1024)) (i32.store (i32.const 528) (i32.const 4))")),
        &["two columns `test`"],
    );
    says(
        &fails(|| finish("(i32.store (i32.const 80) (i32.const 1000000000))")),
        &["gave an invalid result in `finish`"],
    );
}

#[test]
fn formatters_write_bytes() {
    let body = format!(
        "(func (export \"{}\") (param $o i32) (param $ol i32) (param $c i32) (param $cn i32) (param $r i32) (param $rn i32)
           (param $first i32) (param $last i32) (result i32)
           (i32.store8 (i32.const 8192) (i32.add (i32.const 48) (local.get $rn)))
           (i32.store8 (i32.const 8193) (select (i32.const 70) (i32.const 45) (local.get $first)))
           (i32.store8 (i32.const 8194) (select (i32.const 76) (i32.const 45) (local.get $last))) {})",
        name("row-formatter", "format"),
        ok_list("(i32.const 8192)", "(i32.const 3)")
    );
    let plugin = Guest::new(PluginKind::Formatter, body).load();
    let formatter = plugin.formatter(&json!(null), &Grants::default()).unwrap();
    let columns = [Column {
        name: "a".into(),
        kind: ColumnKind::Text,
    }];
    let rows = [vec![Cell::Text("x".into())], vec![Cell::Missing]];
    assert_eq!(formatter.format(&columns, &rows, true, false).unwrap(), b"2F-");
    assert_eq!(formatter.format(&columns, &[], false, true).unwrap(), b"0-L");
    assert_eq!(formatter.extension(), "txt");
}

#[test]
fn options_must_fit_the_schema_and_stages_their_kind() {
    let manifest = "[options]\ntype = \"object\"\nadditionalProperties = false\n[options.properties.least]\ntype = \"integer\"\nminimum = 0\n";
    let plugin = long_ones().with_manifest(manifest).load();
    plugin.filter(&json!({ "least": 3 }), &Grants::default()).unwrap();
    let words = fails(|| plugin.filter(&json!({ "least": -3 }), &Grants::default()));
    says(
        &words,
        &[
            "the options of the plugin `test` do not fit",
            "/least: -3 is less than the minimum of 0",
        ],
    );
    let words = fails(|| plugin.reducer(&json!({}), &Grants::default()));
    says(
        &words,
        &["the plugin `test` is of kind `filter`, and a `reducer` is wanted here"],
    );
}
