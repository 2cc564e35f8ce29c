"""Makes the parity fixtures: python generate.py [glob of cases ...] (default: all).

Each sequence runs alone, without padding, in f32, through a model read from a checkpoint folder with hashed weights, so
the mapping of names is the reference's own.
"""

import fnmatch
import functools
import importlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from cases import CASES
from cases.common import Case
from fixture import FIXTURES, HERE, read_header, uniform, values, write_checkpoint, write_json, write_tensors
from safetensors.torch import load_file, save_file
from trace import flat, points_of

NOISE = 1e-5  # relative change of the weights that must not change the result by more than ...
UNSTABLE = 2e-3  # ... this share of the largest value: else a router or a top-k is near a tie


def ours(case: Case):
    """The class of our own transcription, or null."""
    if ":" not in case.cls:
        return None
    file, name = case.cls.split(":")
    return getattr(importlib.import_module(file), name)


def config_class(case: Case):
    return getattr(transformers, case.config_cls) if case.config_cls else getattr(transformers, case.cls).config_class


def fresh(case: Case, folder: Path) -> tuple[dict, dict]:
    """config.json and the tensors of the file as the reference itself writes them."""
    if ours(case):
        state = ours(case)(case.config).state_dict()
        save_file({k: v.clone().contiguous() for k, v in state.items()}, folder / "model.safetensors")
        return dict(case.config), read_header(folder / "model.safetensors")
    cls = getattr(transformers, case.cls)
    cls(config_class(case)(**case.config)).save_pretrained(folder, save_original_format=not case.native)
    return json.loads((folder / "config.json").read_text()), read_header(folder / "model.safetensors")


def load(case: Case, folder: Path, **overrides):
    """The reference model; refuses a checkpoint of which anything is missing, left over or misshapen."""
    if ours(case):
        model = ours(case)(json.loads((folder / "config.json").read_text()) | overrides)
        model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
        return model.eval()
    cls = getattr(transformers, case.cls)
    config = config_class(case).from_pretrained(folder)
    for key, value in (case.settings | overrides).items():
        *parts, last = key.split(".")  # `text_config.rope_theta`: of a part's config
        setattr(functools.reduce(getattr, parts, config), last, value)
    model, info = cls.from_pretrained(folder, config=config, dtype=torch.float32, output_loading_info=True)
    info["unexpected_keys"] = {k for k in info["unexpected_keys"] if not any(fnmatch.fnmatch(k, g) for g in case.left_over)}
    info["missing_keys"] = {k for k in info["missing_keys"] if not any(fnmatch.fnmatch(k, g) for g in case.computed)}
    bad = {k: v for k, v in info.items() if v}
    assert not bad, f"{case.cls} did not take the tensors as they are: {bad}"
    for key, value in case.late.items():
        setattr(model.config, key, value)
    return model.eval()


def run(case: Case, folder: Path, rows: list[dict], noise: float = 0.0, **overrides) -> dict[str, torch.Tensor]:
    """All rows, each through a fresh model: dynamic rope keeps state from one sequence to the next."""
    got = {}
    for row in rows:
        model = load(case, folder, **overrides)
        with torch.no_grad():
            for parameter in model.parameters() if noise else ():
                parameter.mul_(1 + noise * torch.randn(parameter.shape))
            if ours(case):
                found = model(**{k: torch.tensor(v) for k, v in row.items() if k != "id"})
                found = {k: flat(v) for k, v in found.items()}
            else:
                found = points_of(model, case, row)
        got |= {f"{row['id']}/{point}": value for point, value in found.items()}
    return got


def check_health(name: str, got: dict[str, torch.Tensor]) -> None:
    """A fixture that explodes or is flat proves nothing."""
    for key, value in got.items():
        rms = value.pow(2).mean().sqrt().item()
        assert torch.isfinite(value).all() and 0.02 < rms < 60, f"{name}: {key} has rms {rms}"
        if key.endswith("/logits"):
            assert value.std(-1).min() > 0.1, f"{name}: {key} is flat"


def difference(a: dict, b: dict) -> float:
    """The largest difference, as a share of the largest magnitude of its point."""
    return max(((a[k] - b[k]).abs().max() / a[k].abs().max()).item() for k in a)


def draw(seed: str, length: int, below: int) -> list[int]:
    u = uniform(seed, 0, length)
    return ((u + 1) / 2 * below).astype(np.int64).tolist()


def rows_of(name: str, case: Case, config: dict) -> list[dict]:
    """Two sequences of token ids drawn from the same hash as the weights."""
    rows = []
    below = (config.get("text_config") or config).get("vocab_size") or config.get("padded_vocab_size") or min(config["src_vocab_size"], config["tgt_vocab_size"])
    for row_id, length in zip("ab", case.lengths):
        seed = f"{case.same_as or name}/{row_id}"
        row = {"id": row_id, "input_ids": draw(seed, length, below)}
        if config.get("is_encoder_decoder"):
            row["decoder_input_ids"] = draw(f"{seed}/decoder", length // 2 + 2, below)
        if (config.get("type_vocab_size") or 0) > 1:
            row["token_type_ids"] = [int(i >= length // 2) for i in range(length)]
        if case.fields:
            row |= case.fields(row_id, row["input_ids"])
        rows.append(row)
    return rows


def make(name: str, case: Case) -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as tmp:
        Path(tmp, "fresh").mkdir()
        saved, tensors = fresh(case, Path(tmp, "fresh"))
        rows = rows_of(name, case, saved | case.config)
        saved = case.rewrite(saved) if case.rewrite else saved
        tensors = case.tensors(tensors) if case.tensors else tensors
        tensors = {k: v for k, v in tensors.items() if not any(fnmatch.fnmatch(k, g) for g in case.computed)}
        write_checkpoint(saved, tensors, Path(tmp, "hashed"), fill=case.fill)
        got = run(case, Path(tmp, "hashed"), rows)
        check_health(name, got)
        apart = difference(got, run(case, Path(tmp, "hashed"), rows, noise=NOISE))
        assert apart < UNSTABLE, f"{name}: noise of {NOISE} in the weights changes a value by {apart:.1e}: near a tie?"
        for key, value in case.bites.items():
            change = difference(got, run(case, Path(tmp, "hashed"), rows, **{key: value}))
            assert change > 1e-3, f"{name}: `{key}` makes a difference of {change} only"
    store(name, case, saved, tensors, rows, got)


def store(name: str, case: Case, saved: dict, tensors: dict, rows: list[dict], got: dict) -> None:
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", saved)
    write_tensors(folder / "tensors.json", case.stored(tensors) if case.stored else tensors)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    (folder / "inputs.json").write_text(f"[\n{lines}\n]\n")
    save_file(got, folder / "reference.safetensors")
    about = {"reference": "transcription" if ours(case) else f"transformers {transformers.__version__}",
             "torch": torch.__version__.split("+")[0], "class": case.cls, "note": case.note}
    about |= {k: v for k, v in (("why", case.why), ("same_as", case.same_as), ("fill", case.fill)) if v}
    write_json(folder / "about.json", about)
    size = (folder / "reference.safetensors").stat().st_size
    assert size < 60_000, f"{name}: the reference has {size} bytes"
    rms = {k: round(v.pow(2).mean().sqrt().item(), 2) for k, v in got.items() if k.startswith("b/")}
    print(f"{name}: {len(tensors)} tensors, {size} bytes, rms {rms}", flush=True)


def write_known_weights() -> None:
    """A few values of every branch of the rule, for a test on the Rust side."""
    shapes = {
        "model.embed_tokens.weight": [96, 32], "transformer.wte.weight": [112, 48], "transformer.wpe.weight": [40, 48],
        "model.layers.0.self_attn.q_proj.weight": [32, 32], "model.layers.1.mlp.down_proj.weight": [32, 56],
        "model.layers.0.self_attn.q_proj.bias": [32], "model.norm.weight": [32], "cls.predictions.bias": [104],
        "u_bias": [8], "bert.embeddings.LayerNorm.weight": [48], "experts.gate_up_proj": [4, 32, 56],
        "embed.rank3": [2, 3, 5], "schicht.äöü.weight": [3, 7],
    }
    known = []
    for name, shape in shapes.items():
        whole = values(name, shape)
        for index in sorted({0, 1, len(whole) // 2, len(whole) - 1}):
            bits = int(whole[index : index + 1].view(np.uint32)[0])
            known.append({"name": name, "shape": shape, "index": index, "value": float(whole[index]), "bits": bits})
    # Far beyond 32 bits of index: the product with the constant must wrap.
    far = values("far.weight", [1 << 20, 1 << 20], (1 << 39) + 12345, 1)
    known.append({"name": "far.weight", "shape": [1 << 20, 1 << 20], "index": (1 << 39) + 12345,
                  "value": float(far[0]), "bits": int(far.view(np.uint32)[0])})
    lines = ",\n".join("  " + json.dumps(k, ensure_ascii=False) for k in known)
    (HERE / "weights.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def check_same(name: str, other: str | None) -> None:
    """Two forms of one config.json must give the same numbers."""
    if other and (FIXTURES / other).is_dir():
        apart = difference(*(load_file(FIXTURES / n / "reference.safetensors") for n in (name, other)))
        assert apart == 0, f"{name} and {other} differ by {apart}"


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = [n for n in CASES if any(fnmatch.fnmatch(n, glob) for glob in sys.argv[1:] or ["*"])]
    if not names:
        raise SystemExit(f"no case is called so; there are {', '.join(CASES)}")
    failed = []
    write_known_weights()
    for name in names:
        try:
            make(name, CASES[name])
            check_same(name, CASES[name].same_as)
        except Exception as error:
            failed.append(name)
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} of {len(names)} cases failed")


if __name__ == "__main__":
    main()
