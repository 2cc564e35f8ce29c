"""The models of the parity fixtures: one `Case` each, small enough that a reference stays below 60 kB."""

from dataclasses import dataclass, field
from typing import Callable


@dataclass
class Case:
    """One fixture: the class of transformers, its config, and what must make a difference in it."""

    cls: str
    config: dict
    note: str
    lengths: tuple[int, int] = (7, 12)
    # Config keys that, changed like this, must change the result: proof that the fixture exercises them.
    bites: dict = field(default_factory=dict)
    # Rewrites config.json before it is stored and read by transformers.
    rewrite: Callable[[dict], dict] | None = None
    # The case whose weights and result this one must repeat.
    same_as: str | None = None


def case(cls: str, note: str, base: dict, lengths=(7, 12), bites=None, rewrite=None, same_as=None, **config) -> Case:
    return Case(cls, base | config, note, lengths, bites or {}, rewrite, same_as)


LONG = (24, 33)  # longer than every window and than the small `max_position_embeddings` below

DECODER = dict(
    vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2,
    tie_word_embeddings=False,
)
GPT2 = dict(vocab_size=112, n_embd=48, n_layer=3, n_head=4, n_positions=40, bos_token_id=1, eos_token_id=2)
BERT = dict(
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
    rope = dict(config.pop("rope_parameters"))
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind} | rope
    return dict(sorted(config.items()))


def oldest_llama(config: dict) -> dict:
    """Also without the keys that Llama's config had not yet."""
    return old_form(config, without=("head_dim", "attention_bias", "mlp_bias", "attention_dropout"))


CASES = {
    "llama": case(
        "LlamaForCausalLM", "multi-head attention, untied head",
        DECODER, hidden_size=64, intermediate_size=112, vocab_size=128, num_key_value_heads=4,
        rope_parameters=rope("default"), bites={"rope_parameters": rope("default", 1000.0)},
    ),
    "llama_gqa_bias": case(
        "LlamaForCausalLM", "grouped queries, biases everywhere, head_dim other than hidden / heads, tied head",
        DECODER, hidden_size=48, head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
        rope_parameters=rope("default", 500000.0), bites={"rope_parameters": rope("default", 10000.0)},
    ),
    "llama_llama3rope": case(
        "LlamaForCausalLM", "rope of Llama 3.1: low frequencies slowed, a smooth band between", DECODER, lengths=LONG,
        head_dim=16,
        rope_parameters=rope("llama3", 10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=32), bites=PLAIN,
    ),
    "llama_yarn": case(
        "LlamaForCausalLM", "YaRN: a ramp between two frequency sets, and the attention factor", DECODER, lengths=LONG,
        head_dim=16, rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16), bites=PLAIN,
    ),
    "llama_linear": case(
        "LlamaForCausalLM", "positions divided by a factor", DECODER,
        rope_parameters=rope("linear", factor=4.0), bites=PLAIN,
    ),
    "llama_dynamic": case(
        "LlamaForCausalLM", "dynamic NTK: `a` is shorter than max_position_embeddings, `b` longer", DECODER,
        lengths=(9, 30), max_position_embeddings=16, rope_parameters=rope("dynamic", factor=2.0), bites=PLAIN,
    ),
    "llama_old_config": case(
        "LlamaForCausalLM", "the model of `llama_linear` with config.json in the form before transformers 5",
        DECODER, rope_parameters=rope("linear", factor=4.0), rewrite=oldest_llama, same_as="llama_linear",
    ),
    "mistral": case(
        "MistralForCausalLM", "a window of 8 in every layer, sequences longer than it", DECODER, lengths=LONG,
        sliding_window=8, bites={"sliding_window": 9},
    ),
    "mistral_full": case(
        "MistralForCausalLM", "no window, head_dim other than hidden / heads (as in Mistral Nemo), old config.json",
        DECODER, sliding_window=None, head_dim=16, rewrite=old_form,
    ),
    "qwen2": case("Qwen2ForCausalLM", "biases on q, k, v; no window", DECODER, tie_word_embeddings=True),
    "qwen2_window": case(
        "Qwen2ForCausalLM", "full attention in layer 0, a window of 8 above", DECODER, lengths=LONG,
        use_sliding_window=True, sliding_window=8, max_window_layers=1, bites={"sliding_window": 9},
    ),
    "qwen2_old_config": case(
        "Qwen2ForCausalLM", "the model of `qwen2_window` with config.json in the form before transformers 5: no layer_types",
        DECODER, lengths=LONG, use_sliding_window=True, sliding_window=8, max_window_layers=1, rewrite=old_form,
        same_as="qwen2_window",
    ),
    "qwen3": case(
        "Qwen3ForCausalLM", "norms on q and k, head_dim other than hidden / heads", DECODER,
        hidden_size=48, head_dim=16, rope_parameters=rope("default", 1000000.0), bites=PLAIN,
    ),
    "qwen3_tied": case(
        "Qwen3ForCausalLM", "tied head, biases on q, k, v, o", DECODER, head_dim=8, tie_word_embeddings=True,
        attention_bias=True,
    ),
    "gpt2": case("GPT2LMHeadModel", "learned positions, tied head, `transformer.` prefix", GPT2),
    "gpt2_scaled": case(
        "GPT2LMHeadModel", "attention divided by the layer's number, an own inner width, exact gelu", GPT2,
        scale_attn_by_inverse_layer_idx=True, n_inner=72, activation_function="gelu",
        bites={"scale_attn_by_inverse_layer_idx": False},
    ),
    "gpt2_bare": case("GPT2Model", "no head and no prefix: no logits", GPT2),
    "bert": case("BertForPreTraining", "masked-language-model head, pooler and next-sentence head", BERT),
    "bert_mlm": case("BertForMaskedLM", "no pooler; another activation", BERT, hidden_act="gelu_new"),
    "bert_bare": case("BertModel", "no heads and no prefix, with pooler", BERT),
    "mixtral": case(
        "MixtralForCausalLM", "4 experts, 2 at work; experts under their public names", DECODER,
        num_local_experts=4, num_experts_per_tok=2, num_hidden_layers=2,
    ),
    "mixtral_many": case(
        "MixtralForCausalLM", "8 experts, 3 at work, a window of 8", DECODER, lengths=LONG, num_local_experts=8,
        num_experts_per_tok=3, sliding_window=8, num_hidden_layers=2, bites={"sliding_window": 9},
    ),
}
