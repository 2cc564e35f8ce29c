//! The command line as users meet it: help, lists, checks, exit codes, signals, pipes.

mod check;
mod commands;
mod help;
mod plugins;
mod process;

use sli_tests::scene::Scene;

/// A llama with its documents and two stages.
fn scene() -> Scene {
    Scene::of(
        "llama",
        "[[stage]]\nuses = \"score\"\n\n[[stage]]\nuses = \"profile\"\n",
    )
}
