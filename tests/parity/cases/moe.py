"""Mixtures of experts."""

from .common import DECODER, LONG, PLAIN, case, old_form, rope

MIXTRAL = DECODER | dict(num_local_experts=4, num_experts_per_tok=2, num_hidden_layers=2)
QWEN = DECODER | dict(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=24, intermediate_size=56)
OLMOE = DECODER | dict(num_experts=6, num_experts_per_tok=3, num_hidden_layers=2, intermediate_size=24)
OSS = DECODER | dict(num_local_experts=5, num_experts_per_tok=2, head_dim=12, intermediate_size=24, sliding_window=8)
GRANITE = DECODER | dict(
    num_local_experts=5, num_experts_per_tok=2, intermediate_size=24, num_hidden_layers=2, embedding_multiplier=3.0,
    logits_scaling=0.5, residual_multiplier=0.7, attention_multiplier=0.3, tie_word_embeddings=True,
)
GRANITE4 = GRANITE | dict(
    num_hidden_layers=3, shared_intermediate_size=20, mamba_n_heads=8, mamba_d_head=8, mamba_d_state=6, mamba_expand=2,
    mamba_chunk_size=8, layer_types=["linear_attention", "full_attention", "linear_attention"],
)
MAMBA = {"*.A_log": [0.3, 0.8], "*.dt_bias": [0.0, 1.0]}
DBRX = dict(
    vocab_size=96, d_model=32, n_heads=4, n_layers=2, max_seq_len=64,
    attn_config=dict(kv_n_heads=2, clip_qkv=0.8, rope_theta=500000.0),
    ffn_config=dict(ffn_hidden_size=24, moe_num_experts=5, moe_top_k=2),
    rope_parameters=rope("default", 500000.0),
    odd={k: "transformers 5 does not read attn_config.rope_theta, where the public files have the theta"
         for k in ("attn_config.rope_theta", "rope_parameters", "rope_parameters.rope_theta", "rope_scaling")},
)

MINIMAX = MIXTRAL | dict(
    num_hidden_layers=3, head_dim=12, intermediate_size=24, block_size=8,
    layer_types=["linear_attention", "full_attention", "linear_attention"], linear_attn_alpha_factor=1.3,
    linear_attn_beta_factor=0.8, full_attn_alpha_factor=1.2, full_attn_beta_factor=0.7, mlp_alpha_factor=1.1,
    mlp_beta_factor=0.9,
)
BUFFERS = ("*.slope_rate", "*_decay")
TEXT01 = MIXTRAL | dict(
    model_type="minimax_text_01", architectures=["MiniMaxText01ForCausalLM"], torch_dtype="float32", num_hidden_layers=3,
    head_dim=12, rotary_dim=6, rope_theta=10000000, intermediate_size=24, rms_norm_eps=1e-5, hidden_act="silu",
    attn_type_list=[0, 1, 0], postnorm=True, layernorm_linear_attention_alpha=1.3, layernorm_linear_attention_beta=0.8,
    layernorm_full_attention_alpha=1.2, layernorm_full_attention_beta=0.7, layernorm_mlp_alpha=1.1,
    layernorm_mlp_beta=0.9, shared_intermediate_size=0, shared_moe_mode="sigmoid", sliding_window=None,
    router_jitter_noise=0.0, output_router_logits=False,
)
MIMO = DECODER | dict(
    num_attention_heads=8, num_key_value_heads=2, head_dim=12, v_head_dim=6, n_routed_experts=6, num_experts_per_tok=2,
    moe_intermediate_size=24, sliding_window=9,
    rope_parameters={"full_attention": rope("default", 5000000.0, partial_rotary_factor=0.334),
                     "sliding_attention": rope("default", 10000.0, partial_rotary_factor=0.334)},
)
ERNIE = DECODER | dict(
    moe_num_experts=6, moe_k=3, moe_intermediate_size=20, moe_num_shared_experts=2, rope_parameters=rope("default", 500000.0),
)
DOTS = DECODER | dict(
    n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=20, n_shared_experts=2, first_k_dense_replace=1,
    norm_topk_prob=True, routed_scaling_factor=2.5, num_hidden_layers=2,
)
HUNYUAN = DECODER | dict(num_experts=6, moe_topk=[2, 3], num_hidden_layers=2, intermediate_size=24, head_dim=12)
JETMOE = dict(
    vocab_size=96, hidden_size=32, num_hidden_layers=2, num_key_value_heads=2, kv_channels=12, intermediate_size=24,
    max_position_embeddings=64, num_local_experts=5, num_experts_per_tok=3, rms_norm_eps=1e-2,
)
ARCTIC = MIXTRAL | dict(
    model_type="arctic", architectures=["ArcticForCausalLM"], torch_dtype="float32", num_hidden_layers=3,
    moe_layer_frequency=2, parallel_attn_mlp_res=True, use_residual=True, rope_theta=10000, rms_norm_eps=1e-5,
    hidden_act="silu", moe_train_capacity_factor=1, moe_eval_capacity_factor=1, moe_min_capacity=0, moe_token_dropping=True,
    enable_expert_tensor_parallelism=False, sliding_window=None, intermediate_size=40,
)
GROK = DECODER | dict(
    model_type="grok-1", architectures=["Grok1ModelForCausalLM"], torch_dtype="float32", num_experts=5, num_experts_per_tok=2,
    num_hidden_layers=2, attn_output_multiplier=0.5, max_attn_value=1.5, embedding_multiplier_scale=3.0,
    output_multiplier_scale=0.6, rms_norm_eps=1e-5, router_aux_loss_coef=0.001, output_router_logits=False,
)


def without(*names: str, form=old_form):
    """The older form of config.json without keys that public files lack."""
    return lambda config: {k: v for k, v in form(config).items() if k not in names}


def mimo_public(config: dict) -> dict:
    """config.json of the public repository: keys of its remote code, which transformers leaves unread or reads too."""
    gone = ("layer_types", "mlp_layer_types", "rope_parameters", "sliding_window", "rms_norm_eps", "routed_scaling_factor")
    return {k: v for k, v in config.items() if k not in gone} | {
        "hybrid_layer_pattern": [0, 1, 1], "moe_layer_freq": [0, 1, 1], "rope_theta": 5000000, "swa_rope_theta": 10000,
        "partial_rotary_factor": 0.334, "sliding_window": 8, "sliding_window_size": 8, "attention_chunk_size": 8,
        "swa_num_key_value_heads": 4, "swa_num_attention_heads": 8, "swa_head_dim": 12, "swa_v_head_dim": 6,
        "add_swa_attention_sink_bias": True, "add_full_attention_sink_bias": False, "layernorm_epsilon": 1e-5,
        "scoring_func": "sigmoid", "topk_method": "noaux_tc", "n_shared_experts": None, "routed_scaling_factor": None,
        "torch_dtype": "float32",
    }


CASES = {
    "mixtral": case(
        "MixtralForCausalLM", "4 experts, 2 at work; experts under their public names", DECODER,
        num_local_experts=4, num_experts_per_tok=2, num_hidden_layers=2,
    ),
    "mixtral_many": case(
        "MixtralForCausalLM", "8 experts, 3 at work, a window of 8", DECODER, lengths=LONG, num_local_experts=8,
        num_experts_per_tok=3, sliding_window=8, num_hidden_layers=2, bites={"sliding_window": 9},
    ),
    "mixtral_old_config": case(
        "MixtralForCausalLM", "the model of `mixtral`; its old config.json lacks what equals the class's defaults: "
        "theta of 1e6, eps of 1e-5, two experts at work", MIXTRAL, same_as="mixtral",
        rewrite=without("rope_theta", "rope_scaling", "rms_norm_eps", "num_experts_per_tok", "head_dim", "sliding_window"),
    ),
    "qwen2_moe": case(
        "Qwen2MoeForCausalLM", "dense layers 0 and 2 between sparse ones, a gated shared expert, weights not normalised",
        QWEN, num_hidden_layers=4, decoder_sparse_step=2, mlp_only_layers=[], shared_expert_intermediate_size=40,
        norm_topk_prob=False, bites={"norm_topk_prob": True},
    ),
    "qwen2_moe_norm": case(
        "Qwen2MoeForCausalLM", "layer 0 dense by mlp_only_layers, weights normalised, no biases, window of 8 on layer 0",
        QWEN, num_hidden_layers=2, mlp_only_layers=[0], shared_expert_intermediate_size=40, norm_topk_prob=True,
        qkv_bias=False, use_sliding_window=True, sliding_window=8, lengths=LONG, bites={"sliding_window": 9},
    ),
    "qwen2_moe_old_config": case(
        "Qwen2MoeForCausalLM", "the model of `qwen2_moe` with config.json in the form before transformers 5", QWEN,
        num_hidden_layers=4, decoder_sparse_step=2, mlp_only_layers=[], shared_expert_intermediate_size=40,
        norm_topk_prob=False, rewrite=without("mlp_only_layers", "norm_topk_prob", "qkv_bias"), same_as="qwen2_moe",
    ),
    "qwen3_moe": case(
        "Qwen3MoeForCausalLM", "norms on q and k, weights normalised, layer 1 dense; YaRN", QWEN, head_dim=12,
        norm_topk_prob=True, mlp_only_layers=[1], lengths=LONG,
        rope_parameters=rope("yarn", 1000000.0, factor=4.0, original_max_position_embeddings=16),
        bites={"norm_topk_prob": False} | PLAIN,
    ),
    "qwen3_moe_window": case(
        "Qwen3MoeForCausalLM", "a window of 8 on all layers, no head_dim, weights not normalised, biases, tied head", QWEN,
        num_hidden_layers=2, lengths=LONG, use_sliding_window=True, sliding_window=8, attention_bias=True,
        tie_word_embeddings=True, bites={"sliding_window": 9},
    ),
    "qwen3_moe_old_config": case(
        "Qwen3MoeForCausalLM", "the model of `qwen3_moe` with config.json in the form before transformers 5", QWEN,
        head_dim=12, norm_topk_prob=True, mlp_only_layers=[1], lengths=LONG,
        rope_parameters=rope("yarn", 1000000.0, factor=4.0, original_max_position_embeddings=16),
        rewrite=lambda c: without("num_local_experts")(c) | {"num_experts": 6, "max_window_layers": 1}, same_as="qwen3_moe",
    ),
    "olmoe": case(
        "OlmoeForCausalLM", "norms over the whole of q and k, weights not normalised", OLMOE,
        bites={"norm_topk_prob": True},
    ),
    "olmoe_clip": case(
        "OlmoeForCausalLM", "q, k, v clipped, weights normalised, biases, old config.json", OLMOE, clip_qkv=0.6,
        norm_topk_prob=True, attention_bias=True, rewrite=without("rms_norm_eps"), bites={"clip_qkv": None},
    ),
    "flex_olmo": case("FlexOlmoForCausalLM", "norms behind the branches", OLMOE, pad_token_id=0),
    "flex_olmo_norm": case(
        "FlexOlmoForCausalLM", "weights normalised, which the norm behind them undoes; old config.json without theta", OLMOE,
        norm_topk_prob=True, pad_token_id=0, bites={"num_experts_per_tok": 2},
        rewrite=lambda c: without("rope_theta", "rms_norm_eps")(c) | {"pad_token_id": 0},
    ),
    "gpt_oss": case(
        "GptOssForCausalLM", "YaRN, sinks, a window of 8 on layers 0 and 2, small clip of the experts", OSS, lengths=LONG,
        swiglu_limit=0.9, rope_parameters=rope("yarn", 150000.0, factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                                               original_max_position_embeddings=16),
        fill={"*.sinks": [0.5, 1.0]}, bites={"sliding_window": 9, "swiglu_limit": 7.0} | PLAIN,
    ),
    "gpt_oss_old_config": case(
        "GptOssForCausalLM", "the model of `gpt_oss` with the config.json of the public files", OSS, lengths=LONG,
        swiglu_limit=0.9, rope_parameters=rope("yarn", 150000.0, factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                                               original_max_position_embeddings=16),
        fill={"*.sinks": [0.5, 1.0]}, same_as="gpt_oss",
        rewrite=lambda c: without("rope_theta", "swiglu_alpha")(c) | {"experts_per_token": 2, "initial_context_length": 16},
    ),
    "gpt_oss_defaults": case(
        "GptOssForCausalLM", "no rope in config.json: YaRN of the class; no biases at the attention, one key head", OSS,
        num_hidden_layers=2, num_key_value_heads=1, attention_bias=False, swiglu_alpha=1.3,
        fill={"*.sinks": [0.5, 1.0]}, rewrite=without("rope_theta", "rope_scaling", "layer_types"),
        bites={"swiglu_alpha": 1.702},
    ),
    "granitemoe": case(
        "GraniteMoeForCausalLM", "packed experts, four multipliers, tied head", GRANITE,
        bites={"residual_multiplier": 1.0, "attention_multiplier": 0.5, "logits_scaling": 1.0, "embedding_multiplier": 1.0},
    ),
    "granitemoe_old_config": case(
        "GraniteMoeForCausalLM", "the model of `granitemoe` with config.json in the form before transformers 5", GRANITE,
        rewrite=without("num_experts_per_tok", "attention_bias"), same_as="granitemoe",
    ),
    "granitemoeshared": case(
        "GraniteMoeSharedForCausalLM", "with a shared MLP", GRANITE, shared_intermediate_size=20, attention_bias=True,
        tie_word_embeddings=False,
    ),
    "granitemoeshared_without": case(
        "GraniteMoeSharedForCausalLM", "without one: shared_intermediate_size 0", GRANITE, shared_intermediate_size=0,
    ),
    "granitemoehybrid": case(
        "GraniteMoeHybridForCausalLM", "Mamba-2, attention without positions, Mamba-2; experts and a shared MLP", GRANITE4,
        fill=MAMBA, lengths=(13, 21),
    ),
    "granitemoehybrid_rope": case(
        "GraniteMoeHybridForCausalLM", "attention with positions, two groups, dt clipped, biases, no experts", GRANITE4,
        fill=MAMBA, position_embedding_type="rope", mamba_n_groups=2, mamba_proj_bias=True, num_local_experts=0,
        time_step_limit=[0.2, 0.9], lengths=(13, 21), bites={"time_step_limit": (0.0, float("inf"))},
    ),
    "granitemoehybrid_old_config": case(
        "GraniteMoeHybridForCausalLM", "the model of `granitemoehybrid`: layers called mamba and attention",
        GRANITE4, fill=MAMBA, lengths=(13, 21), same_as="granitemoehybrid",
        rewrite=lambda c: without("time_step_limit", "position_embedding_type")(c)
        | {"layer_types": ["mamba", "attention", "mamba"], "normalization_function": "rmsnorm",
           "position_embedding_type": "nope", "init_method": "mup"},
    ),
    "minimax_m2": case(
        "MiniMaxM2ForCausalLM", "sigmoid scores with a bias that only chooses, norms over the whole of q and k, half rotary",
        MIXTRAL, head_dim=12, num_local_experts=6, intermediate_size=24,
        rope_parameters=rope("default", 5000000.0, partial_rotary_factor=0.5), bites={"num_experts_per_tok": 3} | PLAIN,
    ),
    "minimax_m2_old_config": case(
        "MiniMaxM2ForCausalLM", "the model of `minimax_m2` with the config.json of the public files", MIXTRAL, head_dim=12,
        num_local_experts=6, intermediate_size=24, same_as="minimax_m2",
        rope_parameters=rope("default", 5000000.0, partial_rotary_factor=0.5),
        rewrite=lambda c: without("rope_theta", "partial_rotary_factor", "rope_scaling", "rms_norm_eps")(c) | {
            "rotary_dim": 6, "attn_type_list": [1, 1], "qk_norm_type": "per_layer", "scoring_func": "sigmoid",
            "use_qk_norm": True, "use_routing_bias": True, "shared_intermediate_size": 0, "shared_moe_mode": "sigmoid",
            "layernorm_full_attention_beta": 1.0, "layernorm_linear_attention_beta": 1.0, "layernorm_mlp_beta": 1.0,
            "mlp_intermediate_size": 64, "use_mtp": True, "num_mtp_modules": 3, "mtp_transformer_layers": 1,
            "sliding_window": None},
    ),
    "dbrx": case(
        "DbrxForCausalLM", "fused q, k, v clipped to 0.8, packed experts, weights normalised", DBRX, lengths=LONG,
        layers={"decoder": "transformer.blocks"}, bites={"rope_parameters": rope("default")},
    ),
    "dbrx_raw": case(
        "DbrxForCausalLM", "no clip reached, weights not normalised, GELU", DBRX, layers={"decoder": "transformer.blocks"},
        attn_config=dict(kv_n_heads=4, clip_qkv=100.0, rope_theta=10000.0), rope_parameters=rope("default"),
        ffn_config=dict(ffn_hidden_size=24, moe_num_experts=5, moe_top_k=2, moe_normalize_expert_weights=None,
                        ffn_act_fn={"name": "gelu"}),
    ),
    "dbrx_l2": case(
        "DbrxForCausalLM", "weights divided by their 2-norm", DBRX, layers={"decoder": "transformer.blocks"},
        ffn_config=dict(ffn_hidden_size=24, moe_num_experts=5, moe_top_k=3, moe_normalize_expert_weights=2.0),
    ),
    "dbrx_old_config": case(
        "DbrxForCausalLM", "the model of `dbrx`; only attn_config has the theta, as in the public files", DBRX, lengths=LONG,
        layers={"decoder": "transformer.blocks"}, same_as="dbrx", settings={"rope_parameters": rope("default", 500000.0)},
        rewrite=without("rope_theta", "rope_scaling", "num_key_value_heads"),
    ),
    "minimax": case(
        "MiniMaxForCausalLM", "lightning, full, lightning attention; more than one block; six factors", MINIMAX, lengths=LONG,
        computed=BUFFERS, bites={"mlp_alpha_factor": 1.0, "full_attn_beta_factor": 1.0, "linear_attn_alpha_factor": 1.0},
    ),
    "minimax_window": case(
        "MiniMaxForCausalLM", "kinds of layers by the class's rule, a window of 8, no factors, theta of 1e6 unsaid", MINIMAX,
        lengths=LONG, computed=BUFFERS, sliding_window=8, num_hidden_layers=2,
        layer_types=["full_attention", "linear_attention"], bites={"sliding_window": 9},
        rewrite=without("rope_theta", "rope_scaling", "rms_norm_eps", "full_attn_alpha_factor", "full_attn_beta_factor",
                        "linear_attn_alpha_factor", "linear_attn_beta_factor", "mlp_alpha_factor", "mlp_beta_factor"),
    ),
    "minimax_text_01": case(
        "models.minimax_text_01:MiniMaxText01", "the original repository: keys of its own, half of each head turns", TEXT01,
        lengths=(13, 21), bites={"rotary_dim": 12, "postnorm": False},
    ),
    "minimax_text_01_pre": case(
        "models.minimax_text_01:MiniMaxText01", "the residual is not normed; M1's name", TEXT01, model_type="minimax_m1",
        architectures=["MiniMaxM1ForCausalLM"], postnorm=False, rotary_dim=12,
    ),
    "mimo_v2_flash": case(
        "MiMoV2FlashForCausalLM", "full, windows with sinks and twice the key heads; layer 0 dense; v narrower than q, k",
        MIMO, lengths=LONG, fill={"*.attention_sink_bias": [0.5, 1.0]},
        bites={"sliding_window": 8, "attention_value_scale": None, "norm_topk_prob": False},
    ),
    "mimo_v2_flash_groups": case(
        "MiMoV2FlashForCausalLM", "groups of experts, kinds of layers given, biases, other thetas, weights not normalised",
        MIMO, lengths=LONG, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"],
        mlp_layer_types=["sparse", "sparse"], n_group=3, topk_group=2, attention_bias=True, norm_topk_prob=False,
        routed_scaling_factor=1.7, attention_value_scale=None, fill={"*.attention_sink_bias": [0.5, 1.0]},
        rope_parameters={"full_attention": rope("default", 20000.0, partial_rotary_factor=0.5),
                         "sliding_attention": rope("default", 300.0, partial_rotary_factor=1.0)},
        bites={"topk_group": 3},
    ),
    "mimo_v2_flash_old_config": case(
        "MiMoV2FlashForCausalLM", "the model of `mimo_v2_flash` with the config.json of the public files", MIMO,
        lengths=LONG, fill={"*.attention_sink_bias": [0.5, 1.0]}, same_as="mimo_v2_flash", rewrite=mimo_public,
    ),
    "ernie4_5_moe": case(
        "Ernie4_5_MoeForCausalLM", "neighbouring features rotate, layer 0 dense, shared experts, a bias that only chooses",
        ERNIE, bites={"moe_k": 2} | PLAIN,
    ),
    "ernie4_5_moe_bias": case(
        "Ernie4_5_MoeForCausalLM", "biases everywhere, every other layer of 1 .. 2 sparse, no shared experts, tied head",
        ERNIE, num_hidden_layers=4, moe_layer_interval=2, moe_layer_start_index=1, moe_layer_end_index=2,
        moe_num_shared_experts=0, use_bias=True, tie_word_embeddings=True, moe_norm_min=0.9, bites={"moe_norm_min": 1e-12},
    ),
    "ernie4_5_moe_old_config": case(
        "Ernie4_5_MoeForCausalLM", "the model of `ernie4_5_moe` with config.json in the form before transformers 5", ERNIE,
        same_as="ernie4_5_moe",
        rewrite=lambda c: without("rope_theta", "rms_norm_eps", "moe_norm_min", "moe_layer_start_index")(c)
        | {"moe_layer_end_index": -1, "moe_capacity": [64, 64, 64], "moe_gate": "topk", "moe_use_aux_free": True,
           "num_nextn_predict_layers": 1},
    ),
    "dots1": case(
        "Dots1ForCausalLM", "norms on q and k; sigmoids with a bias, scaled by 2.5; shared experts; layer 0 dense", DOTS,
        head_dim=12, bites={"routed_scaling_factor": 1.0, "norm_topk_prob": False},
    ),
    "dots1_groups": case(
        "Dots1ForCausalLM", "two of four groups of experts, weights not normalised, window of 8 on layer 1, biases", DOTS,
        n_group=4, topk_group=2, norm_topk_prob=False, sliding_window=8, max_window_layers=1, attention_bias=True,
        lengths=LONG, bites={"sliding_window": 9, "topk_group": 4},
    ),
    "dots1_old_config": case(
        "Dots1ForCausalLM", "the model of `dots1` with the config.json of the public files", DOTS, head_dim=12,
        same_as="dots1",
        rewrite=lambda c: old_form(c) | {"sliding_window": None, "use_sliding_window": False, "topk_method": "noaux_tc",
                                         "scoring_func": "noaux_tc", "moe_layer_freq": 1, "seq_aux": True},
    ),
    "hunyuan_v1_moe": case(
        "HunYuanMoEV1ForCausalLM", "norms behind the rotation; two, then three experts at work beside a shared MLP", HUNYUAN,
        bites=PLAIN | {"rope_parameters": rope("default", 500.0)},
    ),
    "hunyuan_v1_moe_alpha": case(
        "HunYuanMoEV1ForCausalLM", "`dynamic` rope with alpha: a fixed larger theta; biases, tied head; keys of the public files",
        HUNYUAN, moe_topk=2, lengths=LONG, attention_bias=True, tie_word_embeddings=True, num_key_value_heads=4,
        rope_parameters=rope("dynamic", 10000.0, alpha=50.0, factor=1.0), bites=PLAIN,
        rewrite=lambda c: old_form(c) | {
            "num_shared_expert": [1, 1], "use_mixed_mlp_moe": True, "moe_drop_tokens": False, "use_qk_norm": True,
            "norm_topk_prob": True, "routed_scaling_factor": 1.0, "use_mla": False, "use_cla": False, "cla_share_factor": 2,
            "attention_head_dim": 12, "moe_layer_num_skipped": 0, "group_limited_greedy": False, "norm_type": "rms",
            "moe_intermediate_size": [24, 24], "moe_topk": [2, 2]},
    ),
    "jetmoe": case(
        "JetMoeForCausalLM", "three experts at work in attention and MLP, tied head; eps of the file: only the last norm",
        JETMOE, bites={"rms_norm_eps": 1e-6},
    ),
    "jetmoe_untied": case(
        "JetMoeForCausalLM", "untied head, GELU, old config.json", JETMOE, tie_word_embeddings=False,
        activation_function="gelu", num_experts_per_tok=2, rms_norm_eps=1e-6, rewrite=without("rms_norm_eps"),
    ),
    "arctic": case(
        "models.arctic:Arctic", "dense layers 0 and 2; in layer 1 experts beside attention and dense MLP", ARCTIC,
        bites={"num_experts_per_tok": 1},
    ),
    "arctic_serial": case(
        "models.arctic:Arctic", "every layer with experts, behind the attention", ARCTIC, moe_layer_frequency=1,
        parallel_attn_mlp_res=False, use_residual=False, num_hidden_layers=2,
    ),
    "grok1": case(
        "models.grok1:Grok1", "norms on both sides, capped scores, weights not normalised, tied head", GROK,
        tie_word_embeddings=True, bites={"max_attn_value": 30.0, "num_experts_per_tok": 3},
    ),
    "grok1_weight": case(
        "models.grok1:Grok1", "untied; norms called `weight`", GROK, model_type="grok1",
    ),
}
