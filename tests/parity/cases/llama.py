"""Llama, Mistral and their kin."""

from typing import Callable

from .common import DECODER, LONG, PLAIN, case, old_form, rope


def oldest_llama(config: dict) -> dict:
    """Also without the keys that Llama's config had not yet."""
    return old_form(config, without=("head_dim", "attention_bias", "mlp_bias", "attention_dropout"))


def public(**keys) -> Callable[[dict], dict]:
    """`old_form`, and keys that public files have."""
    return lambda config: dict(sorted((old_form(config) | keys).items()))


def without(*names: str) -> Callable[[dict], dict]:
    """A file that leaves keys to the defaults of the class."""
    return lambda config: {k: v for k, v in config.items() if k not in names}


def olmo3_old(config: dict) -> dict:
    """The form of transformers 4.57: rope_scaling is for full layers."""
    ropes = config.pop("rope_parameters")
    config |= {"rope_theta": ropes["full_attention"].pop("rope_theta"), "rope_scaling": ropes["full_attention"]}
    return {k: v for k, v in config.items() if k != "layer_types"}


def remote(architecture: str, kind: str, **keys) -> dict:
    """config.json of a model whose code lies beside its weights."""
    return dict(architectures=[architecture], model_type=kind, vocab_size=96, hidden_size=32, intermediate_size=56,
                num_hidden_layers=3, num_attention_heads=4, hidden_act="silu", rms_norm_eps=1e-6,
                tie_word_embeddings=False, pad_token_id=0) | keys


REMOTE = "models.llama_remote:"
LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16)
FULL, SLIDING = "full_attention", "sliding_attention"
COHERE2 = dict(
    cache_implementation="hybrid", layer_switch=4, order_of_interleaved_layers="local_attn_first",
    position_embedding_type="rope_gptj", rotary_pct=1.0, sliding_window_pattern=4, use_embedding_sharing=True,
    use_gated_activation=True, use_parallel_block=True, use_parallel_embedding=True, model_max_length=64,
)
LLAMA4 = dict(
    DECODER, head_dim=8, num_attention_heads=6, intermediate_size=40, intermediate_size_mlp=56,
    num_local_experts=4, rope_parameters=rope("default"), attention_chunk_size=8, floor_scale=4, attn_scale=0.5,
)
OLMO3 = dict(num_hidden_layers=4, sliding_window=8, lengths=(19, 24), rope_parameters={
    SLIDING: rope("default", 500000.0), FULL: rope("yarn", 500000.0, factor=4.0, original_max_position_embeddings=16)})
OPT = dict(
    vocab_size=96, hidden_size=48, num_hidden_layers=3, ffn_dim=80, num_attention_heads=4, max_position_embeddings=40,
    word_embed_proj_dim=48,
)
BLOOM = dict(vocab_size=96, hidden_size=48, n_layer=3, n_head=4)
BLOOM_KEYS = dict(
    attention_softmax_in_fp32=True, bias_dropout_fusion=True, masked_softmax_fusion=True, n_inner=None, offset_alibi=100,
    seq_length=64, skip_bias_add=True, skip_bias_add_qkv=False, unk_token_id=0,
)

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
    "llama_yarn_old": case(
        "LlamaForCausalLM", "YaRN as in old files: `type`, `finetuned`; a stated attention factor and betas",
        DECODER, lengths=LONG, head_dim=16, rewrite=public(max_sequence_length=64),
        rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=0.8,
                             beta_fast=16.0, beta_slow=2.0), bites={"rope_parameters": YARN},
    ),
    "llama_bare": case(
        "LlamaModel", "no head and no prefix; one key head", DECODER, num_key_value_heads=1,
        rewrite=without("hidden_act", "rms_norm_eps"),
    ),
    "llama_tied_old": case(
        "LlamaForCausalLM", "a tied head, keys of SmolLM, Llama 3's rope in the old form", DECODER, lengths=LONG, head_dim=16,
        tie_word_embeddings=True, rope_parameters=LLAMA3,
        rewrite=public(is_llama_config=True, rope_interleaved=False, **{"transformers.js_config": {"dtype": "q4"}}),
    ),
    "mistral_defaults": case(
        "MistralForCausalLM", "keys left out: 8 key heads, a window of 4096", DECODER, num_attention_heads=16,
        num_key_value_heads=8, hidden_size=32, head_dim=4, sliding_window=4096,
        rewrite=without("num_key_value_heads", "sliding_window", "rms_norm_eps", "hidden_act", "rope_parameters"),
    ),
    "ministral": case(
        "MinistralForCausalLM", "windowed and full layers", DECODER, lengths=LONG, sliding_window=8, head_dim=16,
        layer_types=[SLIDING, FULL, SLIDING], bites={"sliding_window": 9, "layer_types": [SLIDING] * 3},
    ),
    "ministral_old_config": case(
        "MinistralForCausalLM", "no layer_types: the window is everywhere", DECODER, lengths=LONG, sliding_window=8,
        head_dim=16, rewrite=old_form,
    ),
    "ministral3": case(
        "Ministral3ForCausalLM", "YaRN, and queries that grow beyond its original length", DECODER, lengths=LONG, head_dim=16,
        rope_parameters=YARN | dict(mscale=1.0, mscale_all_dim=1.0, beta_fast=32.0, beta_slow=1.0, type="yarn",
                                    llama_4_scaling_beta=0.4, max_position_embeddings=64),
        bites={"sliding_window": 9},
    ),
    "ministral3_window": case(
        "Ministral3ForCausalLM", "keys left out: rope of the class; a window", DECODER, lengths=LONG, num_attention_heads=8,
        num_key_value_heads=8, head_dim=128, num_hidden_layers=2, sliding_window=8, bites={"sliding_window": 9},
        rewrite=without("head_dim", "num_key_value_heads", "rope_parameters", "rms_norm_eps"),
    ),
    "baichuan": case(REMOTE + "Baichuan", "7B: rope", remote(
        "BaiChuanForCausalLM", "baichuan", max_position_embeddings=64, _from_model_config=True)),
    "baichuan_13b": case(REMOTE + "Baichuan", "13B: ALiBi, heads that are no power of two", remote(
        "BaichuanForCausalLM", "baichuan", model_max_length=64, num_attention_heads=5, hidden_size=40,
        gradient_checkpointing=False)),
    "baichuan2": case(REMOTE + "Baichuan", "Baichuan 2 7B: rope, rows of lm_head have length 1", remote(
        "BaichuanForCausalLM", "baichuan", model_max_length=64, max_position_embeddings=64, z_loss_weight=0),
        fill={"lm_head.weight": [0.0, 2.0]}),
    "baichuan2_13b": case(REMOTE + "Baichuan", "Baichuan 2 13B: ALiBi, rows of lm_head have length 1", remote(
        "BaichuanForCausalLM", "baichuan", model_max_length=64, z_loss_weight=0), fill={"lm_head.weight": [0.0, 2.0]}),
    "internlm": case(REMOTE + "InternLM", "7B: biases on q, k, v, o; dynamic rope of its own spelling", remote(
        "InternLMForCausalLM", "internlm", bias=True, max_position_embeddings=16, rotary={"base": 5000, "type": "dynamic"}),
        lengths=(9, 30), bites={"rotary": {"base": 5000, "type": "origin"}}),
    "internlm_20b": case(REMOTE + "InternLM", "20B, first files: no biases, no `rotary`", remote(
        "InternLMForCausalLM", "internlm", bias=False, max_position_embeddings=64, num_key_value_heads=4, rope_scaling=None,
        rope_theta=10000.0)),
    "internlm2": case(REMOTE + "InternLM2", "grouped q, k, v in one weight; dynamic rope", remote(
        "InternLM2ForCausalLM", "internlm2", bias=False, num_key_value_heads=2, max_position_embeddings=16, rope_theta=1000000,
        rope_scaling={"type": "dynamic", "factor": 2.0}, attn_implementation="eager"), lengths=(9, 30),
        bites={"rope_scaling": None}),
    "internlm2_bias": case(REMOTE + "InternLM2", "biases, linear rope; the first files say `internlm`", remote(
        "InternLM2ForCausalLM", "internlm", bias=True, num_key_value_heads=4, max_position_embeddings=64, rope_theta=1000000,
        rope_scaling={"type": "linear", "factor": 2.0})),
    "internlm3": case(
        "LlamaForCausalLM", "biases, 2 key heads and wide heads left to the class, dynamic rope, `b` beyond the length",
        DECODER, config_cls="InternLM3Config", lengths=(9, 30), max_position_embeddings=16, num_hidden_layers=2, head_dim=128,
        attention_bias=True, mlp_bias=True, rope_parameters=rope("dynamic", 50000.0, factor=6.0), bites=PLAIN,
        rewrite=lambda config: without("head_dim", "num_key_value_heads", "attention_bias", "mlp_bias", "rms_norm_eps")(
            old_form(config)) | dict(architectures=["InternLM3ForCausalLM"], bias=True, qkv_bias=True),
    ),
    "minicpm": case(REMOTE + "MiniCPM", "MiniCPM 2B: multipliers, a tied head", remote(
        "MiniCPMForCausalLM", "minicpm", tie_word_embeddings=True, num_key_value_heads=4, max_position_embeddings=64,
        scale_emb=12, scale_depth=1.4, dim_model_base=8, rope_scaling=None)),
    "minicpm4": case(REMOTE + "MiniCPM", "MiniCPM 4: longrope, `b` beyond the original length; a head of its own", remote(
        "MiniCPMForCausalLM", "minicpm", num_key_value_heads=2, max_position_embeddings=64, scale_emb=3, scale_depth=1.4,
        dim_model_base=16, mup_denominator=32, rope_theta=10000.0, rope_scaling={
            "rope_type": "longrope", "original_max_position_embeddings": 16, "long_factor": [1.0, 2.5, 6.0, 20.0],
            "short_factor": [1.0, 1.2, 1.9, 3.0]}),
        lengths=(9, 30), bites={"rope_scaling": None, "dim_model_base": 8}),
    "minicpm_128k": case(REMOTE + "MiniCPM", "MiniCPM 2B 128k: dynamic rope, `b` beyond the length", remote(
        "MiniCPMForCausalLM", "minicpm", num_key_value_heads=4, max_position_embeddings=16, scale_emb=3, scale_depth=1.4,
        dim_model_base=16, rope_theta=1000000.0, rope_scaling={"type": "dynamic", "factor": 4.0}),
        lengths=(9, 30), bites={"rope_scaling": None, "scale_depth": 1.0}),
    "bitnet": case(
        "BitNetForCausalLM", "a norm before o_proj and down_proj, squared ReLU", DECODER,
        rope_parameters=rope("default", 500000.0),
        fill={"*.down_proj.weight": [0.0, 0.3]},
    ),
    "bitnet_defaults": case(
        "BitNetForCausalLM", "keys left out: activation, eps, theta and 5 key heads of the class", DECODER, hidden_size=80,
        num_attention_heads=10, num_key_value_heads=5, num_hidden_layers=2, attention_bias=True,
        rewrite=without("hidden_act", "rope_parameters", "rms_norm_eps", "num_key_value_heads"),
    ),
    "cohere": case(
        "CohereForCausalLM", "Command R: pairs of neighbours turn, one norm for both branches, a tied head", DECODER,
        tie_word_embeddings=True, logit_scale=0.25, num_key_value_heads=4, layer_norm_eps=1e-5,
        rope_parameters=rope("default", 8000.0), rewrite=public(model_max_length=64), bites={"logit_scale": 0.5},
    ),
    "cohere_plus": case(
        "CohereForCausalLM", "Command R+: norms of q and k with a weight for each head, grouped queries; a head of its own",
        DECODER, use_qk_norm=True, attention_bias=True, logit_scale=0.8, rope_parameters=rope("default"),
    ),
    "cohere_defaults": case(
        "CohereForCausalLM", "keys left out", DECODER, tie_word_embeddings=True, logit_scale=0.0625, num_key_value_heads=4,
        rewrite=without("logit_scale", "layer_norm_eps", "rope_parameters", "tie_word_embeddings", "num_key_value_heads"),
    ),
    "cohere2": case(
        "Cohere2ForCausalLM", "three windowed layers with rope, one full without", DECODER, lengths=(19, 24), sliding_window=8,
        tie_word_embeddings=True, logit_scale=0.25, num_hidden_layers=4, rope_parameters=rope("default", 50000.0),
        bites={"sliding_window": 9, "layer_types": [SLIDING] * 4},
    ),
    "cohere2_old_config": case(
        "Cohere2ForCausalLM", "the model of `cohere2` with the keys of public files", DECODER, lengths=(19, 24),
        sliding_window=8, tie_word_embeddings=True, logit_scale=0.25, num_hidden_layers=4, rope_parameters=rope("default", 50000.0),
        rewrite=public(**COHERE2), same_as="cohere2",
    ),
    "doge": case(
        "DogeForCausalLM", "scores of keys, weighted residuals, grouped queries, biases", DECODER, attention_bias=True,
        mlp_bias=True, fill={"*.A": [0.2, 0.6]}, rope_parameters=rope("default"),
    ),
    "doge_window": case(
        "DogeForCausalLM", "a window", DECODER, lengths=LONG, sliding_window=8, num_key_value_heads=4,
        tie_word_embeddings=True, fill={"*.A": [-0.2, 0.6]}, bites={"sliding_window": 9},
    ),
    "granite": case(
        "GraniteForCausalLM", "four multipliers, a tied head", DECODER, tie_word_embeddings=True, embedding_multiplier=12.0,
        logits_scaling=8.0, residual_multiplier=0.22, attention_multiplier=0.0625,
        bites={"embedding_multiplier": 11.0, "logits_scaling": 7.0, "residual_multiplier": 0.3, "attention_multiplier": 0.5},
    ),
    "granite_defaults": case(
        "GraniteForCausalLM", "multipliers left out, biases, an old config", DECODER, attention_bias=True, mlp_bias=True,
        rewrite=lambda config: without("embedding_multiplier", "logits_scaling", "residual_multiplier",
                                       "attention_multiplier")(old_form(config)),
    ),
    "llama4_text": case(
        "Llama4ForCausalLM", "dense and sparse layers, chunks of 8; every fourth layer: no positions, hotter queries",
        LLAMA4, lengths=(13, 21), num_hidden_layers=4, interleave_moe_layer_step=2,
        bites={"attention_chunk_size": 9, "floor_scale": 8, "attn_scale": 0.1, "use_qk_norm": False},
    ),
    "llama4_text_16e": case(
        "Llama4ForCausalLM", "Scout: all layers sparse, Llama 3's rope, no norms, two experts, the keys of public files",
        LLAMA4, lengths=(13, 21), num_hidden_layers=4, use_qk_norm=False, num_experts_per_tok=2, rope_parameters=LLAMA3,
        attention_bias=True,
        rewrite=lambda config: public(no_rope_layers=[], for_llm_compressor=False, cache_implementation="hybrid")(config),
    ),
    "llama4_text_cold": case(
        "Llama4ForCausalLM", "no temperature, lists of layers", LLAMA4, lengths=(13, 21), num_hidden_layers=3,
        attn_temperature_tuning=False, no_rope_layers=[1, 0, 1], moe_layers=[1], tie_word_embeddings=True,
    ),
    "nemotron": case(
        "NemotronForCausalLM", "LayerNorm with 1 + weight, squared ReLU without gate, half of each head turns", DECODER,
        head_dim=16, rope_parameters=rope("default") | dict(partial_rotary_factor=0.5),
        fill={"*norm.weight": [0.0, 0.3]},
    ),
    "nemotron_old_config": case(
        "NemotronForCausalLM", "biases, keys left out or under older names", DECODER, head_dim=16, attention_bias=True,
        mlp_bias=True, fill={"*norm.weight": [0.0, 0.3]},
        rewrite=lambda config: without("partial_rotary_factor", "hidden_act", "norm_eps")(old_form(config))
        | {"rope_percent": 0.5},
    ),
    "olmo": case(
        "OlmoForCausalLM", "norms without weights, clipped q, k, v", DECODER, clip_qkv=0.8, num_key_value_heads=4,
        rope_parameters=rope("default"), bites={"clip_qkv": None},
    ),
    "olmo_tied": case(
        "OlmoForCausalLM", "OLMo 1B: a tied head, no clipping, an old config", DECODER, tie_word_embeddings=True,
        attention_bias=True, rewrite=old_form,
    ),
    "olmo2": case(
        "Olmo2ForCausalLM", "norms after the branches and over all of q and k", DECODER, num_key_value_heads=4,
        rope_parameters=rope("default", 500000.0),
    ),
    "olmo2_gqa": case(
        "Olmo2ForCausalLM", "OLMo 2 32B: grouped queries; eps left out, an old config", DECODER, attention_bias=True,
        rewrite=lambda config: without("rms_norm_eps")(old_form(config)),
    ),
    "olmo3": case("Olmo3ForCausalLM", "windows with a plain rope, full layers with YaRN", DECODER, **OLMO3,
                  bites={"sliding_window": 9, "layer_types": [SLIDING] * 4}),
    "olmo3_old_config": case(
        "Olmo3ForCausalLM", "the model of `olmo3` with rope_scaling", DECODER, **OLMO3, rewrite=olmo3_old, same_as="olmo3",
        odd={"rope_theta": "transformers 5 gives it to the full layers only, the versions before and the original code to all"},
    ),
    "stablelm": case(
        "StableLmForCausalLM", "StableLM 2 1.6B: biases on q, k, v, a quarter of each head turns", DECODER,
        hidden_size=64, use_qkv_bias=True, num_key_value_heads=4,
        rope_parameters=rope("default") | dict(partial_rotary_factor=0.25),
    ),
    "stablelm_12b": case(
        "StableLmForCausalLM", "StableLM 2 12B: parallel branches, a norm for each head of q and k, grouped queries", DECODER,
        hidden_size=64, qk_layernorm=True, use_parallel_residual=True,
        rope_parameters=rope("default") | dict(partial_rotary_factor=0.25),
    ),
    "stablelm_old_config": case(
        "StableLmForCausalLM", "keys left out or under older names", DECODER, hidden_size=64, num_key_value_heads=4,
        rewrite=lambda config: without("partial_rotary_factor", "layer_norm_eps")(old_form(config)) | dict(
            norm_eps=1e-5, rope_pct=0.25, rotary_scaling_factor=1.0, num_heads=4),
    ),
    "opt": case("OPTForCausalLM", "norms before the branches, a tied head", OPT),
    "opt_350m": case(
        "OPTForCausalLM", "norms after the sums, embeddings narrower than the layers, no last norm", OPT,
        word_embed_proj_dim=24, do_layer_norm_before=False, activation_function="gelu",
        rewrite=public(prefix="</s>", activation_dropout=0.0), points={"final": "model.decoder.layers.2"},
    ),
    "opt_galactica": case(
        "OPTForCausalLM", "no biases, norms without weights, a head of its own", OPT, enable_bias=False,
        layer_norm_elementwise_affine=False, tie_word_embeddings=False,
        rewrite=public(learned_embeddings=True, scale_embeddings=False),
    ),
    "opt_bare": case("OPTModel", "the prefix `decoder.`, no head, no last norm", OPT, _remove_final_layer_norm=True),
    "bloom": case("BloomForCausalLM", "ALiBi, heads of q, k, v in one weight, a tied head", BLOOM),
    "bloom_odd": case(
        "BloomForCausalLM", "heads that are no power of two, residuals from the norms, a head of its own, keys of public files",
        BLOOM, hidden_size=40, n_head=5, apply_residual_connection_post_layernorm=True, tie_word_embeddings=False,
        rewrite=lambda config: {k: v for k, v in public(**BLOOM_KEYS)(config).items() if k != "hidden_size"}
        | {"n_embed": config["hidden_size"]},
    ),
    "bloom_bare": case("BloomModel", "no prefix and no head", BLOOM, slow_but_exact=True),
}
