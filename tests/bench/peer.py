"""Scores documents with another program that streams weights from the disk, for comparison with `sli-pipe run` and its
`score` stage:

    python tests/bench/peer.py accelerate MODEL_DIR DOCS.jsonl --folder DIR [--batch-tokens 1] [--out FILE]
    python tests/bench/peer.py airllm MODEL_DIR DOCS.jsonl --folder DIR --prepare     # splits the checkpoint, once

`cargo xtask bench --rows c --peers` calls it. Documents are rows with `text` or `input_ids`. A batch holds up to
--batch-tokens tokens, padding included; the default gives each document alone.

accelerate: all layers stay on disk and are read for each batch, the embedding and the head stay in memory; with
--max-memory accelerate itself decides what stays. airllm: everything is read for each batch, from the layers it split.
"""

import argparse
import json
import math
import resource
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

HEAD_TOKENS = 512  # rows of logits in memory at once


def read(path: Path, model_dir: Path) -> list[tuple[str, list[int]]]:
    tokenizer, documents = None, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        ids = row.get("input_ids")
        if ids is None:
            tokenizer = tokenizer or Tokenizer.from_file(str(model_dir / "tokenizer.json"))
            ids = tokenizer.encode(row["text"]).ids
        documents.append((str(row.get("id", number)), ids))
    return documents


def batches(documents: list, limit: int) -> list[list]:
    """Documents by length, as many a batch as fit with their padding."""
    made, current = [], []
    for document in sorted(documents, key=lambda d: len(d[1])):
        if current and (len(current) + 1) * len(document[1]) > limit:
            made.append(current)
            current = []
        current.append(document)
    return made + [current] if current else made


def with_accelerate(args):
    from accelerate import infer_auto_device_map, init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(args.model)
    if args.max_memory:
        with init_empty_weights():
            empty = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        split = empty._no_split_modules
        device_map = infer_auto_device_map(empty, {"cpu": args.max_memory}, split, dtype=torch.bfloat16)
    else:
        device_map = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
        device_map |= {f"model.layers.{i}": "disk" for i in range(config.num_hidden_layers)}
    return AutoModelForCausalLM.from_pretrained(
        args.model, dtype=torch.bfloat16, device_map=device_map, offload_folder=args.folder
    ).eval()


def with_airllm(args):
    from airllm import AutoModel

    model = AutoModel.from_pretrained(str(args.model), device="cpu", layer_shards_saving_path=str(args.folder))
    return model.model


LOADERS = {"accelerate": with_accelerate, "airllm": with_airllm}


@torch.no_grad()
def score(model, batch: list) -> dict[str, float]:
    """nll of each document of a batch; padding stands behind the text, where a causal model does not look."""
    longest = max(len(ids) for _, ids in batch)
    tokens = torch.tensor([ids + [0] * (longest - len(ids)) for _, ids in batch])
    hidden = model.model(tokens, use_cache=False).last_hidden_state
    scores = {}
    for (name, ids), states in zip(batch, hidden):
        targets, total = torch.tensor(ids[1:]), 0.0
        for at in range(0, len(targets), HEAD_TOKENS):
            part = slice(at, min(at + HEAD_TOKENS, len(targets)))
            total += F.cross_entropy(model.lm_head(states[part]).float(), targets[part], reduction="sum").item()
        scores[name] = total
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores documents with another program that streams weights.")
    parser.add_argument("peer", choices=list(LOADERS))
    parser.add_argument("model", type=Path)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for files of its own")
    parser.add_argument("--prepare", action="store_true", help="only make those files; for airllm the split layers")
    parser.add_argument("--batch-tokens", type=int, default=1)
    parser.add_argument("--max-memory", help="let accelerate keep this much of the model in memory, as `900MiB`")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="write one row a document: id, tokens, nll")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    documents = read(args.documents, args.model)
    model = LOADERS[args.peer](args)
    loaded = time.perf_counter()
    if args.prepare:
        return
    plan, scores = batches(documents, args.batch_tokens), {}
    for batch in plan:
        scores |= score(model, batch)
    done = time.perf_counter()
    tokens = sum(len(ids) - 1 for _, ids in documents)
    if args.out:
        rows = ({"id": n, "tokens": len(ids), "nll": scores[n]} for n, ids in documents)
        args.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(json.dumps({
        "documents": len(documents), "scored_tokens": tokens, "batches": len(plan),
        "load_seconds": round(loaded - started, 2), "score_seconds": round(done - loaded, 2),
        "tokens_per_second": round(tokens / (done - loaded), 1),
        "perplexity": math.exp(sum(scores.values()) / tokens),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }))


if __name__ == "__main__":
    main()
