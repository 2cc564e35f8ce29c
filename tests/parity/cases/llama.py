"""Llama, Mistral and their kin."""

from .common import DECODER, LONG, PLAIN, case, old_form, rope


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
}
