"""Encoder-decoders: T5 and its kin, BART and its kin."""

from .common import case, old_form

PAD = 95  # an id that no row may have where the reference masks it
T5 = dict(
    vocab_size=96, d_model=32, d_kv=12, d_ff=56, num_layers=2, num_decoder_layers=3, num_heads=4,
    relative_attention_num_buckets=8, relative_attention_max_distance=16,
)
GATED = T5 | dict(num_heads=3, num_decoder_layers=2, feed_forward_proj="gated-gelu")
UMT5 = GATED | dict(odd={"tie_word_embeddings": "transformers 5 takes it for true, whatever the file says"})
BART = dict(
    vocab_size=96, d_model=32, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4,
    decoder_attention_heads=2, encoder_ffn_dim=56, decoder_ffn_dim=72, max_position_embeddings=40,
)
LED = {k: v for k, v in BART.items() if k != "max_position_embeddings"} | dict(
    decoder_layers=2, max_encoder_position_embeddings=40, max_decoder_position_embeddings=24,
)
PROPHETNET = dict(
    model_type="prophetnet", vocab_size=96, hidden_size=32, num_encoder_layers=2, num_decoder_layers=2, encoder_ffn_dim=56,
    decoder_ffn_dim=72, num_encoder_attention_heads=4, num_decoder_attention_heads=2, max_position_embeddings=40, ngram=2,
    num_buckets=6, relative_max_distance=8, activation_function="gelu", pad_token_id=0, is_encoder_decoder=True,
    add_cross_attention=True, tie_word_embeddings=True, disable_ngram_loss=False, eps=0.0, num_hidden_layers=2,
)
GEMMA = dict(
    vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    head_dim=12, query_pre_attn_scalar=20, sliding_window=5, attn_logit_softcapping=4.0, final_logit_softcapping=6.0,
    max_position_embeddings=64, pad_token_id=PAD,
)
MASKS = {"*.pad_token_id": "the class takes tokens of that id out of the text"}
NO_CAPS = dict(attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True)
GEMMA_DEFAULTS = {k: v for k, v in GEMMA.items() if k not in ("query_pre_attn_scalar", "sliding_window") and "cap" not in k}
GEMMA_DEFAULTS |= dict(num_attention_heads=8, num_key_value_heads=4, head_dim=256, intermediate_size=24)
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
MARIAN = BART | dict(pad_token_id=0, activation_function="swish")
LATER = ("scale_embedding", "activation_function", "pad_token_id")


def own_head(tensors: dict) -> dict:
    """With a head of its own, which the class would leave out as tied."""
    return tensors | {"lm_head.weight": tensors["shared.weight"]}


def copies(prefix: str, table: str, *names: str):
    """`stored` with what files hold beside: copies of the table, computed positions."""
    names = [f"{prefix}{stack}.{name}" for stack in ("encoder", "decoder") for name in names or ("embed_tokens.weight",)]
    return lambda tensors: tensors | {name: tensors[f"{table}.weight"] for name in names}


def oldest_t5(config: dict) -> dict:
    """Also without the keys that came later, and with those of before."""
    later = ("dense_act_fn", "is_gated_act", "scale_decoder_outputs", "feed_forward_proj", "is_decoder",
             "relative_attention_max_distance", "classifier_dropout", "tie_word_embeddings", "num_decoder_layers")
    return old_form(config, without=later) | {"pad_token_id": 0, "n_positions": 512, "output_past": True}


def untied(config: dict) -> dict:
    """As public files of v1.1 and later say that they have a head of their own and do not scale."""
    config = old_form(config, without=("dense_act_fn", "is_gated_act", "scale_decoder_outputs"))
    return config | {"pad_token_id": 0, "tie_word_embeddings": False}


def old_bart(config: dict) -> dict:
    """With the dead keys that public files of the line have."""
    config = old_form(config, without=("tie_word_embeddings", "is_decoder"))
    dead = dict(num_hidden_layers=2, normalize_before=True, normalize_embedding=False, add_final_layer_norm=True,
                add_bias_logits=False, static_position_embeddings=True, extra_pos_embeddings=1, classif_dropout=0.0,
                force_bos_token_to_be_generated=True, output_past=True, _num_labels=3, gradient_checkpointing=False)
    return config | dead | {"pad_token_id": PAD}


def old_t5gemma(config: dict) -> dict:
    """As before transformers 5, each stack with the sizes only."""
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "pad_token_id", "max_position_embeddings")
    stacks = {s: {k: config[s][k] for k in kept} | {"rope_theta": 10000.0} for s in ("encoder", "decoder")}
    return old_form(config) | stacks


def ends_with_eos(_row_id: str, ids: list[int]) -> dict:
    """One `eos_token_id`, the last: the class reads the decoder's row there; the decoder sees the ids shifted."""
    ids = [i if i != 2 else 7 for i in ids[:-1]] + [2]
    return {"input_ids": ids, "decoder_input_ids": [2, *ids[:-1]]}


def small_decoder_ids(row_id: str, ids: list[int]) -> dict:
    return {"decoder_input_ids": [i % 80 for i in ids[: 4 + len(row_id)]]}


def without(pad: int):
    """`fields` of rows without that id: the reference takes it for padding."""
    def rows(_row_id: str, ids: list[int]) -> dict:
        ids = [i if i != pad else 7 for i in ids]
        return {"input_ids": ids, "decoder_input_ids": ids[2:]}
    return rows


CASES = {
    "t5": case(
        "T5ForConditionalGeneration", "more decoder than encoder layers, d_kv other than d_model / heads, tied head",
        T5, lengths=(9, 22), bites=dict(relative_attention_max_distance=10, scale_decoder_outputs=False),
    ),
    "t5_oldest": case(
        "T5ForConditionalGeneration", "config.json as that of the first files: most keys are missing",
        T5 | dict(num_decoder_layers=2, relative_attention_max_distance=128), lengths=(9, 22), rewrite=oldest_t5,
        stored=copies("", "shared"),
        tensors=lambda t: t | {UNUSED: t["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]},
    ),
    "t5_gated": case(
        "T5ForConditionalGeneration", "v1.1 and Flan-T5: gated gelu, a head of its own, logits not scaled",
        GATED, rewrite=untied, tensors=own_head, bites=dict(scale_decoder_outputs=True),
    ),
    "t5_silu": case(
        "T5ForConditionalGeneration", "UL2: gated silu; config.json as transformers 5 writes it",
        GATED, feed_forward_proj="gated-silu", tie_word_embeddings=False, tensors=own_head,
    ),
    "t5_encoder": case("T5EncoderModel", "the encoder alone", GATED),
    "t5_encoder_old": case(
        "T5EncoderModel", "the encoder alone, with a config.json that says encoder-decoder, table under the other name",
        GATED, rewrite=lambda c: untied(c) | {"is_encoder_decoder": True},
        tensors=lambda t: {n.replace("shared", "encoder.embed_tokens"): about for n, about in t.items()},
    ),
    "mt5": case("MT5ForConditionalGeneration", "never scaled", GATED, rewrite=untied, tensors=own_head),
    "mt5_v5": case("MT5ForConditionalGeneration", "config.json as transformers 5 writes it, tied head", GATED),
    "umt5": case(
        "UMT5ForConditionalGeneration", "a table of positions in each layer, a head of its own", UMT5, lengths=(9, 22),
        rewrite=untied, tensors=own_head, late=dict(tie_word_embeddings=False),
        why="since transformers 5 the class scales the logits of every model; the public files were made for logits as they are",
        bites=dict(relative_attention_max_distance=10),
    ),
    "umt5_tied": case("UMT5ForConditionalGeneration", "tied and scaled head", UMT5),
    "umt5_encoder": case(
        "UMT5EncoderModel", "the encoder alone, as text encoders of image and video models store it", UMT5,
        is_encoder_decoder=False, layers=dict(encoder="encoder.block"),
        rewrite=lambda c: untied(c) | {"is_encoder_decoder": True},
    ),
    "longt5": case(
        "LongT5ForConditionalGeneration", "a window in the encoder", GATED, lengths=(9, 26), local_radius=4,
        bites=dict(local_radius=5),
    ),
    "longt5_global": case(
        "LongT5ForConditionalGeneration", "sums of blocks beside the window; `a` is shorter than a block, `b` has a rest",
        GATED, lengths=(5, 27), local_radius=4, global_block_size=6, encoder_attention_type="transient-global",
        bites=dict(global_block_size=7), rewrite=untied, tensors=own_head,
    ),
    "switch_transformers": case(
        "SwitchTransformersForConditionalGeneration", "experts in every second layer, an expert takes three tokens only",
        T5, lengths=(9, 22), num_layers=4, num_sparse_encoder_layers=2, num_decoder_layers=2, num_sparse_decoder_layers=2,
        num_experts=5, expert_capacity=3, bites=dict(expert_capacity=4),
    ),
    "bart": case(
        "BartForConditionalGeneration", "different heads and widths in encoder and decoder, tied head, no scale", BART,
        bites=dict(activation_function="relu"),
    ),
    "bart_scaled": case(
        "BartForConditionalGeneration", "scaled embeddings, config.json as that of public files", BART,
        scale_embedding=True, rewrite=old_bart, bites=dict(scale_embedding=False), stored=copies("model.", "model.shared"),
    ),
    "bart_untied": case(
        "BartForConditionalGeneration", "tables of their own for encoder, decoder and head", BART, tie_word_embeddings=False,
    ),
    "bart_bare": case("BartModel", "without the head's tensors and the prefix; `logits` come from the tied table", BART),
    "bart_classes": case(
        "BartForSequenceClassification", "classes, from the decoder's last row", BART, fields=ends_with_eos,
        points=dict(class_logits="classification_head", logits=None),
    ),
    "mbart": case(
        "MBartForConditionalGeneration", "norms before, and after the last layer", BART, scale_embedding=True,
        activation_function="relu", rewrite=old_bart,
    ),
    "plbart": case("PLBartForConditionalGeneration", "scaled unless config.json says otherwise", BART, pad_token_id=1,
                   rewrite=lambda c: {k: v for k, v in c.items() if k != "scale_embedding"}),
    "marian": case(
        "MarianMTModel", "sinusoids in halves, one vocabulary", MARIAN, scale_embedding=True, rewrite=old_bart,
        stored=copies("model.", "model.shared", "embed_positions.weight"),
    ),
    "marian_two": case(
        "MarianMTModel", "two vocabularies, head tied to the decoder's", MARIAN, decoder_vocab_size=80,
        share_encoder_decoder_embeddings=False, fields=small_decoder_ids,
    ),
    "marian_untied": case(
        "MarianMTModel", "two vocabularies and a head of its own", MARIAN, decoder_vocab_size=80,
        share_encoder_decoder_embeddings=False, tie_word_embeddings=False, fields=small_decoder_ids,
    ),
    "pegasus": case(
        "PegasusForConditionalGeneration", "norms before, positions from 0, no norm of embeddings", BART,
        scale_embedding=True, activation_function="relu", rewrite=old_bart,
    ),
    "blenderbot": case(
        "BlenderbotForConditionalGeneration", "Pegasus with learned positions", BART, scale_embedding=True, bos_token_id=1,
    ),
    "blenderbot_small": case(
        "BlenderbotSmallForConditionalGeneration", "decoder: positions are added after the norm", BART,
    ),
    "m2m_100": case(
        "M2M100ForConditionalGeneration", "sinusoids from pad_token_id + 1, rates of half - 1", BART, pad_token_id=3, fields=without(3),
        rewrite=lambda c: old_bart(c) | {"pad_token_id": 3}, bites=dict(scale_embedding=False),
        stored=copies("model.", "model.shared", "embed_tokens.weight", "embed_positions.weights"),
    ),
    "m2m_100_defaults": case(
        "M2M100ForConditionalGeneration", "scale_embedding, activation_function and pad_token_id are not in config.json",
        BART, fields=without(1), rewrite=lambda c: {k: v for k, v in c.items() if k not in LATER},
    ),
    "led": case(
        "LEDForConditionalGeneration", "a window for each layer, no global tokens", LED, lengths=(12, 24),
        attention_window=[4, 6], bites=dict(attention_window=[4, 4]),
    ),
    "led_number": case(
        "LEDForConditionalGeneration", "one window for all layers", LED, lengths=(12, 24),
        rewrite=lambda c: c | {"attention_window": 4}, same_as="led_fours",
    ),
    "led_fours": case(
        "LEDForConditionalGeneration", "the same window in all layers", LED, lengths=(12, 24), attention_window=[4, 4],
    ),
    "nllb_moe": case(
        "models.nllb_moe:NllbMoe", "two experts in every second layer, outputs scaled by 1 - moe_token_dropout", BART,
        fields=without(1), **dict(
            model_type="nllb-moe", is_encoder_decoder=True, activation_function="relu", pad_token_id=1, encoder_sparse_step=2,
            decoder_sparse_step=3, num_experts=5, moe_token_dropout=0.2, scale_embedding=True, tie_word_embeddings=True,
            second_expert_policy="all", batch_prioritized_routing=False, moe_eval_capacity_token_fraction=1.0,
            normalize_router_prob_before_dropping=False, router_dtype="float32", router_bias=False, expert_capacity=64,
        ), why="the experts of transformers 5 read the router's mask as expert numbers",
    ),
    "prophetnet": case(
        "models.prophetnet:ProphetNet", "two streams in the decoder, positions relative to the queries' own tables",
        PROPHETNET, lengths=(7, 16), bites=dict(relative_max_distance=12, pad_token_id=1),
        why="without a cache the class takes positions of the predicting stream from other tokens and heads",
    ),
    "t5gemma": case(
        "T5GemmaForConditionalGeneration", "grouped queries, windows in every second layer, softcaps, tied head",
        dict(encoder=GEMMA | dict(num_hidden_layers=3), decoder=GEMMA, vocab_size=96), lengths=(9, 22),
        fields=without(PAD), odd=MASKS,
    ),
    "t5gemma_plain": case(
        "T5GemmaForConditionalGeneration", "no softcaps, a wider encoder, biases, a head of its own, other layer types",
        dict(encoder=GEMMA | NO_CAPS | dict(hidden_size=40, layer_types=["full_attention", "sliding_attention"]),
             decoder=GEMMA | NO_CAPS | dict(sliding_window=7, layer_types=["full_attention", "sliding_attention"]),
             vocab_size=96, tie_word_embeddings=False), lengths=(9, 22), fields=without(PAD), odd=MASKS,
    ),
    "t5gemma_defaults": case(
        "T5GemmaForConditionalGeneration", "old config.json without all that has its default",
        dict(encoder=GEMMA_DEFAULTS, decoder=GEMMA_DEFAULTS, vocab_size=96), lengths=(9, 22), fields=without(PAD), odd=MASKS,
        rewrite=old_t5gemma,
    ),
    "t5gemma_encoder": case(
        "T5GemmaEncoderModel", "the encoder alone", dict(encoder=GEMMA, decoder=GEMMA, vocab_size=96, is_encoder_decoder=False),
    ),
}
