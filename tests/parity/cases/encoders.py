"""Encoders that are not BERT with other norms: relative positions, windows, convolutions, Fourier transforms."""

from .bert import NO_PAD, ROBERTA, SMALL, ids_without
from .common import case, old_form, rope

DEBERTA = SMALL | dict(
    type_vocab_size=0, relative_attention=True, max_relative_positions=-1, position_biased_input=False, pos_att_type=["c2p", "p2c"],
    max_position_embeddings=40, pad_token_id=0,
)
V3 = DEBERTA | dict(position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"])
FNET = {k: v for k, v in SMALL.items() if k != "num_attention_heads"} | dict(type_vocab_size=4)
ESM = {k: v for k, v in SMALL.items() if k != "type_vocab_size"} | dict(pad_token_id=1, mask_token_id=32)
CONV = {"encoder.0": "deberta.encoder.conv.LayerNorm"}
FAR = (21, 34)  # distances beyond the buckets and beyond small tables
LONGFORMER = ROBERTA | dict(vocab_size=96, attention_window=[4, 8], type_vocab_size=1, max_position_embeddings=64, sep_token_id=2)
XLNET = dict(vocab_size=96, d_model=36, n_layer=2, n_head=3, d_inner=60, pad_token_id=5)
XLM = dict(vocab_size=96, emb_dim=36, n_layers=2, n_heads=3, max_position_embeddings=40)
FLAUBERT = XLM | dict(
    model_type="flaubert", architectures=["FlaubertWithLMHeadModel"], n_langs=1, use_lang_emb=True, causal=False, asm=False, amp=1, bptt=512,
    attention_dropout=0.1, dropout=0.1, bos_index=0, eos_index=1, pad_index=2, unk_index=3, mask_index=5, embed_init_std=0.02209708691207961,
    encoder_only=True, end_n_top=5, start_n_top=5, gelu_activation=True, id2lang={"0": "fr"}, lang2id={"fr": 0}, lang_id=0, init_std=0.02,
    is_encoder=True, layer_norm_eps=1e-06, layerdrop=0.2, max_vocab=-1, min_count=0, n_words=96, pad_token_id=2, share_inout_emb=True,
    sinusoidal_embeddings=False, summary_activation=None, summary_first_dropout=0.1, summary_proj_to_labels=True, summary_type="first",
    summary_use_proj=True, clip_grad_norm=5, group_by_size=True, fp16=True, langs=["fr"], lg_sampling_factor=-1, lgs="fr", max_batch_size=0,
    mlm_steps=[["fr", None]], sample_alpha=0, tokens_per_batch=-1, word_blank=0, word_dropout=0, word_keep=0.1, word_mask=0.8,
    word_mask_keep_rand="0.8,0.1,0.1", word_pred=0.15, word_rand=0.1, word_shuffle=0, mask_token_id=0, bos_token_id=0,
)
MOBILE = SMALL | dict(embedding_size=20, intra_bottleneck_size=24, intermediate_size=28, num_attention_heads=3, num_feedforward_networks=3)
CALM = {"*.LayerNorm.weight": [0.5, 0.1]}  # NoNorm grows from layer to layer otherwise
GTE = dict(
    model_type="new", architectures=["NewModel"], vocab_size=96, hidden_size=36, intermediate_size=44, num_hidden_layers=2,
    num_attention_heads=3, max_position_embeddings=8192, type_vocab_size=2, layer_norm_eps=1e-12, layer_norm_type="layer_norm",
    hidden_act="gelu", position_embedding_type="rope", rope_theta=20000.0, rope_scaling={"factor": 2.0, "type": "ntk"}, pack_qkv=True,
    attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.1, classifier_dropout=None, initializer_range=0.02,
    logn_attention_clip1=False, logn_attention_scale=False, pad_token_id=0, torch_dtype="float32", transformers_version="4.39.1",
    unpad_inputs=False, use_memory_efficient_attention=False,
)


def public_deberta(config: dict) -> dict:
    """As the public files: kinds of attention in one string, no keys that came later."""
    config = old_form(config, without=("is_decoder", "add_cross_attention", "tie_word_embeddings", "bos_token_id", "eos_token_id", "legacy"))
    return config | {"pos_att_type": "|".join(config["pos_att_type"]), "pad_token_id": 0, "pooler_dropout": 0}


def with_leftovers(tensors: dict) -> dict:
    """The head of replaced-token detection and a table of positions that nobody adds."""
    more = {"deberta.embeddings.position_embeddings.weight": [40, 36], "mask_predictions.dense.weight": [36, 36],
            "mask_predictions.classifier.weight": [1, 36], "mask_predictions.LayerNorm.bias": [36]}
    return tensors | {name: {"dtype": "F32", "shape": shape} for name, shape in more.items()}


def some_masked(_row, ids):
    """Every fifth token is masked; none is padding."""
    return {"input_ids": [32 if n % 5 == 3 else i if i != 1 else 2 for n, i in enumerate(ids)]}


def frequencies_by_layer(tensors: dict) -> dict:
    tensors = {k: v for k, v in tensors.items() if "*" not in k}
    return tensors | {f"esm.encoder.layer.{i}.attention.self.rotary_embeddings.inv_freq": {"dtype": "F32", "shape": [6]} for i in range(2)}


def with_pooler(tensors: dict) -> dict:
    """BERT's pooler, which older files have and nobody reads."""
    return tensors | {"ctx_encoder.bert_model.pooler.dense.weight": {"dtype": "F32", "shape": [36, 36]},
                      "ctx_encoder.bert_model.pooler.dense.bias": {"dtype": "F32", "shape": [36]}}


def two_types(_row, ids):
    return {"token_type_ids": [int(i >= len(ids) // 2) for i in range(len(ids))]}


def before_longformer_2021(config: dict) -> dict:
    config = old_form(config, without=("tie_word_embeddings", "onnx_export"))
    return config | {"attention_mode": "longformer", "attention_dilation": [1, 1], "autoregressive": False, "ignore_attention_mask": False,
                     "gradient_checkpointing": False, "pad_token_id": 1}


def before_xlnet_2020(config: dict) -> dict:
    """As the public files: more of the training's keys, no d_head."""
    config = old_form(config, without=("d_head", "tie_word_embeddings"))
    return config | {"untie_r": True, "end_n_top": 5, "start_n_top": 5, "pad_token_id": 5, "task_specific_params": {}}


def before_xlm_2020(config: dict) -> dict:
    config = old_form(config, without=("tie_word_embeddings", "bos_token_id", "eos_token_id", "mask_token_id"))
    return config | {"bos_index": 0, "eos_index": 1, "pad_index": 2, "max_vocab": -1, "min_count": 0, "pad_token_id": 2,
                     "id2lang": {"0": "en"}, "lang2id": {"en": 0}, "n_langs": 1}


def only(*keys):
    """Without these keys: the class knows them."""
    return lambda config: {k: v for k, v in config.items() if k not in keys}


def xlm(prefix: str, last: int) -> dict:
    """XLM's layers are spread over four lists; the norm at the end of a layer gives its value."""
    layers = {f"encoder.{i}": f"{prefix}layer_norm2.{i}" for i in range(last + 1)}
    return {"embed": f"{prefix}layer_norm_emb", "final": f"{prefix}layer_norm2.{last}"} | layers


NO_XLM_PAD = ids_without(2)
CASES = {
    "deberta": case(
        "DebertaForMaskedLM", "both kinds of relative attention, a row for each distance", DEBERTA, lengths=FAR,
    ),
    "deberta_public": case(
        "DebertaForMaskedLM", "the other head, as in the public files, with their config.json", DEBERTA, legacy=False,
        rewrite=lambda c: public_deberta(c) | {"legacy": False}, stored=with_leftovers,
    ),
    "deberta_near": case(
        "DebertaModel", "a table shorter than the text, keys only, absolute positions and types as well", DEBERTA, lengths=FAR,
        max_relative_positions=12, pos_att_type=["c2p"], position_biased_input=True, type_vocab_size=2,
    ),
    "deberta_plain": case(
        "DebertaForSequenceClassification", "no relative attention: its kinds still count in the scale", DEBERTA, relative_attention=False,
        position_biased_input=True, num_labels=5, points={"pooler_output": "pooler", "class_logits": "classifier", "logits": None},
    ),
    "deberta_v2": case(
        "DebertaV2ForMaskedLM", "as v2-xlarge: a convolution beside layer 0, shared projections, a norm of the distances", V3, lengths=FAR,
        conv_kernel_size=3, conv_act="gelu", conv_groups=2, points=CONV,
    ),
    "deberta_v2_conv": case(
        "DebertaV2ForMaskedLM", "the convolution by default: tanh, no groups; five tokens wide", V3, conv_kernel_size=5, points=CONV,
    ),
    "deberta_v2_separate": case(
        "DebertaV2ForMaskedLM", "projections of their own for distances, queries only, no buckets", DEBERTA, lengths=FAR,
        pos_att_type=["p2c"], max_relative_positions=16, hidden_act="gelu_new", type_vocab_size=2,
    ),
    "deberta_v2_narrow": case(
        "DebertaV2ForTokenClassification", "narrow embeddings, both kinds with projections of their own", DEBERTA, embedding_size=20,
        position_biased_input=True, position_buckets=6, layer_norm_eps=1e-2, num_labels=5, bites={"layer_norm_eps": 1e-7},
        points={"token_logits": "classifier", "logits": None},
    ),
    "deberta_v3": case(
        "DebertaV2ForMaskedLM", "as v3-base: the head of its public file, and what else is left in it", V3, legacy=False, lengths=FAR,
        rewrite=lambda c: public_deberta(c) | {"legacy": False, "attention_head_size": 12}, stored=with_leftovers,
    ),
    "deberta_v3_classes": case(
        "DebertaV2ForSequenceClassification", "a reranker or classifier: pooler with gelu", V3, num_labels=5,
        points={"pooler_output": "pooler", "class_logits": "classifier", "logits": None},
    ),
    "longformer": case(
        "LongformerForMaskedLM", "two and four tokens to both sides", LONGFORMER, lengths=(16, 24), fields=NO_PAD,
        bites={"attention_window": [4, 4]},
    ),
    "longformer_old_config": case(
        "LongformerForMaskedLM", "config.json of the public repositories", LONGFORMER, lengths=(16, 24), fields=NO_PAD,
        rewrite=before_longformer_2021, same_as="longformer",
    ),
    "longformer_number": case(
        "LongformerModel", "one window for all layers; the reference pads the texts", LONGFORMER, attention_window=6, fields=NO_PAD,
        points={"embed": None, "encoder.*": None, "final": "@last_hidden_state"}, bites={"attention_window": 8}, type_vocab_size=2,
    ),
    "longformer_classes": case(
        "LongformerForSequenceClassification", "the first token sees all and is seen by all", LONGFORMER, lengths=(16, 24), fields=NO_PAD,
        num_labels=5, points={"class_logits": "classifier.out_proj", "logits": None},
    ),
    "mobilebert": case("MobileBertForPreTraining", "three words at a time, bottlenecks, NoNorm; the pooler has no matrix; the public config.json",
                       MOBILE, classifier_activation=False, hidden_act="relu", rewrite=lambda c: old_form(c) | {"true_hidden_size": 24},
                       fill=CALM),
    "mobilebert_norm": case(
        "MobileBertForMaskedLM", "layer norms, of which two kinds keep eps 1e-5; one MLP in each layer", MOBILE,
        normalization_type="layer_norm", layer_norm_eps=1e-2, num_feedforward_networks=1, hidden_act="relu",
        bites={"layer_norm_eps": 1e-5},
    ),
    "mobilebert_classes": case(
        "MobileBertForSequenceClassification", "a pooler with a matrix", MOBILE, num_labels=5, hidden_act="gelu",
        points={"class_logits": "classifier", "logits": None}, fill=CALM,
    ),
    "xlnet": case("XLNetLMHeadModel", "both directions, two segments", XLNET, lengths=(7, 19), fields=two_types,
        layers={"encoder": "transformer.layer"}),
    "xlnet_old_config": case(
        "XLNetLMHeadModel", "config.json of the public repositories", XLNET, lengths=(7, 19), fields=two_types,
        layers={"encoder": "transformer.layer"},
        rewrite=before_xlnet_2020, same_as="xlnet",
    ),
    "xlnet_clamp": case(
        "XLNetModel", "distances beyond 5 count as 5; no prefix", XLNET, clamp_len=5, ff_activation="relu", lengths=(7, 19),
        layers={"encoder": "layer"}, bites={"clamp_len": 6},
    ),
    "xlnet_causal": case(
        "XLNetForSequenceClassification", "one direction; the last token is classified", XLNET, attn_type="uni", num_labels=5,
        layers={"encoder": "transformer.layer"}, points={"class_logits": "logits_proj", "logits": None},
    ),
    "xlnet_first": case(
        "XLNetForSequenceClassification", "the first token is classified, with gelu", XLNET, num_labels=5, fields=two_types, summary_type="first",
        summary_activation="gelu", layers={"encoder": "transformer.layer"}, points={"class_logits": "logits_proj", "logits": None},
    ),
    "xlm": case("XLMWithLMHeadModel", "no language embeddings", XLM, fields=NO_XLM_PAD, layers={"encoder": "transformer.layer_norm2"},
                points=xlm("transformer.", 1)),
    "xlm_old_config": case(
        "XLMWithLMHeadModel", "config.json of the public repositories", XLM, fields=NO_XLM_PAD, layers={"encoder": "transformer.layer_norm2"},
        points=xlm("transformer.", 1), rewrite=before_xlm_2020, same_as="xlm",
    ),
    "xlm_causal": case(
        "XLMModel", "causal, relu; no prefix", XLM, fields=NO_XLM_PAD, layers={"encoder": "layer_norm2"}, points=xlm("", 1),
        causal=True, gelu_activation=False, layer_norm_eps=1e-2, bites={"causal": False, "layer_norm_eps": 1e-12},
    ),
    "xlm_classes": case(
        "XLMForSequenceClassification", "the summary of the first token has the size of the classes", XLM, fields=NO_XLM_PAD,
        layers={"encoder": "transformer.layer_norm2"}, num_labels=5,
        points=xlm("transformer.", 1) | {"class_logits": "sequence_summary", "logits": None},
    ),
    "flaubert": case(
        "FlaubertWithLMHeadModel", "norms after the blocks, as XLM", XLM, fields=NO_XLM_PAD, layers={"encoder": "transformer.layer_norm2"},
        points=xlm("transformer.", 1), use_lang_emb=True,
    ),
    "flaubert_large": case(
        "models.flaubert:Flaubert", "norms before the blocks, none after the last", FLAUBERT, fields=NO_XLM_PAD, pre_norm=True,
        bites={"pre_norm": False},
    ),
    "flaubert_small": case(
        "models.flaubert:Flaubert", "the transcription gives what transformers gives", FLAUBERT, fields=NO_XLM_PAD, pre_norm=False,
    ),
    "big_bird": case(
        "BigBirdForPreTraining", "a text so short that sparse attention is full", SMALL, points={"pooler_output": "bert.activation"},
        hidden_act="gelu_new",
    ),
    "big_bird_full": case(
        "BigBirdForMaskedLM", "full attention, larger words, no biases in the projections", SMALL, attention_type="original_full",
        rescale_embeddings=True, use_bias=False, bites={"rescale_embeddings": False}, points={"pooler_output": "bert.activation"},
    ),
    "big_bird_classes": case(
        "BigBirdForSequenceClassification", "small blocks: texts of up to 28 tokens", SMALL, block_size=4, num_random_blocks=1, num_labels=5,
        lengths=(9, 28), points={"pooler_output": "bert.activation", "class_logits": "classifier.out_proj", "logits": None}, hidden_act="relu",
    ),
    "convbert": case(
        "ConvBertForMaskedLM", "half of the width is convolutions", SMALL, num_attention_heads=6, embedding_size=20, conv_kernel_size=5,
    ),
    "convbert_grouped": case(
        "ConvBertForMaskedLM", "grouped MLP, a quarter of the heads", SMALL, num_attention_heads=12, head_ratio=4, num_groups=2,
        embedding_size=36, conv_kernel_size=9, hidden_act="gelu_new",
    ),
    "convbert_classes": case(
        "ConvBertForSequenceClassification", "one head is left; narrow kernel", SMALL, num_attention_heads=3, head_ratio=4, num_labels=5,
        embedding_size=36, conv_kernel_size=3, hidden_act="relu", points={"class_logits": "classifier.out_proj", "logits": None},
    ),
    "fnet": case("FNetForPreTraining", "the real part of a transform over tokens and features", FNET, hidden_act="gelu_new"),
    "fnet_bare": case("FNetModel", "no prefix, pooler", FNET, layer_norm_eps=1e-2, bites={"layer_norm_eps": 1e-12}),
    "nystromformer": case(
        "NystromformerForMaskedLM", "as many landmarks as tokens", SMALL, conv_kernel_size=5, num_landmarks=12, segment_means_seq_len=12,
    ),
    "nystromformer_classes": case(
        "NystromformerForSequenceClassification", "wide convolution; classifier with the activation of the layers", SMALL, hidden_act="relu",
        conv_kernel_size=17, num_labels=5, points={"class_logits": "classifier.out_proj", "logits": None},
    ),
    "rembert": case("RemBertForMaskedLM", "narrow embeddings, a wide head of its own", SMALL, input_embedding_size=20, output_embedding_size=44),
    "rembert_bare": case("RemBertModel", "no prefix, pooler", SMALL, input_embedding_size=20, output_embedding_size=44),
    "megatron_bert": case("MegatronBertForPreTraining", "norms before the blocks and after the last", SMALL, layers={"encoder": "bert.encoder.layer"},
                          points={"final": "bert.encoder.ln"}),
    "megatron_bert_untied": case(
        "MegatronBertForMaskedLM", "a head of its own", SMALL, tie_word_embeddings=False, layer_norm_eps=1e-2,
        points={"final": "bert.encoder.ln"}, bites={"layer_norm_eps": 1e-12},
    ),
    "roberta_prelayernorm": case(
        "RobertaPreLayerNormForMaskedLM", "norms before the blocks and after the last", ROBERTA, fields=NO_PAD,
        points={"final": "roberta_prelayernorm.LayerNorm"},
    ),
    "roberta_prelayernorm_bare": case(
        "RobertaPreLayerNormModel", "no prefix, pooler", ROBERTA, fields=NO_PAD, type_vocab_size=2, points={"final": "LayerNorm"},
    ),
    "esm": case(
        "EsmForMaskedLM", "ESM-2: rope from the file, masked tokens left out, tied head", ESM, position_embedding_type="rotary",
        token_dropout=True, emb_layer_norm_before=False, fields=some_masked, points={"final": "esm.encoder.emb_layer_norm_after"},
        bites={"token_dropout": False, "mask_token_id": 33}, fill={"*.inv_freq": [0.3, 0.3]},
    ),
    "esm_old": case(
        "EsmForTokenClassification", "frequencies in every layer, as in the public files", ESM, position_embedding_type="rotary",
        token_dropout=True, emb_layer_norm_before=False, fields=some_masked, points={"final": "esm.encoder.emb_layer_norm_after",
        "token_logits": "classifier", "logits": None}, tensors=frequencies_by_layer, fill={"*.inv_freq": [0.3, 0.3]}, num_labels=5,
    ),
    "esm_1b": case(
        "EsmModel", "ESM-1b: positions from a table, a norm of the embeddings; no prefix, pooler", ESM, token_dropout=True,
        emb_layer_norm_before=True, fields=some_masked, points={"final": "encoder.emb_layer_norm_after"}, bites={"token_dropout": False},
    ),
    "esm_classes": case(
        "EsmForSequenceClassification", "masked tokens are tokens like others", ESM, num_labels=5, fields=some_masked,
        points={"final": "esm.encoder.emb_layer_norm_after", "class_logits": "classifier.out_proj", "logits": None},
    ),
    "dpr": case("DPRQuestionEncoder", "the first row is the result", SMALL, layers={"encoder": "question_encoder.bert_model.encoder.layer"}),
    "dpr_projected": case(
        "DPRContextEncoder", "a projection of the first row", SMALL, projection_dim=20,
        layers={"encoder": "ctx_encoder.bert_model.encoder.layer"}, tensors=with_pooler, left_over=("*.pooler.*",),
    ),
    "dpr_reader": case(
        "DPRReader", "spans, and whether the passage answers at all", SMALL, layers={"encoder": "span_predictor.encoder.bert_model.encoder.layer"},
        points={"span_logits": "span_predictor.qa_outputs", "relevance_logits": "span_predictor.qa_classifier"}, type_vocab_size=1,
    ),
    "luke": case(
        "LukeForMaskedLM", "the weights of entities are in the file", ROBERTA | dict(entity_vocab_size=30, entity_emb_size=20), fields=NO_PAD,
    ),
    "luke_bare": case(
        "LukeModel", "no queries of entities; no prefix, pooler", ROBERTA | dict(entity_vocab_size=30, entity_emb_size=20), fields=NO_PAD,
        use_entity_aware_attention=False, type_vocab_size=2,
    ),
    "gte_masked": case(
        "GteForMaskedLM", "the class of transformers reads and writes the tensors of the public files; its head has gelu", SMALL, hidden_act="relu",
        layers={"encoder": "gte.layers"},
    ),
    "gte_classes": case(
        "GteForSequenceClassification", "no types; linear scaling", SMALL, num_labels=5, type_vocab_size=0, layers={"encoder": "gte.layers"},
        rope_parameters=rope("linear", 3000.0, factor=4.0), points={"class_logits": "classifier", "logits": None},
        bites={"rope_parameters": rope("default", 3000.0)},
    ),
    "gte_bare": case(
        "GteModel", "no prefix; the theta of the class", SMALL, type_vocab_size=1, layers={"encoder": "layers"},
        rewrite=only("rope_parameters"),
    ),
    "gte_new": case("models.gte:Gte", "gte-base-en-v1.5: fused projections, NTK scaling", GTE,
                bites={"rope_scaling": None, "rope_theta": 10000.0}),
    "gte_new_masked": case(
        "models.gte:GteForMaskedLM", "gte-multilingual-mlm-base: prefix, head tied to the words; one type, whatever the texts say",
        GTE | dict(architectures=["NewForMaskedLM"]), type_vocab_size=1, rope_scaling={"factor": 8.0, "type": "ntk"}, fields=two_types,
    ),
    "gte_new_classes": case(
        "models.gte:GteForSequenceClassification", "the reranker: projections of their own, rms norm, no types, relu",
        GTE | dict(architectures=["NewForSequenceClassification"]), pack_qkv=False, layer_norm_type="rms_norm", hidden_act="relu",
        type_vocab_size=0, rope_scaling=None, num_labels=3, id2label={"0": "a", "1": "b", "2": "c"},
    ),
    "gte_new_absolute": case("models.gte:Gte", "positions from a table", GTE, position_embedding_type="absolute", max_position_embeddings=40,
                         rope_scaling=None),
    "gte_arctic": case(
        "models.gte:Gte", "arctic-embed-m-v2.0: the same under another name, no scaling",
        GTE | dict(model_type="gte", architectures=["GteModel"], rope_theta=160000.0, matryoshka_dimensions=[12]), type_vocab_size=1,
        rope_scaling=None,
    ),
}
