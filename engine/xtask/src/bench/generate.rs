//! Writes random checkpoints as they are published: shards, index, `config.json`, tokenizer. It holds a few blocks in
//! memory, whatever the size of the model.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::fs::{Advice, fadvise};
use serde_json::{Map, json};

use super::{
    noise::{self, Table},
    shapes::{Fill, Shape, TensorSpec},
    shards::{BLOCK, SHARD_BYTES, Shard, shards},
};
use crate::{failure::Failure, interrupt, say, workspace::Workspace};

/// Makes the checkpoint of `shape` in `folder` unless it is there and whole, and returns its own folder.
///
/// # Errors
/// [`Failure::Io`], as for a full disk; [`Failure::Interrupted`]. What was written so far stays aside, under another name.
pub(super) fn ensure(workspace: &Workspace, shape: &Shape, folder: &Path) -> Result<PathBuf, Failure> {
    let (made, aside) = (folder.join(&shape.name), folder.join(format!("{}.partial", shape.name)));
    let shards = shards(shape, SHARD_BYTES);
    if is_whole(&made, shape, &shards) {
        return Ok(made);
    }
    for old in [&made, &aside] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(Failure::io("delete", old))?;
        }
    }
    fs::create_dir_all(&aside).map_err(Failure::io("create", &aside))?;
    let total = shards.iter().map(Shard::bytes).sum();
    let progress = say::Progress::start(format!("make {}", shape.name), total);
    let (table, mut done, mut seed) = (Table::new(), 0, 0);
    for shard in &shards {
        write_shard(shard, &aside, &table, seed)?;
        (done, seed) = (done + shard.bytes(), seed + shard.tensors.len() as u64);
        progress.set(done);
    }
    write_small_files(workspace, shape, &shards, &aside)?;
    fs::rename(&aside, &made).map_err(Failure::io("rename", &aside))?;
    progress.finish();
    Ok(made)
}

/// Whether `folder` holds this very layout. A crash leaves the name `.partial`, so sizes are enough.
fn is_whole(folder: &Path, shape: &Shape, shards: &[Shard]) -> bool {
    let config = fs::read_to_string(folder.join("config.json"));
    config.is_ok_and(|text| text == pretty(&shape.config))
        && folder.join("model.safetensors.index.json").exists()
        && shards
            .iter()
            .all(|shard| fs::metadata(folder.join(&shard.file)).is_ok_and(|data| data.len() == shard.bytes()))
}

/// Writes one shard with all threads, and waits until the disk has it. `seed` is the number of its first tensor.
fn write_shard(shard: &Shard, folder: &Path, table: &Table, seed: u64) -> Result<(), Failure> {
    let path = folder.join(&shard.file);
    let file = File::create(&path).map_err(Failure::io("create", &path))?;
    file.write_all_at(&shard.header, 0)
        .map_err(Failure::io("write", &path))?;
    let scaled: Vec<Option<Vec<[u8; 2]>>> = (shard.tensors.iter())
        .map(|tensor| match tensor.fill {
            Fill::Ones => None,
            Fill::Normal(std) => Some(table.scaled(std)),
        })
        .collect();
    let (blocks, next) = (shard.blocks(), AtomicUsize::new(0));
    let work = || -> Result<(), Failure> {
        let mut buffer = vec![0; 2 * BLOCK as usize];
        while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            interrupt::check()?;
            let bytes = &mut buffer[..2 * block.elements as usize];
            match &scaled[block.tensor] {
                Some(table) => noise::fill(bytes, table, seed + block.tensor as u64, block.start),
                None => bytes
                    .chunks_exact_mut(2)
                    .for_each(|two| two.copy_from_slice(&half::bf16::ONE.to_le_bytes())),
            }
            file.write_all_at(bytes, block.offset)
                .map_err(Failure::io("write", &path))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from))
            .map(|_| scope.spawn(work))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().try_for_each(join)
    })?;
    file.sync_all().map_err(Failure::io("write", &path))?;
    // The pages would only crowd out others; that the advice is not taken harms nothing.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    Ok(())
}

/// The index, the tokenizer (its ids fit every vocabulary here) and, last, `config.json`.
fn write_small_files(workspace: &Workspace, shape: &Shape, shards: &[Shard], folder: &Path) -> Result<(), Failure> {
    let total: u64 = shards
        .iter()
        .flat_map(|shard| &shard.tensors)
        .map(TensorSpec::bytes)
        .sum();
    let map: Map<_, _> = (shards.iter())
        .flat_map(|shard| {
            shard
                .tensors
                .iter()
                .map(|tensor| (tensor.name.clone(), json!(shard.file)))
        })
        .collect();
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let from = workspace.root().join("pipelines/quickstart").join(file);
        fs::copy(&from, folder.join(file)).map_err(Failure::io("copy", &from))?;
    }
    for (file, text) in [
        ("model.safetensors.index.json", pretty(&index)),
        ("config.json", pretty(&shape.config)),
    ] {
        let path = folder.join(file);
        fs::write(&path, text).map_err(Failure::io("write", path))?;
    }
    Ok(())
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> (Workspace, Shape) {
        let workspace = Workspace::find();
        let mut shape = Shape::load(&workspace, "llama-1l").unwrap();
        (
            shape.hidden,
            shape.intermediate,
            shape.vocab,
            shape.heads,
            shape.kv_heads,
        ) = (32, 64, 100, 4, 2);
        (workspace, shape)
    }

    #[test]
    fn another_reader_finds_every_tensor_where_the_index_says() {
        let ((workspace, shape), folder) = (small(), tempfile::tempdir().unwrap());
        let made = ensure(&workspace, &shape, folder.path()).unwrap();
        let index = fs::read_to_string(made.join("model.safetensors.index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        for spec in shape.tensors() {
            let bytes = fs::read(made.join(index["weight_map"][&spec.name].as_str().unwrap())).unwrap();
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let tensor = file.tensor(&spec.name).unwrap();
            let dims: Vec<u64> = tensor.shape().iter().map(|dim| *dim as u64).collect();
            assert_eq!((tensor.dtype(), dims), (safetensors::Dtype::BF16, spec.dims));
            let ones = tensor.data().chunks(2).all(|two| two == [0x80, 0x3f]);
            assert_eq!(ones, spec.fill == Fill::Ones, "{}", spec.name);
        }
    }

    #[test]
    fn a_whole_checkpoint_is_kept_and_a_cut_one_is_made_again() {
        let ((workspace, shape), folder) = (small(), tempfile::tempdir().unwrap());
        let made = ensure(&workspace, &shape, folder.path()).unwrap();
        let file = made.join("model-00001-of-00001.safetensors");
        let written = || fs::metadata(&file).unwrap().modified().unwrap();
        let first = written();
        ensure(&workspace, &shape, folder.path()).unwrap();
        assert_eq!(written(), first);
        File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
        ensure(&workspace, &shape, folder.path()).unwrap();
        assert!(fs::metadata(&file).unwrap().len() > 100);
    }
}
