//! Rebuilds the crate when a shipped descriptor changes: they are compiled in.

fn main() {
    println!("cargo::rerun-if-changed=../../families");
}
