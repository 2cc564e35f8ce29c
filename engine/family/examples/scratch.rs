//! scratch
#![allow(clippy::print_stdout, clippy::all)]
fn main() {
    let mut r = sli_family::Registry::shipped();
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "all" { r.add_dir(std::path::Path::new("/work/shared/sketches")).unwrap();
        let ids: Vec<String> = r.ids().iter().map(|s| s.to_string()).collect();
        let mut bad = 0;
        for id in ids { if let Err(e) = r.get(&id) { bad += 1; println!("== {id}\n{}", sli_config::render(&e, false)); } }
        println!("bad {bad}");
        return; }
    let text = std::fs::read_to_string(&args[1]).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    match r.detect(&config).and_then(|d| sli_family::Family::plan(&*d, &config)) {
        Ok(plan) => { println!("{:#?}", plan.stacks[0].layers.last().unwrap().graph.points); println!("{} layers, {:?}", plan.stacks[0].layers.len(), plan.names); }
        Err(e) => println!("{}", sli_config::render(&e, false)),
    }
}
