//! Functions of tensors: what goes in comes out, and what lies is found.

use std::sync::Arc;

use sli_model::infer::Kind;
use sli_model::{ForeignDim, ForeignTensor, ForeignType, ForeignValues, TensorFunction};
use sli_plugin::Host;
use sli_plugin::limits::COMPUTE_BYTES;

use crate::support::{Guest, HOST, echo, ok_list, says, tight};

/// Doubles the floats of the first input in place, and gives it back.
fn doubling() -> String {
    format!(
        "(local.set $at (i32.load offset=16 (local.get $in)))
         (local.set $i (i32.load offset=20 (local.get $in)))
         (block $done (loop $l (br_if $done (i32.eqz (local.get $i)))
           (f32.store (local.get $at) (f32.mul (f32.load (local.get $at)) (f32.const 2)))
           (local.set $at (i32.add (local.get $at) (i32.const 4)))
           (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br $l))) {}",
        echo()
    )
}

fn function(guest: &Guest) -> Arc<dyn TensorFunction> {
    guest.load().function("f").unwrap()
}

fn floats(shape: &[u64], values: Vec<f32>) -> Option<ForeignTensor> {
    Some(ForeignTensor {
        shape: shape.to_vec(),
        values: ForeignValues::Floats(values),
    })
}

fn rows(width: u64) -> Option<ForeignType> {
    Some(ForeignType {
        kind: Kind::Float,
        dims: vec![ForeignDim::Rows, ForeignDim::Size(width)],
    })
}

fn compute_fails(guest: &Guest) -> String {
    let function = function(guest);
    function.infer("{}", &[rows(2), None]).unwrap();
    let start = std::time::Instant::now();
    let why = function
        .compute("{}", vec![floats(&[3, 2], vec![1.0; 6]), None], &[1, 2])
        .unwrap_err();
    crate::support::bounded(start);
    why
}

#[test]
fn values_cross_and_come_back() {
    let function = function(&Guest::op(&echo(), &doubling()));
    assert_eq!(function.infer("{}", &[rows(2), None]).unwrap(), [rows(2).unwrap()]);
    let given = vec![floats(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 0.5]), None];
    let found = function.compute("{}", given, &[1, 2]).unwrap();
    assert_eq!(found, [floats(&[3, 2], vec![2.0, 4.0, 6.0, 8.0, 10.0, 1.0]).unwrap()]);
}

#[test]
fn compute_asks_for_types_itself_if_nobody_did() {
    let function = function(&Guest::op(&echo(), &doubling()));
    let found = function
        .compute("{}", vec![floats(&[3, 2], vec![1.0; 6]), None], &[3])
        .unwrap();
    assert_eq!(found, [floats(&[3, 2], vec![2.0; 6]).unwrap()]);
}

#[test]
fn large_inputs_are_cut_between_sequences() {
    let mut limits = tight();
    limits.heavy.fuel = 10_000_000_000;
    limits.heavy.memory = 512 << 20;
    limits.heavy.seconds = 60;
    let host = Host::with(limits, None).unwrap();
    // the third value of the first row becomes the number of sequences that came together
    let counting = format!(
        "(f32.store (i32.load offset=16 (local.get $in)) (f32.convert_i32_u (local.get $ln))) {}",
        echo()
    );
    let function = Guest::op(&echo(), &counting).load_in(&host).function("f").unwrap();
    let width = 1u64 << 16;
    let lengths = vec![100u64; 5];
    let all = (500 * width) as usize;
    function.infer("{}", &[rows(width), None]).unwrap();
    let found = function
        .compute("{}", vec![floats(&[500, width], vec![0.5; all]), None], &lengths)
        .unwrap();
    assert_eq!(found[0].shape, [500, width]);
    let ForeignValues::Floats(values) = &found[0].values else {
        panic!("floats went in");
    };
    // 25 MiB a sequence: two fit, so the groups are 2, 2 and 1
    assert_eq!(COMPUTE_BYTES, 64 << 20);
    let marks: Vec<f32> = (0..5).map(|s| values[(s * 100 * width) as usize]).collect();
    assert_eq!(marks, [2.0, 0.5, 2.0, 0.5, 1.0]);
    assert_eq!(values.len(), all);
}

#[test]
fn what_is_not_a_number_has_one_form() {
    // adds 1 to a NaN with a payload of its own
    let code = format!(
        "(f32.store (i32.load offset=16 (local.get $in)) (f32.add (f32.load (i32.load offset=16 (local.get $in))) (f32.const 1))) {}",
        echo()
    );
    let function = function(&Guest::op(&echo(), &code));
    let odd = f32::from_bits(0xffa0_1234);
    let found = function
        .compute("{}", vec![floats(&[1, 1], vec![odd]), None], &[1])
        .unwrap();
    let ForeignValues::Floats(values) = &found[0].values else {
        panic!("floats went in");
    };
    assert_eq!(values[0].to_bits(), 0x7fc0_0000);
}

#[test]
fn results_that_differ_from_infer_are_refused() {
    let none = ok_list("(i32.const 0)", "(i32.const 0)");
    says(
        &compute_fails(&Guest::op(&echo(), &none)),
        &["the plugin `test` gave an invalid result in `compute of f`: it gave 0 results, and `infer` said 1"],
    );
    let shape = format!(
        "(i64.store (i32.load offset=4 (local.get $in)) (i64.const 9)) {}",
        echo()
    );
    says(
        &compute_fails(&Guest::op(&echo(), &shape)),
        &["`out` is [9, 2], and `infer` said floats [rows, 2] with 3 rows"],
    );
    let fewer = format!("(i32.store offset=20 (local.get $in) (i32.const 5)) {}", echo());
    says(
        &compute_fails(&Guest::op(&echo(), &fewer)),
        &["`out` is [3, 2] and has 5 values"],
    );
    let kind = format!(
        "(i32.store offset=20 (local.get $in) (i32.const 3)) (i32.store8 offset=12 (local.get $in) (i32.const 1)) {}",
        echo()
    );
    says(
        &compute_fails(&Guest::op(&echo(), &kind)),
        &["`out` holds integers, and `infer` said floats"],
    );
    let giant = format!(
        "(drop (memory.grow (i32.const 100))) (i32.store offset=16 (local.get $in) (i32.const 0))
        (i32.store offset=20 (local.get $in) (i32.const 1000000)) {}",
        echo()
    );
    says(
        &compute_fails(&Guest::op(&echo(), &giant)),
        &["gave too large a result in `compute of f`"],
    );
    says(
        &compute_fails(&Guest::op(&echo(), "unreachable")),
        &["crashed in `compute of f`"],
    );
}

#[test]
fn types_that_cannot_be_are_refused() {
    let infer_fails = |code: &str| {
        let function = function(&Guest::op(code, "unreachable"));
        function.infer("{}", &[rows(2), None]).unwrap_err()
    };
    says(
        &infer_fails(&ok_list("(i32.const 0)", "(i32.const 0)")),
        &["it has 0 results, and its manifest states 1"],
    );
    // dims are (tag, size) of 16 bytes each; the second becomes rows
    let second = format!(
        "(i32.store8 offset=16 (i32.load offset=8 (local.get $in)) (i32.const 0)) {}",
        echo()
    );
    says(
        &infer_fails(&second),
        &["`out` has rows in dim 1; only dim 0 can be rows"],
    );
    let zero = format!(
        "(i64.store offset=24 (i32.load offset=8 (local.get $in)) (i64.const 0)) {}",
        echo()
    );
    says(
        &infer_fails(&zero),
        &["`out` is floats [rows, 0]: no tensor can be that"],
    );
    let large = format!(
        "(i64.store offset=24 (i32.load offset=8 (local.get $in)) (i64.const -1)) {}",
        echo()
    );
    says(&infer_fails(&large), &["no tensor can be that"]);
    let flat = format!("(i32.store offset=12 (local.get $in) (i32.const 0)) {}", echo());
    says(&infer_fails(&flat), &["`out` has 0 dims"]);
    let refusal = "(i32.store (i32.const 64) (i32.const 1)) (i32.store (i32.const 68) (i32.const 1024)) (i32.store (i32.const 72) (i32.const 4)) (i32.const 64)";
    says(
        &infer_fails(refusal),
        &["the plugin `test` refuses in `infer of f`: test"],
    );
}

#[test]
fn only_functions_of_the_manifest_are_there() {
    let plugin = Guest::op(&echo(), &doubling()).load_in(&HOST);
    assert!(plugin.function("g").is_none());
    plugin.check().unwrap();
}
