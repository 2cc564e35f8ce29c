"""Stores what transformers gives for pipelines/sentences.jsonl with all-MiniLM-L6-v2, in f32:

    python tests/minilm/generate.py [MODEL_DIR]

Each sentence runs alone; its embedding is the mean over all its tokens (the special ones too), divided by its length.
`cargo xtask models` fetches the model. Packages: tests/parity/requirements.txt.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".deps/models/all-MiniLM-L6-v2"
    if not (folder / "model.safetensors").is_file():
        raise SystemExit(f"there is no model in `{folder}`: run `cargo xtask models` first")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for line in (ROOT / "pipelines/sentences.jsonl").read_text(encoding="utf-8").splitlines():
        sentence = json.loads(line)
        # The stored tokenizer.json asks for 128 tokens, padded; neither is wanted here.
        ids = tokenizer(sentence["text"], truncation=False, padding=False)["input_ids"]
        assert 2 < len(ids) <= 256, f"`{sentence['id']}` has {len(ids)} tokens"
        with torch.no_grad():
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        unit = torch.nn.functional.normalize(mean, dim=0).numpy()
        rows.append({"id": sentence["id"], "tokens": len(ids), "input_ids": ids,
                     "embedding": [float(np.format_float_scientific(x, unique=True)) for x in unit]})
    about = {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
        "dtype": "f32", "pooling": "mean", "normalize": True,
    }
    lines = ",\n".join("    " + json.dumps(row) for row in rows)
    head = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in about.items())
    target = Path(__file__).parent / "reference.json"
    target.write_text(f'{{\n{head},\n  "rows": [\n{lines}\n  ]\n}}\n')
    print(f"wrote {len(rows)} embeddings to {target}: {[r['tokens'] for r in rows]} tokens")


if __name__ == "__main__":
    main()
