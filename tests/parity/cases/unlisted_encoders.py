"""Encoders of one organisation each, encoder-decoders built like BART, and classifiers made of decoders."""

from .common import DECODER, ENCODER, case

SMALL = ENCODER | dict(vocab_size=96, hidden_size=36, intermediate_size=60, num_hidden_layers=2, num_attention_heads=3)
LLAMA = DECODER | dict(hidden_size=48, num_hidden_layers=2)
FILTER = LLAMA | dict(
    head_dim=8, num_local_experts=6, num_experts_per_tok=2, sliding_window=4, vocab_size=96, pad_token_id=95, eos_token_id=95, bos_token_id=None,
    num_labels=5, intermediate_size=20,
)
FSMT = dict(
    src_vocab_size=96, tgt_vocab_size=90, langs=["en", "de"], d_model=32, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4,
    decoder_attention_heads=2, encoder_ffn_dim=40, decoder_ffn_dim=56, max_position_embeddings=64, pad_token_id=1,
)
BART = dict(
    vocab_size=96, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=2, encoder_ffn_dim=48,
    decoder_ffn_dim=40, max_position_embeddings=40, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
)
SEAMLESS = {k: v for k, v in BART.items() if k != "d_model"} | dict(hidden_size=32, pad_token_id=0)
GPT = dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=56, bos_token_id=1, eos_token_id=2)
GEMMA = {k: v for k, v in LLAMA.items() if k not in ("bos_token_id", "eos_token_id", "tie_word_embeddings")} | dict(
    head_dim=8, num_hidden_layers=3, sliding_window=6, query_pre_attn_scalar=10,
    layer_types=["sliding_attention", "full_attention", "sliding_attention"],
)
SIGLIP = dict(
    hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14, vision_use_head=False,
)
T5GEMMA2 = dict(
    encoder=dict(text_config=GEMMA, vision_config=SIGLIP, mm_tokens_per_image=4, eoi_token_index=90, boi_token_index=89),
    decoder=GEMMA | dict(num_key_value_heads=4, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"]), vocab_size=96,
)
REFORMER = dict(
    vocab_size=96, hidden_size=32, attention_head_size=10, num_attention_heads=3, num_hidden_layers=4, hash_seed=1, pad_token_id=0,
    attn_layers=["local", "lsh", "lsh", "local"], axial_pos_shape=[4, 16], axial_pos_embds_dim=[12, 20], feed_forward_size=48,
    lsh_attn_chunk_length=14, local_attn_chunk_length=12, max_position_embeddings=64,
)
LAST = {"encoder.final": "model.encoder.layernorm_embedding", "decoder.final": "model.decoder.layernorm_embedding"}
TEXT = {"encoder": "text_encoder.layers", "decoder": "text_decoder.layers"}
NO_BIAS = {"lm_head.bias": [0.0, 0.0]}
BIAS = "the reference of this version leaves out the bias of the head that earlier ones added: it is zero here"
TOP = {"final": "reformer.encoder.layer_norm"}


def asking(token: int):
    """The first text has the question token, the other has not."""
    return lambda row, ids: {"input_ids": [token if row == "a" and n == 3 else i if i != token else i + 1 for n, i in enumerate(ids)]}


def ending(token: int):
    """The decoder's text ends with this token, which is nowhere else in it."""

    def fields(_row, ids):
        fewer = [i if i != token else i + 1 for i in ids]
        return {"input_ids": fewer[:-1] + [token], "decoder_input_ids": fewer[:-1] + [token]}

    return fields


def padded(row, ids):
    """The first text ends with the padding's token; both have it inside."""
    return {"input_ids": [0 if n == 2 or row == "a" and n >= len(ids) - 2 else max(i, 1) for n, i in enumerate(ids)]}


def with_image_end(_row, ids):
    """An image could have ended at the second token."""
    return {"input_ids": ids[:1] + [90] + ids[2:]}


def public_ultrabert(config: dict) -> dict:
    """Without the keys that the class knows."""
    return {k: v for k, v in config.items() if k not in ("layer_types", "rope_parameters", "classifier_pooling")}


def layers(path: str) -> dict:
    return {"layers": {"encoder": path}}


def classes(path: str = "classifier", head: str = "class_logits") -> dict:
    return {"points": {head: path, "logits": None}}


POOLED = dict(pad_token_id=0, fields=padded) | classes("@logits")
CASES = {
    "esmc": case("EsmcForMaskedLM", "norms of q and k over all heads", LLAMA, num_key_value_heads=4, **layers("esmc.layers")),
    "esmc_classes": case(
        "EsmcForSequenceClassification", "with biases", LLAMA, num_key_value_heads=4, num_labels=5, attention_bias=True, mlp_bias=True,
        **layers("esmc.layers"), **classes("classifier.out_proj"),
    ),
    "esmc_tokens": case(
        "EsmcForTokenClassification", "a class for each residue", LLAMA, num_key_value_heads=4, num_labels=5, **layers("esmc.layers"),
        **classes("score", "token_logits"),
    ),
    "ultrabert": case(
        "UltrabertForMaskedLM", "windows and whole layers, each with its theta", LLAMA, num_hidden_layers=3, sliding_window=4,
        prediction_head_size=40, lengths=(11, 16), bites={"sliding_window": 3}, **layers("model.layers"),
    ),
    "ultrabert_public": case(
        "UltrabertForMaskedLM", "without keys that the class knows", LLAMA, num_hidden_layers=3, sliding_window=4, prediction_head_size=40,
        lengths=(11, 16), rewrite=public_ultrabert, same_as="ultrabert", **layers("model.layers"),
    ),
    "ultrabert_classes": case(
        "UltrabertForSequenceClassification", "mean of all tokens", LLAMA, sliding_window=4, num_labels=5, classifier_pooling="mean",
        **layers("model.layers"), **classes(),
    ),
    "ultrabert_first": case(
        "UltrabertForSequenceClassification", "first token, biases", LLAMA, sliding_window=4, num_labels=5, attention_bias=True, mlp_bias=True,
        **layers("model.layers"), **classes(),
    ),
    "openai_privacy_filter": case(
        "OpenAIPrivacyFilterForTokenClassification", "YaRN by default", FILTER, lengths=(11, 16), bites={"sliding_window": 3},
        **layers("model.layers"), **classes("score", "token_logits"),
    ),
    "bert-generation": case("BertGenerationEncoder", "an encoder", SMALL),
    "bert-generation_decoder": case("BertGenerationDecoder", "a decoder", SMALL, is_decoder=True, hidden_act="gelu_new"),
    "splinter": case(
        "SplinterForQuestionAnswering", "one text asks, one does not", SMALL, fields=asking(77), question_token_id=77,
        points={"start_logits": "@start_logits'", "end_logits": "@end_logits'"},
    ),
    "fsmt": case("FSMTForConditionalGeneration", "two tables of words", FSMT, computed=("*embed_positions.weight",)),
    "fsmt_plain": case(
        "FSMTForConditionalGeneration", "no scale", FSMT, computed=("*embed_positions.weight",), scale_embedding=False, activation_function="gelu",
    ),
    "mvp": case("MvpForConditionalGeneration", "without prompts", BART),
    "mvp_classes": case(
        "MvpForSequenceClassification", "a class of the last token", BART, num_labels=3, scale_embedding=True, fields=ending(2),
        **classes("classification_head.out_proj"),
    ),
    "bigbird_pegasus": case(
        "BigBirdPegasusForConditionalGeneration", "as far as all is seen", BART, block_size=4, num_random_blocks=1, lengths=(7, 14), points=LAST,
    ),
    "bigbird_pegasus_full": case(
        "BigBirdPegasusForConditionalGeneration", "biases, no scale", BART, attention_type="original_full", use_bias=True, scale_embedding=False,
        points=LAST,
    ),
    "seamless_m4t": case("SeamlessM4TForTextToText", "text to text", SEAMLESS, layers=TEXT),
    "seamless_m4t_v2": case("SeamlessM4Tv2ForTextToText", "no scale", SEAMLESS, layers=TEXT, scale_embedding=False, activation_function="gelu"),
    "t5gemma2": case(
        "T5Gemma2ForConditionalGeneration", "text only", T5GEMMA2, lengths=(11, 15), fields=with_image_end,
        layers={"encoder": "model.encoder.text_model.layers", "decoder": "model.decoder.layers"},
    ),
    "reformer": case("ReformerModelWithLMHead", "a decoder", REFORMER, is_decoder=True, points=TOP, fill=NO_BIAS, why=BIAS),
    "reformer_encoder": case(
        "ReformerForMaskedLM", "one table of positions", REFORMER, axial_pos_embds=False, hidden_act="gelu", points=TOP, fill=NO_BIAS, why=BIAS,
    ),
    "llama_classes": case("LlamaForSequenceClassification", "the last token that is not the padding's", LLAMA, num_labels=3, **POOLED),
    "llama_tokens": case(
        "LlamaForTokenClassification", "a class for each token, with a bias", LLAMA, num_labels=3, **classes("score", "token_logits"),
    ),
    "qwen2_reward": case("Qwen2ForSequenceClassification", "one label; tied words, which no head reads", LLAMA, num_labels=1, tie_word_embeddings=True, **POOLED),
    "gemma2_classes": case("Gemma2ForSequenceClassification", "of a child", LLAMA, head_dim=8, num_labels=2, tie_word_embeddings=True, **POOLED),
    "mixtral_classes": case("MixtralForSequenceClassification", "experts below", LLAMA, num_local_experts=4, num_labels=2, **POOLED),
    "gpt2_classes": case("GPT2ForSequenceClassification", "as rankers of dialogues", GPT, num_labels=2, **POOLED),
}
