"""Recurrent models, long convolutions, and the GLM line."""

from .common import DECODER, LONG, case, old_form, rope

SPAN = (9, 150)  # beyond two chunks of 64 tokens
TINY = dict(vocab_size=24, hidden_size=16)  # for SPAN: the reference stays small
LONG_CHUNKS = dict(lengths=SPAN) | TINY
SHALLOW = LONG_CHUNKS | dict(num_hidden_layers=2)

GLM = DECODER | dict(head_dim=12, pad_token_id=0, rope_parameters=rope("default", partial_rotary_factor=0.5))
RWKV = dict(vocab_size=96, hidden_size=32, num_hidden_layers=3, intermediate_size=56, rescale_every=2)
DECAYS = {"*.time_decay": [-1.0, 2.0]}  # weights that forget within a few tokens, and weights that do not
XLSTM = dict(vocab_size=96, hidden_size=32, num_heads=2, num_hidden_layers=2, num_blocks=2, ffn_round_up_to_multiple_of=8)


def glm_old(config: dict) -> dict:
    """The public form: no `rope_parameters`, and the class's own values are left out where they may be."""
    config = old_form(config, without=("rope_parameters",))
    return config | {"pad_token_id": 0, "partial_rotary_factor": 0.5, "rope_theta": 10000.0}


def xlstm_public(config: dict) -> dict:
    """With what the public file holds besides: keys of the training code."""
    more = dict(add_embedding_dropout=False, add_forward_backend_padding=False, add_post_blocks_norm=True, add_post_norm=False,
                add_qk_norm=False, cell_norm_eps=1e-6, force_bos_token_insert=True, igate_bias_init_range=-10.0,
                forward_backend_name="chunkwise--triton_limit_chunk", logits_soft_cap=30.0, mlstm_round_up_to_multiple_of=64)
    return config | more


CASES = {
    "glm": case(
        "GlmForCausalLM", "half-rotated interleaved pairs, one fused MLP matrix, biases on q, k, v", GLM,
        bites={"rope_parameters": rope("default", partial_rotary_factor=1.0)},
    ),
    "glm_old_config": case(
        "GlmForCausalLM", "the older form of config.json", GLM, rewrite=glm_old, same_as="glm",
    ),
    "glm_edge": case(
        "GlmForCausalLM", "all features rotated, no biases, tied head", GLM, attention_bias=False,
        tie_word_embeddings=True, rope_parameters=rope("default", partial_rotary_factor=1.0),
    ),
    "glm4": case("Glm4ForCausalLM", "norms before and after each branch", GLM, attention_bias=True),
    "glm4_old_config": case(
        "Glm4ForCausalLM", "the older form of config.json", GLM, attention_bias=True, rewrite=glm_old, same_as="glm4",
    ),
    "glm4_no_bias": case(
        "Glm4ForCausalLM", "no biases and a scaled rope", GLM, attention_bias=False,
        rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16, partial_rotary_factor=0.5),
        lengths=(24, 33),
    ),
    "rwkv": case(
        "RwkvForCausalLM", "RWKV-4; x is halved after every second layer", RWKV, fill=DECAYS, bites={"rescale_every": 0},
    ),
    "rwkv_wide": case(
        "RwkvForCausalLM", "attention wider than the model, never halved, tied head", RWKV, attention_hidden_size=48,
        rescale_every=0, tie_word_embeddings=True, layer_norm_epsilon=1e-3, fill=DECAYS, bites={"layer_norm_epsilon": 1e-5},
    ),
    "rwkv_span": case("RwkvForCausalLM", "beyond one chunk of tokens", RWKV, num_hidden_layers=2, fill=DECAYS, **LONG_CHUNKS),
    "rwkv_bare": case("RwkvModel", "no head and no prefix", RWKV, fill=DECAYS),
    "xlstm": case(
        "xLSTMForCausalLM", "narrow q and k, capped gates and logits", XLSTM, qk_dim_factor=0.25,
        bites={"gate_soft_cap": 0.5, "output_logit_soft_cap": 1.0},
    ),
    "xlstm_public": case(
        "xLSTMForCausalLM", "more keys in config.json", XLSTM, qk_dim_factor=0.25, rewrite=xlstm_public, same_as="xlstm",
    ),
    "xlstm_wide": case(
        "xLSTMForCausalLM", "wide values, a large eps", XLSTM, v_dim_factor=1.5, norm_eps=1e-2, bites={"norm_eps": 1e-6},
    ),
    "xlstm_span": case("xLSTMForCausalLM", "beyond one chunk of tokens", XLSTM, chunk_size=32, **LONG_CHUNKS),
}

# As the package flash-linear-attention saves them, without what the training and its kernels alone read.
FLA = dict(
    vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_heads=4, attn=None, attn_mode="chunk",
    hidden_ratio=4, max_position_embeddings=2048, norm_eps=1e-5, fuse_norm=True, fuse_cross_entropy=True, use_l2warp=False,
    tie_word_embeddings=False, torch_dtype="float32", initializer_range=0.02,
)
GATED = FLA | dict(
    elementwise_affine=True, feature_map=None, fuse_swiglu=True, conv_size=4, use_output_gate=True, num_kv_heads=None,
)
GLA = GATED | dict(
    model_type="gla", architectures=["GLAForCausalLM"], expand_k=0.5, expand_v=1, use_gk=True, use_gv=False, clamp_min=None,
)
RETNET = GATED | dict(model_type="retnet", architectures=["RetNetForCausalLM"], expand_k=1, expand_v=2)
DELTA = FLA | dict(
    model_type="gated_deltanet", architectures=["GatedDeltaNetForCausalLM"], num_heads=3, head_dim=8, expand_v=2, conv_size=4,
    use_gate=True, use_short_conv=True, norm_eps=1e-6, fuse_swiglu=True, allow_neg_eigval=False, num_v_heads=None,
)
FLA6 = FLA | dict(
    model_type="rwkv6", architectures=["RWKV6ForCausalLM"], hidden_act="sqrelu", expand_k=0.5, expand_v=1.0, norm_first=True,
    norm_bias=True, proj_low_rank_dim=6, gate_low_rank_dim=10,
)
FLA7 = {k: v for k, v in FLA.items() if k != "num_heads"} | dict(
    model_type="rwkv7", architectures=["RWKV7ForCausalLM"], hidden_act="sqrelu", num_hidden_layers=3, head_dim=8, num_heads=None,
    norm_first=True, norm_bias=True, decay_low_rank_dim=6, gate_low_rank_dim=10, a_low_rank_dim=5, v_low_rank_dim=4,
)
FORGET = {"*.A_log": [0.0, 1.5], "*.dt_bias": [-1.0, 1.5]}  # per-token decays from near 1 to near 0
SPREAD6 = {"*.w_proj.linear.lora.2.bias": [-1.0, 3.0], "*.x_bias": [0.5, 0.4], "*.mu": [0.5, 0.5]}
SPREAD7 = {"*.w_lora.lora.2.bias": [0.0, 3.0], "*.x_?": [0.5, 0.5], "*.k_k": [0.7, 0.3]}

CASES |= {
    "gla": case("models.fla:GLA", "decays for each key feature, gated output", GLA),
    "gla_shared": case(
        "models.fla:GLA", "shared keys, short convolutions, clamped gates, tied head", GLA, num_kv_heads=2, use_short_conv=True,
        clamp_min=-0.04, fuse_norm=False, tie_word_embeddings=True, expand_k=0.75, bites={"clamp_min": None},
    ),
    "gla_span": case(
        "models.fla:GLA", "beyond one chunk of tokens; no output gate", GLA, use_output_gate=False, num_heads=2, **LONG_CHUNKS,
        fill={"*.gk_proj.1.bias": [-8.0, 24.0]},
    ),
    "retnet": case("models.fla:RetNet", "constant decays, rotary q and k", RETNET),
    "retnet_shared": case(
        "models.fla:RetNet", "shared keys, narrow keys, a switch that does nothing", RETNET, num_kv_heads=2,
        use_short_conv=True, fuse_norm=False, expand_k=0.5,
    ),
    "retnet_span": case("models.fla:RetNet", "beyond one chunk of tokens", RETNET, num_heads=2, **LONG_CHUNKS),
    "gated_deltanet": case("models.fla:GatedDeltaNet", "short convolutions", DELTA, fill=FORGET),
    "gated_deltanet_wide": case(
        "models.fla:GatedDeltaNet", "more value heads than key heads, negative eigenvalues, no convolution", DELTA, num_v_heads=6,
        allow_neg_eigval=True, use_short_conv=False, expand_v=1.5, fill=FORGET, bites={"allow_neg_eigval": False},
    ),
    "gated_deltanet_span": case("models.fla:GatedDeltaNet", "beyond one chunk of tokens", DELTA, fill=FORGET, **LONG_CHUNKS),
    "rwkv6_fla": case("models.fla:RWKV6", "keys narrower than values", FLA6, fill=SPREAD6),
    "rwkv6_fla_plain": case(
        "models.fla:RWKV6", "no norm of the embeddings, norms without bias", FLA6, norm_first=False, norm_bias=False,
        expand_k=1.0, expand_v=1.5, norm_eps=1e-2, fill=SPREAD6, bites={"norm_eps": 1e-5},
    ),
    "rwkv6_fla_span": case("models.fla:RWKV6", "beyond one chunk of tokens", FLA6, num_heads=2, fill=SPREAD6, **LONG_CHUNKS),
    "rwkv7": case("models.fla:RWKV7", "as the public files", FLA7, value_dim=[32, 32, 32], fill=SPREAD7),
    "rwkv7_plain": case(
        "models.fla:RWKV7", "plain norms, a large eps", FLA7, fuse_norm=False, norm_eps=1e-2,
        norm_bias=False, fill=SPREAD7, bites={"norm_eps": 1e-5},
    ),
    "rwkv7_span": case("models.fla:RWKV7", "beyond one chunk of tokens", FLA7, fill=SPREAD7, **SHALLOW),
}

RWKV5 = dict(
    model_type="rwkv5", architectures=["RwkvForCausalLM"], vocab_size=96, hidden_size=32, attention_hidden_size=32, head_size=8,
    head_size_divisor=8, num_attention_heads=8, num_hidden_layers=3, intermediate_size=56, layer_norm_epsilon=1e-5,
    rescale_every=6, tie_word_embeddings=False, torch_dtype="float32",
)
RWKV6 = RWKV5 | dict(model_type="rwkv6", architectures=["Rwkv6ForCausalLM"])
SPREAD = {"*.time_decay": [-2.0, 3.0], "*.time_m*_?": [0.5, 0.5], "*.time_mix_*": [0.5, 0.5]}

CASES |= {
    "rwkv5": case("models.rwkv:Rwkv5", "matrix states, constant decays", RWKV5, fill=SPREAD),
    "rwkv5_divisor": case(
        "models.rwkv:Rwkv5", "other divisor and eps", RWKV5, head_size_divisor=64, layer_norm_epsilon=1e-2, fill=SPREAD,
        bites={"head_size_divisor": 1, "layer_norm_epsilon": 1e-5},
    ),
    "rwkv5_span": case(
        "models.rwkv:Rwkv5", "beyond one chunk of tokens", RWKV5, fill=SPREAD, attention_hidden_size=16, **SHALLOW,
    ),
    "rwkv6": case("models.rwkv:Rwkv6", "decays and mixing shares from the token", RWKV6, fill=SPREAD),
    "rwkv6_wide": case(
        "models.rwkv:Rwkv6", "attention wider than the model", RWKV6, attention_hidden_size=48, head_size=16,
        head_size_divisor=16, fill=SPREAD,
    ),
    "rwkv6_span": case(
        "models.rwkv:Rwkv6", "beyond one chunk of tokens", RWKV6, fill=SPREAD, attention_hidden_size=16, **SHALLOW,
    ),
}

DNA = dict(
    model_type="hyenadna", architectures=["HyenaDNAForCausalLM"], vocab_size=28, pad_vocab_size_multiple=8, d_model=16,
    d_inner=40, n_layer=2, emb_dim=5, filter_order=12, hyena_order=2, num_inner_mlps=2, short_filter_order=3, max_seq_len=162,
    use_bias=True, train_freq=True, activation_freq=1, layer_norm_epsilon=1e-5, embed_dropout=0.1,
    hyena_dropout=0.0, hyena_filter_dropout=0.0, initializer_range=0.02, torch_dtype="float32",
)
# The window exp(-t |delta|) + 0.05 falls from 1.05 to 0.05 within some tens of tokens.
WINDOW = {"*.pos_emb.t": [0.5, 0.5], "*.modulation.deltas": [0.0, 8.0], "*.freq": [2.0, 1.0], "*.pos_emb.z": [0.0, 1.0]}
HYENA = dict(
    model_type="stripedhyena", architectures=["StripedHyenaModelForCausalLM"], vocab_size=96, hidden_size=32, num_filters=32,
    num_layers=3, attn_layer_idxs=[1], hyena_layer_idxs=[0, 2], num_attention_heads=4, proj_groups=2, inner_mlp_size=56,
    short_filter_length=3, short_filter_bias=True, state_size=2, hyena_filter_groups=1, column_split_hyena=True,
    column_split=False, eps=1e-5, final_norm=True, mha_out_proj_bias=False, qkv_proj_bias=False, rotary_emb_base=500000,
    smeared_gqa=False, tie_embeddings=False, use_flash_rmsnorm=True, use_flash_attn=True,
    use_interpolated_rotary_pos_emb=False, max_seqlen=32768, make_vocab_size_divisible_by=8, model_parallel_size=1,
    pipe_parallel_size=1, split_k0=True, prefill_style="fft",
    inference_mode=False, log_intermediate_values=False, use_flashfft=False, use_flash_depthwise=True, torch_dtype="float32",
)
EVO = HYENA | dict(
    mlp_activation="gelu", proj_groups=1, state_size=4, qkv_proj_bias=True, mha_out_proj_bias=True, tie_embeddings=True,
    use_flash_rmsnorm=False, rotary_emb_base=10000, eps=1e-6,
)
POLES = {"*.poles": [0.0, 0.65], "*.residues": [0.0, 0.4]}  # inside the unit circle: |pole| < 0.92

CASES |= {
    "hyenadna": case("models.hyena:HyenaDNA", "a vocabulary padded to a multiple of 8", DNA, fill=WINDOW),
    "hyenadna_fixed": case(
        "models.hyena:HyenaDNA", "fixed frequency, another eps", DNA, train_freq=False, activation_freq=3,
        layer_norm_epsilon=1e-2, fill=WINDOW, bites={"activation_freq": 1, "layer_norm_epsilon": 1e-5},
    ),
    "hyenadna_span": case("models.hyena:HyenaDNA", "150 taps of the long filter", DNA, lengths=SPAN, vocab_size=24, fill=WINDOW),
    "stripedhyena": case("models.hyena:StripedHyena", "as StripedHyena-7B: shared keys, columns by head", HYENA, fill=POLES),
    "stripedhyena_evo": case(
        "models.hyena:StripedHyena", "as Evo: gelu, biases, tied head, eps outside the root", EVO, eps=0.05, fill=POLES,
        bites={"mlp_activation": "silu", "use_flash_rmsnorm": True},
    ),
    "stripedhyena_far": case(
        "models.hyena:StripedHyena", "as Evo 131k: interpolated rope; columns in thirds", EVO, lengths=LONG, num_layers=2,
        use_interpolated_rotary_pos_emb=True, rotary_emb_scaling_factor=16, column_split_hyena=False, final_norm=True,
        hidden_size=24, vocab_size=48, fill=POLES, bites={"use_interpolated_rotary_pos_emb": False, "column_split_hyena": True},
    ),
    "stripedhyena_span": case(
        "models.hyena:StripedHyena", "slow poles, 150 tokens", HYENA, num_layers=2, lengths=SPAN, vocab_size=24, hidden_size=16,
        fill={"*.poles": [0.7, 0.0], "*.residues": [0.0, 0.4]},
    ),
}

GLM6B = dict(
    model_type="chatglm", architectures=["ChatGLMModel"], vocab_size=96, hidden_size=48, inner_hidden_size=80, num_layers=2,
    num_attention_heads=3, layernorm_epsilon=1e-5, max_sequence_length=64, position_encoding_2d=True, mask_token_id=90,
    gmask_token_id=91, bos_token_id=94, eos_token_id=95, pad_token_id=3, torch_dtype="float16",
)
CHATGLM = dict(
    model_type="chatglm", architectures=["ChatGLMModel"], padded_vocab_size=96, hidden_size=32, ffn_hidden_size=56, num_layers=2,
    num_attention_heads=4, kv_channels=12, multi_query_attention=True, multi_query_group_num=2, seq_length=64, rmsnorm=True,
    layernorm_epsilon=1e-5, add_bias_linear=False, add_qkv_bias=True, apply_query_key_layer_scaling=True, original_rope=True,
    apply_residual_connection_post_layernorm=False, attention_softmax_in_fp32=True, bias_dropout_fusion=True, hidden_dropout=0.0,
    attention_dropout=0.0, fp32_residual_connection=False, post_layer_norm=True, pre_seq_len=None, prefix_projection=False,
    quantization_bit=0, use_cache=True, tie_word_embeddings=False, torch_dtype="float16", _name_or_path="THUDM/chatglm3-6b",
)


def prompt_and_answer(row: str, ids: list[int]) -> dict:
    """Row a: prompt [gMASK] <bos> answer. Row b: a prompt with a [MASK] inside, and more answer."""
    ids = [i % 90 for i in ids]
    return {"input_ids": ids[:4] + [91, 94] + ids[4:] if row == "a" else ids[:3] + [90] + ids[3:6] + [94] + ids[6:]}


CASES |= {
    "chatglm_6b": case(
        "models.chatglm:ChatGLM6B", "[gMASK] in one sequence, [MASK] in the other", GLM6B, fields=prompt_and_answer,
    ),
    "chatglm_6b_long": case(
        "models.chatglm:ChatGLM6B", "positions at which the rounded frequencies are seen", GLM6B, fields=prompt_and_answer,
        hidden_size=48, num_attention_heads=2, num_layers=1, lengths=(20, 34),
        fill={"*.query_key_value.weight": [0.0, 0.7]},
    ),
    "chatglm": case("models.chatglm:ChatGLM", "shared keys, biases on q, k, v", CHATGLM),
    "chatglm_glm4": case(
        "models.chatglm:ChatGLM", "as glm-4-9b-chat: rope_ratio multiplies the base", CHATGLM,
        architectures=["ChatGLMForConditionalGeneration"], rope_ratio=500, layernorm_epsilon=1.5625e-07, classifier_dropout=None,
        num_hidden_layers=2, vocab_size=96, lengths=LONG,
        _name_or_path="THUDM/glm-4-9b-chat", bites={"rope_ratio": 1}, num_layers=1,
    ),
    "chatglm_divided": case(
        "models.chatglm:ChatGLM", "as chatglm2-6b-32k: rope_ratio divides the positions", CHATGLM, rope_ratio=4, num_layers=1,
        _name_or_path="THUDM/chatglm2-6b-32k", lengths=LONG, bites={"_name_or_path": ""},
    ),
    "chatglm_plain": case(
        "models.chatglm:ChatGLM", "own keys for each head, biases, layer norms, residuals of the normed", CHATGLM, rmsnorm=False,
        multi_query_attention=False, add_bias_linear=True, apply_residual_connection_post_layernorm=True, post_layer_norm=False,
        bites={"apply_residual_connection_post_layernorm": False},
    ),
}
