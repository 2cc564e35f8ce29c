"""Trains the quickstart model, and stores what transformers computes with it:

    python pipelines/quickstart/train.py [--text FILE] [--steps N] [--reference-only]

Reads train.txt and heldout.txt beside it (or cuts them out of --text first), and writes tokenizer.json, config.json,
model.safetensors (bf16), heldout.jsonl, training.json and reference.json. Packages: tests/parity/requirements.txt.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from pathlib import Path

import tokenizers
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
BOS = "<|bos|>"
VOCAB = 1024
WINDOW = 512  # tokens of a training sequence, BOS included
BATCH = 6
PASSAGE, LONGEST = 900, 1200  # characters of a held-out passage: it ends at the first good place between
SEED = 1616


def cut(text: str) -> None:
    """Writes the first nine tenths as train.txt and the rest as heldout.txt, cut between two speeches."""
    at = text.index("\n\n", len(text) * 9 // 10) + 2
    (HERE / "train.txt").write_text(text[:at], encoding="utf-8")
    (HERE / "heldout.txt").write_text(text[at:], encoding="utf-8")


def passages(text: str) -> list[str]:
    """Passages that end between two speeches, or inside a long one at a line's end; joined they are the text again."""
    found, current = [], ""
    for line in text.splitlines(keepends=True):
        current += line
        if len(current) >= PASSAGE and (line == "\n" or len(current) >= LONGEST):
            found.append(current)
            current = ""
    found += [current] if current else []
    assert "".join(found) == text
    return found


def make_tokenizer(text: str) -> Tokenizer:
    """Byte-level BPE; its post-processor puts BOS before every document."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        text.split("\n\n"),
        trainers.BpeTrainer(
            vocab_size=VOCAB, special_tokens=[BOS], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, bos)])
    return tokenizer


def make_model(bos: int) -> transformers.LlamaForCausalLM:
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=256, intermediate_size=512, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, rms_norm_eps=1e-5, tie_word_embeddings=True,
        bos_token_id=bos, eos_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    return transformers.LlamaForCausalLM(config)


def add_dropout(model, p: float) -> None:
    """Llama has no dropout: drops what the embedding and each branch add to the residual stream, in training only."""

    def drop(_module, _args, output):
        return F.dropout(output, p, training=model.training)

    model.model.embed_tokens.register_forward_hook(drop)
    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(drop)
        layer.mlp.down_proj.register_forward_hook(drop)


class Windows:
    """Training sequences: BOS, then the text from the start of a speech. Each epoch takes every part of it about once."""

    def __init__(self, tokenizer: Tokenizer, text: str):
        self.bos = tokenizer.token_to_id(BOS)
        ids, self.starts = [], []
        for speech in text.split("\n\n"):
            self.starts.append(len(ids))
            ids += tokenizer.encode(speech + "\n\n", add_special_tokens=False).ids
        self.ids = torch.tensor(ids)
        self.starts = torch.tensor([s for s in self.starts if s + WINDOW <= len(ids)])
        self.queue = torch.empty(0, dtype=torch.long)

    def batch(self) -> torch.Tensor:
        if len(self.queue) < BATCH:  # starts about a window apart, behind a random shift, in random order
            grid = torch.arange(int(torch.randint(WINDOW, (1,))), len(self.ids), WINDOW - 1)
            near = torch.searchsorted(self.starts, grid).clamp(max=len(self.starts) - 1)
            self.queue = torch.cat([self.queue, self.starts[near][torch.randperm(len(near))]])
        take, self.queue = self.queue[:BATCH], self.queue[BATCH:]
        rows = [torch.cat([torch.tensor([self.bos]), self.ids[s : s + WINDOW - 1]]) for s in take.tolist()]
        return torch.stack(rows)


def nll(model, ids: list[int]) -> float:
    """Minus the log-probability of a document, natural log; BOS itself is not scored."""
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].float()
    return F.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none").double().sum().item()


def bits_per_character(model, documents: list[list[int]], characters: int) -> float:
    model.eval()
    total = sum(nll(model, ids) for ids in documents)
    model.train()
    return total / math.log(2) / characters


def optimizers(model, steps: int):
    """Muon for the matrices inside the layers, AdamW for the embedding and the norms; warm-up, then down to nothing."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in known]
    made = [
        torch.optim.Muon(matrices, lr=4e-3, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=3e-3, weight_decay=0.01, betas=(0.9, 0.95)),
    ]
    shape = lambda step: min((step + 1) / 20, max(0.02, 1 - step / steps))  # noqa: E731
    return made, [torch.optim.lr_scheduler.LambdaLR(o, shape) for o in made]


def train(model, windows: Windows, documents, characters: int, steps: int, dropout: float) -> dict:
    """Trains and leaves the weights with the best held-out result in `model`, rounded to bf16 as they are stored."""
    add_dropout(model, dropout)
    opts, schedules = optimizers(model, steps)
    best, best_weights, log, started = math.inf, None, [], time.time()
    model.train()
    for step in range(steps):
        batch = windows.batch()
        inputs, targets = batch[:, :-1], batch[:, 1:]
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(inputs, use_cache=False).logits
        loss = F.cross_entropy(logits.float().reshape(-1, VOCAB), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt, schedule in zip(opts, schedules):
            opt.step()
            schedule.step()
            opt.zero_grad()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1}/{steps}: loss {loss.item():.3f}, {time.time() - started:.0f} s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            with torch.autocast("cpu", torch.bfloat16):
                bpc = bits_per_character(model, documents, characters)
            log.append({"step": step + 1, "train_loss": round(loss.item(), 4), "heldout_bits_per_character": round(bpc, 4)})
            print(f"held out {bpc:.4f} bits per character", flush=True)
            if bpc < best:
                best, best_weights = bpc, {k: v.detach().bfloat16() for k, v in model.state_dict().items()}
    model.load_state_dict(best_weights)
    epochs = steps * BATCH * (WINDOW - 1) / len(windows.ids)
    return {"seed": SEED, "steps": steps, "batch": BATCH, "window": WINDOW, "dropout": dropout,
            "train_tokens": len(windows.ids), "epochs": round(epochs, 2),
            "seconds": round(time.time() - started), "threads": torch.get_num_threads(), "log": log}


def store_model(model, tokenizer: Tokenizer) -> None:
    with tempfile.TemporaryDirectory() as tmp:
        model.bfloat16().save_pretrained(tmp)
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(Path(tmp, name), HERE / name)
    tokenizer.save(str(HERE / "tokenizer.json"))
    write_json("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": None, "unk_token": None,
        "model_max_length": 1024, "clean_up_tokenization_spaces": False,
    })


def store_reference() -> None:
    """What transformers gives in f32 on the stored weights, document by document."""
    model = transformers.AutoModelForCausalLM.from_pretrained(HERE, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(HERE)
    rows, total, scored, characters = [], 0.0, 0, 0
    for line in (HERE / "heldout.jsonl").read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        ids = tokenizer(document["text"])["input_ids"]
        assert ids[0] == tokenizer.bos_token_id and tokenizer.decode(ids[1:]) == document["text"]
        value = nll(model, ids)
        rows.append({"id": document["id"], "tokens": len(ids), "nll": value})
        total, scored, characters = total + value, scored + len(ids) - 1, characters + len(document["text"])
    reference = {
        "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
        "tokenizers": tokenizers.__version__, "dtype": "f32",
        "note": "tokens count the BOS that the tokenizer adds; nll is in nats, over all tokens but BOS",
        "scored_tokens": scored, "characters": characters, "nll": total, "perplexity": math.exp(total / scored),
        "bits_per_character": total / math.log(2) / characters, "documents": rows,
    }
    write_json("reference.json", reference)
    print({k: v for k, v in reference.items() if k != "documents"})


def write_json(name: str, value) -> None:
    (HERE / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the quickstart model.")
    parser.add_argument("--text", type=Path, help="cut train.txt and heldout.txt out of this file first")
    parser.add_argument("--steps", type=int, default=750)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1, help="more than one only helps on an idle machine")
    parser.add_argument("--reference-only", action="store_true", help="only write reference.json again")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.reference_only:
        return store_reference()
    if args.text:
        cut(args.text.read_text(encoding="utf-8"))
    torch.manual_seed(SEED)
    text, heldout = ((HERE / name).read_text(encoding="utf-8") for name in ("train.txt", "heldout.txt"))
    rows = [{"id": f"p{i:03}", "text": p} for i, p in enumerate(passages(heldout))]
    (HERE / "heldout.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    tokenizer = make_tokenizer(text)
    documents = [tokenizer.encode(r["text"]).ids for r in rows]
    windows = Windows(tokenizer, text)
    model = make_model(windows.bos)
    size = sum(p.numel() for p in model.parameters())
    print(f"{size} parameters, {len(windows.ids)} tokens to train on, {len(documents)} held-out documents of "
          f"{min(map(len, documents))} to {max(map(len, documents))} tokens", flush=True)
    report = {"parameters": size} | train(model, windows, documents, len(heldout), args.steps, args.dropout)
    store_model(model, tokenizer)
    write_json("training.json", report)
    store_reference()


if __name__ == "__main__":
    main()
