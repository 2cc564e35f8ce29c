"""Makes the parity fixtures with transformers: python generate.py [case ...] (default: all).

Each sequence runs alone, without padding, in f32, through a model read from a checkpoint folder with hashed weights, so
the mapping of names is the reference's own.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from cases import CASES, Case
from fixture import HERE, read_header, uniform, values, write_checkpoint, write_json, write_tensors
from safetensors.torch import save_file

ROUTER_MARGIN = 1e-4  # a nearer tie would make the choice of experts depend on the order of a sum


def tensors_of(case: Case, config, folder: Path) -> tuple[dict, dict]:
    """config.json and the tensors of the file that `save_pretrained` writes for a fresh model."""
    getattr(transformers, case.cls)(config).save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    return saved, read_header(folder / "model.safetensors")


def load(case: Case, folder: Path, **overrides):
    """The reference model; refuses a checkpoint of which anything is missing, left over or misshapen."""
    cls = getattr(transformers, case.cls)
    config = cls.config_class.from_pretrained(folder)
    for key, value in overrides.items():
        setattr(config, key, value)
    model, info = cls.from_pretrained(folder, config=config, dtype=torch.float32, output_loading_info=True)
    bad = {k: v for k, v in info.items() if v}
    assert not bad, f"{case.cls} did not take the tensors as they are: {bad}"
    return model.eval()


def layers_of(model) -> tuple[str, list, torch.nn.Module | None]:
    """The stack's name, its layers and the final norm (None: the last layer's output is final)."""
    base = model.base_model
    if hasattr(base, "encoder"):
        return "encoder", base.encoder.layer, None
    if hasattr(base, "h"):
        return "decoder", base.h, base.ln_f
    return "decoder", base.layers, base.norm


def first(value):
    return value[0] if isinstance(value, tuple) else value


def points_of(model, row: dict) -> dict[str, torch.Tensor]:
    """Every captured value of one sequence, each `[rows, width]` in f32."""
    stack, layers, norm = layers_of(model)
    got, hooks = {}, []

    def save(point):
        def hook(_module, _args, output):
            got[point] = first(output)

        return hook

    def save_input(_module, args, kwargs):
        got["embed"] = args[0] if args else kwargs["hidden_states"]

    hooks.append(layers[0].register_forward_pre_hook(save_input, with_kwargs=True))
    for i, layer in enumerate(layers):
        hooks.append(layer.register_forward_hook(save(f"{stack}.{i}")))
        gate = getattr(getattr(layer, "mlp", None), "gate", None)
        if gate is not None:
            hooks.append(gate.register_forward_hook(save(f"router.{i}")))
    hooks.append((norm or layers[-1]).register_forward_hook(save("final")))
    if getattr(model.base_model, "pooler", None) is not None:
        hooks.append(model.base_model.pooler.register_forward_hook(save("pooler_output")))

    inputs = {k: torch.tensor([v]) for k, v in row.items() if k != "id"}
    with torch.no_grad():
        output = model(**inputs, **({} if stack == "encoder" else {"use_cache": False}))
    for hook in hooks:
        hook.remove()
    for key, point in (("logits", "logits"), ("prediction_logits", "logits"), ("seq_relationship_logits",) * 2):
        if output.get(key) is not None:
            got[point] = output[key]
    return {k: v.detach().float().reshape(-1, v.shape[-1]).contiguous().clone() for k, v in got.items()}


def run(case: Case, folder: Path, rows: list[dict], **overrides) -> dict[str, torch.Tensor]:
    """All rows, each through a fresh model: dynamic rope keeps state from one sequence to the next."""
    got = {}
    for row in rows:
        for point, value in points_of(load(case, folder, **overrides), row).items():
            got[f"{row['id']}/{point}"] = value
    return got


def check_health(name: str, got: dict[str, torch.Tensor], per_token: int | None) -> None:
    """A fixture that explodes, is flat, or lies near a tie of the router proves nothing."""
    for key, value in got.items():
        rms = value.pow(2).mean().sqrt().item()
        assert torch.isfinite(value).all() and 0.05 < rms < 40, f"{name}: {key} has rms {rms}"
        if key.endswith("/logits"):
            assert value.std(-1).min() > 0.2, f"{name}: {key} is flat"
        if "/router." in key:
            ranked = value.softmax(-1).sort(-1, descending=True).values
            margin = (ranked[:, per_token - 1] - ranked[:, per_token]).min().item()
            assert margin > ROUTER_MARGIN, f"{name}: {key} is within {margin} of a tie"


def difference(a: dict, b: dict) -> float:
    return max((a[k] - b[k]).abs().max().item() for k in a if "/router." not in k)


def rows_of(name: str, case: Case) -> list[dict]:
    """Two sequences of token ids drawn from the same hash as the weights."""
    rows = []
    for row_id, length in zip("ab", case.lengths):
        u = uniform(f"{case.same_as or name}/{row_id}", 0, length)
        ids = ((u + 1) / 2 * case.config["vocab_size"]).astype(np.int64)
        row = {"id": row_id, "input_ids": ids.tolist()}
        if case.config.get("type_vocab_size"):
            row["token_type_ids"] = [int(i >= length // 2) for i in range(length)]
        rows.append(row)
    return rows


def make(name: str, case: Case) -> None:
    torch.manual_seed(0)
    config = getattr(transformers, case.cls).config_class(**case.config)
    with tempfile.TemporaryDirectory() as tmp:
        saved, tensors = tensors_of(case, config, Path(tmp, "fresh"))
        if case.rewrite:
            saved = case.rewrite(saved)
        write_checkpoint(saved, tensors, Path(tmp, "hashed"))
        rows = rows_of(name, case)
        got = run(case, Path(tmp, "hashed"), rows)
        for key, value in case.bites.items():
            change = difference(got, run(case, Path(tmp, "hashed"), rows, **{key: value}))
            assert change > 1e-3, f"{name}: `{key}` makes a difference of {change} only"
    check_health(name, got, case.config.get("num_experts_per_tok"))
    got = {k: v for k, v in got.items() if "/router." not in k}

    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_json(folder / "config.json", saved)
    write_tensors(folder / "tensors.json", tensors)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    (folder / "inputs.json").write_text(f"[\n{lines}\n]\n")
    save_file(got, folder / "reference.safetensors")
    about = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0], "class": case.cls,
             "note": case.note}
    if case.same_as:
        about["same_as"] = case.same_as
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


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = sys.argv[1:] or list(CASES)
    for name in names:
        if name not in CASES:
            raise SystemExit(f"there is no case `{name}`; there are {', '.join(CASES)}")
    write_known_weights()
    for name in names:
        make(name, CASES[name])
    for name in names:
        check_same(name, CASES[name].same_as)


def check_same(name: str, other: str | None) -> None:
    """Two forms of one config.json must give the same numbers."""
    from safetensors.torch import load_file

    if other and (HERE / other).is_dir():
        apart = difference(*(load_file(HERE / n / "reference.safetensors") for n in (name, other)))
        assert apart == 0, f"{name} and {other} differ by {apart}"


if __name__ == "__main__":
    main()
