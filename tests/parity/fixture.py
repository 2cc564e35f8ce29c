"""What a parity fixture is: weights from a hash of name and index, and a checkpoint folder made of them.

The rule is written in README.md beside this file; the Rust side computes the same numbers bit by bit.
"""

import fnmatch
import json
import math
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1

# Names that hold a table of vectors looked up by index; their rows are not multiplied, so they need no 1 / sqrt(width).
TABLES = ("embed", "wte", "wpe")


def fnv1a64(name: str) -> int:
    """64-bit FNV-1a of the UTF-8 bytes of `name`."""
    h = 0xCBF29CE484222325
    for byte in name.encode("utf-8"):
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(name: str, start: int, count: int) -> np.ndarray:
    """`count` values of [-1, 1) for the elements `start ..` of tensor `name`, exact in f32."""
    index = np.arange(start, start + count, dtype=np.uint64)
    z = np.uint64(fnv1a64(name)) + index * np.uint64(GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)


def values(name: str, shape: list[int], start: int = 0, count: int | None = None) -> np.ndarray:
    """The elements `start .. start + count` (default: all) of the tensor, flat, in row-major order, f32."""
    total = math.prod(shape)
    u = uniform(name, start, total - start if count is None else count)
    if len(shape) < 2:
        if name.endswith((".bias", "_bias")):
            return u * np.float32(0.1)
        return np.float32(1.0) + np.float32(0.2) * u
    if len(shape) == 2 and any(table in name for table in TABLES):
        return u
    return u * np.float32(math.sqrt(3.0 / shape[-1]))


def filled(name: str, shape: list[int], fill: dict) -> np.ndarray:
    """`values`, or offset + scale * u for a name that a glob of `fill` fits; the first one decides."""
    for glob, (offset, scale) in fill.items():
        if fnmatch.fnmatchcase(name, glob):
            return np.float32(offset) + np.float32(scale) * uniform(name, 0, math.prod(shape))
    return values(name, shape)


def read_header(path: Path) -> dict:
    """The tensors of a safetensors file as {name: {"dtype", "shape"}}, in the order of their bytes."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    header.pop("__metadata__", None)
    names = sorted(header, key=lambda n: (header[n]["data_offsets"], n))
    return {n: {"dtype": header[n]["dtype"], "shape": header[n]["shape"]} for n in names}


def write_checkpoint(config: dict, tensors: dict, folder: Path, dtype: str = "f32", shards: int = 1,
                     fill: dict | None = None) -> None:
    """Writes config.json and the hashed weights as one safetensors file, or as `shards` files with an index."""
    import torch
    from safetensors.torch import save_file

    kind = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(config)
    if dtype != "f32":
        for key in ("dtype", "torch_dtype"):
            if key in config:
                config[key] = {"bf16": "bfloat16", "f16": "float16"}[dtype]
    write_json(folder / "config.json", config)
    names = list(tensors)
    shards = max(1, min(shards, len(names)))
    index, total = {}, 0
    for s in range(shards):
        file = "model.safetensors" if shards == 1 else f"model-{s + 1:05}-of-{shards:05}.safetensors"
        part = names[s * len(names) // shards : (s + 1) * len(names) // shards]
        data = {n: torch.from_numpy(filled(n, tensors[n]["shape"], fill or {}).reshape(tensors[n]["shape"])).to(kind) for n in part}
        save_file(data, folder / file, metadata={"format": "pt"})
        index |= {n: file for n in part}
        total += sum(t.numel() * t.element_size() for t in data.values())
    if shards > 1:
        write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: dict) -> None:
    """tensors.json with one tensor a line, so that a change of it can be read in a diff."""
    lines = [f"  {json.dumps(n)}: {json.dumps(t)}" for n, t in tensors.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def load_fixture(case: str) -> tuple[dict, dict, dict]:
    """The config, the tensors and the special weights of a stored fixture."""
    folder = FIXTURES / case
    if not folder.is_dir():
        raise SystemExit(f"there is no fixture `{case}` in {FIXTURES}")
    config, tensors, about = (json.loads((folder / f"{f}.json").read_text()) for f in ("config", "tensors", "about"))
    return config, tensors, about.get("fill", {})
