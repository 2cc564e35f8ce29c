"""What a parity case is, and sizes and rewrites that many cases share."""

from dataclasses import dataclass, field
from typing import Callable

LONG = (24, 33)  # longer than every window and than the small `max_position_embeddings` of the cases


@dataclass
class Case:
    """One fixture: the reference model, its config, and what must make a difference in it."""

    # A class of transformers, or `models.<file>:<Class>`: a transcription of ours for a model that it does not have.
    cls: str
    config: dict
    note: str
    # The class of the config, where the model's class serves several.
    config_cls: str | None = None
    lengths: tuple[int, int] = (7, 12)
    # Config keys that, changed like this, must change the result: proof that the fixture exercises them.
    bites: dict = field(default_factory=dict)
    # Rewrites config.json before it is stored and read by the reference.
    rewrite: Callable[[dict], dict] | None = None
    # Rewrites the tensors of the file ({name: {"dtype", "shape"}}), e.g. to an older spelling that the reference reads too.
    tensors: Callable[[dict], dict] | None = None
    # The file as transformers holds the model in memory (experts packed, q, k, v apart), not as it saves it.
    native: bool = False
    # Rewrites the tensors of the stored fixture only: adds or drops what the reference never reads.
    stored: Callable[[dict], dict] | None = None
    # The case whose weights and result this one must repeat.
    same_as: str | None = None
    # Stack -> path of its list of layers in the model; empty: found by the usual names.
    layers: dict = field(default_factory=dict)
    # Point -> path of the module whose output it is, beside those found by the usual names; null drops a point. A path that
    # ends in ' gives its transpose (channels first), `@name` an attribute of the model's output.
    points: dict = field(default_factory=dict)
    # The residual stream of the reference is [streams, 1, tokens, width]; a point has a token's streams side by side.
    streams: bool = False
    # Glob of tensor names -> [offset, scale]: elements are offset + scale * u instead of the usual rule.
    fill: dict = field(default_factory=dict)
    # More fields of each row: (row id, ids of the row) -> {field: list}.
    fields: Callable[[str, list[int]], dict] | None = None
    # Settings of the reference's config that are not stored (as `_attn_implementation`).
    settings: dict = field(default_factory=dict)
    # The same, made when the model has been loaded.
    late: dict = field(default_factory=dict)
    # Globs of tensors of the file that the reference does not take (masks and tables of older files).
    left_over: tuple[str, ...] = ()
    # Globs of tensors that are left out of the file: the reference computes them.
    computed: tuple[str, ...] = ()
    # Globs of config keys that perturb.py leaves out -> why: where the reference itself is odd.
    odd: dict = field(default_factory=dict)
    # What the fixture holds that differs from what the class does, and why; goes to about.json.
    why: str | None = None


FIELDS = set(Case.__dataclass_fields__) - {"cls", "config", "note"}


def case(cls: str, note: str, base: dict, **more) -> Case:
    """A case from a shared base: keys that are fields of `Case` are taken as such, all others are config keys."""
    more = base | more
    fields = {k: v for k, v in more.items() if k in FIELDS}
    return Case(cls, {k: v for k, v in more.items() if k not in FIELDS}, note, **fields)


DECODER = dict(
    vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2,
    tie_word_embeddings=False,
)
ENCODER = dict(
    vocab_size=104, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
    max_position_embeddings=40, type_vocab_size=2,
)


def rope(kind: str, theta: float = 10000.0, **more) -> dict:
    return {"rope_type": kind, "rope_theta": theta} | more


PLAIN = {"rope_parameters": rope("default")}


def old_form(config: dict, without=()) -> dict:
    """The form of config.json before transformers 5, as most public repositories still have it."""
    config = {k: v for k, v in config.items() if k not in ("layer_types", "pad_token_id", *without)}
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.31.0"
    rope = dict(config.pop("rope_parameters", None) or {})
    if rope:
        config["rope_theta"] = rope.pop("rope_theta")
        kind = rope.pop("rope_type")
        if "partial_rotary_factor" in rope:
            config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
        config["rope_scaling"] = None if kind == "default" else {"type": kind} | rope
    return dict(sorted(config.items()))


def renamed(**pairs: str) -> Callable[[dict], dict]:
    """A `tensors` rewrite that replaces parts of names: `renamed(weight="gamma")`; use a dict for names with dots."""
    return lambda tensors: {_replace(name, pairs): about for name, about in tensors.items()}


def _replace(name: str, pairs: dict) -> str:
    for old, new in pairs.items():
        name = name.replace(old, new)
    return name
