"""The Qwen line."""

from .common import DECODER, LONG, PLAIN, case, old_form, rope

CASES = {
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
}
