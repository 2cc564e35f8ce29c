//! Bytes that were changed at random: never a panic, always an answer.

use std::panic::AssertUnwindSafe;

use serde_json::{Value as Json, json};
use sli_family::Family as _;
use sli_model::bind::{TensorInfo, bind};
use sli_model::{DType, ModelPlan};

use crate::family::PLAN;
use crate::support::{Guest, HOST, bounded, some_manifest};

/// A small generator; the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at.max(1)),
                3 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => {
                    let end = (at + self.below(40)).min(bytes.len());
                    bytes.drain(at..end);
                    if bytes.is_empty() {
                        bytes.push(0);
                    }
                }
            }
        }
    }
}

#[test]
fn changed_components_never_panic() {
    let good = Guest::family(PLAN).bytes();
    let mut random = Random(1);
    let (mut refused, mut planned) = (0, 0);
    for _ in 0..2000 {
        let mut bytes = good.clone();
        random.mutate(&mut bytes);
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let plugin = HOST.load_bytes("plugins/x.wasm", &bytes, Some(some_manifest()));
            plugin.and_then(|plugin| plugin.family().plan(&json!({ "layers": 1 })).map(|_| ()))
        }));
        match answer {
            Ok(Ok(())) => planned += 1,
            Ok(Err(errors)) => {
                assert!(!errors.is_empty());
                refused += 1;
            }
            Err(_) => panic!("a changed component: {bytes:02x?}"),
        }
    }
    assert!(refused > 500 && planned > 10, "{refused} {planned}");
    bounded(std::time::Instant::now());
}

#[test]
fn random_bytes_are_no_plugin() {
    let mut random = Random(2);
    for length in [0, 1, 7, 8, 9, 100, 10_000] {
        let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        assert!(HOST.load_bytes("x.wasm", &bytes, None).is_err());
        for (at, byte) in b"\0asm\x0d\0\x01\0".iter().enumerate().take(length) {
            bytes[at] = *byte;
        }
        assert!(HOST.load_bytes("x.wasm", &bytes, None).is_err());
    }
}

/// Operations for changed plans, those that multiply sizes among them.
const OPS: [&str; 30] = [
    "\"softmax\"",
    "\"sum\"",
    "\"transpose\"",
    "\"merge_heads\"",
    "\"concat\"",
    "\"join_rows\"",
    "\"matmul\"",
    "\"embedding\"",
    "\"mean_rows\"",
    "\"per_head\"",
    "\"gather\"",
    "\"spread\"",
    "\"join_attention\"",
    "\"distances\"",
    "{\"linear\":{\"transposed\":true}}",
    "{\"split\":{\"equal\":2}}",
    "{\"split\":{\"each\":[3,5]}}",
    "{\"slice\":{\"start\":-3,\"end\":null}}",
    "{\"slice\":{\"start\":5,\"end\":2}}",
    "{\"range\":2147483648}",
    "{\"top_k\":2}",
    "{\"input\":\"x\"}",
    "{\"input\":{\"carry\":\"a\"}}",
    "{\"input\":{\"stack\":{\"stack\":\"decoder\",\"value\":{\"hidden\":9}}}}",
    "{\"const\":{\"int\":2}}",
    "{\"binary\":\"add\"}",
    "{\"repeat_heads\":{\"n\":2147483648,\"tile\":false}}",
    "{\"split_heads\":{\"heads\":2,\"dim\":null}}",
    "{\"group_limit\":{\"groups\":2,\"keep\":1,\"top\":1}}",
    "{\"attend\":{\"causal\":true,\"window\":null,\"chunk\":null,\"scale\":null,\"softcap\":null,\"lse\":true}}",
];

/// Changes one value of a plan, mostly to one that can stand there.
fn change(random: &mut Random, plan: &mut Json) {
    let mut pointers = Vec::new();
    pointers_of(plan, String::new(), &mut pointers);
    let pointer = &pointers[random.below(pointers.len())];
    let key = pointer.rsplit('/').next().unwrap_or_default();
    let value = match key {
        "op" => serde_json::from_str(OPS[random.below(OPS.len())]).unwrap(),
        "node" | "param" | "out" => json!([0, 1, 2, 3, 4_294_967_295_u64][random.below(5)]),
        "inputs" if pointer.contains("nodes") => {
            let count = random.below(4);
            (0..count)
                .map(|_| json!({ "node": random.below(4), "out": random.below(8) / 7 }))
                .collect()
        }
        "nodes" => {
            let mut nodes = plan
                .pointer(pointer)
                .and_then(Json::as_array)
                .cloned()
                .unwrap_or_default();
            let op: Json = serde_json::from_str(OPS[random.below(OPS.len())]).unwrap();
            let inputs: Vec<Json> = (0..random.below(4))
                .map(|_| json!({ "node": random.below(nodes.len()) }))
                .collect();
            nodes.push(json!({ "op": op, "inputs": inputs }));
            Json::Array(nodes)
        }
        _ if random.below(4) > 0 => return,
        _ => [
            json!(null),
            json!(-1),
            json!(u64::MAX),
            json!("x"),
            json!([]),
            json!({}),
        ][random.below(6)]
        .clone(),
    };
    *plan.pointer_mut(pointer).unwrap() = value;
}

fn pointers_of(value: &Json, at: String, found: &mut Vec<String>) {
    match value {
        Json::Object(map) => map
            .iter()
            .for_each(|(key, value)| pointers_of(value, format!("{at}/{key}"), found)),
        Json::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(k, value)| pointers_of(value, format!("{at}/{k}"), found));
        }
        _ => {}
    }
    if !at.is_empty() {
        found.push(at);
    }
}

#[test]
fn changed_plans_never_panic() {
    let mut random = Random(3);
    let good: Json = serde_json::from_str(PLAN).unwrap();
    let table = TensorInfo {
        name: "wte.weight".into(),
        shape: vec![20, 8],
        dtype: DType::F32,
    };
    let (mut read, mut valid, mut bound) = (0, 0, 0);
    for _ in 0..8000 {
        let mut plan = good.clone();
        for _ in 0..=random.below(8) {
            change(&mut random, &mut plan);
        }
        let answer = std::panic::catch_unwind(|| {
            let Ok(plan) = serde_json::from_value::<ModelPlan>(plan.clone()) else {
                return [0; 3];
            };
            // binding must bear plans that nobody checked as well
            let _ = bind(&plan, &[]);
            let whole = bind(&plan, std::slice::from_ref(&table)).binding.is_some();
            [1, i32::from(plan.check().is_ok()), i32::from(whole)]
        });
        let [r, v, b] = answer.unwrap_or_else(|_| panic!("a changed plan: {plan}"));
        (read, valid, bound) = (read + r, valid + v, bound + b);
    }
    assert!(read > 4000 && valid > 800 && bound > 400, "{read} {valid} {bound}");
    bounded(std::time::Instant::now());
}

#[test]
fn changed_texts_of_plans_never_panic() {
    let mut random = Random(4);
    for _ in 0..3000 {
        let mut bytes = PLAN.as_bytes().to_vec();
        random.mutate(&mut bytes);
        let answer = std::panic::catch_unwind(|| {
            if let Ok(plan) = serde_json::from_slice::<ModelPlan>(&bytes) {
                let _ = (plan.check(), bind(&plan, &[]));
            }
        });
        assert!(answer.is_ok(), "{}", String::from_utf8_lossy(&bytes));
    }
    bounded(std::time::Instant::now());
}
