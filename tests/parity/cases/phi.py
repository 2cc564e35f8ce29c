"""Phi."""

from .common import DECODER, LONG, PLAIN, case, old_form, rope

PHI = DECODER | dict(hidden_size=64, num_key_value_heads=4, rope_parameters=rope("default", partial_rotary_factor=0.5))
PHI3 = DECODER | dict(hidden_size=64, num_key_value_heads=4, pad_token_id=0, rope_parameters=rope("default"))
SHORT, LONG_FACTOR = [1.0, 1.1, 1.3, 1.6], [1.0, 2.0, 3.5, 7.0]
BEYOND = {"rope_parameters.original_max_position_embeddings": "beyond it transformers 5 takes the short factors with the long mscale"}
PHIMOE = DECODER | dict(
    odd=BEYOND,
    num_local_experts=5, num_experts_per_tok=2, attention_bias=True, lm_head_bias=True, intermediate_size=40,
    num_hidden_layers=2, pad_token_id=0,
)


PHI3SMALL = dict(
    model_type="phi3small", architectures=["Phi3SmallForCausalLM"], vocab_size=96, hidden_size=48, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, ff_intermediate_size=40, ff_dim_multiplier=None, gegelu_limit=1.0,
    gegelu_pad_to_256=True, hidden_act="gegelu", layer_norm_epsilon=1e-5, max_position_embeddings=64,
    rope_embedding_base=1000000, rope_position_scale=1.0, mup_use_scaling=True, mup_width_multiplier=2.0,
    mup_embedding_multiplier=3.0, mup_attn_multiplier=2.0, blocksparse_block_size=3, blocksparse_homo_head_pattern=False,
    blocksparse_num_local_blocks=2, blocksparse_triton_kernel_block_size=3, blocksparse_vert_stride=4,
    dense_attention_every_n_layers=2, attention_dropout_prob=0.0, embedding_dropout_prob=0.1, ffn_dropout_prob=0.1,
    pad_sequence_to_multiple_of_64=True, reorder_and_upcast_attn=False, bos_token_id=1, eos_token_id=2,
    torch_dtype="bfloat16", transformers_version="4.38.1",
)


def longrope(short=SHORT, long=LONG_FACTOR, **more) -> dict:
    return rope("longrope", short_factor=short, long_factor=long, **more)


def old_phi3(kind: str):
    """Phi-3's first form: `type` su, or longrope; the original length at the top."""

    def rewrite(config: dict) -> dict:
        config = old_form(config) | {"pad_token_id": 0}
        scaling = {k: v for k, v in config["rope_scaling"].items() if k in ("short_factor", "long_factor")} | {"type": kind}
        # transformers 5 refuses the type `su` unless the length stands inside.
        scaling |= {"original_max_position_embeddings": 16} if kind == "su" else {}
        return config | {"rope_scaling": scaling}

    return rewrite


CASES = {
    "phi": case("PhiForCausalLM", "parallel, half of each head turned, a head with bias", PHI,
                bites={"rope_parameters": rope("default", partial_rotary_factor=0.25)}),
    "phi_qk_norm": case(
        "PhiForCausalLM", "LayerNorm on the heads of q and k, grouped queries, exact gelu", PHI, num_key_value_heads=2,
        qk_layernorm=True, hidden_act="gelu", layer_norm_eps=0.01,
        rope_parameters=rope("default", partial_rotary_factor=0.25), bites={"layer_norm_eps": 1e-5},
    ),
    "phi_old_config": case(
        "PhiForCausalLM", "the model of `phi` with as few keys as Phi-1's first config.json", PHI,
        rewrite=lambda c: old_form(c, without=("partial_rotary_factor", "hidden_act", "layer_norm_eps", "head_dim")) | {
            "num_key_value_heads": None} if c.pop("rope_parameters") else None,
        same_as="phi",
    ),
    "phi_linear": case(
        "PhiForCausalLM", "positions divided by a factor, Phi-2's part of each head", PHI,
        rope_parameters=rope("linear", factor=4.0, partial_rotary_factor=0.4),
        bites={"rope_parameters": rope("default", partial_rotary_factor=0.4)},
    ),
    "phi3": case("Phi3ForCausalLM", "Phi-3-mini: fused projections, a window", PHI3, lengths=(9, 17), sliding_window=6,
                 bites={"sliding_window": 7}),
    "phi3_gqa": case(
        "Phi3ForCausalLM", "Phi-4: grouped queries, no window, another theta; old form of config.json", PHI3,
        num_key_value_heads=2, rope_parameters=rope("default", 250000.0), bites=PLAIN,
        rewrite=lambda c: old_form(c, without=("original_max_position_embeddings", "rms_norm_eps")) | {
            "attention_bias": False, "pad_token_id": 0},
    ),
    "phi3_longrope": case(
        "Phi3ForCausalLM", "LongRoPE: `a` within the original length, `b` beyond it", PHI3, lengths=(13, 33), hidden_size=32,
        original_max_position_embeddings=16, max_position_embeddings=128, rope_parameters=longrope(), bites=PLAIN,
    ),
    "phi3_su": case(
        "Phi3ForCausalLM", "the model of `phi3_longrope` with the type `su` of the first config.json", PHI3, lengths=(13, 33),
        hidden_size=32, original_max_position_embeddings=16, max_position_embeddings=128, rope_parameters=longrope(),
        rewrite=old_phi3("su"), same_as="phi3_longrope",
    ),
    "phi3_mini4": case(
        "Phi3ForCausalLM", "Phi-4-mini: LongRoPE on three quarters of each head, tied head, a window beyond the text", PHI3,
        lengths=(7, 18), num_key_value_heads=2, original_max_position_embeddings=16, max_position_embeddings=128,
        tie_word_embeddings=True, sliding_window=64,
        rope_parameters=longrope(SHORT + [2.0, 2.5], LONG_FACTOR + [9.0, 11.0], partial_rotary_factor=0.75),
        rewrite=lambda c: old_phi3("longrope")(c) | {"full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": False},
    ),
    "phimoe": case(
        "PhimoeForCausalLM", "sparse mixer, biases everywhere, LongRoPE within the original length", PHIMOE, lengths=(7, 12),
        original_max_position_embeddings=16, max_position_embeddings=128,
        rope_parameters=longrope(short_mscale=1.1, long_mscale=1.3, original_max_position_embeddings=16),
        bites={"router_jitter_noise": 0.2},
    ),
    "phimoe_long": case(
        "PhimoeForCausalLM", "beyond the original length: the long factors, as the original code has them", PHIMOE,
        lengths=(20, 29), original_max_position_embeddings=16, max_position_embeddings=128,
        rope_parameters=longrope(short_mscale=1.1, long_mscale=1.3, original_max_position_embeddings=16),
        settings={"rope_parameters": longrope(short=LONG_FACTOR, short_mscale=1.1, long_mscale=1.3,
                                              original_max_position_embeddings=16)},
        why="transformers 5 takes the short factors for every length; its reference ran with the long ones in their place",
    ),
    "phimoe_plain": case(
        "PhimoeForCausalLM", "default rope, a window, no biases, tied head", PHIMOE, lengths=LONG, sliding_window=8,
        attention_bias=False, lm_head_bias=False, tie_word_embeddings=True, rope_parameters=rope("default", 1e6),
        router_jitter_noise=0.1, rewrite=old_form, bites={"sliding_window": 9},
    ),
    "phi3small": case(
        "models.phi3small:Phi3SmallForCausalLM", "block-sparse attention, each head its own far blocks; every second layer dense",
        PHI3SMALL, lengths=(11, 21), blocksparse_block_size=4, blocksparse_triton_kernel_block_size=4, blocksparse_vert_stride=3,
        bites={"blocksparse_num_local_blocks": 1, "blocksparse_vert_stride": 4, "blocksparse_homo_head_pattern": True},
    ),
    "phi3small_homo": case(
        "models.phi3small:Phi3SmallForCausalLM", "every layer block-sparse, the same far blocks for all heads", PHI3SMALL,
        lengths=(13, 30), blocksparse_block_size=2, blocksparse_triton_kernel_block_size=2, blocksparse_num_local_blocks=3,
        blocksparse_vert_stride=5, blocksparse_homo_head_pattern=True, dense_attention_every_n_layers=0, num_hidden_layers=2,
        bites={"blocksparse_block_size": 3, "blocksparse_homo_head_pattern": False},
    ),
    "phi3small_steps": case(
        "models.phi3small:Phi3SmallForCausalLM", "fewer heads than the stride: neighbours are two blocks apart", PHI3SMALL,
        lengths=(9, 35), blocksparse_block_size=2, blocksparse_triton_kernel_block_size=2, blocksparse_num_local_blocks=1,
        blocksparse_vert_stride=13, num_hidden_layers=2, bites={"blocksparse_vert_stride": 11},
    ),
    "phi3small_dense": case(
        "models.phi3small:Phi3SmallForCausalLM", "every layer dense, clipped GEGLU, muP scales, tied head", PHI3SMALL,
        dense_attention_every_n_layers=1, bites={"gegelu_limit": 20.0, "mup_attn_multiplier": 1.0},
    ),
    "phi3small_su": case(
        "models.phi3small:Phi3SmallForCausalLM", "LongRoPE: `a` within the original length, `b` beyond it; no muP in the scores",
        PHI3SMALL, dense_attention_every_n_layers=1, lengths=(9, 20), mup_use_scaling=False, rope_scaling={
            "type": "su", "short_factor": SHORT, "long_factor": LONG_FACTOR, "short_mscale": 1.0, "long_mscale": 1.2,
            "original_max_position_embeddings": 12},
    ),
}
