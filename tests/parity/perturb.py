"""Changes every value of a fixture's config.json, one at a time, and writes down what that does to the reference:

    python perturb.py [glob of fixtures ...] [--check BINARY]

Each key is set to other values, set to null and removed, and the keys that the reference's code knows but the file lacks
are added. `perturbed.json` then lists, with the effect on the result (`changes` or `none`),

    {"key": "rope_parameters.factor", "value": 2.0, "effect": "changes"}        a.b is a key of a map
    {"key": "rope_theta", "removed": true, "effect": "none"}

Changes that the reference itself cannot run are left out, as is what a transcription of ours does not read. A test holds
the descriptors against the list: what changes the reference must change the plan or be refused. With `--check`, the
changed models also run through the given binary, which must refuse them or give the reference's numbers.
"""

import argparse
import copy
import fnmatch
import inspect
import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from cases import CASES
from check import run_binary
from fixture import FIXTURES, load_fixture, write_checkpoint, write_json
from generate import NOISE, UNSTABLE, config_class, difference, fresh, ours, run
from safetensors.torch import load_file

# What is said of files, labels and outputs, not of the model; and what only fixes shapes that the files prove.
SKIPPED = {"architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "use_cache", "auto_map", "_name_or_path",
           "vocab_size", "id2label", "label2id", "num_labels", "output_attentions", "output_hidden_states", "return_dict",
           "use_return_dict", "problem_type", "chunk_size_feed_forward", "name_or_path", "_attn_implementation", "attn_implementation",
           "quantization_config", "text_config", "vision_config", "per_layer_config", "use_kernel"}
CHANGED = 1e-4  # share of the largest magnitude from which a result counts as changed
AGREES = 1e-3
REMOVED = object()
LIBRARY = {"sliding_window", "layer_types", "attention_chunk_size", "is_causal", "head_dim", "rope_theta"}  # read by shared code
TRAINING = re.compile("drop|initializer|init_std|jitter|aux_loss|z_loss|_coef|layerdrop|[be]os_token_id")  # one other value is enough
ACTIVATIONS = ["relu", "gelu_new", "silu", "tanh"]
ROPE_KEYS = {"rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "max_position_embeddings",
             "original_max_position_embeddings"}
ROPES = [{"rope_type": "linear", "factor": 4.0},
         {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8},
         {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8}]


def sources(case) -> str:
    """The code of the reference: of its model and of its config."""
    if ours(case):
        return inspect.getsource(sys.modules[ours(case).__module__])
    return "\n".join(inspect.getsource(sys.modules[c.__module__]) for c in (getattr(transformers, case.cls), config_class(case)))


def known(case, code: str) -> dict:
    """The keys that the reference reads, with the class's defaults where it has any."""
    reads = r'\bconfig\.(\w+)|getattr\((?:self\.)?config, "(\w+)"|kwargs\.(?:pop|get)\("(\w+)"|\b(?:c|config|cfg)(?:\.get\(|\[)"(\w+)"'
    keys = {name: None for found in re.findall(reads, code) for name in found if name and not name.startswith("_")}
    if ours(case):
        return keys
    own = {k: v for k, v in config_class(case)().to_dict().items() if k not in transformers.PreTrainedConfig().to_dict()}
    methods = {k for k in keys if callable(getattr(config_class(case), k, None))}
    return {k: v for k, v in (keys | own).items() if k not in methods}


def words(key: str, code: str) -> list[str]:
    """Strings that the code mentions beside a key: its options."""
    lines = [line for line in code.splitlines() if re.search(rf"\b{key}\b", line)]
    return list(dict.fromkeys(word for line in lines for word in re.findall(r"[\"'](\w+)[\"']", line)))


def others(key: str, value, code: str) -> list:
    """Other values of the same kind, in the order in which they are tried."""
    last = key.split(".")[-1]
    if value is None:
        found = [4, 0.5, True]
    elif isinstance(value, bool):
        found = [not value]
    elif isinstance(value, int):
        found = [value - 1 if value > 2 else value + 1, max(1, value // 2), 2 * value, 1, value + 1, 0.5]
    elif isinstance(value, float):
        found = [1.5 * value, value + 0.1, value / 2, 1.0, 0.0, 4.0]
    elif isinstance(value, str):
        options = ACTIVATIONS if "act" in last else words(last, code)
        found = [*options[:8], f"{value}_x"]
    elif isinstance(value, list) and value:
        changed = lambda i: [value[:i] + [v] + value[i + 1 :] for v in others(last, value[i], code)[:2]]
        kinds = [[k, *value[1:]] for k in value if k != value[0]]
        found = [*kinds[:1], value[1:] + value[:1], *changed(0), *changed(len(value) - 1), value[:-1], [value[0]] * len(value)]
    else:
        found = []
    found = [v for i, v in enumerate(found) if v != value and v not in found[:i] and not (isinstance(v, float) and not math.isfinite(v))]
    read = last in LIBRARY or "." in key or re.search(rf"(?:config|self)\.{last}\b|[\"']{last}[\"']", code)
    return found if read and not TRAINING.search(last) else found[:1]  # one that is not even mentioned needs one proof


def changes(config: dict, defaults: dict, code: str, above: str = "") -> list[tuple[str, list]]:
    """Keys with the values to try: the first that makes a difference is taken, else one that makes none."""
    found = []
    for name, value in config.items():
        key = above + name
        if name in SKIPPED or "." in name:
            continue
        if isinstance(value, dict):
            found += changes(value, {}, code, f"{key}.")
        found += [(key, others(key, value, code)), (key, [REMOVED])]
        if value is not None:
            found.append((key, [None]))
        if "rope_type" in (value if isinstance(value, dict) else {}):
            found += [(key, [{"rope_theta": value.get("rope_theta", 10000.0)} | r]) for r in ROPES]
    for key, value in defaults.items():
        if key not in config and key not in SKIPPED:
            found.append((key, others(key, value, code)))
    if not above and defaults and "rope_scaling" not in config:
        found.append(("rope_scaling", [{"type": "linear", "factor": 4.0}]))
    return [(key, values) for key, values in found if values]


def changed(config: dict, key: str, value) -> dict:
    config = copy.deepcopy(config)
    *path, last = key.split(".")
    inner = config
    for name in path:
        inner = inner[name]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return config


def tensors_of(case, tensors: dict, tmp: Path) -> dict:
    """The tensors that the reference reads: a stored fixture may hold more or fewer."""
    if not case.stored:
        return tensors
    _, read = fresh(case, tmp)
    return case.tensors(read) if case.tensors else read


def filled_in(case, config: dict, folder: Path) -> dict | None:
    """The config with the class's defaults: two that are equal give equal results."""
    if ours(case):
        return None
    try:
        write_json(folder / "config.json", config)
        return config_class(case).from_pretrained(folder).to_dict()
    except Exception:
        return None


def reference(case, config: dict, row: dict, folder: Path):
    """What the reference computes, or null if it refuses."""
    try:
        write_json(folder / "config.json", config)
        got = run(case, folder, [row])
    except (Exception, SystemExit):  # whatever the reference dislikes
        return None
    return got if all(torch.isfinite(v).all() for v in got.values()) else None


def same_shapes(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(a[k].shape == b[k].shape for k in a)


def apart(binary: str, config: dict, got: dict, row: dict, tmp: Path) -> float | None:
    """How far the binary is from the reference; null if it refuses the model."""
    write_json(tmp / "model" / "config.json", config)
    found = run_binary(binary, tmp / "model", [row], sorted({k.split("/", 1)[1] for k in got}), tmp)
    if isinstance(found, str):
        return None
    if any(k not in found or found[k].shape != tuple(v.shape) for k, v in got.items()):
        return math.inf
    errors = [difference({k: v}, {k: torch.from_numpy(found[k])}) for k, v in got.items()]
    return math.inf if any(map(math.isnan, errors)) else max(errors)


def mentioned(binary: str, config: dict, tmp: Path) -> set[str]:
    """The keys that the model's descriptor mentions: no other can alter what the binary computes."""
    write_json(tmp / "model" / "config.json", config)
    said = subprocess.run([binary, "inspect", str(tmp / "model"), "--json"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    shown = subprocess.run([binary, "families", "show", json.loads(said.stdout)["family"]["id"]], capture_output=True, text=True)
    return set(re.findall(r"\bconfig\.(\w+)", shown.stdout)) | ROPE_KEYS


def stable(case, config: dict, got: dict, row: dict, folder: Path) -> bool:
    """False if a choice of experts or keys is near a tie: any rounding then gives another result."""
    write_json(folder / "config.json", config)
    return difference(got, run(case, folder, [row], noise=NOISE)) < UNSTABLE


def wrong_in(case, binary: str, config: dict, tried: list, row: dict, tmp: Path) -> list[str]:
    """The changes that the binary takes, with other results than the reference's."""
    keys = mentioned(binary, config, tmp)
    differs = lambda new, got: (error := apart(binary, new, got, row, tmp)) is not None and error > AGREES
    bad = lambda new, got: differs(new, got) and stable(case, new, got, row, tmp / "theirs")
    tried = [t for t in tried if t[4] == "changes" or t[0].split(".")[0] in keys]
    idle = [t for t in tried if t[4] == "none"]
    together = config
    for key, value, *_ in idle:
        try:
            together = changed(together, key, value)
        except (KeyError, TypeError):  # a map that another change took away
            continue
    if idle:
        error = apart(binary, together, idle[0][3], row, tmp)
        if error is not None and error <= AGREES:  # all at once do nothing
            tried = [t for t in tried if t[4] == "changes"]
    return [line_of(key, value, effect) for key, value, new, got, effect in tried if bad(new, got)]


def line_of(key: str, value, effect: str) -> str:
    line = {"key": key} | ({"removed": True} if value is REMOVED else {"value": value}) | {"effect": effect}
    return json.dumps(line, ensure_ascii=False)


def telling(case, config: dict, key: str, values: list, plain: dict, row: dict, folder: Path) -> tuple | None:
    """Key, value, changed config, result and effect of the first value that changes the result, else of one that does not."""
    best, whole = None, filled_in(case, config, folder)
    for value in values:
        if key == "pad_token_id" and value in row["input_ids"]:  # padding inside a text is the reference's own matter
            continue
        new = changed(config, key, value)
        same = whole is not None and whole == filled_in(case, new, folder)
        got = plain if same else reference(case, new, row, folder)
        if got is None or not same_shapes(plain, got):
            continue
        if difference(plain, got) > CHANGED:
            return key, value, new, got, "changes"
        best = best or (key, value, new, got, "none")
    return None if ours(case) else best  # that a transcription does not read a key says nothing


def perturb(name: str, binary: str | None) -> list[str]:
    """Writes perturbed.json; returns what the binary gets wrong."""
    case = CASES[name]
    config, tensors, fill = load_fixture(name)
    row = json.loads((FIXTURES / name / "inputs.json").read_text())[1]
    code = sources(case)
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        write_checkpoint(config, tensors, tmp / "model", fill=fill)
        theirs = tmp / "theirs"
        write_checkpoint(config, tensors_of(case, tensors, tmp), theirs, fill=fill)
        plain = reference(case, config, row, theirs)
        stored = load_file(FIXTURES / name / "reference.safetensors")
        assert plain and difference({k: v for k, v in stored.items() if k in plain}, plain) < CHANGED, "not the stored reference"
        tried = []
        fixed = {*case.settings, *case.late}  # what the case sets whatever config.json says
        fixed |= ROPE_KEYS if "rope_parameters" in fixed else set()
        for key, values in changes(config, known(case, code), code):
            odd = any(fnmatch.fnmatch(key, glob) for glob in case.odd) or (ours(case) and values == [None])  # null: Python's matter
            if not odd and key.split(".")[0] not in fixed and (found := telling(case, config, key, values, plain, row, theirs)):
                tried.append(found)
        wrong = wrong_in(case, binary, config, tried, row, tmp) if binary else []
    lines = [line_of(key, value, effect) for key, value, _, _, effect in tried]
    (FIXTURES / name / "perturbed.json").write_text("[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes what every change of a config.json does to the reference.")
    parser.add_argument("globs", nargs="*", default=["*"])
    parser.add_argument("--check", metavar="BINARY")
    args = parser.parse_args()
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()
    names = sorted(n for n in CASES if (FIXTURES / n).is_dir() and any(fnmatch.fnmatch(n, g) for g in args.globs))
    wrong = []
    for name in names:
        try:
            found = perturb(name, args.check)
        except Exception as error:  # the other fixtures go on
            found = [f"{type(error).__name__}: {error}"]
        wrong += found
        print(f"{name}: " + ("".join(f"\n  {f}" for f in found) or "well"), flush=True)
    if wrong:
        raise SystemExit(f"{len(wrong)} changes give other results than the reference's")


if __name__ == "__main__":
    main()
