"""DeepSeek and the models with its latent attention, its experts, or both."""

from .common import DECODER, PLAIN, case, old_form, renamed, rope

MOE = DECODER | dict(
    num_hidden_layers=2, moe_intermediate_size=20, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
    first_k_dense_replace=1,
)
MLA = dict(
    q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=10, qk_rope_head_dim=6, v_head_dim=14, num_key_value_heads=4,
)
LATENT = MOE | MLA
GROUPED = dict(n_routed_experts=12, n_group=4, topk_group=2)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=32.0, beta_slow=1.0)


def extra_layer(tensors: dict) -> dict:
    """A `stored` rewrite: the file also holds an extra prediction layer after its two layers, as public files do."""
    copied = {n.replace(".layers.1.", ".layers.2."): t for n, t in tensors.items() if ".layers.1." in n}
    more = {n: tensors["model.norm.weight"] for n in ("enorm", "hnorm", "shared_head.norm")}
    more |= {n: tensors["lm_head.weight"] for n in ("embed_tokens", "shared_head.head")}
    more |= {"eh_proj": {"dtype": "F32", "shape": [32, 64]}}
    return tensors | copied | {f"model.layers.2.{n}.weight": t for n, t in more.items()}


def public_v2(config: dict) -> dict:
    """As the repositories of DeepSeek-V2 have it: keys of their own code beside those that transformers keeps."""
    config = old_form(config, without=("head_dim", "qk_head_dim", "mlp_bias"))
    return config | {"scoring_func": "softmax", "moe_layer_freq": 1, "aux_loss_alpha": 0.001, "seq_aux": True}


def public_v3(config: dict) -> dict:
    """As the repositories of DeepSeek-V3 and R1 have it."""
    config = old_form(config, without=("head_dim", "qk_head_dim", "rope_interleave", "num_mtp_layers"))
    config |= {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "moe_layer_freq": 1, "ep_size": 1}
    return config | {"num_nextn_predict_layers": 1}


def kimi_k2(config: dict) -> dict:
    return public_v3(config) | {"model_type": "kimi_k2", "aux_loss_alpha": 0.001, "seq_aux": True}


def public_glm(config: dict) -> dict:
    config = old_form(config, without=("num_mtp_layers",))
    return config | {"num_nextn_predict_layers": 1}


def public_glm5(config: dict) -> dict:
    """As GLM-5: layers are counted, not listed; the rope in the new form."""
    config = {k: v for k, v in config.items() if k not in ("mlp_layer_types", "layer_types", "indexer_types")}
    return config | {"ep_size": 1, "first_k_dense_replace": 1, "indexer_rope_interleave": True, "moe_layer_freq": 1,
                     "num_nextn_predict_layers": 1, "pretraining_tp": 1, "rope_interleave": True,
                     "scoring_func": "sigmoid", "topk_method": "noaux_tc"}


def without_zero_experts(tensors: dict) -> dict:
    """As the repository has it; transformers keeps gates, never read, for the experts that do nothing as well."""
    return {n: t for n, t in tensors.items() if not any(f".experts.{e}." in n for e in (5, 6, 7))}


def public_longcat(config: dict) -> dict:
    config = old_form(config, without=("qk_head_dim", "num_hidden_layers", "num_key_value_heads"))
    return config | {"attention_method": "MLA", "mla_scale_q_lora": True, "mla_scale_kv_lora": True,
                     "norm_topk_prob": False, "router_bias": False, "zero_expert_type": "identity"}


COUNTED = ("layer_types", "mlp_layer_types", "linear_head_dim", "linear_num_heads", "linear_conv_kernel_dim")


def public_kimi(config: dict) -> dict:
    """Layers by their numbers, from 1."""
    config = {k: v for k, v in config.items() if k not in (*COUNTED, "rope_interleave")}
    return config | {
        "linear_attn_config": {"full_attn_layers": [3], "kda_layers": [1, 2, 4], "head_dim": 8, "num_heads": 3,
                               "short_conv_kernel_size": 4},
        "first_k_dense_replace": 1, "head_dim": 8, "mla_use_nope": True, "moe_layer_freq": 1, "rope_theta": 10000.0,
        "moe_router_activation_func": "sigmoid", "num_nextn_predict_layers": 0, "rope_scaling": None,
        "use_grouped_topk": True,
    }


def public_ling(config: dict) -> dict:
    config = old_form(config, without=(*COUNTED, "qk_head_dim"))
    return config | {"head_dim": 8, "layer_group_size": 3, "first_k_dense_replace": 1, "num_nextn_predict_layers": 1,
                     "pad_token_id": 0}


DEEPSEEK = MOE | dict(
    model_type="deepseek", architectures=["DeepseekForCausalLM"], hidden_act="silu", rms_norm_eps=1e-6,
    norm_topk_prob=False, scoring_func="softmax", moe_layer_freq=1, aux_loss_alpha=0.001, seq_aux=True,
    rope_theta=10000.0, rope_scaling=None,
    attention_bias=False, torch_dtype="float32",
)
GLM = MOE | dict(head_dim=12, n_shared_experts=1)
LONGCAT = {k: v for k, v in DECODER.items() if k not in ("num_hidden_layers", "intermediate_size")} | MLA | dict(
    num_layers=2, ffn_hidden_size=40, expert_ffn_hidden_size=20, n_routed_experts=5, zero_expert_num=3, moe_topk=3,
    head_dim=6,
)
DEEPSEEKS = ("n_routed_experts", "n_shared_experts", "first_k_dense_replace", "num_experts_per_tok")
KDA = {k: v for k, v in LATENT.items() if k not in DEEPSEEKS} | dict(
    pad_token_id=0, num_hidden_layers=4, num_experts=8, num_experts_per_token=3, num_shared_experts=1,
    num_expert_group=1, topk_group=1,
    layer_types=["linear_attention", "linear_attention", "full_attention", "linear_attention"],
    mlp_layer_types=["dense", "sparse", "sparse", "sparse"],
)
GROUPED_KDA = dict(num_experts=12, num_expert_group=4, topk_group=2)
KIMI = KDA | dict(linear_head_dim=8, linear_num_heads=3, linear_conv_kernel_dim=4)
LING = {k: v for k, v in KDA.items() if k != "q_lora_rank"} | dict(head_dim=8, short_conv_kernel_size=4)
SLOW = {"*.dt_bias": [-3.0, 1.0]}  # as trained: a state that lasts some tokens
# Enough index heads that no key scores exactly 0 (below zero in all of them): equal scores have no order.
SPARSE = LATENT | dict(index_topk=5, index_head_dim=10, index_n_heads=12)

CASES = {
    "deepseek": case(
        "models.deepseek:DeepseekForCausalLM", "first layer dense, weights as the softmax gives them", DEEPSEEK,
        num_key_value_heads=4, bites={"norm_topk_prob": True},
    ),
    "deepseek_norm": case(
        "models.deepseek:DeepseekForCausalLM", "normed weights, every second layer mixes, linear rope, biases",
        DEEPSEEK, num_hidden_layers=3, norm_topk_prob=True, moe_layer_freq=2, first_k_dense_replace=0,
        n_shared_experts=None, attention_bias=True, rope_scaling={"type": "linear", "factor": 4.0},
        bites={"rope_scaling": None},
    ),
    "deepseek_v2": case(
        "DeepseekV2ForCausalLM", "low-rank queries, experts from 2 of 4 groups, scaled", LATENT | GROUPED,
        topk_method="group_limited_greedy", routed_scaling_factor=4.0,
        bites={"topk_group": 1, "routed_scaling_factor": 3.0, "topk_method": "greedy"},
    ),
    "deepseek_v2_lite": case(
        "DeepseekV2ForCausalLM", "as V2-Lite: plain queries, no groups, YaRN with both mscales, old config.json",
        LATENT, q_lora_rank=None, n_group=1, topk_group=1, lengths=(9, 25), rewrite=public_v2,
        rope_parameters=YARN | dict(mscale=0.707, mscale_all_dim=0.707), bites=PLAIN,
    ),
    "deepseek_v3": case(
        "DeepseekV3ForCausalLM", "sigmoid scores, a bias in the choice only, 2 of 4 groups",
        LATENT | GROUPED, num_hidden_layers=3,
        bites={"norm_topk_prob": False, "topk_group": 1, "rope_interleave": False},
    ),
    "deepseek_v3_public": case(
        "DeepseekV3ForCausalLM", "YaRN as in V3 and R1, old config.json, an extra prediction layer",
        LATENT | GROUPED, n_shared_experts=1, lengths=(9, 25), rewrite=public_v3, stored=extra_layer, bites=PLAIN,
        rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=1.0),
    ),
    "deepseek_v3_mscale": case(
        "DeepseekV3ForCausalLM", "two different mscales: cos and sin are scaled too; biases in the attention", LATENT,
        n_group=1, topk_group=1, lengths=(9, 25), attention_bias=True, bites=PLAIN,
        rope_parameters=YARN | dict(mscale=0.7, mscale_all_dim=1.2),
    ),
    "deepseek_v3_moonlight": case(
        "DeepseekV3ForCausalLM", "as Moonlight: plain queries, no groups, weights that are not normed, halves rotated",
        LATENT, q_lora_rank=None, n_group=1, topk_group=1, norm_topk_prob=False, rope_interleave=False,
        routed_scaling_factor=1.5, rope_parameters=rope("default", 50000.0), tie_word_embeddings=True,
    ),
    "kimi_k2": case(
        "DeepseekV3ForCausalLM", "Kimi K2: DeepSeek-V3 under another model_type, a YaRN ramp of one step", LATENT,
        n_group=1, topk_group=1, lengths=(9, 25), rewrite=kimi_k2, settings={"model_type": "deepseek_v3"},
        routed_scaling_factor=2.827,
        rope_parameters=YARN | dict(beta_fast=1.0, mscale=1.0, mscale_all_dim=1.0), bites=PLAIN,
    ),
    "glm4_moe": case(
        "Glm4MoeForCausalLM", "as GLM-4.5-Air: biases, half of each head rotated, no norms on q and k", GLM,
        attention_bias=True, routed_scaling_factor=1.0,
    ),
    "glm4_moe_norm": case(
        "Glm4MoeForCausalLM", "as GLM-4.5: norms on q and k; old config.json; an extra prediction layer", GLM | GROUPED,
        use_qk_norm=True, rewrite=public_glm, stored=extra_layer,
        rope_parameters=rope("default", 1e6, partial_rotary_factor=0.5), routed_scaling_factor=2.5,
        bites={"topk_group": 1, "norm_topk_prob": False},
    ),
    "glm4_moe_lite": case(
        "Glm4MoeLiteForCausalLM", "layers listed as dense and sparse", LATENT, num_hidden_layers=3, n_shared_experts=1,
        mlp_layer_types=["dense", "sparse", "dense"], rope_parameters=rope("default", 1e6, partial_rotary_factor=1.0),
    ),
    "glm4_moe_lite_groups": case(
        "Glm4MoeLiteForCausalLM", "plain queries, groups, halves rotated, biases, old config.json", LATENT | GROUPED,
        q_lora_rank=None, attention_bias=True, rope_interleave=False, rewrite=public_glm, bites={"topk_group": 1},
    ),
    "deepseek_v32": case(
        "DeepseekV32ForCausalLM", "every query reads 5 keys; YaRN; 2 of 4 groups", SPARSE | GROUPED,
        lengths=(9, 14), rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=1.0), bites={"index_topk": 6} | PLAIN,
    ),
    "deepseek_v32_public": case(
        "DeepseekV32ForCausalLM", "old config.json; sequences shorter and longer than the keys that may be read",
        SPARSE, n_group=1, topk_group=1, index_topk=9, lengths=(8, 14), rewrite=public_v3, bites={"index_topk": 8},
    ),
    "glm_moe_dsa": case(
        "GlmMoeDsaForCausalLM", "the indexer of layer 0 serves layer 1", SPARSE, num_hidden_layers=3,
        lengths=(9, 14), indexer_types=["full", "shared", "full"], attention_bias=True, bites={"index_topk": 6},
    ),
    "glm_moe_dsa_public": case(
        "GlmMoeDsaForCausalLM", "as GLM-5: an indexer in every layer, config.json with its keys", SPARSE,
        lengths=(9, 14), rewrite=public_glm5, bites={"index_topk": 6},
    ),
    "glm_moe_dsa_schedule": case(
        "GlmMoeDsaForCausalLM", "every second layer after the second picks keys, by index_topk_freq and its offset",
        SPARSE, num_hidden_layers=4, lengths=(7, 10), index_topk_freq=2, index_skip_topk_offset=2,
        rewrite=lambda c: public_glm5(c) | {"index_topk_freq": 2, "index_skip_topk_offset": 2},
    ),
    "longcat_flash": case(
        "LongcatFlashForCausalLM", "two attentions a layer; 3 of 8 experts return their input",
        LONGCAT, bites={"routed_scaling_factor": 3.0},
    ),
    "longcat_flash_public": case(
        "LongcatFlashForCausalLM", "config.json and tensors as the repository has them", LONGCAT,
        stored=without_zero_experts, num_layers=1, rewrite=public_longcat, rope_parameters=rope("default", 1e7),
    ),
    "minicpm3": case(
        "MiniCPM3ForCausalLM", "all multipliers, tied head, longrope short and long", DECODER | MLA,
        tie_word_embeddings=True, scale_emb=3, scale_depth=1.4, dim_model_base=8, lengths=(9, 25), v_head_dim=None,
        max_position_embeddings=32, num_hidden_layers=2,
        rope_parameters=rope("longrope", original_max_position_embeddings=16, short_factor=[1.0, 1.3, 1.9],
                             long_factor=[1.1, 2.3, 5.0]),
        bites={"scale_emb": 1, "scale_depth": 1.0, "dim_model_base": 16} | PLAIN,
    ),
    "minicpm3_plain": case(
        "MiniCPM3ForCausalLM", "plain queries, multipliers off, untied head, biases, old config.json", DECODER | MLA,
        q_lora_rank=None, scale_emb=1, scale_depth=None, dim_model_base=None, attention_bias=True, num_hidden_layers=2,
        rewrite=old_form,
    ),
    "kimi_linear": case(
        "KimiLinearForCausalLM", "delta attention, then latent attention without positions; 2 of 4 groups",
        KIMI | GROUPED_KDA, lengths=(9, 21), fill=SLOW, bites={"norm_topk_prob": False, "topk_group": 1},
    ),
    "kimi_linear_public": case(
        "KimiLinearForCausalLM", "config.json as the repository has it", KIMI, q_lora_rank=None, rewrite=public_kimi,
        tensors=renamed(**{"layers.0.block_sparse_moe": "layers.0.mlp"}), fill=SLOW,
    ),
    "bailing_hybrid": case(
        "BailingHybridForCausalLM", "bounded decay, gated latent attention; 2 of 4 groups", LING | GROUPED_KDA,
        lengths=(9, 21), fill=SLOW, bites={"kda_safe_gate": False, "kda_lower_bound": -2.0, "topk_group": 1},
    ),
    "bailing_hybrid_unbounded": case(
        "BailingHybridForCausalLM", "the unbounded decay, YaRN, config.json as in a repository", LING,
        rewrite=public_ling, kda_safe_gate=False, lengths=(9, 25), fill=SLOW,
        rope_parameters=YARN | dict(mscale=0.7, mscale_all_dim=1.2), bites=PLAIN,
    ),
}
