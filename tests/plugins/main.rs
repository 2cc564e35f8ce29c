//! Plugins as a user has them: the `.wasm` files of `plugins/guests` in a folder, a pipeline that names them.

mod families;
mod filters;
mod ops;
mod refusals;
mod tables;

use sli_tests::scene::{Scene, root};

/// Puts a guest into the scene's `plugins/`.
fn install(scene: &Scene, id: &str) {
    let file = root().join(format!("plugins/guests/{id}/{id}.wasm"));
    scene.write(&format!("plugins/{id}.wasm"), std::fs::read(file).unwrap());
}
