"""The text part of models that also see or hear: rows of text, the towers small and in the file."""

from .common import DECODER, FIELDS, LONG, case, old_form, rope
from .gemma import CAPS, EAGER, GEMMA4, SMALL, STREAMS, TWO_ROPES

TOWER = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
SIGLIP = TOWER | dict(model_type="siglip_vision_model")
CLIP = TOWER | dict(model_type="clip_vision_model", projection_dim=8)
PIXTRAL = TOWER | dict(model_type="pixtral", head_dim=4)
BLOCKS = dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, patch_size=2, out_hidden_size=32)
SCALAR = {"*.layer_scalar": [0.7, 0.2]}
LIST = {"layers": {"decoder": "model.language_model.layers"}}
SECTIONS = dict(mrope_section=[2, 1, 1])
YARN = rope("yarn", 10000.0, factor=4.0, original_max_position_embeddings=8, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.5)


def seeing(cls: str, note: str, tower: dict | None, text: dict, top: dict | None = None, **more):
    """A model of two parts: `text` and what is not a field of the case are the text part's config."""
    fields = {k: v for k, v in more.items() if k in FIELDS}
    text = text | {k: v for k, v in more.items() if k not in FIELDS}
    tied = {"tie_word_embeddings": text["tie_word_embeddings"]} if "tie_word_embeddings" in text else {}
    config = {"text_config": text, "vision_config": tower} | tied | (top or {})
    return case(cls, note, config, **(LIST | fields))


def text_keys(*drop: str, top=(), **more):
    """Drops keys of the text part and of the top, as sparse public files do."""
    def rewrite(config: dict) -> dict:
        text = {k: v for k, v in config["text_config"].items() if k not in drop} | more
        return {k: v for k, v in config.items() if k not in top} | {"text_config": text}

    return rewrite


def old_text(*without: str, **more):
    """The text part in the form before transformers 5."""
    def rewrite(config: dict) -> dict:
        text = old_form(config["text_config"] | {"dtype": None}, without) | more
        text = {k: v for k, v in text.items() if k not in ("transformers_version", "torch_dtype")}
        return {k: v for k, v in config.items() if k != "dtype"} | {"text_config": text, "torch_dtype": "float32"}

    return rewrite


def moved(*pairs: tuple[str, str]):
    """Names that begin so begin otherwise."""
    def tensors(found: dict) -> dict:
        out = {}
        for name, about in found.items():
            for old, new in pairs:
                if name.startswith(old):
                    name = new + name.removeprefix(old)
                    break
            out[name] = about
        return out

    return tensors


def flat(config: dict) -> dict:
    """The first Qwen2-VL files: the keys of the text part at the top."""
    text = old_form(config["text_config"] | {"dtype": None})
    kind = text["rope_scaling"].pop("type") if text["rope_scaling"] else None
    text["rope_scaling"] = {"type": "mrope" if kind in (None, "default") else kind, "mrope_section": [2, 1, 1]}
    text = {k: v for k, v in text.items() if k not in ("model_type", "transformers_version", "torch_dtype")}
    top = {k: v for k, v in config.items() if k not in ("text_config", "dtype")}
    return top | text


def wrapped(kind: str, architecture: str, **more):
    """config.json of the whole model around one of its text class."""
    def rewrite(config: dict) -> dict:
        text = {k: v for k, v in config.items() if k not in ("architectures", "transformers_version")}
        return {"architectures": [architecture], "model_type": kind, "text_config": text, "dtype": "float32"} | more

    return rewrite


def turned(tensors: dict) -> dict:
    """Experts as [experts, in, out], as the public files have them; transformers 5 writes [experts, out, in]."""
    return {n: a | {"shape": [a["shape"][0], *a["shape"][:0:-1]]} if ".experts." in n else a for n, a in tensors.items()}


def with_towers(*names: str):
    """Tensors of towers that the reference of the text alone does not hold."""
    return lambda tensors: tensors | {name: {"dtype": "F32", "shape": [8, 8]} for name in names}


SPARSE = ("num_attention_heads", "num_key_value_heads", "head_dim", "rope_parameters", "query_pre_attn_scalar", "tie_word_embeddings",
          "hidden_activation", "rms_norm_eps", "layer_types", "sliding_window_pattern", "_sliding_window_pattern",
          "final_logit_softcapping", "attn_logit_softcapping", "use_bidirectional_attention", "attention_bias", "max_position_embeddings")
GEMMA3 = SMALL | dict(sliding_window=8, sliding_window_pattern=3, query_pre_attn_scalar=20) | TWO_ROPES
INNER = SMALL | dict(
    num_attention_heads=8, num_key_value_heads=4, head_dim=256, num_hidden_layers=2, sliding_window=4,
    rope_parameters={"sliding_attention": rope("default"), "full_attention": rope("linear", 1000000.0, factor=8.0)},
)
CHUNKS = DECODER | dict(
    num_hidden_layers=4, head_dim=12, intermediate_size_mlp=40, num_local_experts=3, interleave_moe_layer_step=2,
    attention_chunk_size=8, floor_scale=4,
)
DELTA = DECODER | dict(
    num_hidden_layers=2, head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6,
    layer_types=["linear_attention", "full_attention"],
    rope_parameters=rope("default", 1e6, partial_rotary_factor=0.5, mrope_section=[2, 1, 1], mrope_interleaved=True),
)
DELTA_EXPERTS = {k: v for k, v in DELTA.items() if k != "intermediate_size"} | dict(
    num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20, shared_expert_intermediate_size=24,
)
QWEN2 = DECODER | dict(rope_parameters=rope("default", 1e6, **SECTIONS))
QWEN3 = DECODER | dict(head_dim=12, rope_parameters=rope("default", 5e6, mrope_section=[2, 2, 2], mrope_interleaved=True))
QWEN3_MOE = QWEN3 | dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20)
GLM = DECODER | dict(rope_parameters=rope("default", partial_rotary_factor=0.5, mrope_section=[1, 1, 0]))
GLM_MOE = DECODER | dict(
    head_dim=12, rope_parameters=rope("default", partial_rotary_factor=0.5, mrope_section=[1, 1, 1]), n_routed_experts=5,
    num_experts_per_tok=2, moe_intermediate_size=20, routed_scaling_factor=1.5,
)
LLAMA = DECODER | dict(model_type="llama")
MISTRAL = DECODER | dict(model_type="mistral", head_dim=12, sliding_window=None)
GEMMA4_TOWER = TOWER | dict(head_dim=4, num_key_value_heads=2, position_embedding_size=16)
SIGLIP_TOP = dict(image_token_index=95, vision_feature_layer=-1, vision_feature_select_strategy="full")

CASES = {
    "gemma3": seeing(
        "Gemma3ForConditionalGeneration", "two local layers, one global with linear rope, as transformers saves it", SIGLIP, GEMMA3,
        dict(mm_tokens_per_image=4), lengths=LONG, bites={"text_config.sliding_window": 9},
    ),
    "gemma3_new_names": seeing(
        "Gemma3ForConditionalGeneration", "names of transformers 5, a head of its own", SIGLIP, GEMMA3,
        dict(mm_tokens_per_image=4), lengths=LONG, native=True, tie_word_embeddings=False, num_hidden_layers=2,
    ),
    "gemma3_public": seeing(
        "Gemma3ForConditionalGeneration", "config.json as public: heads, widths, thetas, scale and tie are those of the class", SIGLIP,
        INNER, dict(mm_tokens_per_image=4), layer_types=["sliding_attention", "sliding_attention"],
        rewrite=text_keys(*SPARSE, top=("tie_word_embeddings",), rope_scaling={"factor": 8.0, "rope_type": "linear"}),
    ),
    "gemma3n": case(
        "Gemma3nForCausalLM", "three streams, sparse layers, shared keys; tensors of towers in the file", STREAMS, **TWO_ROPES,
        streams=True, settings=EAGER, config_cls="Gemma3nTextConfig", tensors=moved(("model.", "model.language_model.")),
        rewrite=wrapped("gemma3n", "Gemma3nForConditionalGeneration", vision_config={"model_type": "gemma3n_vision"},
                        audio_config={"model_type": "gemma3n_audio"}, image_token_id=95, audio_soft_tokens_per_image=188,
                        vision_soft_tokens_per_image=256, boi_token_id=94),
        stored=with_towers("model.vision_tower.a.weight", "model.audio_tower.a.weight", "model.embed_vision.embedding.weight",
                           "model.embed_audio.embedding.weight"),
        why="the reference is the text class of transformers, which the class of the whole model runs on text",
    ),
    "gemma4": seeing(
        "Gemma4ForConditionalGeneration", "inputs of each layer's own, shared keys, wide global heads", None, GEMMA4,
        dict(audio_config=None), num_kv_shared_layers=2, use_double_wide_mlp=True, fill=SCALAR,
        bites={"text_config.sliding_window": 7},
        stored=with_towers("model.vision_tower.a.weight", "model.audio_tower.a.weight", "model.embed_vision.embedding_projection.weight"),
    ),
    "gemma4_unified": seeing(
        "Gemma4UnifiedForConditionalGeneration", "no inputs of each layer's own; one key head for both in global layers", None,
        {k: v for k, v in GEMMA4.items() if k not in ("hidden_size_per_layer_input", "vocab_size_per_layer_input")},
        dict(audio_config=None), num_hidden_layers=3, attention_k_eq_v=True, num_global_key_value_heads=1, fill=SCALAR,
        layer_types=["sliding_attention", "full_attention", "full_attention"], bites={"text_config.sliding_window": 7},
    ),
    "llama4": seeing(
        "Llama4ForConditionalGeneration", "chunks of 8, experts in each second layer", dict(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4,
            vision_output_dim=8, projector_input_dim=8, projector_output_dim=8), CHUNKS, lengths=(12, 25), layers={"decoder": "language_model.model.layers"},
        bites={"text_config.attention_chunk_size": 9},
    ),
    "mistral3": seeing(
        "Mistral3ForConditionalGeneration", "Mistral Small 3.1: a width of heads of its own", PIXTRAL, MISTRAL,
        dict(image_token_index=95), rope_parameters=rope("default", 1e9),
    ),
    "mistral3_old_config": seeing(
        "Mistral3ForConditionalGeneration", "the model of `mistral3` with config.json in the form before transformers 5", PIXTRAL,
        MISTRAL, dict(image_token_index=95), rope_parameters=rope("default", 1e9), same_as="mistral3",
        rewrite=old_text("tie_word_embeddings"),
    ),
    "mistral3_new_names": seeing(
        "Mistral3ForConditionalGeneration", "names of transformers 5, tied head, a window", PIXTRAL, MISTRAL,
        dict(image_token_index=95), sliding_window=4, native=True, tie_word_embeddings=True, bites={"text_config.sliding_window": 5},
    ),
    "mistral3_ministral3": seeing(
        "Mistral3ForConditionalGeneration", "Ministral 3: yarn, queries that grow with the position", PIXTRAL,
        DECODER | dict(model_type="ministral3"), dict(image_token_index=95), head_dim=12, rope_parameters=YARN, lengths=LONG,
        num_hidden_layers=2,
    ),
    "mistral3_llava": seeing(
        "LlavaForConditionalGeneration", "Pixtral: Mistral within LLaVA", PIXTRAL, MISTRAL, SIGLIP_TOP, num_hidden_layers=2,
    ),
    "qwen3_5": seeing(
        "Qwen3_5ForConditionalGeneration", "as transformers saves it", BLOCKS | dict(num_position_embeddings=4), DELTA,
        fill={"*.A_log": [0.5, 0.5]},
    ),
    "qwen3_5_moe": seeing(
        "Qwen3_5MoeForConditionalGeneration", "as transformers saves it", BLOCKS | dict(num_position_embeddings=4), DELTA_EXPERTS,
        fill={"*.A_log": [0.5, 0.5]},
    ),
    "qwen2_vl": seeing(
        "Qwen2VLForConditionalGeneration", "sections of the rope; as transformers saves it",
        dict(depth=1, embed_dim=8, hidden_size=32, num_heads=2, mlp_ratio=1, patch_size=2), QWEN2,
    ),
    "qwen2_vl_old_config": seeing(
        "Qwen2VLForConditionalGeneration", "the model of `qwen2_vl` with config.json of the first files: all keys at the top",
        dict(depth=1, embed_dim=8, hidden_size=32, num_heads=2, mlp_ratio=1, patch_size=2), QWEN2, rewrite=flat, same_as="qwen2_vl",
    ),
    "qwen2_vl_new_names": seeing(
        "Qwen2VLForConditionalGeneration", "names of transformers 5, tied head",
        dict(depth=1, embed_dim=8, hidden_size=32, num_heads=2, mlp_ratio=1, patch_size=2), QWEN2, native=True,
        tie_word_embeddings=True, num_hidden_layers=2,
    ),
    "qwen2_5_vl": seeing(
        "Qwen2_5_VLForConditionalGeneration", "yarn and a window above layer 0", BLOCKS | dict(fullatt_block_indexes=[0]), QWEN2,
        lengths=LONG, use_sliding_window=True, sliding_window=8, max_window_layers=1, bites={"text_config.sliding_window": 9},
        rope_parameters=rope("yarn", 1e6, factor=4.0, original_max_position_embeddings=16, **SECTIONS),
    ),
    "qwen2_5_vl_old_config": seeing(
        "Qwen2_5_VLForConditionalGeneration", "config.json of the first files, sparse: key heads, eps, window are those of the class",
        BLOCKS | dict(fullatt_block_indexes=[0]), QWEN2, num_attention_heads=8, num_key_value_heads=8, rms_norm_eps=1e-5,
        hidden_size=64, num_hidden_layers=2,
        rewrite=lambda config: {k: v for k, v in flat(config).items() if k not in ("num_key_value_heads", "rms_norm_eps", "rope_theta")},
    ),
    "qwen3_vl": seeing(
        "Qwen3VLForConditionalGeneration", "interleaved sections of the rope; as transformers saves it",
        BLOCKS | dict(num_position_embeddings=4, deepstack_visual_indexes=[0]), QWEN3,
    ),
    "qwen3_vl_old_config": seeing(
        "Qwen3VLForConditionalGeneration", "the model of `qwen3_vl` with config.json in the form before transformers 5",
        BLOCKS | dict(num_position_embeddings=4, deepstack_visual_indexes=[0]), QWEN3, same_as="qwen3_vl",
        rewrite=lambda config: old_text(rope_theta=5e6, rope_scaling={
            "mrope_interleaved": True, "mrope_section": [2, 2, 2], "rope_type": "default"})(config),
    ),
    "qwen3_vl_moe": seeing(
        "Qwen3VLMoeForConditionalGeneration", "experts stored the other way round; layer 1 is dense",
        BLOCKS | dict(num_position_embeddings=4, deepstack_visual_indexes=[0]), QWEN3_MOE, mlp_only_layers=[1],
        tensors=turned,
    ),
    "glm4v": seeing(
        "Glm4vForConditionalGeneration", "half of each head turns, sections of the rope",
        BLOCKS | dict(image_size=8, patch_size=4), GLM, bites={"text_config.rms_norm_eps": 0.1},
    ),
    "glm4v_old_config": seeing(
        "Glm4vForConditionalGeneration", "the model of `glm4v` with config.json in the form before transformers 5",
        BLOCKS | dict(image_size=8, patch_size=4), GLM, same_as="glm4v", rewrite=lambda config: old_text(
            rope_scaling={"type": "default", "mrope_section": [1, 1, 0]}, partial_rotary_factor=0.5)(config),
    ),
    "glm4v_moe": seeing(
        "Glm4vMoeForConditionalGeneration", "layer 0 dense, experts with a shared one",
        BLOCKS | dict(image_size=8, patch_size=4), GLM_MOE, fill={"*.e_score_correction_bias": [0.0, 0.3]},
    ),
    "llava": seeing(
        "LlavaForConditionalGeneration", "LLaVA 1.5: Llama", CLIP, LLAMA, SIGLIP_TOP, num_hidden_layers=2,
    ),
    "llava_public": seeing(
        "LlavaForConditionalGeneration", "config.json as public: heads and layers are those of the class", CLIP, LLAMA, SIGLIP_TOP,
        num_attention_heads=32, num_key_value_heads=32, hidden_size=64, num_hidden_layers=2, rms_norm_eps=1e-6,
        rewrite=text_keys("num_attention_heads", "num_key_value_heads", "rope_parameters", "rms_norm_eps", "head_dim",
                          "tie_word_embeddings", "hidden_act", top=("tie_word_embeddings",), _name_or_path="vicuna"),
    ),
    "llava_next": seeing(
        "LlavaNextForConditionalGeneration", "names of transformers 5, tied head", CLIP, LLAMA, SIGLIP_TOP, num_hidden_layers=2,
        native=True, tie_word_embeddings=True,
    ),
    "smolvlm": seeing(
        "SmolVLMForConditionalGeneration", "Llama within SmolVLM", TOWER | dict(model_type="smolvlm_vision"), LLAMA,
        dict(scale_factor=2, image_token_id=95), layers={"decoder": "model.text_model.layers"}, num_hidden_layers=2,
        rewrite=text_keys(perceiver_config={"model_type": "vllama3"}, use_resampler=False, qk_layer_norms=False,
                          pixel_shuffle_factor=4, neftune_noise_alpha=0.0, is_llama_config=True),
    ),
    "internvl": seeing(
        "InternVLForConditionalGeneration", "Qwen2 within InternVL3", dict(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=[8, 8], patch_size=[4, 4]),
        DECODER | dict(model_type="qwen2"), dict(image_token_id=95), num_hidden_layers=2,
    ),
    "internvl_onevision": seeing(
        "LlavaOnevisionForConditionalGeneration", "Qwen2 within LLaVA-OneVision", SIGLIP, DECODER | dict(model_type="qwen2"),
        dict(image_token_index=95), num_hidden_layers=2, tie_word_embeddings=True,
    ),
    "internvl_qwen3": seeing(
        "InternVLForConditionalGeneration", "Qwen3 within InternVL3.5", dict(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=[8, 8], patch_size=[4, 4]),
        DECODER | dict(model_type="qwen3"), dict(image_token_id=95), num_hidden_layers=2, head_dim=12,
    ),
    "aya_vision": seeing(
        "AyaVisionForConditionalGeneration", "Cohere2: windows of 4 with rope, full layers without", SIGLIP,
        DECODER | dict(model_type="cohere2"), dict(image_token_index=95), sliding_window=4, tie_word_embeddings=True,
        logit_scale=1.0, odd={"text_config.logit_scale": "the class of the whole model in transformers 5 forgets it"},
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], bites={"text_config.sliding_window": 5},
    ),
    "paligemma": seeing(
        "PaliGemmaForConditionalGeneration", "a prompt that sees itself both ways, an answer that does not", SIGLIP,
        SMALL | dict(model_type="gemma"), dict(image_token_index=95, projection_dim=32), num_key_value_heads=1, num_hidden_layers=2,
        fields=lambda row, ids: {"token_type_ids": [int(i >= (5 if row == "b" else len(ids))) for i in range(len(ids))]},
    ),
    "paligemma_public": seeing(
        "PaliGemmaForConditionalGeneration", "config.json as public: width of heads, eps, rope and tie are those of the class", SIGLIP,
        SMALL | dict(model_type="gemma"), dict(image_token_index=95, projection_dim=32, hidden_size=32), num_key_value_heads=1,
        num_hidden_layers=2, head_dim=256, rewrite=text_keys(
            "head_dim", "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "hidden_act", "hidden_activation",
            "use_bidirectional_attention", top=("tie_word_embeddings",), num_image_tokens=256),
        fields=lambda row, ids: {"token_type_ids": [int(i >= 4) for i in range(len(ids))]},
    ),
    "cohere2_vision": seeing(
        "Cohere2VisionForConditionalGeneration", "Command A Vision: Cohere2, names of transformers 5", SIGLIP,
        DECODER | dict(model_type="cohere2"), dict(image_token_id=95), sliding_window=4, tie_word_embeddings=True, native=True,
        num_hidden_layers=2, logit_scale=1.0, odd={"text_config.logit_scale": "the class of the whole model in transformers 5 forgets it"},
        layer_types=["sliding_attention", "full_attention"],
    ),
    "idefics3": seeing(
        "Idefics3ForConditionalGeneration", "Llama within Idefics3, tied head", TOWER | dict(model_type="idefics3_vision"), LLAMA,
        dict(scale_factor=2, image_token_id=95), layers={"decoder": "model.text_model.layers"}, num_hidden_layers=2,
        tie_word_embeddings=True,
    ),
    "gemma4_tower": seeing(
        "Gemma4ForConditionalGeneration", "a small tower in the file, experts", GEMMA4_TOWER, GEMMA4, dict(audio_config=None),
        hidden_size_per_layer_input=0, num_hidden_layers=3, enable_moe_block=True, num_experts=5, top_k_experts=2,
        moe_intermediate_size=20, fill=SCALAR, layer_types=["sliding_attention", "full_attention", "full_attention"],
    ),
    "internvl_audio": seeing(
        "Qwen2AudioForConditionalGeneration", "Qwen2 within Qwen2-Audio", None, DECODER | dict(model_type="qwen2"),
        dict(audio_token_index=95, audio_config=dict(
            model_type="qwen2_audio_encoder", num_mel_bins=4, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=8, d_model=8,
            max_source_positions=8)), num_hidden_layers=2,
    ),
    "lfm2_vl": seeing(
        "Lfm2VlForConditionalGeneration", "a convolution and attention", dict(
            model_type="siglip2_vision_model", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
            num_patches=4, patch_size=2), DECODER | dict(model_type="lfm2", tie_word_embeddings=True),
        dict(image_token_id=95, projector_hidden_size=8), num_hidden_layers=2, layer_types=["conv", "full_attention"],
        points={"final": "model.language_model.embedding_norm"},
    ),
    "qwen2_5_vl_both": seeing(
        "Qwen2_5_VLForConditionalGeneration", "config.json of transformers 4.52 on: keys of the text at the top and in text_config",
        BLOCKS | dict(fullatt_block_indexes=[0]), QWEN2, num_hidden_layers=2,
        rewrite=lambda config: flat(config) | {"text_config": old_text(
            rope_scaling={"type": "default", "rope_type": "default", "mrope_section": [2, 1, 1]}, rope_theta=1e6,
            vision_token_id=93)(config)["text_config"]},
    ),
    "gemma3_bare": seeing(
        "Gemma3Model", "without the head", SIGLIP, GEMMA3, dict(mm_tokens_per_image=4), num_hidden_layers=2,
        layers={"decoder": "language_model.layers"},
    ),
    "qwen2_vl_bare": seeing(
        "Qwen2VLModel", "without the head", dict(depth=1, embed_dim=8, hidden_size=32, num_heads=2, mlp_ratio=1, patch_size=2), QWEN2,
        num_hidden_layers=2, layers={"decoder": "language_model.layers"},
    ),
    "qwen3_vl_bare": seeing(
        "Qwen3VLModel", "without the head", BLOCKS | dict(num_position_embeddings=4, deepstack_visual_indexes=[0]), QWEN3,
        num_hidden_layers=2, layers={"decoder": "language_model.layers"},
    ),
    "paligemma2": seeing(
        "PaliGemmaForConditionalGeneration", "a prompt longer than the window, which does not limit it; capped scores and logits", SIGLIP,
        SMALL | dict(model_type="gemma2", query_pre_attn_scalar=20, **CAPS), dict(image_token_index=95, projection_dim=32),
        sliding_window=4, num_hidden_layers=2, lengths=(12, 20), settings=EAGER | {"text_config._attn_implementation": "eager"},
        fields=lambda row, ids: {"token_type_ids": [int(i >= (9 if row == "b" else 3)) for i in range(len(ids))]},
        bites={"text_config.sliding_window": 5, "text_config.attn_logit_softcapping": 3.0},
    ),
}
