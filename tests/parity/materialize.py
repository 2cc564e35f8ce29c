"""Writes a fixture as a real checkpoint folder, to run by hand:

    python materialize.py CASE DIR [--dtype f32|bf16|f16] [--shards N]

In a half precision the weights are the hashed ones, rounded: the stored f32 reference then holds only roughly.
"""

import argparse
import json
from pathlib import Path

from fixture import FIXTURES, load_fixture, write_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a parity fixture as a checkpoint folder.")
    parser.add_argument("case")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--dtype", choices=["f32", "bf16", "f16"], default="f32")
    parser.add_argument("--shards", type=int, default=1)
    args = parser.parse_args()
    config, tensors, fill = load_fixture(args.case)
    write_checkpoint(config, tensors, args.dir, args.dtype, args.shards, fill)
    rows = json.loads((FIXTURES / args.case / "inputs.json").read_text())
    (args.dir / "inputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"wrote {args.case} to {args.dir}: {len(tensors)} tensors, and its two sequences as inputs.jsonl")


if __name__ == "__main__":
    main()
