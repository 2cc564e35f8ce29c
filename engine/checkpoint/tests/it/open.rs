//! Opening model folders: what is found, and the sentence for everything that can be wrong.

use crate::support::Folder;
use serde_json::json;
use sli_checkpoint::{Checkpoint, CheckpointError};
use sli_model::DType;
use std::fs;
use std::path::Path;

/// The error of opening the folder, with the folder's path as `DIR`.
fn error(folder: &Folder) -> String {
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    error.replace(folder.path().to_str().unwrap(), "DIR")
}

#[test]
fn a_single_file_is_found_and_its_table_is_right() {
    let folder = Folder::new();
    let header = br#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 16]);
    folder.write("model.safetensors", &bytes);
    folder.write("consolidated.safetensors", b"not looked at");
    folder.write("tokenizer.json", b"{}");
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let start = 8 + header.len() as u64;
    let rows: Vec<_> = checkpoint
        .tensors()
        .iter()
        .map(|t| (&*t.name, t.dtype, &*t.shape, t.offset - start, t.len))
        .collect();
    assert_eq!(
        rows,
        [("a", DType::F32, &[][..], 0, 4), ("b", DType::BF16, &[2, 3][..], 4, 12)]
    );
    assert_eq!(checkpoint.tensor(checkpoint.find("b").unwrap()).name, "b");
    assert_eq!(checkpoint.find("c"), None);
    assert_eq!((checkpoint.files().len(), checkpoint.files()[0].len), (1, start + 16));
    assert_eq!(checkpoint.total_bytes(), 16);
    assert_eq!(checkpoint.tokenizer_path(), Some(folder.file("tokenizer.json")));
    // The header has an odd length, so that its tensors are not aligned.
    assert_eq!(checkpoint.tensors()[0].is_aligned(), start.is_multiple_of(4));
}

#[test]
fn shards_come_by_index_or_all_of_them() {
    let folder = Folder::new();
    folder.shard("m-2.safetensors", &[("b", 5)]);
    folder.shard("m-1.safetensors", &[("c", 3), ("a", 4)]);
    folder.shard("stray.safetensors", &[("z", 1)]);
    let all = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(
        all.tensors().iter().map(|t| &*t.name).collect::<Vec<_>>(),
        ["a", "c", "b", "z"]
    );
    folder.index(&[
        ("a", "m-1.safetensors"),
        ("b", "m-2.safetensors"),
        ("c", "m-1.safetensors"),
    ]);
    let indexed = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(
        indexed
            .tensors()
            .iter()
            .map(|t| (&*t.name, t.file.0))
            .collect::<Vec<_>>(),
        [("a", 0), ("c", 0), ("b", 1)]
    );
    assert_eq!(indexed.tokenizer_path(), None);
}

#[test]
fn the_configuration_may_hold_infinity() {
    let folder = Folder::new();
    folder.write("config.json", br#"{"limit": [0.0, Infinity]}"#);
    folder.shard("model.safetensors", &[("a", 1)]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.config(), &json!({"limit": [0.0, {"__float__": "Infinity"}]}));
    assert_eq!(checkpoint.config_text(), r#"{"limit": [0.0, Infinity]}"#);
}

#[test]
fn an_unknown_dtype_is_kept_by_name() {
    let folder = Folder::new();
    let header = br#"{"q":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 2]);
    folder.write("model-1.safetensors", &bytes);
    folder.index(&[("q", "model-1.safetensors")]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let [q] = checkpoint.unsupported() else {
        panic!("one tensor")
    };
    assert_eq!((&*q.name, &*q.dtype, &*q.shape, q.len), ("q", "F4", &[4][..], 2));
    assert_eq!(
        (
            checkpoint.tensors().len(),
            checkpoint.find("q"),
            checkpoint.total_bytes()
        ),
        (0, None, 2)
    );
}

#[test]
fn what_is_no_model_folder() {
    let folder = Folder::empty();
    let open = |path: &Path| {
        let error = Checkpoint::open(path).unwrap_err().to_string();
        error.replace(folder.path().to_str().unwrap(), "DIR")
    };
    assert_eq!(
        open(&folder.file("gone")),
        "there is no folder `DIR/gone`. \
         Pass the folder that holds the model's `config.json` and its `*.safetensors` files"
    );
    folder.write("file", b"");
    assert_eq!(
        open(&folder.file("file")),
        "`DIR/file` is a file, not a folder. \
         Pass the folder that holds the model's `config.json` and its `*.safetensors` files"
    );
    assert_eq!(
        open(folder.path()),
        "the folder `DIR` has no `config.json`, so what model it holds is unknown. \
         Put the model's `config.json` beside its weights"
    );
}

#[test]
fn a_hub_id_is_told_so() {
    let hub = "`no-such-org/model` is no folder here and looks like a hub id; this release does not download from the \
               hub. Download the model and pass its local folder";
    assert_eq!(
        Checkpoint::open(Path::new("no-such-org/model"))
            .unwrap_err()
            .to_string(),
        hub
    );
    let folder = Folder::new();
    assert_eq!(
        Checkpoint::open_source("no-such-org/model", folder.path())
            .unwrap_err()
            .to_string(),
        hub
    );
    let path = Checkpoint::open_source("./model", folder.path()).unwrap_err();
    assert!(matches!(path, CheckpointError::NoFolder { .. }), "{path}");
    fs::create_dir(folder.file("model")).unwrap();
    let found = Checkpoint::open_source("model", folder.path()).unwrap_err();
    assert!(matches!(found, CheckpointError::NoConfig { .. }), "{found}");
}

#[test]
fn broken_json_has_file_line_and_column() {
    let folder = Folder::new();
    folder.write("config.json", b"{\n  \"a\": [Infinity, Infinity] \"b\"}");
    assert_eq!(
        error(&folder),
        "DIR/config.json:2:29: expected `,` or `}`. Correct the file or download it again"
    );
    folder.write("config.json", b"{}");
    folder.write("model.safetensors.index.json", b"{\"weight_map\": []}");
    assert_eq!(
        error(&folder),
        "DIR/model.safetensors.index.json:1:15: invalid type: sequence, expected a map. \
         Correct the file or download it again"
    );
    fs::File::create(folder.file("config.json"))
        .unwrap()
        .set_len(16 << 20 | 1)
        .unwrap();
    assert_eq!(
        error(&folder),
        "`DIR/config.json` is 16777217 bytes long, more than the 16777216 that such a file may have. \
         It is not what its name says: download it again"
    );
}

#[test]
fn folders_without_safetensors() {
    let folder = Folder::new();
    assert_eq!(
        error(&folder),
        "the folder `DIR` holds no `*.safetensors` file. Put the model's weights beside its `config.json`"
    );
    for file in ["pytorch_model.bin", "model.pt", "model.gguf"] {
        folder.write(file, b"");
        assert_eq!(
            error(&folder),
            format!(
                "the folder `DIR` holds `{file}` and no `*.safetensors` file; this release reads safetensors. \
                 Get the model's safetensors files, or convert it"
            )
        );
        fs::remove_file(folder.file(file)).unwrap();
    }
}

#[test]
fn a_truncated_shard_says_what_is_missing() {
    let folder = Folder::new();
    folder.shard("model.safetensors", &[("a", 1000)]);
    let len = fs::metadata(folder.file("model.safetensors")).unwrap().len();
    folder.truncate("model.safetensors", 300);
    assert_eq!(
        error(&folder),
        format!(
            "`DIR/model.safetensors`: the file is truncated: its header promises {len} bytes, it holds {}, \
             so 300 are missing. Download it again",
            len - 300
        )
    );
    folder.truncate("model.safetensors", 701);
    assert_eq!(
        error(&folder),
        "`DIR/model.safetensors`: the file ends inside its header: 1 of the header's 64 bytes are missing. \
         The download was cut short: download it again"
    );
    folder.write(
        "model.safetensors",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n",
    );
    assert_eq!(
        error(&folder),
        "`DIR/model.safetensors`: this is a Git LFS pointer, not the weights. Fetch them with `git lfs pull`"
    );
}

#[test]
fn an_index_that_disagrees_with_its_shards() {
    let folder = Folder::new();
    let index = |pairs: &[(&str, &str)]| {
        folder.index(pairs);
        error(&folder)
    };
    folder.shard("1.safetensors", &[("a", 4), ("b", 4), ("c", 4)]);
    assert_eq!(
        index(&[("a", "1.safetensors"), ("b", "2.safetensors")]),
        "`DIR/model.safetensors.index.json` names the shard `2.safetensors` (of the tensor `b`), \
         which is not in the folder. Download the missing shard"
    );
    folder.shard("2.safetensors", &[("d", 4)]);
    let rest = [("b", "1.safetensors"), ("c", "1.safetensors"), ("d", "2.safetensors")];
    let with = |pair| index(&[&[pair], &rest[..]].concat());
    assert_eq!(
        with(("a", "2.safetensors")),
        "`DIR/model.safetensors.index.json` says that the tensor `a` is in `2.safetensors`, but it is in \
         `1.safetensors`. Download index and shards of the same revision"
    );
    assert_eq!(
        with(("x", "2.safetensors")),
        "`DIR/model.safetensors.index.json` says that the tensor `x` is in `2.safetensors`, but no shard holds it. \
         Download index and shards of the same revision"
    );
    assert_eq!(
        index(&[("d", "2.safetensors"), ("c", "1.safetensors")]),
        "`1.safetensors` holds the tensor `a`, which `DIR/model.safetensors.index.json` does not list \
         (1 more tensor likewise). Download index and shards of the same revision"
    );
    assert_eq!(
        with(("a", "../1.safetensors")),
        "`DIR/model.safetensors.index.json`: the shard `../1.safetensors` is no plain file name. \
         Shards must lie beside their index"
    );
}

#[test]
fn a_tensor_in_two_files_is_refused() {
    let folder = Folder::new();
    folder.shard("1.safetensors", &[("a", 4)]);
    folder.shard("2.safetensors", &[("a", 4)]);
    let sentence = "the tensor `a` is in both `1.safetensors` and `2.safetensors`, so which one counts is unknown. \
                    Remove the file that does not belong to the model";
    assert_eq!(error(&folder), sentence);
    folder.shard("2.safetensors", &[("a", 4), ("b", 4)]);
    folder.index(&[("a", "1.safetensors"), ("b", "2.safetensors")]);
    assert_eq!(error(&folder), sentence);
}

#[test]
fn the_fingerprint_sees_configuration_names_and_weights_but_not_the_folder() {
    let make = |config: &str, name: &str, len: usize| {
        let folder = Folder::new();
        folder.write("config.json", config.as_bytes());
        folder.shard("model.safetensors", &[("a", 100_000), (name, len)]);
        folder
    };
    let print = |folder: &Folder| Checkpoint::open(folder.path()).unwrap().fingerprint().unwrap();
    let base = make("{}", "b", 10);
    let first = print(&base);
    assert_eq!(first.len(), 64);
    assert_eq!(first, print(&make("{}", "b", 10)));
    for other in [make("{ }", "b", 10), make("{}", "c", 10), make("{}", "b", 11)] {
        assert_ne!(first, print(&other));
    }
    // Same table, other weights.
    let mut bytes = fs::read(base.file("model.safetensors")).unwrap();
    let middle = bytes.len() - 50_010;
    bytes[middle] ^= 1;
    base.write("model.safetensors", &bytes);
    assert_ne!(first, print(&base));
}
