"""How long the decoder of an encoder-decoder waits for its layers: python tests/bench/encoder_decoder.py DIR [--binary B]

Makes a random checkpoint of T5-base's shape (1 GB) and 8 documents in DIR, drops the page cache if it may, runs both
stacks in one sweep and prints what was waited for, unit by unit. What the first units of the decoder wait is all that could be won
by running decoder layers while encoder layers still load.
"""

import argparse
import json
import subprocess
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration

PIPELINE = """name = "encoder-decoder"
[model]
source = "model"
[data]
source = "rows.jsonl"
[engine]
dtype = "f32"
memory = "1GiB"
[output]
dir = "{out}"
overwrite = true
[[stage]]
uses = "capture"
points = ["encoder.final", "decoder.final"]
dtype = "bf16"
"""


def make(folder: Path) -> None:
    config = T5Config(d_model=768, d_kv=64, d_ff=2048, num_layers=12, num_heads=12, feed_forward_proj="gated-gelu")
    T5ForConditionalGeneration(config).save_pretrained(folder / "model")
    draw = torch.Generator().manual_seed(0)
    ids = lambda n: torch.randint(3, 32000, (n,), generator=draw).tolist()
    rows = ({"id": str(i), "input_ids": ids(256), "decoder_input_ids": ids(64)} for i in range(8))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "pipeline.toml").write_text(PIPELINE.format(out=folder / "out"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--binary", default="target/release/sli-pipe")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    if not (args.dir / "model").is_dir():
        make(args.dir)
    for _ in range(args.rounds):
        subprocess.run("sync; echo 3 > /proc/sys/vm/drop_caches", shell=True, check=False, stderr=subprocess.DEVNULL)
        subprocess.run([args.binary, "run", args.dir / "pipeline.toml"], check=True, capture_output=True)
        report = json.loads((args.dir / "out/report.json").read_text())
        waits = {u["unit"]: u["wait_seconds"] for u in report["units"]}
        first = sum(wait for unit, wait in waits.items() if unit in ("decoder.embed", "decoder.0"))
        total = report["time"]["total_seconds"]
        print(f"{total:.2f} s, of which waiting {sum(waits.values()):.3f} s; decoder.embed and decoder.0 {first:.3f} s = {first / total:.1%}")


if __name__ == "__main__":
    main()
