"""Changes every value of a fixture's config.json, one at a time, and writes down what that does to the reference:

    python perturb.py [glob of fixtures ...] [--check BINARY]

`perturbed.json` of a fixture then lists each change with its effect: `changes` the result, or `none`. Changes that the
reference itself cannot run are left out. A test holds the descriptors against it: a change must be refused, or alter
the plan exactly where it alters the reference. With `--check`, the changed models also run through the given binary,
which must refuse them or give the reference's numbers.
"""

import argparse
import copy
import fnmatch
import json
import tempfile
from pathlib import Path

import torch
import transformers
from cases import CASES
from check import run_binary
from fixture import FIXTURES, load_fixture, write_checkpoint
from generate import difference, run

# What is said of files and tokens, not of the model.
SKIPPED = {"architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "use_cache", "auto_map", "_name_or_path",
           "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "vocab_size", "id2label", "label2id",
           "output_attentions", "output_hidden_states", "return_dict", "problem_type", "chunk_size_feed_forward", "forced_eos_token_id"}
CHANGED = 1e-4  # share of the largest magnitude from which a result counts as changed
AGREES = 1e-3


def other(key: str, value):
    """Another value of the same kind; null if there is none to try."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1 if value < 3 else value - 1
    if isinstance(value, float):
        return value * 1.5 if value else 0.25
    if isinstance(value, str) and ("act" in key or value in ("silu", "gelu", "relu")):
        return "relu" if value != "relu" else "silu"
    if isinstance(value, list) and len(set(map(str, value))) > 1:
        return value[1:] + value[:1]
    return None


def changes(config: dict) -> list[tuple[str, object]]:
    """Every key with another value; the entries of maps are keys of their own, `a.b`."""
    found = []
    for key, value in config.items():
        if key in SKIPPED:
            continue
        if isinstance(value, dict):
            inner = [(f"{key}.{k}", other(k, v)) for k, v in value.items()]
        else:
            inner = [(key, other(key, value))]
        found += [(k, v) for k, v in inner if v is not None]
    return found


def changed(config: dict, key: str, value) -> dict:
    config = copy.deepcopy(config)
    outer, _, inner = key.partition(".")
    if inner:
        config[outer][inner] = value
    else:
        config[outer] = value
    return config


def reference(case, config: dict, tensors: dict, fill: dict, row: dict, folder: Path):
    """What the reference computes, or null if it refuses."""
    try:
        write_checkpoint(config, tensors, folder, fill=fill)
        return run(case, folder, [row])
    except Exception:  # whatever the reference dislikes
        return None


def perturb(name: str, binary: str | None) -> list[str]:
    """Writes perturbed.json; returns what the binary gets wrong."""
    case = CASES[name]
    config, tensors, fill = load_fixture(name)
    row = json.loads((FIXTURES / name / "inputs.json").read_text())[1]
    lines, wrong = [], []
    with tempfile.TemporaryDirectory() as tmp:
        plain = reference(case, config, tensors, fill, row, Path(tmp, "model"))
        assert plain is not None, f"{name}: the reference does not run"
        for key, value in changes(config):
            got = reference(case, changed(config, key, value), tensors, fill, row, Path(tmp, "model"))
            if got is None or got.keys() != plain.keys() or any(got[k].shape != plain[k].shape for k in got):
                continue
            if not all(torch.isfinite(v).all() for v in got.values()):
                continue
            effect = "changes" if difference(plain, got) > CHANGED else "none"
            lines.append(json.dumps({"key": key, "value": value, "effect": effect}))
            if binary:
                found = run_binary(binary, Path(tmp, "model"), [row], sorted({k.split("/", 1)[1] for k in got}), Path(tmp))
                if isinstance(found, dict):
                    apart = max(difference({k: v}, {k: torch.from_numpy(found[k])}) for k, v in got.items())
                    if apart > AGREES:
                        wrong.append(f"{name}: {key} = {value!r} ({effect}): apart by {apart:.1e}")
    (FIXTURES / name / "perturbed.json").write_text("[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes what every change of a config.json does to the reference.")
    parser.add_argument("globs", nargs="*", default=["*"])
    parser.add_argument("--check", metavar="BINARY")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = sorted(n for n in CASES if (FIXTURES / n).is_dir() and any(fnmatch.fnmatch(n, g) for g in args.globs))
    wrong = []
    for name in names:
        found = perturb(name, args.check)
        wrong += found
        print(f"{name}: " + ("; ".join(found) or "well"), flush=True)
    if wrong:
        raise SystemExit(f"{len(wrong)} changes give other results than the reference's:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main()
