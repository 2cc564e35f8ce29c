"""Runs stored fixtures through a binary: python check.py --binary target/release/sli-pipe [glob of fixtures ...]

The same comparison as the project's test, for a descriptor under work: `families/` of the current folder is used.
"""

import argparse
import fnmatch
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from fixture import FIXTURES, load_fixture, write_checkpoint
from safetensors.numpy import load_file

TOLERANCE = 2e-5


def run_binary(binary: str, model: Path, rows: list[dict], points: list[str], work: Path) -> dict | str:
    """`<row id>/<point>` -> values, or what the binary said when it refused."""
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (work / "check.toml").write_text(
        f'name = "check"\n[model]\nsource = "{model}"\n[data]\nsource = "rows.jsonl"\n[engine]\ndevice = "cpu"\ndtype = "f32"\n'
        f'[output]\ndir = "{work}/out"\noverwrite = true\n[[stage]]\nuses = "capture"\npoints = {json.dumps(points)}\ndtype = "f32"\n'
    )
    ended = subprocess.run([binary, "run", str(work / "check.toml")], capture_output=True, text=True)
    if ended.returncode:
        return ended.stderr
    found = {}
    for file in (work / "out").rglob("*.safetensors"):
        found |= load_file(file)
    return found


def compare(name: str, binary: str) -> str | None:
    """What is wrong, or null."""
    config, tensors, fill = load_fixture(name)
    reference = load_file(FIXTURES / name / "reference.safetensors")
    rows = json.loads((FIXTURES / name / "inputs.json").read_text())
    with tempfile.TemporaryDirectory() as tmp:
        write_checkpoint(config, tensors, Path(tmp, "model"), fill=fill)
        found = run_binary(binary, Path(tmp, "model"), rows, sorted({k.split("/", 1)[1] for k in reference}), Path(tmp))
    if isinstance(found, str):
        return found
    for key, expected in reference.items():
        if key not in found or found[key].shape != expected.shape:
            return f"{key} is missing or of another shape"
        error = np.abs(found[key] - expected).max() / max(1e-30, np.abs(expected).max())
        if not error <= TOLERANCE:
            return f"{key} differs by {error:.1e}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs stored fixtures through a binary.")
    parser.add_argument("globs", nargs="*", default=["*"])
    parser.add_argument("--binary", required=True)
    args = parser.parse_args()
    names = sorted(d.name for d in FIXTURES.iterdir() if any(fnmatch.fnmatch(d.name, g) for g in args.globs))
    wrong = {name: error for name in names if (error := compare(name, args.binary))}
    for name, error in wrong.items():
        print(f"{name}: {error}")
    raise SystemExit(f"{len(wrong)} of {len(names)} differ" if wrong else None)


if __name__ == "__main__":
    main()
