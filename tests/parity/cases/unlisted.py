"""Decoders that few repositories hold, described from the documentation alone."""

from .common import DECODER, case, old_form, rope

SLIDING, FULL = "sliding_attention", "full_attention"
MHA = {k: v for k, v in DECODER.items() if k != "num_key_value_heads"}
NEOX = MHA | dict(hidden_size=48, intermediate_multiple_size=2)
MOE = DECODER | dict(
    num_hidden_layers=2, head_dim=12, moe_intermediate_size=20, num_experts=6, num_experts_per_tok=3, num_shared_experts=2,
)
SOLAR = DECODER | dict(
    num_hidden_layers=2, head_dim=12, moe_intermediate_size=20, n_routed_experts=8, num_experts_per_tok=3,
    n_shared_experts=2,
)
YOUTU = DECODER | dict(
    q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=10, qk_rope_head_dim=6, v_head_dim=14, num_key_value_heads=4,
    num_hidden_layers=2,
)
MEDIUM = (13, 19)
LLAMA3 = rope("llama3", factor=8.0, original_max_position_embeddings=16, low_freq_factor=1.0, high_freq_factor=4.0)

LAGUNA = DECODER | dict(
    head_dim=12, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, shared_expert_intermediate_size=28)
HYBRID = DECODER | dict(pad_token_id=0, linear_key_head_dim=6, linear_value_head_dim=10)
DELTA = {"*.A_log": [0.3, 0.8], "*.dt_bias": [0.0, 1.0]}
SMALL4 = YOUTU | dict(moe_intermediate_size=20, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2)
ZAYA = DECODER | dict(head_dim=12, num_experts=4, moe_intermediate_size=20, router_hidden_size=16, tie_word_embeddings=True)

HEAVY, SPARSE = "heavily_compressed_attention", "compressed_sparse_attention"
FLASH4 = dict(
    vocab_size=96, hidden_size=32, moe_intermediate_size=20, num_attention_heads=4, num_key_value_heads=1, head_dim=12,
    q_lora_rank=24, num_experts_per_tok=3, n_routed_experts=6, n_shared_experts=1, max_position_embeddings=64,
    compress_rates={SPARSE: 2, HEAVY: 5}, hc_mult=2, hc_sinkhorn_iters=4, swiglu_limit=0.7, sliding_window=5, o_groups=2,
    o_lora_rank=10, index_n_heads=3, index_head_dim=8, index_topk=4, bos_token_id=1, eos_token_id=2, partial_rotary_factor=0.5,
    rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16), rope_theta=10000.0,
)

DOTS3 = YOUTU | dict(
    pad_token_id=0,     num_hidden_layers=3, moe_intermediate_size=20, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1, head_dim=16,
    shared_experts_intermediate_size=28, index_topk=6, index_head_dim=10, index_n_heads=7, sliding_window=8,
)
SWA = dict(
    swa_num_attention_heads=6, swa_num_key_value_heads=6, swa_q_lora_rank=20, swa_kv_lora_rank=18, swa_head_dim=12,
    swa_qk_nope_head_dim=8, swa_v_head_dim=9,
)

STEP = dict(
    model_type="step3p5", architectures=["Step3p5ForCausalLM"], torch_dtype="float32", vocab_size=96, hidden_size=32,
    intermediate_size=56, num_hidden_layers=4, num_attention_heads=4, num_attention_groups=2, head_dim=12, max_seq_len=64,
    max_position_embeddings=64, rms_norm_eps=1e-5, hidden_act="silu", use_qk_norm=True, tie_word_embeddings=False,
    moe_num_experts=6, moe_top_k=3, moe_intermediate_size=20, share_expert_dim=28, moe_layers_enum="1,2,3,4",
    moe_layer_offset=0, moe_every_n_layer=1, use_moe=True, norm_expert_weight=True, moe_router_activation="sigmoid",
    moe_router_scaling_factor=3.0, use_moe_router_bias=True, need_fp32_gate=True, att_impl_type="GQA", sink=False,
    use_head_wise_attn_gate=True, sliding_window=8, num_nextn_predict_layers=1, use_rope_layers=[],
    layer_types=[FULL, SLIDING, SLIDING, FULL, SLIDING], rope_theta=[5e6, 1e4, 1e4, 5e6, 1e4],
    attention_other_setting=dict(attention_type=SLIDING, num_attention_heads=6, num_attention_groups=2, head_dim=12),
    partial_rotary_factors=[0.5, 1.0, 1.0, 0.5, 1.0], yarn_only_types=[FULL], zero_centered=True,
    rope_scaling=dict(rope_type="llama3", factor=2.0, original_max_position_embeddings=32, low_freq_factor=1.0,
                      high_freq_factor=32.0),
    swiglu_limits=[0.0, None, 0.3, 0.0], swiglu_limits_shared=[0.4, 0.0, 0.0, 0.3],
)


def without(*keys: str):
    return lambda config: {k: v for k, v in config.items() if k not in keys}


def first_v4(config: dict) -> dict:
    """As the repositories of DeepSeek-V4 have it: lists of numbers, one rope that is scaled where keys are compressed."""
    gone = ("layer_types", "mlp_layer_types", "compress_rates", "rope_parameters", "partial_rotary_factor")
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1}
    return without(*gone)(config) | dict(
        compress_ratios=[128, 128, 4, 4], compress_rate_csa=2, compress_rate_hca=5, num_hash_layers=0, qk_rope_head_dim=6,
        rope_scaling=yarn, scoring_func="sqrtsoftplus")


def first_v4_names(tensors: dict) -> dict:
    def name(old: str) -> str:
        new = old.removeprefix("model.").replace("attn.norm.", "attn.kv_norm.").replace("embed_tokens.", "embed.")
        return new.replace("hc_head.hc_", "hc_head_")

    return {name(old): about for old, about in tensors.items()}


CASES = {
    "xglm": case("XGLMForCausalLM", "sinusoids, scaled embeddings, a tied head", dict(
        vocab_size=96, d_model=32, ffn_dim=56, num_layers=3, attention_heads=4, max_position_embeddings=64)),
    "xglm_plain": case("XGLMForCausalLM", "embeddings as they are, a head of its own", dict(
        vocab_size=96, d_model=32, ffn_dim=56, num_layers=2, attention_heads=4, max_position_embeddings=64,
        scale_embedding=False, tie_word_embeddings=False, activation_function="relu")),
    "biogpt": case("BioGptForCausalLM", "learned positions, scaled embeddings, a tied head", MHA,
                   tie_word_embeddings=True, bites={"scale_embedding": False}),
    "gpt_neox_japanese": case(
        "GPTNeoXJapaneseForCausalLM", "a bias behind the last attention; the whole head turns", NEOX, tie_word_embeddings=True),
    "gpt_neox_japanese_old_config": case(
        "GPTNeoXJapaneseForCausalLM", "half of each head turns, an older spelling", NEOX, num_hidden_layers=2,
        rope_parameters=rope("default", 5000.0, partial_rotary_factor=0.5),
        rewrite=lambda config: without("rope_theta", "partial_rotary_factor")(old_form(config))
        | dict(rotary_pct=0.5, rotary_emb_base=5000.0),
    ),
    "diffllama": case("DiffLlamaForCausalLM", "differences of two attentions, grouped queries", DECODER, head_dim=12,
                      num_attention_heads=8, num_key_value_heads=4, attention_bias=True,
                      fill={"*.lambda_*": [0.0, 0.4]}),
    "cwm": case("CwmForCausalLM", "every fourth layer full, the others with a window", DECODER, lengths=MEDIUM,
                num_hidden_layers=5, head_dim=12, sliding_window=8, rope_parameters=LLAMA3,
                bites={"sliding_window": 9}),
    "cwm_old_config": case(
        "CwmForCausalLM", "the rope of the class, layer_types left out", DECODER, lengths=MEDIUM,
        num_hidden_layers=2, head_dim=12, sliding_window=8,
        rewrite=lambda config: without("rope_theta", "rope_scaling")(old_form(config))),
    "jais2": case("Jais2ForCausalLM", "LayerNorm, squared ReLU, biases", DECODER,
                  fill={"*.down_proj.weight": [0.0, 0.1]}),
    "solar_open": case("SolarOpenForCausalLM", "experts in all layers, groups of them limited", SOLAR, n_group=4, topk_group=2,
                       rope_parameters=rope("yarn", 1e6, factor=2.0, original_max_position_embeddings=32)),
    "solar_open_old_config": case(
        "SolarOpenForCausalLM", "weights not normalised, an old config", SOLAR, norm_topk_prob=False, routed_scaling_factor=1.5,
        rewrite=lambda config: old_form(config) | dict(first_k_dense_replace=0, use_qk_norm=False, partial_rotary_factor=1.0)),
    "youtu": case("YoutuForCausalLM", "latent attention, a tied head", YOUTU, tie_word_embeddings=True),
    "youtu_old_config": case("YoutuForCausalLM", "no latent q, halves turn, an old config", YOUTU, q_lora_rank=None,
                             rope_interleave=False, rewrite=lambda c: old_form(c)),
    "afmoe": case("AfmoeForCausalLM", "gated attention, a window, dense first", MOE, num_hidden_layers=4, lengths=MEDIUM,
                  sliding_window=8, num_dense_layers=1, route_scale=1.7, mup_enabled=True,
                  fill={"*.expert_bias": [0.0, 0.1]}, bites={"sliding_window": 9, "mup_enabled": False, "route_scale": 1.0}),
    "exaone_moe": case("ExaoneMoeForCausalLM", "windows, dense first", MOE, num_hidden_layers=4, lengths=MEDIUM,
                       sliding_window=8, bites={"sliding_window": 9}),
    "exaone_moe_groups": case("ExaoneMoeForCausalLM", "groups of experts", MOE,
                       num_experts=8, n_group=4, topk_group=2, mlp_layer_types=["sparse", "dense"],
                       layer_types=[FULL] * 2),
    "hy_v3": case("HYV3ForCausalLM", "dense first, experts behind sigmoids", MOE, router_scaling_factor=1.7,
                  fill={"*.e_score_correction_bias": [0.0, 0.1]}),
    "mellum": case("MellumForCausalLM", "two ropes, a window, experts", without("num_shared_experts")(MOE), lengths=MEDIUM,
                   num_hidden_layers=3, sliding_window=8, layer_types=[SLIDING, FULL, SLIDING],
                   rope_parameters={FULL: rope("yarn", 5e5, factor=2.0, original_max_position_embeddings=32), SLIDING: rope("default")},
                   bites={"sliding_window": 9}),
    "granite_swa": case(
        "GraniteSWAForCausalLM", "windows, sinks, a base of the rope for each layer, one without", DECODER, lengths=MEDIUM,
        sliding_window=8, layer_rope_theta=[10000.0, 0, 500.0], tie_word_embeddings=True, embedding_multiplier=12.0,
        logits_scaling=8.0, residual_multiplier=0.22, attention_multiplier=0.0625,
        bites={"sliding_window": 9, "layer_types": [FULL] * 3}),
    "granite_swa_defaults": case(
        "GraniteSWAForCausalLM", "multipliers left out, one rope", DECODER, num_hidden_layers=2, num_key_value_heads=4,
        sliding_window=8, lengths=MEDIUM, rewrite=lambda config: without(
            "embedding_multiplier", "logits_scaling", "residual_multiplier", "attention_multiplier", "layer_rope_theta",
            "num_key_value_heads")(old_form(config))),
    "granitemoe_swa": case(
        "GraniteMoeSWAForCausalLM", "windows, sinks, experts and a shared MLP", DECODER, lengths=MEDIUM, sliding_window=8,
        layer_rope_theta=[10000.0, 0, 500.0], num_local_experts=5, num_experts_per_tok=2, shared_intermediate_size=20,
        residual_multiplier=0.5, attention_multiplier=0.3, bites={"sliding_window": 9}),
    "laguna": case(
        "LagunaForCausalLM", "heads that differ, gates for each head, two ropes", LAGUNA, lengths=MEDIUM,
        num_attention_heads_per_layer=[4, 6, 8], num_hidden_layers=3, layer_types=[FULL, SLIDING, FULL], sliding_window=8,
        rope_parameters={FULL: rope("yarn", 5e5, factor=2.0, original_max_position_embeddings=32, partial_rotary_factor=0.5),
                         SLIDING: rope("default")},
        moe_routed_scaling_factor=2.5, moe_router_logit_softcapping=2.0,
        bites={"sliding_window": 9, "moe_router_logit_softcapping": 0.0, "moe_routed_scaling_factor": 1.0}),
    "laguna_plain": case(
        "LagunaForCausalLM", "gates for each feature, the ropes of the class", LAGUNA, num_hidden_layers=2, gating=False,
        rewrite=without("rope_parameters", "layer_types")),
    "olmo_hybrid": case(
        "OlmoHybridForCausalLM", "no positions, eigenvalues below zero", HYBRID, num_hidden_layers=4, rope_parameters=None,
        fill=DELTA),
    "olmo_hybrid_rope": case(
        "OlmoHybridForCausalLM", "rope, more value heads than key heads", HYBRID, num_hidden_layers=2,
        linear_allow_neg_eigval=False, linear_num_value_heads=4, linear_num_key_heads=2,
        layer_types=["linear_attention", FULL], rope_parameters=rope("default", 5e5), fill=DELTA,
        bites={"linear_allow_neg_eigval": True}),
    "lfm3": case(
        "Lfm3ForCausalLM", "convolutions, a window, two ropes, gates", DECODER, pad_token_id=0, lengths=MEDIUM, head_dim=12, num_hidden_layers=5,
        sliding_window=8, conv_L_cache=3, bites={"sliding_window": 9}),
    "lfm3_plain": case(
        "Lfm3ForCausalLM", "no gates, no norms behind the branches, biases of the convolution", DECODER, pad_token_id=0, head_dim=12,
        num_hidden_layers=3, conv_bias=True, use_sandwich_norm=False, use_attention_gate=False,
        layer_types=[SLIDING, "conv", FULL], fill={"*conv.bias": [0.0, 0.3]},
        rewrite=without("rope_parameters", "sliding_window")),
    "mistral4": case(
        "Mistral4ForCausalLM", "queries that grow with the position, softmax experts", SMALL4, lengths=MEDIUM,
        rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=8, beta_fast=32.0, beta_slow=1.0,
                             mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.3, max_position_embeddings=64)),
    "mistral4_defaults": case(
        "Mistral4ForCausalLM", "the rope of the class, a dense layer, groups, no latent q, halves turn", SMALL4,
        first_k_dense_replace=1, n_group=4, topk_group=2, q_lora_rank=None, rope_interleave=False, norm_topk_prob=False,
        routed_scaling_factor=1.5, rewrite=without("rope_parameters")),
    "zaya": case(
        "ZayaForCausalLM", "a window, one rope for each kind, an expert that does nothing", ZAYA, lengths=MEDIUM,
        num_hidden_layers=3, layer_types=["hybrid", "hybrid_sliding", "hybrid"], sliding_window=8,
        fill={"*.balancing_biases": [-1.0, 0.0], "*_bias": [0.0, 0.1]}, bites={"sliding_window": 9}),
    "zaya_bias": case(
        "ZayaForCausalLM", "biases, a head of its own, the ropes of the class", ZAYA, num_hidden_layers=2,
        attention_bias=True, lm_head_bias=True, tie_word_embeddings=False, rewrite=without("rope_parameters", "layer_types"),
        fill={"*.balancing_biases": [-1.0, 0.0], "*_bias": [0.0, 0.1]}),
    "hrm_text": case(
        "HrmTextForCausalLM", "two stacks of two layers in turn", MHA, num_hidden_layers=2, head_dim=12, H_cycles=2, L_cycles=2,
        embedding_scale=1.5,
        layers={"decoder": "model.L_module.layers+model.H_module.layers"}, points={"final": "model.H_module.final_norm", "embed": None}, fill={"*z_L_init": [0.0, 0.5]}),
    "deepseek_v4": case(
        "DeepseekV4ForCausalLM", "compressed keys picked by an indexer or all of them, four streams, hashed experts", FLASH4,
        lengths=(13, 18), num_hidden_layers=4, layer_types=[SLIDING, HEAVY, SPARSE, SPARSE],
        mlp_layer_types=["moe"] * 4, bites={"index_topk": 8, "sliding_window": 6}),
    "deepseek_v4_hash": case(
        "DeepseekV4ForCausalLM", "experts looked up by token, short sequences without a full block, a plain rope", FLASH4,
        lengths=(3, 12), num_hidden_layers=2, layer_types=[HEAVY, SPARSE], mlp_layer_types=["hash_moe", "moe"],
        rope_parameters=None, fill={"*tid2eid": [3.0, 3.0]}),
    "deepseek_v4_public": case(
        "DeepseekV4ForCausalLM", "keys and names of the first repositories", FLASH4, lengths=(13, 18), num_hidden_layers=3,
        layer_types=[HEAVY, HEAVY, SPARSE], mlp_layer_types=["moe"] * 3, rewrite=first_v4, tensors=first_v4_names),
    "dots3_note_text": case(
        "Dots3NoteForCausalLM", "picked keys, a window with heads and ranks of its own, gates, groups of experts", DOTS3,
        lengths=MEDIUM, n_group=4, topk_group=2, routed_scaling_factor=1.5, **SWA,
        bites={"index_topk": 9, "sliding_window": 9, "routed_scaling_factor": 1.0}),
    "dots3_note_text_public": case(
        "Dots3NoteForCausalLM", "keys of a layer kind beside each other, no indexer", DOTS3, lengths=MEDIUM, use_dsa=False, **SWA,
        rewrite=lambda config: without("per_layer_config", "rope_parameters", "layer_types", "mlp_layer_types", "sliding_window")(
            config) | SWA | dict(use_dsa=False, sliding_window_size=8, first_k_dense_replace=1, rope_theta=8e7,
                                 layer_types=["full_attention", "full_attention", "sliding_attention"])),
    "step3p5": case(
        "models.step3p5:Step3p5", "heads, rope and limits that differ by layer, experts in one weight, keys of public files", STEP,
        lengths=MEDIUM, fill={"*norm.weight": [0.0, 0.3], "*router_bias": [0.0, 0.1]},
        bites={"sliding_window": 9, "swiglu_limits": [0] * 4, "swiglu_limits_shared": [0] * 4}),
    "hrm_text_prefix": case(
        "HrmTextForCausalLM", "a prompt that sees itself both ways", MHA, num_hidden_layers=1, head_dim=12, H_cycles=2, L_cycles=1,
        embedding_scale=1.5, fill={"*z_L_init": [0.0, 0.5]},
        layers={"decoder": "model.L_module.layers+model.H_module.layers"},
        points={"final": "model.H_module.final_norm", "embed": None}, bites={"prefix_lm": False},
        fields=lambda row, ids: {"token_type_ids": [int(i < 5) for i in range(len(ids))]}),
    "hy_v3_public": case(
        "HYV3ForCausalLM", "keys of public files, biases", MOE, attention_bias=True, router_scaling_factor=2.8,
        rewrite=lambda config: without("mlp_layer_types", "attention_bias", "mlp_bias")(config) | dict(
            attention_bias=True, enable_attention_fp32_softmax=False, enable_lm_head_fp32=True, enable_moe_fp32_combine=False,
            expert_hidden_dim=20, first_k_dense_replace=1, moe_router_enable_expert_bias=True, moe_router_use_sigmoid=True,
            qk_norm=True, route_norm=True, use_grouped_mm=False, num_nextn_predict_layers=0)),
    "afmoe_public": case(
        "AfmoeForCausalLM", "keys of public files, a list of layers, one dense layer", MOE, num_hidden_layers=2, lengths=MEDIUM,
        sliding_window=8, num_key_value_heads=4, layer_types=[FULL, SLIDING],
        rewrite=lambda config: dict(old_form(config), layer_types=[FULL, SLIDING]) | dict(
            n_group=1, topk_group=1, num_expert_groups=1, num_limited_groups=1, score_func="sigmoid", route_norm=True,
            load_balance_coeff=5e-5, use_grouped_mm=True)),
}
