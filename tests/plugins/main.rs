//! Plugins as a user has them: the `.wasm` files of `plugins/guests` in a folder, a pipeline that names them.

mod families;
mod filters;
mod ops;
mod refusals;
mod tables;

use std::path::PathBuf;

use sli_tests::scene::{Scene, root};

/// Puts a guest into the scene's `plugins/`: the committed one, or that of the folder `SLI_PIPE_GUESTS`, where `cargo
/// xtask test` has those that it has just built.
fn install(scene: &Scene, id: &str) {
    let file = match std::env::var_os("SLI_PIPE_GUESTS") {
        Some(folder) => PathBuf::from(folder).join(format!("{id}.wasm")),
        None => root().join(format!("plugins/guests/{id}/{id}.wasm")),
    };
    scene.write(&format!("plugins/{id}.wasm"), std::fs::read(file).unwrap());
}
