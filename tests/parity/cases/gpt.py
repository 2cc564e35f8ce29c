"""GPT-2 and its kin."""

from .common import DECODER, case, old_form, renamed, rope

GPT2 = dict(vocab_size=112, n_embd=48, n_layer=3, n_head=4, n_positions=40, bos_token_id=1, eos_token_id=2)
NEO = dict(
    vocab_size=80, hidden_size=32, num_layers=4, num_heads=4, max_position_embeddings=40, intermediate_size=56,
    window_size=5, attention_types=[[["global", "local"], 2]], bos_token_id=1, eos_token_id=2,
)
NEOX = dict(
    vocab_size=96, hidden_size=48, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4,
    max_position_embeddings=64, bos_token_id=1, eos_token_id=2,
    rope_parameters=rope("default", partial_rotary_factor=0.5),
)
GPTJ = dict(
    vocab_size=96, n_embd=48, n_layer=3, n_head=4, n_positions=40, rotary_dim=6, n_inner=72, bos_token_id=1,
    eos_token_id=2,
)
CTRL = dict(vocab_size=96, n_embd=48, n_layer=3, n_head=4, n_positions=40, dff=72)
FALCON = dict(
    vocab_size=96, hidden_size=48, num_hidden_layers=3, num_attention_heads=6, ffn_hidden_size=72,
    max_position_embeddings=64, bos_token_id=1, eos_token_id=2, rope_parameters=rope("default"),
)
MPT = dict(
    vocab_size=96, d_model=48, n_layers=3, n_heads=6, max_seq_len=40,
    odd={"attn_config.alibi_bias_max": "transformers takes 8 whatever the file says", "max_seq_len": "transformers' ALiBi ends there"},
)
ATTN_CONFIG = {
    "alibi": True, "alibi_bias_max": 8, "attn_impl": "torch", "attn_pdrop": 0, "attn_type": "multihead_attention",
    "attn_uses_sequence_id": False, "clip_qkv": None, "prefix_lm": False, "qk_ln": False, "softmax_scale": None,
}
STARCODER2 = DECODER | dict(hidden_size=48, tie_word_embeddings=True, rope_parameters=rope("default", 999999.44))


def without(*keys: str):
    """The older form of config.json, without these keys."""
    return lambda config: old_form(config, without=keys)


def with_buffers(layer: str, *names: str, dtype: str = "BOOL"):
    """A `tensors` rewrite: also the buffers that old files hold in each layer."""

    def rewrite(tensors: dict) -> dict:
        layers = sorted({int(name.split(layer)[1].split(".")[0]) for name in tensors if layer in name})
        prefix = next(name for name in tensors if layer in name).split(layer)[0]
        return tensors | {f"{prefix}{layer}{i}.{n}": {"dtype": dtype, "shape": [1, 1, 4, 4]} for i in layers for n in names}

    return rewrite


def old_neox(config: dict) -> dict:
    """`rotary_pct` and `rotary_emb_base`, as in Pythia's config.json."""
    config = old_form(config, without=("attention_bias", "is_decoder"))
    partial, theta = config.pop("partial_rotary_factor", None), config.pop("rope_theta", None)
    return config | {"rotary_pct": partial, "rotary_emb_base": int(theta)}


def old_neo(config: dict) -> dict:
    """Only `attention_layers` says which layers are local; GPT-Neo's public files have both keys."""
    return old_form(config) | {"attention_layers": ["global", "local", "local", "global"]}


def refined_web(config: dict) -> dict:
    """Falcon-7B in the form of its first release."""
    config = old_form(config, without=("num_kv_heads", "ffn_hidden_size", "num_ln_in_parallel_attn", "activation",
                                       "new_decoder_architecture", "max_position_embeddings", "rope_scaling"))
    config = {k: v for k, v in config.items() if not k.startswith("rope_")}
    config |= {"n_head": config.pop("num_attention_heads"), "n_layer": config.pop("num_hidden_layers")}
    return config | {"model_type": "RefinedWebModel", "architectures": ["RWForCausalLM"],
                     "apply_residual_connection_post_layernorm": False}


def original_mpt(config: dict) -> dict:
    """The keys of MPT's own code; no `layer_norm_epsilon`."""
    config = old_form(config, without=("layer_norm_epsilon", "tie_word_embeddings"))
    config["attn_config"] = ATTN_CONFIG
    return config | {"architectures": ["MPTForCausalLM"], "init_config": {"name": "kaiming_normal_"},
                     "tokenizer_name": "gpt-neox", "verbose": 0}


CASES = {
    "gpt2": case("GPT2LMHeadModel", "learned positions, tied head, `transformer.` prefix", GPT2),
    "gpt2_scaled": case(
        "GPT2LMHeadModel", "attention divided by the layer's number, an own inner width, exact gelu", GPT2,
        scale_attn_by_inverse_layer_idx=True, n_inner=72, activation_function="gelu",
        bites={"scale_attn_by_inverse_layer_idx": False},
    ),
    "gpt2_bare": case("GPT2Model", "no head and no prefix: no logits", GPT2),
    "gpt2_unscaled": case(
        "GPT2LMHeadModel", "attention without a scale, an untied head, another eps", GPT2, scale_attn_weights=False,
        tie_word_embeddings=False, layer_norm_epsilon=0.1,
        bites={"scale_attn_weights": True, "layer_norm_epsilon": 1e-5},
    ),
    "gpt2_old_config": case(
        "GPT2LMHeadModel", "the model of `gpt2` from an old repository: fewer keys, masks in the file", GPT2,
        rewrite=without("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "n_inner",
                        "activation_function", "tie_word_embeddings", "add_cross_attention", "use_cache"),
        tensors=with_buffers("h.", "attn.bias", dtype="F32"), same_as="gpt2",
    ),
    "gpt2_santacoder": case(
        "models.gpt2_santacoder:GPT2LMHeadCustomModel", "one key head: q_attn and kv_attn, transposed weights",
        GPT2 | dict(model_type="gpt2", architectures=["GPT2LMHeadCustomModel"], attention_head_type="multiquery",
                    activation_function="gelu_pytorch_tanh", n_inner=72, layer_norm_epsilon=1e-5,
                    scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, reorder_and_upcast_attn=False),
    ),
    "gpt_bigcode": case("GPTBigCodeForCausalLM", "StarCoder: one key head", GPT2, n_inner=72,
                        bites={"activation_function": "relu"}),
    "gpt_bigcode_heads": case(
        "GPTBigCodeForCausalLM", "q, k, v of each head side by side; no scale", GPT2, multi_query=False,
        scale_attn_weights=False, bites={"scale_attn_weights": True},
    ),
    "gpt_bigcode_old_config": case(
        "GPTBigCodeForCausalLM", "the model of `gpt_bigcode` with the keys of StarCoder's config.json", GPT2, n_inner=72,
        rewrite=lambda c: without("add_cross_attention", "tie_word_embeddings", "multi_query", "activation_function")(c) | {
            "inference_runner": 0, "max_batch_size": None, "max_sequence_length": None, "pad_key_length": True,
            "pre_allocate_kv_cache": False, "validate_runner_input": True},
        same_as="gpt_bigcode",
    ),
    "gpt_neo": case(
        "GPTNeoForCausalLM", "full and local layers in turn, no scale", NEO, lengths=(11, 19), bites={"window_size": 6},
    ),
    "gpt_neo_old_config": case(
        "GPTNeoForCausalLM", "layers by `attention_layers`, another order, masks in the file", NEO, lengths=(11, 19),
        attention_types=[[["global", "local", "local", "global"], 1]], rewrite=old_neo,
        tensors=with_buffers("h.", "attn.attention.bias", "attn.attention.masked_bias"),
        left_over=("*.attn.attention.bias", "*.masked_bias"),
    ),
    "gpt_neox": case(
        "GPTNeoXForCausalLM", "parallel residual, half of each head turned", NEOX,
        bites={"use_parallel_residual": False, "rope_parameters": rope("default", partial_rotary_factor=0.25)},
    ),
    "gpt_neox_sequential": case(
        "GPTNeoXForCausalLM", "sequential residual, no biases in the attention, tied head, tanh gelu", NEOX,
        use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True, hidden_act="gelu_fast",
    ),
    "gpt_neox_old_config": case(
        "GPTNeoXForCausalLM", "the model of `gpt_neox` with Pythia's keys; masks in the file, head `embed_out`", NEOX,
        rewrite=old_neox, tensors=lambda t: with_buffers("layers.", "attention.bias", "attention.masked_bias")(
            renamed(lm_head="embed_out")(t)), same_as="gpt_neox",
    ),
    "gpt_neox_default": case(
        "GPTNeoXForCausalLM", "no key about the rope: a quarter of each head", NEOX, hidden_size=64, rope_parameters=None,
        rewrite=without("rope_theta", "rope_scaling", "partial_rotary_factor"),
    ),
    "gpt_neox_linear": case(
        "GPTNeoXForCausalLM", "positions divided by a factor", NEOX,
        rope_parameters=rope("linear", factor=4.0, partial_rotary_factor=0.5),
        bites={"rope_parameters": rope("default", partial_rotary_factor=0.5)},
    ),
    "gptj": case("GPTJForCausalLM", "part of each head turned in pairs, parallel, a head with bias", GPTJ,
                 bites={"rotary_dim": 4}),
    "gptj_old_config": case(
        "GPTJForCausalLM", "the model of `gptj` with the keys of its config.json, masks in the file", GPTJ,
        rewrite=lambda c: without("activation_function")(c) | {"rotary": True, "scale_attn_weights": True},
        tensors=with_buffers("h.", "attn.bias", "attn.masked_bias"), left_over=("*.attn.bias", "*.masked_bias"), same_as="gptj",
    ),
    "gptj_tied": case("GPTJForCausalLM", "tied head, exact gelu, the inner width by default", GPTJ, n_inner=None,
                      tie_word_embeddings=True, activation_function="gelu"),
    "codegen": case("CodeGenForCausalLM", "q, v, k in four shards of two heads", GPTJ, n_head=8, rotary_dim=4),
    "codegen_old_config": case(
        "CodeGenForCausalLM", "the model of `codegen` with the keys of its config.json, masks in the file", GPTJ, n_head=8,
        rotary_dim=4, rewrite=lambda c: old_form(c) | {"scale_attn_weights": True, "rotary": True},
        tensors=with_buffers("h.", "attn.causal_mask"), left_over=("*.causal_mask",), same_as="codegen",
    ),
    "ctrl": case("CTRLLMHeadModel", "sinusoids, embeddings times sqrt(hidden), tied head with bias; eps of the last norm",
                 CTRL, layer_norm_epsilon=0.1, bites={"layer_norm_epsilon": 1e-6}, points={"final": "transformer.layernorm"}),
    "ctrl_old_config": case(
        "CTRLLMHeadModel", "config.json without the keys that equal the defaults", CTRL,
        rewrite=without("layer_norm_epsilon", "tie_word_embeddings"), points={"final": "transformer.layernorm"},
    ),
    "falcon": case("FalconForCausalLM", "7B: one key head, parallel, one norm", FALCON),
    "falcon_refined_web": case(
        "FalconForCausalLM", "7B as RefinedWebModel, the form of its first release", FALCON,
        ffn_hidden_size=192, rewrite=refined_web,
        settings=dict(num_attention_heads=6, num_hidden_layers=3, num_kv_heads=6),
    ),
    "falcon_40b": case(
        "FalconForCausalLM", "40B: groups of q, k, v, a norm for each branch", FALCON, new_decoder_architecture=True,
        num_kv_heads=2, bites={"layer_norm_epsilon": 0.1},
    ),
    "falcon_11b": case(
        "FalconForCausalLM", "11B: groups, one norm for both branches, an untied head, another theta", FALCON,
        new_decoder_architecture=True, num_kv_heads=3, num_ln_in_parallel_attn=1, tie_word_embeddings=False,
        rope_parameters=rope("default", 500042.0), bites={"rope_parameters": rope("default")},
    ),
    "falcon_rw": case(
        "FalconForCausalLM", "RW: ALiBi in bfloat16, heads of their own, biases, sequential", FALCON, alibi=True, bias=True,
        num_attention_heads=12, multi_query=False, parallel_attn=False, lengths=(14, 24),
    ),
    "falcon_sequential": case(
        "FalconForCausalLM", "the old architecture without ALiBi, sequential, one key head", FALCON, parallel_attn=False,
        bias=True,
    ),
    "mpt": case("MptForCausalLM", "ALiBi for 6 heads, exact gelu, no biases", MPT),
    "mpt_options": case(
        "MptForCausalLM", "q, k, v clipped, a scale of its own, eps", MPT, n_heads=4,
        attn_config=dict(clip_qkv=1.0, softmax_scale=0.3), layer_norm_epsilon=0.01, bites={"layer_norm_epsilon": 1e-5},
    ),
    "mpt_storywriter": case(
        "models.mpt:MPTForCausalLM", "q, k, v clipped, ALiBi up to 16",
        original_mpt(MPT | dict(model_type="mpt", dtype="float32", no_bias=True, attn_config={})) | {
            "attn_config": ATTN_CONFIG | {"clip_qkv": 1.5, "alibi_bias_max": 16}},
    ),
    "mpt_old_config": case(
        "MptForCausalLM", "the model of `mpt` with the keys of the original code", MPT, rewrite=original_mpt, same_as="mpt",
    ),
    "openai-gpt": case("OpenAIGPTLMHeadModel", "norms after the sum, no final norm, tanh gelu", GPT2, bites={"afn": "relu"}),
    "openai-gpt_old_config": case(
        "OpenAIGPTModel", "the bare model from an old repository, masks in the file", GPT2,
        rewrite=lambda c: without("afn", "tie_word_embeddings")(c) | {"n_ctx": 40, "predict_special_tokens": True},
        tensors=with_buffers("h.", "attn.bias", dtype="F32"), left_over=("*.attn.bias",),
    ),
    "starcoder2": case(
        "Starcoder2ForCausalLM", "grouped queries, biases, a window, tied head", STARCODER2, lengths=(11, 19), sliding_window=6,
        bites={"sliding_window": 7},
    ),
    "starcoder2_full": case(
        "Starcoder2ForCausalLM", "no window, no biases, untied head, the keys of older files", STARCODER2, use_bias=False,
        tie_word_embeddings=False, hidden_act="gelu", norm_epsilon=0.01,
        rewrite=lambda c: old_form(c) | {"mlp_type": "default", "norm_type": "layer_norm", "scale_attn_weights": True,
                                         "attention_softmax_in_fp32": True, "scale_attention_softmax_in_fp32": True},
        bites={"norm_epsilon": 1e-5},
    ),
}
