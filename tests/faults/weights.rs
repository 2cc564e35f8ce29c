//! What can be wrong with safetensors files.

use std::fs::OpenOptions;

use sli_tests::checkpoint::{Kind, Stored, write};
use sli_tests::fixture::named;
use sli_tests::scene::Scene;

use crate::{INPUT, SCORE, fault};

const FILE: &str = "model/model.safetensors";

fn scene() -> Scene {
    Scene::of("llama", SCORE)
}

/// A scene whose tensors are changed before they are written.
fn with_tensors(change: impl FnOnce(&mut Vec<Stored>)) -> Scene {
    let scene = scene();
    let mut tensors = named("llama").tensors();
    change(&mut tensors);
    write(&scene.path("model"), &tensors, Kind::F32, 1);
    scene
}

/// A scene in whose header a text of the same length replaces another; what the header says is then a lie.
fn with_header(from: &str, to: &str) -> Scene {
    assert_eq!(from.len(), to.len());
    let scene = scene();
    let mut bytes = std::fs::read(scene.path(FILE)).unwrap();
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + len].to_vec()).unwrap();
    assert!(header.contains(from), "no `{from}` in {header}");
    bytes[8..8 + len].copy_from_slice(header.replacen(from, to, 1).as_bytes());
    scene.write(FILE, bytes);
    scene
}

/// A scene whose weights are in three shards.
fn sharded() -> Scene {
    let scene = scene();
    std::fs::remove_file(scene.path(FILE)).unwrap();
    write(&scene.path("model"), &named("llama").tensors(), Kind::F32, 3);
    scene
}

fn cut(scene: &Scene, file: &str, len: u64) {
    OpenOptions::new()
        .write(true)
        .open(scene.path(file))
        .unwrap()
        .set_len(len)
        .unwrap();
}

#[test]
fn a_tensor_is_missing() {
    let scene = with_tensors(|tensors| tensors.retain(|t| t.name != "model.layers.1.mlp.up_proj.weight"));
    fault(&scene, "tensor_missing", INPUT);
}

#[test]
fn a_tensor_is_too_many() {
    let scene = with_tensors(|tensors| {
        let name = "model.layers.0.self_attn.q_norm.weight".to_owned();
        tensors.push(Stored {
            name,
            shape: vec![16],
            values: vec![1.0; 16],
        });
    });
    fault(&scene, "tensor_extra", INPUT);
}

#[test]
fn a_tensor_has_the_wrong_shape() {
    let scene = with_tensors(|tensors| {
        let tensor = tensors
            .iter_mut()
            .find(|t| t.name == "model.layers.2.self_attn.k_proj.weight")
            .unwrap();
        tensor.shape = vec![32, 64];
        tensor.values.truncate(32 * 64);
    });
    fault(&scene, "tensor_shape", INPUT);
}

#[test]
fn a_file_is_cut_short() {
    let scene = scene();
    let len = std::fs::metadata(scene.path(FILE)).unwrap().len();
    cut(&scene, FILE, len - 1000);
    fault(&scene, "file_truncated", INPUT);
}

#[test]
fn a_shard_is_cut_inside_its_header() {
    let scene = sharded();
    cut(&scene, "model/model-00002-of-00003.safetensors", 100);
    fault(&scene, "shard_truncated_header", INPUT);
}

#[test]
fn a_header_lies_about_its_length() {
    let scene = scene();
    let mut bytes = std::fs::read(scene.path(FILE)).unwrap();
    bytes[..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    scene.write(FILE, bytes);
    fault(&scene, "header_length", INPUT);
}

#[test]
fn a_header_lies_about_a_shape() {
    fault(
        &with_header("\"shape\":[128,64]", "\"shape\":[128,63]"),
        "header_shape",
        INPUT,
    );
}

#[test]
fn a_header_leaves_bytes_out() {
    let scene = with_header("\"data_offsets\":[0,32768]", "\"data_offsets\":[8,32776]");
    fault(&scene, "header_gap", INPUT);
}

#[test]
fn a_header_counts_bytes_twice() {
    let scene = with_header("\"data_offsets\":[32768,65536]", "\"data_offsets\":[32760,65528]");
    fault(&scene, "header_overlap", INPUT);
}

#[test]
fn a_header_gives_no_range() {
    let scene = with_header("\"data_offsets\":[32768,65536]", "\"data_offsets\":[95536,62768]");
    fault(&scene, "header_range", INPUT);
}

#[test]
fn an_element_type_is_not_supported() {
    fault(
        &with_header("\"dtype\":\"F32\"", "\"dtype\":\"F4\" "),
        "dtype_unsupported",
        INPUT,
    );
}

/// As in quantised checkpoints: multiplied as they are they would give numbers, and nonsense.
#[test]
fn weights_are_whole_numbers() {
    fault(
        &with_header("\"dtype\":\"F32\"", "\"dtype\":\"U32\""),
        "dtype_integer",
        INPUT,
    );
}

#[test]
fn a_file_is_a_pointer_of_git_lfs() {
    let scene = scene();
    scene.write(
        FILE,
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n",
    );
    fault(&scene, "lfs_pointer", INPUT);
}

#[test]
fn a_shard_of_the_index_is_missing() {
    let scene = sharded();
    std::fs::remove_file(scene.path("model/model-00003-of-00003.safetensors")).unwrap();
    fault(&scene, "shard_missing", INPUT);
}

#[test]
fn there_are_only_pickles() {
    let scene = scene();
    std::fs::rename(scene.path(FILE), scene.path("model/pytorch_model.bin")).unwrap();
    fault(&scene, "pickles_only", INPUT);
}

#[test]
fn there_are_no_weights() {
    let scene = scene();
    std::fs::remove_file(scene.path(FILE)).unwrap();
    fault(&scene, "weights_missing", INPUT);
}
