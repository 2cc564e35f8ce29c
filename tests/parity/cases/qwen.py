"""The Qwen line, Qwen 1 to Qwen 3."""

from .common import DECODER, LONG, PLAIN, case, old_form, rope

# As the public files say it; `kv_channels` is the width of a head, `intermediate_size` twice that of the MLP.
QWEN = dict(
    model_type="qwen", architectures=["QWenLMHeadModel"], vocab_size=96, hidden_size=32, intermediate_size=104, num_hidden_layers=3,
    num_attention_heads=4, kv_channels=8, layer_norm_epsilon=1e-6, rotary_emb_base=10000, rotary_pct=1.0, seq_length=64,
    max_position_embeddings=64, no_bias=True, use_dynamic_ntk=True, use_logn_attn=True, scale_attn_weights=True, bf16=True,
    fp16=False, fp32=False, onnx_safe=None, softmax_in_fp32=False, use_cache_quantization=False, use_flash_attn="auto",
    tokenizer_type="QWenTokenizer", tie_word_embeddings=False, emb_dropout_prob=0.0, attn_dropout_prob=0.0,
)
YARN = rope("yarn", 1000000.0, factor=4.0, original_max_position_embeddings=16)


def first_form(config: dict) -> dict:
    """config.json of the first Qwen files: names after GPT-2."""
    names = {"hidden_size": "n_embd", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
             "intermediate_size": "ffn_hidden_size", "max_position_embeddings": "n_positions"}
    config = {names.get(k, k): v for k, v in config.items() if not k.endswith("_prob")}
    return config | {"activation": "swiglu", "apply_residual_connection_post_layernorm": False, "bias_dropout_fusion": True,
                     "padded_vocab_size": 96, "params_dtype": "torch.bfloat16", "pos_emb": "rotary", "attn_pdrop": 0.0}


def embedding_form(config: dict) -> dict:
    """Files of embedding models name the class with a head and hold the model without it."""
    return old_form(config) | {"architectures": ["Qwen3ForCausalLM"]}

def mimo_form(config: dict) -> dict:
    return old_form(config) | {"model_type": "mimo", "architectures": ["MiMoForCausalLM"], "num_nextn_predict_layers": 1,
                               "attention_bias": True}


def with_drafts(tensors: dict) -> dict:
    """Layers that predict further tokens, as the files hold them."""
    at = "model.layers.0."
    return tensors | {n.replace(at, "model.mtp_layers.0."): about for n, about in tensors.items() if n.startswith(at)}


def dream_form(config: dict) -> dict:
    return old_form(config) | {"model_type": "Dream", "architectures": ["DreamModel"], "mask_token_id": 95, "use_mrope": False}


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
    "qwen": case("models.qwen:Qwen", "shorter than seq_length: no change of theta or queries", QWEN),
    "qwen_long": case(
        "models.qwen:Qwen", "1.5 and 4.1 times seq_length: theta stretched by 3 and 15, queries grow", QWEN, lengths=(12, 33),
        seq_length=8, bites={"use_dynamic_ntk": False, "use_logn_attn": False},
    ),
    "qwen_old_config": case(
        "models.qwen:Qwen", "the model of `qwen_long` with the keys of the first files", QWEN, lengths=(12, 33), seq_length=8,
        rewrite=first_form, same_as="qwen_long",
    ),
    "qwen_bias": case(
        "models.qwen:Qwen", "biases everywhere, half of each head turns, no change with the length", QWEN, lengths=(12, 20),
        seq_length=8, no_bias=False, rotary_pct=0.5, use_dynamic_ntk=False, use_logn_attn=False, bites={"rotary_pct": 1.0},
    ),
    "qwen2_yarn": case(
        "Qwen2ForCausalLM", "yarn as Qwen2.5 proposes it", DECODER, num_key_value_heads=1, rope_parameters=YARN, bites=PLAIN,
    ),
    "qwen2_yarn_old_config": case(
        "Qwen2ForCausalLM", "the model of `qwen2_yarn` with config.json in the form before transformers 5", DECODER,
        num_key_value_heads=1, rope_parameters=YARN, same_as="qwen2_yarn",
        rewrite=lambda config: old_form(config) | {"use_mrope": False},
    ),
    "qwen2_both_ways": case(
        "Qwen2Model", "is_causal false, no head, no prefix: embedding models", DECODER, num_attention_heads=8, is_causal=False,
        settings={"_attn_implementation": "eager"}, bites={"is_causal": True},
    ),
    "qwen3_window": case(
        "Qwen3ForCausalLM", "full attention in layer 0, a window of 8 above, yarn", DECODER, lengths=LONG, head_dim=12,
        use_sliding_window=True, sliding_window=8, max_window_layers=1, bites={"sliding_window": 9},
        rope_parameters=rope("yarn", 10000.0, factor=4.0, original_max_position_embeddings=16),
    ),
    "qwen3_embedding": case(
        "Qwen3Model", "embedding models: names without prefix, the head tied, config.json in the form before transformers 5",
        DECODER, head_dim=16, num_attention_heads=6, tie_word_embeddings=True, rewrite=embedding_form,
    ),
    "mimo": case(
        "Qwen2ForCausalLM", "MiMo: Qwen2 with a layer for drafts in the file, which nothing reads", DECODER, head_dim=12,
        rope_parameters=rope("default", 640000.0), rewrite=mimo_form, stored=with_drafts,
        why="the reference is the Qwen2 of transformers, from which the model's own class inherits all but the draft layers",
    ),
    "dream": case(
        "Qwen2ForCausalLM", "Dream: Qwen2, all tokens see each other", DECODER, rope_parameters=rope("default", 1000000.0),
        rewrite=dream_form, settings={"_attn_implementation": "eager", "is_causal": False}, bites={"is_causal": True},
        why="the reference is the Qwen2 of transformers without its causal mask, as the model's own class has it",
    ),
}
