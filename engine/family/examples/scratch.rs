//! scratch
#![allow(clippy::print_stdout, clippy::all)]
use sli_family::Family;
fn main() {
    let r = sli_family::Registry::shipped();
    for dir in std::env::args().skip(1) {
        let config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(format!("{dir}/config.json")).unwrap()).unwrap();
        let tensors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(format!("{dir}/tensors.json")).unwrap()).unwrap();
        let infos: Vec<sli_model::bind::TensorInfo> = tensors.as_object().unwrap().iter().map(|(n, t)| sli_model::bind::TensorInfo { name: n.clone(),
            shape: t["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap()).collect(), dtype: sli_model::DType::F32 }).collect();
        match r.detect(&config).and_then(|d| d.plan(&config)) {
            Ok(plan) => { let b = sli_model::bind::bind(&plan, &infos); println!("== {dir} ok={} {}", b.report.is_ok(), b.report);
              if dir.ends_with("mixtral") { println!("{}", plan.stacks[0].layers[0].graph); } }
            Err(e) => println!("== {dir}\n{}", sli_config::render(&e, false)),
        }
    }
}
