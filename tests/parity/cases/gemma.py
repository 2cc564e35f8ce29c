"""The Gemma line, and models built like Llama with a twist of their own."""

from .common import DECODER, LONG, PLAIN, case, old_form, rope

SMALL = DECODER | dict(head_dim=12, tie_word_embeddings=True)
CAPS = dict(attn_logit_softcapping=2.0, final_logit_softcapping=5.0)
EAGER = {"_attn_implementation": "eager"}  # the other ways leave the cap out
TWO_ROPES = {"rope_parameters": {"sliding_attention": rope("default"),
                                 "full_attention": rope("linear", 1000000.0, factor=8.0)}}
STREAMS = SMALL | dict(
    num_hidden_layers=5, altup_num_inputs=3, num_kv_shared_layers=2, laurel_rank=6, hidden_size_per_layer_input=10,
    vocab_size_per_layer_input=96, sliding_window=8, intermediate_size=[56, 56, 40, 40, 40],
    layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    activation_sparsity_pattern=[0.9, 0.6, 0.0, 0.0, 0.0], final_logit_softcapping=5.0,
)
GEMMA4 = SMALL | dict(
    num_hidden_layers=5, sliding_window=6, hidden_size_per_layer_input=10, vocab_size_per_layer_input=96, global_head_dim=16,
    layer_types=["sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "full_attention"],
    final_logit_softcapping=5.0,
)

# As the public files say it.
EXAONE = dict(
    model_type="exaone", architectures=["ExaoneForCausalLM"], vocab_size=96, hidden_size=32, intermediate_size=56, num_layers=3,
    num_attention_heads=4, num_key_value_heads=2, activation_function="silu", layer_norm_epsilon=1e-5, rope_theta=500000.0,
    rope_scaling=None, max_position_embeddings=64, embed_dropout=0.0, attention_dropout=0.0, tie_word_embeddings=False,
)

LLADA = dict(
    model_type="llada", architectures=["LLaDAModelLM"], activation_type="silu", alibi=False, alibi_bias_max=8.0,
    attention_dropout=0.0, attention_layer_norm=False, attention_layer_norm_with_affine=True, bias_for_layer_norm=False,
    block_group_size=1, block_type="llama", d_model=32, embedding_dropout=0.0, embedding_size=96, eos_token_id=1,
    flash_attention=False, include_bias=False, include_qkv_bias=False, init_cutoff_factor=None, init_device="meta",
    init_fn="mitchell", init_std=0.02, input_emb_norm=False, layer_norm_type="rms", layer_norm_with_affine=True,
    mask_token_id=95, max_sequence_length=64, mlp_hidden_size=56, mlp_ratio=4, multi_query_attention=None, n_heads=4,
    n_kv_heads=2, n_layers=3, pad_token_id=1, precision="amp_bf16", residual_dropout=0.0, rms_norm_eps=1e-5, rope=True,
    rope_full_precision=True, rope_theta=500000.0, scale_logits=False, use_cache=False, vocab_size=96, weight_tying=False,
)


def gemma_form(config: dict) -> dict:
    """The first Gemma files: 'gelu' means its tanh form, hidden_activation is null."""
    return old_form(config) | {"hidden_act": "gelu", "hidden_activation": None}


def gemma2_form(config: dict) -> dict:
    more = {"hidden_act": "gelu_pytorch_tanh", "cache_implementation": "hybrid", "sliding_window_size": 4096}
    return old_form(config) | more


def two_thetas(config: dict) -> dict:
    """Gemma 3 before transformers 5: a theta for local layers beside rope_theta and rope_scaling of the global ones."""
    ropes = config["rope_parameters"]
    config = old_form(config | {"rope_parameters": ropes["full_attention"]})
    if config["rope_scaling"]:
        config["rope_scaling"]["rope_type"] = config["rope_scaling"].pop("type")
    return config | {"rope_local_base_freq": ropes["sliding_attention"]["rope_theta"]}


def gemma3_form(config: dict) -> dict:
    config = two_thetas(config)
    config.pop("_sliding_window_pattern", None)
    return config | {"sliding_window_pattern": 3, "cache_implementation": "hybrid"}


def gemma3n_form(config: dict) -> dict:
    more = {"altup_lr_multiplier": 1.0, "query_pre_attn_scalar": 256, "layer_types": config["layer_types"]}
    return two_thetas(config) | more


def sparse_form(config: dict) -> dict:
    """Text parts of image models state only what differs from the class."""
    kept = ("model_type", "architectures", "hidden_size", "intermediate_size", "num_hidden_layers", "sliding_window",
            "vocab_size", "dtype")
    return {k: v for k, v in config.items() if k in kept} | {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}}


def without(*keys: str, **more):
    return lambda config: {k: v for k, v in config.items() if k not in keys} | more


CASES = {
    "gemma": case("GemmaForCausalLM", "one key head, tied head", SMALL, num_key_value_heads=1),
    "gemma_old_config": case(
        "GemmaForCausalLM", "the model of `gemma` with config.json of the first files: 'gelu' means the tanh form", SMALL,
        num_key_value_heads=1, rewrite=gemma_form, same_as="gemma",
    ),
    "gemma_bias": case(
        "GemmaForCausalLM", "biases on q, k, v, o; a head of its own; linear rope", SMALL, attention_bias=True,
        tie_word_embeddings=False, rope_parameters=rope("linear", 10000.0, factor=4.0), bites=PLAIN,
    ),
    "gemma2": case(
        "Gemma2ForCausalLM", "windows of 8 in layers 0 and 2, both caps, a scale that is not that of the head", SMALL,
        lengths=LONG, sliding_window=8, query_pre_attn_scalar=20, settings=EAGER, **CAPS,
        bites={"sliding_window": 9, "attn_logit_softcapping": 3.0, "query_pre_attn_scalar": 12},
    ),
    "gemma2_old_config": case(
        "Gemma2ForCausalLM", "the model of `gemma2` with config.json in the form before transformers 5: no layer_types", SMALL,
        lengths=LONG, sliding_window=8, query_pre_attn_scalar=20, settings=EAGER, **CAPS, rewrite=gemma2_form, same_as="gemma2",
    ),
    "gemma2_uncapped": case(
        "Gemma2ForCausalLM", "null for both caps, layer_types the other way round", SMALL, num_hidden_layers=2, sliding_window=4,
        attn_logit_softcapping=None, final_logit_softcapping=None, layer_types=["full_attention", "sliding_attention"],
        settings=EAGER,
    ),
    "gemma2_defaults": case(
        "Gemma2ForCausalLM", "config.json without caps and scale: those of the class", SMALL, num_hidden_layers=2,
        settings=EAGER, rewrite=without("attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar",
                                        "sliding_window", "layer_types", "rope_parameters"),
    ),
    "vaultgemma": case(
        "VaultGemmaForCausalLM", "no norms after the branches", SMALL, lengths=LONG, sliding_window=8, settings=EAGER,
        query_pre_attn_scalar=20, **CAPS, bites={"sliding_window": 9, "attn_logit_softcapping": 3.0},
    ),
    "gemma3_text": case(
        "Gemma3ForCausalLM", "two local layers, one global with linear rope and a theta of its own", SMALL, lengths=LONG,
        sliding_window=8, sliding_window_pattern=3, query_pre_attn_scalar=20, **TWO_ROPES, bites={"sliding_window": 9},
    ),
    "gemma3_text_old_config": case(
        "Gemma3ForCausalLM", "the model of `gemma3_text` with config.json in the form before transformers 5", SMALL,
        lengths=LONG, sliding_window=8, sliding_window_pattern=3, query_pre_attn_scalar=20, **TWO_ROPES, rewrite=gemma3_form,
        same_as="gemma3_text",
    ),
    "gemma3_text_both_ways": case(
        "Gemma3TextModel", "EmbeddingGemma: all tokens see each other, local ones within half the window; yarn for local layers",
        SMALL, lengths=LONG, num_key_value_heads=1, sliding_window=9, sliding_window_pattern=2, use_bidirectional_attention=True,
        rope_parameters={"sliding_attention": rope("yarn", 5000.0, factor=4.0, original_max_position_embeddings=16),
                         "full_attention": rope("default", 1000000.0)}, bites={"sliding_window": 11},
    ),
    "gemma3_text_sparse": case(
        "Gemma3ForCausalLM", "config.json as in image models: heads, widths, thetas, scale and tie are those of the class", SMALL,
        num_attention_heads=8, num_key_value_heads=4, head_dim=256, num_hidden_layers=2, sliding_window=4,
        final_logit_softcapping=None, **TWO_ROPES, layer_types=["sliding_attention", "sliding_attention"], rewrite=sparse_form,
    ),
    "gemma3_text_capped": case(
        "Gemma3ForCausalLM", "a cap on the logits, a head of its own, biases", SMALL, num_hidden_layers=2, sliding_window=4,
        final_logit_softcapping=5.0, tie_word_embeddings=False, attention_bias=True,
        layer_types=["full_attention", "sliding_attention"], bites={"final_logit_softcapping": 6.0},
    ),
    "gemma3n_text": case(
        "Gemma3nForCausalLM", "three streams, two sparse layers, two layers that share keys", STREAMS, **TWO_ROPES, streams=True,
        bites={"altup_active_idx": 1, "final_logit_softcapping": 6.0}, settings=EAGER,
    ),
    "gemma3n_text_old_config": case(
        "Gemma3nForCausalLM", "the model of `gemma3n_text` with config.json in the form before transformers 5", STREAMS,
        **TWO_ROPES, streams=True, rewrite=gemma3n_form, same_as="gemma3n_text", settings=EAGER,
    ),
    "gemma3n_text_plain": case(
        "Gemma3nForCausalLM", "stream 1 is the active one, its output is not scaled; no sharing, no sparse layers", STREAMS,
        num_hidden_layers=3, intermediate_size=56, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        activation_sparsity_pattern=[0.0, 0.0, 0.0], altup_active_idx=1, altup_correct_scale=False, num_kv_shared_layers=0,
        sliding_window=5, streams=True, bites={"sliding_window": 6, "altup_correct_scale": True}, settings=EAGER,
    ),
    "gemma4_text": case(
        "Gemma4ForCausalLM", "inputs of each layer's own; two layers share keys and have wide MLPs; wide global heads", GEMMA4,
        num_kv_shared_layers=2, use_double_wide_mlp=True, fill={"*.layer_scalar": [0.7, 0.2]}, bites={"sliding_window": 7},
    ),
    "gemma4_text_old_config": case(
        "Gemma4ForCausalLM", "the model of `gemma4_text` with global_head_dim instead of per_layer_config, and no ropes", GEMMA4,
        num_kv_shared_layers=2, use_double_wide_mlp=True, fill={"*.layer_scalar": [0.7, 0.2]}, same_as="gemma4_text",
        rewrite=without("per_layer_config", "rope_parameters", head_dim=12, global_head_dim=16, query_pre_attn_scalar=256),
    ),
    "gemma4_text_moe": case(
        "Gemma4ForCausalLM", "experts beside the MLP; global layers with one key head that is also the value", GEMMA4,
        hidden_size_per_layer_input=0, num_hidden_layers=3, attention_k_eq_v=True, num_global_key_value_heads=1,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], enable_moe_block=True, num_experts=5,
        top_k_experts=2, moe_intermediate_size=20, fill={"*.layer_scalar": [0.7, 0.2]}, final_logit_softcapping=None,
    ),
    "gemma4_text_moe_old_config": case(
        "Gemma4ForCausalLM", "the model of `gemma4_text_moe` with num_global_key_value_heads instead of per_layer_config", GEMMA4,
        hidden_size_per_layer_input=0, num_hidden_layers=3, attention_k_eq_v=True, num_global_key_value_heads=1,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], enable_moe_block=True, num_experts=5,
        top_k_experts=2, moe_intermediate_size=20, fill={"*.layer_scalar": [0.7, 0.2]}, final_logit_softcapping=None,
        rewrite=without("per_layer_config", head_dim=12, global_head_dim=16, num_key_value_heads=2, num_global_key_value_heads=1,
                        use_bidirectional_attention="vision"), same_as="gemma4_text_moe",
    ),
    "gemma4_text_deep": case(
        "Gemma4ForCausalLM", "12 layers, kinds by the class's pattern: per_layer_config names layer 5 '05'", SMALL,
        num_hidden_layers=12, sliding_window=6, hidden_size_per_layer_input=0, global_head_dim=16,
        fill={"*.layer_scalar": [0.7, 0.2], "*.?_norm.weight": [0.6, 0.1]}, num_attention_heads=2, num_key_value_heads=1, intermediate_size=40,
    ),
    "smollm3": case(
        "SmolLM3ForCausalLM", "no rope in layer 1, a head of its own", DECODER, pad_token_id=0, no_rope_layers=[1, 0, 1], bites={"no_rope_layers": [1, 1, 1]},
    ),
    "smollm3_window": case(
        "SmolLM3ForCausalLM", "no rope and a window in each second layer, tied head, biases, yarn", DECODER | dict(pad_token_id=0), lengths=LONG,
        no_rope_layer_interval=2, use_sliding_window=True, sliding_window=8, tie_word_embeddings=True, attention_bias=True,
        mlp_bias=True, rope_parameters=rope("yarn", 2000000.0, factor=4.0, original_max_position_embeddings=16),
        bites={"sliding_window": 9},
    ),
    "smollm3_old_config": case(
        "SmolLM3ForCausalLM", "the model of `smollm3_window` with config.json in the form before transformers 5", DECODER | dict(pad_token_id=0),
        lengths=LONG, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=8, tie_word_embeddings=True,
        attention_bias=True, mlp_bias=True, same_as="smollm3_window",
        rope_parameters=rope("yarn", 2000000.0, factor=4.0, original_max_position_embeddings=16),
        rewrite=lambda config: old_form(config, ["no_rope_layers"]) | {"max_window_layers": 28, "pad_token_id": 0},
    ),
    "seed_oss": case("SeedOssForCausalLM", "biases on q, k, v, not on o", DECODER, head_dim=12, rope_parameters=rope("default", 1e7)),
    "seed_oss_bias": case(
        "SeedOssForCausalLM", "biases on o and in the MLP, none on q, k, v; tied head", DECODER, head_dim=8, attention_bias=False,
        attention_out_bias=True, mlp_bias=True, tie_word_embeddings=True,
    ),
    "exaone4": case(
        "Exaone4ForCausalLM", "two local layers with rope, a global one without", DECODER, lengths=LONG, sliding_window=8,
        sliding_window_pattern=3, bites={"sliding_window": 9},
    ),
    "exaone4_old_config": case(
        "Exaone4ForCausalLM", "the model of `exaone4`, its layers named by layer_types beside a pattern of letters", DECODER,
        lengths=LONG, sliding_window=8, sliding_window_pattern=3, same_as="exaone4",
        rewrite=lambda config: old_form(config) | {"layer_types": config["layer_types"], "sliding_window_pattern": "LLG"},
    ),
    "exaone4_full": case(
        "Exaone4ForCausalLM", "no window: rope in every layer; llama3 rope, tied head", DECODER, sliding_window=None,
        layer_types=["full_attention"] * 3, tie_word_embeddings=True, head_dim=12,
        rope_parameters=rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
    ),
    "hunyuan_v1_dense": case(
        "HunYuanDenseV1ForCausalLM", "norms behind the rotation; a fixed alpha stretches theta", DECODER, head_dim=12,
        rope_parameters=rope("dynamic", factor=1.0, alpha=50.0), bites=PLAIN,
    ),
    "hunyuan_v1_dense_old_config": case(
        "HunYuanDenseV1ForCausalLM", "the model of `hunyuan_v1_dense` with the keys of public files", DECODER, head_dim=12,
        rope_parameters=rope("dynamic", factor=1.0, alpha=50.0), same_as="hunyuan_v1_dense",
        rewrite=lambda config: old_form(config) | {
            "use_qk_norm": True, "use_cla": False, "cla_share_factor": 2, "norm_type": "rms", "attention_head_dim": 12,
            "add_classification_head": False, "class_num": 0, "pool_type": "last", "eod_token_id": 3},
    ),
    "ernie4_5": case(
        "Ernie4_5ForCausalLM", "neighbouring features turn, tied head", DECODER, head_dim=12, tie_word_embeddings=True,
        rope_parameters=rope("default", 500000.0),
    ),
    "ernie4_5_bias": case(
        "Ernie4_5ForCausalLM", "biases everywhere, no head_dim and no rope in config.json", DECODER, use_bias=True, head_dim=None,
        rewrite=without("rope_parameters", rope_scaling=None),
    ),
    "arcee": case(
        "ArceeForCausalLM", "an MLP without gate; yarn as AFM has it", DECODER, head_dim=12,
        rope_parameters=rope("yarn", factor=20.0, original_max_position_embeddings=16, mscale=1.0, beta_fast=32.0, beta_slow=1.0),
        bites=PLAIN,
    ),
    "arcee_bias": case("ArceeForCausalLM", "biases, another activation, tied head", DECODER, hidden_act="silu", attention_bias=True,
                       mlp_bias=True, tie_word_embeddings=True),
    "apertus": case(
        "ApertusForCausalLM", "xIELU, norms on q and k, the class's own llama3 rope", DECODER | dict(num_key_value_heads=4),
        fill={"*.act_fn.eps": [-1e-6, 0.0], "*.act_fn.beta": [0.5, 0.2]},
    ),
    "apertus_old_config": case(
        "ApertusForCausalLM", "config.json in the form before transformers 5; grouped heads, biases", DECODER, attention_bias=True,
        fill={"*.act_fn.eps": [-1e-6, 0.0], "*.act_fn.beta": [0.5, 0.2]},
        rope_parameters=rope("llama3", 12e6, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
        rewrite=lambda config: old_form(config) | {"qk_norm": True, "post_norm": False},
    ),
    "helium": case("HeliumForCausalLM", "neighbouring features turn", DECODER, head_dim=8, rope_parameters=rope("default", 100000.0)),
    "helium_bias": case("HeliumForCausalLM", "biases on q, k, v and in the MLP, tied head, no rope in config.json", DECODER,
                        head_dim=8, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rewrite=without("rope_parameters")),
    "nanochat": case("NanoChatForCausalLM", "no weights in the norms, capped logits", DECODER, final_logit_softcapping=5.0,
                     bites={"final_logit_softcapping": 6.0}),
    "nanochat_plain": case("NanoChatForCausalLM", "no cap, biases, tied head", DECODER, final_logit_softcapping=None,
                           attention_bias=True, tie_word_embeddings=True),
    "exaone": case("models.exaone:Exaone", "EXAONE 3.0", EXAONE, bites={"rope_theta": 10000.0}),
    "exaone_llama3": case(
        "models.exaone:Exaone", "EXAONE 3.5: rope of Llama 3.1, head_dim stated, tied head", EXAONE, head_dim=12, rope_theta=1e6,
        tie_word_embeddings=True, rope_scaling=dict(factor=8.0, high_freq_factor=4.0, low_freq_factor=1.0,
                                                    original_max_position_embeddings=16, rope_type="llama3"),
        bites={"rope_scaling": None},
    ),
    "hyperclovax": case(
        "HyperCLOVAXForCausalLM", "four multipliers, norms after the branches", DECODER, attention_multiplier=0.2,
        residual_multiplier=0.7, embedding_multiplier=3.0, logits_scaling=0.5, bites={"attention_multiplier": 0.3},
    ),
    "hyperclovax_plain": case(
        "HyperCLOVAXForCausalLM", "no norms after the branches, the usual scale, tied head; config.json before transformers 5",
        DECODER, head_dim=12, use_post_norm=False, tie_word_embeddings=True,
        rewrite=lambda config: old_form(config) | {"end_token_id": 2, "attention_multiplier": None},
    ),
    "llada": case("models.llada:Llada", "grouped heads, no mask", LLADA, bites={"rope_theta": 10000.0}),
    "llada_bias": case("models.llada:Llada", "biases on q, k, v, tied head", LLADA, include_qkv_bias=True, weight_tying=True,
                       n_kv_heads=4),
}
