"""State space models, gated delta rules, gated convolutions, and hybrids of these with attention."""

from .common import DECODER, LONG, case, old_form, renamed, rope

# Longer than two chunks of 64 tokens; small so that the reference stays small. Slow decays: the state crosses chunks.
ACROSS = (9, 140)
SCAN = dict(hidden_size=16, vocab_size=24)
SLOW = {"*A_log": [-3.5, 1.0], "*dt_bias": [-1.0, 0.5]}
RESCALES = {"rescale_prenorm_residual": "transformers applies the rule for fresh weights to those of the file, too"}
MAMBA = dict(
    vocab_size=96, hidden_size=32, state_size=6, num_hidden_layers=3, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    odd=RESCALES,
)
MAMBA2 = MAMBA | dict(num_heads=4, head_dim=16, n_groups=2)
HYBRID = DECODER | dict(rms_norm_eps=1e-5)
SSD = dict(mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=2, mamba_d_state=6, mamba_expand=2)
NEMOTRON = dict(
    vocab_size=96, hidden_size=32, intermediate_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=12,
    mamba_num_heads=6, mamba_head_dim=8, n_groups=2, ssm_state_size=6, bos_token_id=1, eos_token_id=2,
)
NANO = NEMOTRON | dict(
    layers_block_type=["mamba", "moe", "attention", "moe"], n_routed_experts=6, num_experts_per_tok=3,
    moe_intermediate_size=20, moe_shared_expert_intermediate_size=28, routed_scaling_factor=2.5,
)
GRIFFIN = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=1, lru_width=40, attention_window_size=8, bos_token_id=2, eos_token_id=1,
)
ZAMBA = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=4, mamba_d_state=6,
    n_mamba_heads=2, bos_token_id=1, eos_token_id=2, max_position_embeddings=64,
)
ZAMBA2 = ZAMBA | dict(
    num_hidden_layers=6, layers_block_type=["mamba", "hybrid", "hybrid", "mamba", "hybrid", "mamba"], num_mem_blocks=2,
    adapter_rank=5, n_mamba_heads=4, mamba_ngroups=2,
)
H1 = HYBRID | SSD | dict(mamba_d_ssm=40, mamba_d_head=10, num_hidden_layers=2)
MULTIPLIERS = dict(
    lm_head_multiplier=0.7, embedding_multiplier=1.7, mlp_multipliers=[0.8, 1.3], key_multiplier=0.6,
    attention_out_multiplier=0.9, attention_in_multiplier=1.2, ssm_multipliers=[0.7, 0.8, 0.9, 1.1, 1.2],
    ssm_in_multiplier=1.3, ssm_out_multiplier=0.6,
)
JAMBA = HYBRID | dict(
    mamba_d_state=6, attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=0,
    num_experts_per_tok=2,
)
LFM2_MOE = dict(num_dense_layers=1, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20)
LFM2 = dict(
    vocab_size=96, hidden_size=32, intermediate_size=60, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2,
    layer_types=["conv", "full_attention", "conv"],
)
# The norm after the rule is blind to the size of its input: with a larger eps rows that nearly vanish are not noise.
DELTA = DECODER | dict(
    rms_norm_eps=1e-3, num_hidden_layers=2, head_dim=16, layer_types=["linear_attention", "full_attention"],
    linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=6, linear_value_head_dim=10,
)
DELTA_MOE = dict(
    num_experts=6, num_experts_per_tok=2, moe_intermediate_size=20, shared_expert_intermediate_size=28,
)


def mamba_hf(config: dict) -> dict:
    """The converted files of Mamba's authors: keys of both layouts."""
    return old_form(config, without=("tie_word_embeddings", "use_mambapy", "use_associative_scan")) | dict(
        d_model=32, d_inner=64, n_layer=3, ssm_cfg={}, rms_norm=True, fused_add_norm=True, pad_vocab_size_multiple=8)


def codestral(config: dict) -> dict:
    return old_form(config) | dict(
        norm_before_gate=True, rms_norm=True, fused_add_norm=True, time_step_limit=[0.0, float("inf")])


def bamba_old(config: dict) -> dict:
    return old_form(config, without=("layers_block_type", "time_step_limit", "head_dim"))


def h1_old(config: dict) -> dict:
    return old_form(config, without=("layers_block_type", "time_step_limit", "head_dim")) | dict(
        mamba_use_mlp=True, mlp_expansion_factor=8, attn_layer_indices=None)


def nemotron_8b(config: dict) -> dict:
    kinds = {"linear_attention": "M", "mlp": "-", "full_attention": "*", "moe": "E", "mamba": "M", "attention": "*"}
    drop = ("layers_block_type", "mtp_layers_block_type", "num_nextn_predict_layers", "n_routed_experts", "n_group",
            "n_shared_experts", "num_experts_per_tok", "routed_scaling_factor", "topk_group", "norm_topk_prob")
    keep = {k: v for k, v in config.items() if not k.startswith("moe_") and k not in drop}
    pattern = "".join(kinds[k] for k in config["layers_block_type"])
    return old_form(keep) | dict(
        hybrid_override_pattern=pattern, num_hidden_layers=len(pattern), attention_head_dim=config["head_dim"])


def nemotron_nano(config: dict) -> dict:
    moe = {k: v for k, v in config.items() if k.startswith(("moe_", "n_", "num_", "routed", "topk", "norm_topk"))}
    return nemotron_8b(config) | moe


def jamba_old(config: dict) -> dict:
    return old_form(config, without=("mamba_dt_rank",)) | dict(
        mamba_dt_rank=config["mamba_dt_rank"], mamba_inner_layernorms=True, calc_logits_for_entire_prompt=False,
        sliding_window=None, n_ctx=64)


def griffin_old(config: dict) -> dict:
    drop = ("block_types", "head_dim", "tie_word_embeddings", "layers_block_type")
    return old_form(config, without=drop) | dict(_block_types=config["block_types"], logits_soft_cap=30.0)


def zamba_old(config: dict) -> dict:
    return old_form(config, without=("layers_block_type", "head_dim"))


def zamba2_old(config: dict) -> dict:
    kinds = ["mamba" if k == "linear_attention" else k for k in config["layers_block_type"]]
    return old_form(config) | dict(
        layers_block_type=kinds, hybrid_layer_ids=[i for i, k in enumerate(kinds) if k == "hybrid"],
        use_shared_mlp_adapter=True, rope_theta=10000)


def lfm2_old(config: dict) -> dict:
    config = old_form(config) | dict(tie_embedding=True, layer_types=config["layer_types"])
    if config["model_type"] == "lfm2_moe":
        return config
    full = [i for i, kind in enumerate(config.pop("layer_types")) if kind == "full_attention"]
    return config | dict(
        full_attn_idxs=full, block_dim=32, block_ff_dim=config.pop("intermediate_size"), block_norm_eps=1e-5,
        block_use_swiglu=True, block_mlp_init_scale=1.0, block_out_init_scale=1.0, block_use_xavier_init=True,
        conv_dim=32, conv_dim_out=32, conv_use_xavier_init=True, num_heads=4, theta=1e6, use_pos_enc=True)


def by_interval(config: dict) -> dict:
    return {k: v for k, v in config.items() if k != "layer_types"} | dict(full_attention_interval=3)


def next_old(config: dict) -> dict:
    return old_form(config) | dict(full_attention_interval=2, use_sliding_window=False)


CASES = {
    "mamba": case(
        "MambaForCausalLM", "no biases in projections, tied head", MAMBA, bites={"layer_norm_epsilon": 1e-2},
    ),
    "mamba_bias": case(
        "MambaForCausalLM", "biases in the projections, none in the convolution, width and rank of its own, untied head",
        MAMBA, use_bias=True, use_conv_bias=False, intermediate_size=40, time_step_rank=5, conv_kernel=3,
        tie_word_embeddings=False, hidden_act="gelu_new", bites={"hidden_act": "silu"},
    ),
    "mamba_scan": case(
        "MambaForCausalLM", "a scan over more than two chunks, with slow decays", MAMBA | SCAN, num_hidden_layers=2,
        fill={"*A_log": [-3.5, 1.0], "*dt_proj.bias": [-1.0, 0.5]}, lengths=ACROSS,
    ),
    "mamba_bare": case("MambaModel", "the model without its head and without a prefix", MAMBA, hidden_size=24),
    "mamba_old_config": case(
        "MambaForCausalLM", "the model of `mamba` with config.json as the first converted files have it", MAMBA,
        rewrite=mamba_hf, same_as="mamba",
    ),
    "mamba_original": case(
        "models.mamba:Mamba", "the layout of Mamba's authors: no model_type, tied head",
        dict(d_model=32, n_layer=2, vocab_size=96, ssm_cfg={}, rms_norm=True, residual_in_fp32=True,
             fused_add_norm=True, pad_vocab_size_multiple=8),
    ),
    "falcon_mamba": case(
        "FalconMambaForCausalLM", "weightless norms on dt, B and C; width wins over expand", MAMBA, expand=16,
        intermediate_size=48, tie_word_embeddings=False, mixer_rms_eps=1e-3, bites={"mixer_rms_eps": 1e-1},
    ),
    "falcon_mamba_tied": case("FalconMambaForCausalLM", "biases, tied head", MAMBA, use_bias=True),
    "mamba2": case(
        "Mamba2ForCausalLM", "two groups, limits on dt", MAMBA2, time_step_limit=(0.5, 0.8),
        bites={"time_step_limit": (0.0, float("inf"))},
    ),
    "mamba2_tied": case(
        "Mamba2ForCausalLM", "one group, biases, tied head, another activation", MAMBA2, n_groups=1, use_bias=True,
        use_conv_bias=False, tie_word_embeddings=True, hidden_act="gelu", bites={"hidden_act": "silu"},
    ),
    "mamba2_scan": case(
        "Mamba2ForCausalLM", "a scan over more than two chunks, with slow decays", MAMBA2 | SCAN, head_dim=8, fill=SLOW,
        lengths=ACROSS, num_hidden_layers=2,
    ),
    "mamba2_old_config": case(
        "Mamba2ForCausalLM", "config.json as of Codestral Mamba, with keys that the class does not read", MAMBA2,
        rewrite=codestral,
    ),
    "mamba2_original": case(
        "models.mamba:Mamba2", "the layout of Mamba's authors: no model_type, tied head",
        dict(d_model=32, d_intermediate=0, n_layer=2, vocab_size=96, attn_layer_idx=[], attn_cfg={}, rms_norm=True,
             ssm_cfg={"layer": "Mamba2", "headdim": 8, "d_state": 6}, residual_in_fp32=True, fused_add_norm=True,
             pad_vocab_size_multiple=16, tie_embeddings=True),
    ),
    "bamba": case(
        "BambaForCausalLM", "attention in the second layer, half of each head rotated, limits on dt", HYBRID | SSD,
        attn_layer_indices=[1], rope_parameters=rope("default"), time_step_limit=(0.5, 0.8),
        bites={"rope_parameters": rope("default", 100.0, partial_rotary_factor=0.5),
               "time_step_limit": (0.0, float("inf"))},
    ),
    "bamba_bias": case(
        "BambaForCausalLM", "biases everywhere, one group, tied head", HYBRID | SSD, attn_layer_indices=[0, 2],
        mamba_n_groups=1, mamba_proj_bias=True, mamba_conv_bias=False, attention_bias=True, mlp_bias=True,
        hidden_act="relu", tie_word_embeddings=True, bites={"hidden_act": "silu"},
    ),
    "bamba_old_config": case(
        "BambaForCausalLM", "the model of `bamba_fast` in the form before transformers 5", HYBRID | SSD,
        attn_layer_indices=[1], rewrite=bamba_old, same_as="bamba_fast",
    ),
    "bamba_fast": case("BambaForCausalLM", "no limits on dt", HYBRID | SSD, attn_layer_indices=[1]),
    "falcon_h1": case(
        "FalconH1ForCausalLM", "every multiplier, no norm in the mixer", H1, **MULTIPLIERS, bites={
            "key_multiplier": 1.0, "ssm_in_multiplier": 1.0, "attention_in_multiplier": 1.0,
            "mlp_multipliers": [1.0, 1.0], "ssm_multipliers": [1.0] * 5, "lm_head_multiplier": 1.0,
            "embedding_multiplier": 1.0},
    ),
    "falcon_h1_norm": case(
        "FalconH1ForCausalLM", "norm before the gate, two groups, biases", H1, mamba_rms_norm=True,
        mamba_proj_bias=True, projectors_bias=True, attention_bias=True, mlp_bias=True, hidden_act="gelu",
        bites={"mamba_norm_before_gate": False, "hidden_act": "silu"},
    ),
    "falcon_h1_norm_after": case(
        "FalconH1ForCausalLM", "norm after the gate, width from mamba_expand, tied head", H1, mamba_rms_norm=True,
        mamba_norm_before_gate=False, mamba_d_ssm=None, mamba_d_head=16, tie_word_embeddings=True,
        time_step_limit=(0.5, 0.8), bites={"time_step_limit": (0.0, float("inf"))},
    ),
    "falcon_h1_old_config": case(
        "FalconH1ForCausalLM", "the model of `falcon_h1` in the form before transformers 5", H1, **MULTIPLIERS,
        rewrite=h1_old, same_as="falcon_h1",
    ),
    "nemotron_h": case(
        "NemotronHForCausalLM", "layers of Mamba-2, MLP and attention; dt clamped from below", NEMOTRON,
        layers_block_type=["mamba", "mlp", "attention", "mlp"], time_step_min=0.7, bites={"time_step_min": 0.001},
    ),
    "nemotron_h_pattern": case(
        "NemotronHForCausalLM", "config.json of the 8B: letters for the layers, other spellings", NEMOTRON,
        layers_block_type=["mamba", "mlp", "attention", "mlp"], time_step_min=0.7, rewrite=nemotron_8b,
        same_as="nemotron_h",
    ),
    "nemotron_h_moe": case(
        "NemotronHForCausalLM", "Nemotron 3 Nano: experts behind sigmoids and a shared one", NANO,
        bites={"routed_scaling_factor": 1.0, "norm_topk_prob": False},
    ),
    "nemotron_h_nano_config": case(
        "NemotronHForCausalLM", "the model of `nemotron_h_moe` with config.json as of Nemotron 3 Nano", NANO,
        rewrite=nemotron_nano, same_as="nemotron_h_moe",
    ),
    "nemotron_h_latent": case(
        "NemotronHForCausalLM", "experts in a latent space, in groups, weights as they are, biases", NANO,
        moe_latent_size=20, n_group=3, topk_group=2, norm_topk_prob=False, mlp_bias=True, use_bias=True,
        tensors=renamed(backbone="model"), bites={"topk_group": 3},
    ),
    "jamba": case(
        "JambaForCausalLM", "attention in layer 1, experts in layers 0 and 2", JAMBA, num_experts=4,
    ),
    "jamba_dense": case(
        "JambaForCausalLM", "no experts (one per layer), biases, tied head", JAMBA, num_experts=1, mamba_proj_bias=True,
        mamba_conv_bias=False, mamba_dt_rank=5, tie_word_embeddings=True, hidden_act="relu",
        bites={"hidden_act": "silu"},
    ),
    "jamba_old_config": case(
        "JambaForCausalLM", "the model of `jamba` with config.json as of Jamba 0.1", JAMBA, num_experts=4,
        rewrite=jamba_old, same_as="jamba",
    ),
    "recurrent_gemma": case(
        "RecurrentGemmaForCausalLM", "two recurrent layers and one with a window, multi-query", GRIFFIN, lengths=LONG,
        bites={"attention_window_size": 9, "logits_soft_cap": 5.0},
    ),
    "recurrent_gemma_gqa": case(
        "RecurrentGemmaForCausalLM", "attention first, biases, grouped queries, untied head, rope of its own", GRIFFIN,
        num_key_value_heads=2, attention_bias=True, block_types=["attention", "recurrent"], lru_width=None,
        tie_word_embeddings=False, rope_parameters=rope("default", 500.0, partial_rotary_factor=0.5),
        bites={"rope_parameters": rope("default", 500.0, partial_rotary_factor=1.0)},
    ),
    "recurrent_gemma_scan": case(
        "RecurrentGemmaForCausalLM", "a scan over more than two chunks, with slow decays", GRIFFIN | SCAN, lru_width=16,
        num_hidden_layers=2, block_types=["recurrent"], lengths=ACROSS,
        fill={"*recurrent_param": [-5.0, 1.0]},
    ),
    "recurrent_gemma_old_config": case(
        "RecurrentGemmaForCausalLM", "the model of `recurrent_gemma` with config.json as of the 2B", GRIFFIN,
        lengths=LONG, rewrite=griffin_old, same_as="recurrent_gemma",
    ),
    "zamba": case(
        "ZambaForCausalLM", "two uses of one shared transformer, two Mamba heads, tied head", ZAMBA, num_hidden_layers=6,
        attn_layer_period=3, attn_layer_offset=1,
    ),
    "zamba_kinds": case(
        "ZambaForCausalLM", "kinds listed, biases, grouped queries, head_dim of its own", ZAMBA,
        num_hidden_layers=3, layers_block_type=["mamba", "hybrid", "hybrid"], mamba_proj_bias=True,
        mamba_conv_bias=False, attention_head_dim=12, num_key_value_heads=2, n_mamba_heads=1, mamba_dt_rank=5,
        hidden_mamba_act="gelu", hidden_act="relu", bites={"hidden_mamba_act": "silu", "hidden_act": "gelu"},
    ),
    "zamba_old_config": case(
        "ZambaForCausalLM", "the model of `zamba` in the form before transformers 5, kinds not listed", ZAMBA,
        num_hidden_layers=6, attn_layer_period=3, attn_layer_offset=1, rewrite=zamba_old, same_as="zamba",
    ),
    "zamba2": case(
        "Zamba2ForCausalLM", "two shared transformers, adapters on q, k, v and on the MLP, rope; dt clamped from below",
        ZAMBA2, use_shared_attention_adapter=True, use_mem_rope=True, time_step_min=0.7, rms_norm_eps=1e-3,
        bites={"time_step_min": 0.001, "use_mem_rope": False},
    ),
    "zamba2_plain": case(
        "Zamba2ForCausalLM", "one shared transformer, no adapters on q, k, v, no rope, biases, one group", ZAMBA2,
        num_mem_blocks=1, mamba_ngroups=1, add_bias_linear=True, use_conv_bias=False, hidden_act="relu",
        bites={"hidden_act": "gelu"},
    ),
    "zamba2_old_config": case(
        "Zamba2ForCausalLM", "the model of `zamba2` in the form before transformers 5", ZAMBA2,
        use_shared_attention_adapter=True, use_mem_rope=True, time_step_min=0.7, rms_norm_eps=1e-3,
        rewrite=zamba2_old, same_as="zamba2",
    ),
    "lfm2": case("Lfm2ForCausalLM", "width of the MLP as it is, tied head", LFM2, block_auto_adjust_ff_dim=False),
    "lfm2_bias": case(
        "Lfm2ForCausalLM", "biases of the convolutions, width of the MLP adjusted, longer kernel, untied head", LFM2,
        conv_bias=True, conv_L_cache=5, block_multiple_of=8, tie_word_embeddings=False, norm_eps=1e-3,
        bites={"norm_eps": 1e-1},
    ),
    "lfm2_old_config": case(
        "Lfm2ForCausalLM", "the model of `lfm2` with config.json as first published", LFM2,
        block_auto_adjust_ff_dim=False, rewrite=lfm2_old, same_as="lfm2",
    ),
    "lfm2_moe": case(
        "Lfm2MoeForCausalLM", "one dense layer, a bias that steers the choice", LFM2, **LFM2_MOE,
        bites={"norm_topk_prob": False},
    ),
    "lfm2_moe_plain": case(
        "Lfm2MoeForCausalLM", "no bias, weights not normalised, scaled", LFM2, **LFM2_MOE, use_expert_bias=False,
        norm_topk_prob=False, routed_scaling_factor=2.5, bites={"routed_scaling_factor": 1.0},
    ),
    "lfm2_moe_old_config": case(
        "Lfm2MoeForCausalLM", "the model of `lfm2_moe` in the form before transformers 5", LFM2, **LFM2_MOE,
        rewrite=lfm2_old, same_as="lfm2_moe",
    ),
    "qwen3_next": case(
        "Qwen3NextForCausalLM", "experts in every layer and a gated shared one", DELTA, **DELTA_MOE,
        bites={"norm_topk_prob": False, "rope_parameters": rope("default", partial_rotary_factor=1.0)},
    ),
    "qwen3_next_dense": case(
        "Qwen3NextForCausalLM", "an MLP in layer 0, biases, as many value heads as keys, tied head, weights as they are",
        DELTA, **DELTA_MOE, mlp_only_layers=[0], attention_bias=True, linear_num_value_heads=2,
        tie_word_embeddings=True, norm_topk_prob=False,
    ),
    "qwen3_next_old_config": case(
        "Qwen3NextForCausalLM", "the model of `qwen3_next` with config.json as first published", DELTA, **DELTA_MOE,
        rewrite=next_old, same_as="qwen3_next",
    ),
    "qwen3_next_yarn": case(
        "Qwen3NextForCausalLM", "YaRN over the rotated part of each head, interval instead of a list of layers", DELTA,
        **DELTA_MOE, lengths=LONG, head_dim=32, num_hidden_layers=3, layer_types=None, full_attention_interval=3,
        mlp_only_layers=[1], decoder_sparse_step=2, hidden_size=24, vocab_size=64,
        rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16, partial_rotary_factor=0.5),
        rewrite=by_interval, bites={"rope_parameters": rope("default", partial_rotary_factor=0.5)},
    ),
    "qwen3_next_scan": case(
        "Qwen3NextForCausalLM", "a delta rule over more than two chunks, with slow decays", DELTA | SCAN, **DELTA_MOE,
        layer_types=["linear_attention"] * 2, mlp_only_layers=[0, 1], intermediate_size=24, fill=SLOW,
        lengths=ACROSS,
    ),
    "qwen3_5_text": case(
        "Qwen3_5ForCausalLM", "delta rule, then attention with a gate", DELTA,
        bites={"rope_parameters": rope("default", partial_rotary_factor=1.0)},
    ),
    "qwen3_5_text_tied": case(
        "Qwen3_5ForCausalLM", "biases, half of each head rotated, tied head", DELTA, attention_bias=True,
        rope_parameters=rope("default", 1e6, partial_rotary_factor=0.5, mrope_section=[1, 1, 2], mrope_interleaved=True),
        tie_word_embeddings=True, linear_num_value_heads=2, hidden_act="gelu",
        bites={"hidden_act": "silu"},
    ),
    "qwen3_5_text_prefix": case(
        "Qwen3_5ForCausalLM", "names as in the public multimodal files, key heads as wide as value heads", DELTA,
        linear_value_head_dim=6, tensors=renamed(**{"model.": "model.language_model."}),
    ),
    "qwen3_5_text_scan": case(
        "Qwen3_5ForCausalLM", "a delta rule over more than two chunks, with slow decays", DELTA | SCAN, fill=SLOW,
        intermediate_size=24, max_position_embeddings=256, lengths=ACROSS,
    ),
    "qwen3_5_moe_text": case(
        "Qwen3_5MoeForCausalLM", "the delta rule with experts and a gated shared one", DELTA, **DELTA_MOE,
    ),
}
