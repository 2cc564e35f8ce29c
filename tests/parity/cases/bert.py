"""BERT and its kin: encoders that see the whole text."""

from .common import DECODER, ENCODER as BERT, LONG, case, old_form, renamed, rope

# Sizes of which no two agree by chance.
SMALL = BERT | dict(vocab_size=96, hidden_size=36, intermediate_size=60, num_hidden_layers=2, num_attention_heads=3)
ROBERTA = SMALL | dict(pad_token_id=1, type_vocab_size=1)
LOCAL = dict(
    vocab_size=96, hidden_size=36, intermediate_size=44, num_hidden_layers=4, num_attention_heads=3,
    max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
)
# As the public repositories have it, of which some keys say nothing about the result.
NOMIC = dict(
    model_type="nomic_bert", architectures=["NomicBertModel"], vocab_size=96, n_embd=36, n_inner=44, n_layer=2, n_head=3, n_positions=64,
    activation_function="swiglu", attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, bos_token_id=None, eos_token_id=None, causal=False,
    dense_seq_output=True, fused_bias_fc=True, fused_dropout_add_ln=True, initializer_range=0.02, layer_norm_epsilon=1e-12,
    max_trained_positions=32, mlp_fc1_bias=False, mlp_fc2_bias=False, pad_vocab_size_multiple=32, parallel_block=False,
    parallel_block_tied_norm=False, prenorm=False, qkv_proj_bias=False, reorder_and_upcast_attn=False, rotary_emb_base=1000,
    rotary_emb_fraction=1.0, rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_scaling_factor=None,
    scale_attn_by_inverse_layer_idx=False, scale_attn_weights=True, summary_activation=None, summary_first_dropout=0.0,
    summary_proj_to_labels=True, summary_type="cls_index", summary_use_proj=True, torch_dtype="float32", transformers_version="4.37.2",
    type_vocab_size=2, use_cache=True, use_flash_attn=True, use_rms_norm=False, use_xentropy=True,
)
JINA_V2 = dict(
    model_type="bert", architectures=["JinaBertForMaskedLM"], vocab_size=96, hidden_size=36, intermediate_size=44, num_hidden_layers=2,
    num_attention_heads=6, max_position_embeddings=8192, type_vocab_size=2, layer_norm_eps=1e-12, hidden_act="gelu", pad_token_id=0,
    attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.1, classifier_dropout=None, gradient_checkpointing=False,
    initializer_range=0.02, position_embedding_type="alibi", feed_forward_type="geglu", emb_pooler="mean", attn_implementation="torch",
    torch_dtype="float32", transformers_version="4.26.0", use_cache=True, model_max_length=8192,
)
JINA_V3 = dict(
    model_type="xlm-roberta", architectures=["XLMRobertaModel"], vocab_size=96, hidden_size=36, intermediate_size=44, num_hidden_layers=2,
    num_attention_heads=3, max_position_embeddings=8194, type_vocab_size=1, layer_norm_eps=1e-5, hidden_act="gelu", pad_token_id=1,
    bos_token_id=0, eos_token_id=2, attention_probs_dropout_prob=0.1, hidden_dropout_prob=0.1, classifier_dropout=None, emb_pooler=None,
    initializer_range=0.02, load_trained_adapters=True, lora_adaptations=["retrieval.query", "separation"], lora_alpha=1,
    lora_dropout_p=0.0, lora_main_params_trainable=False, lora_rank=4, matryoshka_dimensions=[12, 36], output_past=True,
    position_embedding_type="rotary", rotary_emb_base=20000.0, task_instructions={"retrieval.query": "Find: ", "separation": ""},
    torch_dtype="bfloat16", transformers_version="4.30.2", truncate_dim=None, use_cache=True, use_flash_attn=True,
)


def jina(code: str) -> dict:
    return {"auto_map": {"AutoModel": f"jinaai/jina-bert-{code}--modeling_bert.JinaBertModel"}}


def ids_without(token: int):
    """No id of a row is `token`: transformers counts positions from ids other than the padding's."""
    return lambda _row, ids: {"input_ids": [i if i != token else i + 1 for i in ids]}


NO_PAD = ids_without(1)


def before_v5(config: dict) -> dict:
    """As in public repositories: with the key for the kind of positions, without the keys that came later."""
    config = old_form(config, without=("is_decoder", "add_cross_attention", "tie_word_embeddings", "bos_token_id", "eos_token_id"))
    return config | {"position_embedding_type": "absolute", "gradient_checkpointing": False, "pad_token_id": 0}


def oldest(tensors: dict) -> dict:
    tensors = renamed(**{"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"})(tensors)
    return tensors | {"bert.embeddings.position_ids": {"dtype": "F32", "shape": [1, 40]}}


def squeezed(prefix: str) -> dict:
    """The reference calls its layers past the hooks, and keeps channels first inside."""
    layer = f"{prefix}encoder.layers"
    return {"embed": f"{prefix}embeddings", "encoder.0": f"{layer}.0.output'", "encoder.1": f"{layer}.1.output'",
            "final": f"{layer}.1.output'"}


def old_eurobert(config: dict) -> dict:
    return old_form(config) | {"is_decoder": False, "hidden_dropout": 0.0, "clf_pooling": "late", "mask_token": "<|mask|>",
                               "pad_token_id": config["pad_token_id"]}


def old_modernbert(config: dict) -> dict:
    """Thetas of the two ropes and the rhythm of the layers as keys of their own; keys that nobody reads."""
    ropes = config["rope_parameters"]
    config = old_form({k: v for k, v in config.items() if k != "rope_parameters"}) | {"pad_token_id": config["pad_token_id"]}
    return config | {"global_rope_theta": ropes["full_attention"]["rope_theta"], "local_rope_theta": ropes["sliding_attention"]["rope_theta"],
                     "global_attn_every_n_layers": 3, "layer_norm_eps": 1e-3, "position_embedding_type": "absolute",
                     "gradient_checkpointing": False}


def old_modernbert_decoder(config: dict) -> dict:
    """The window instead of `local_attention`, and names of tokens."""
    config = {k: v for k, v in old_modernbert(config).items() if k != "local_attention"}
    return config | {"sliding_window": 6, "causal_mask": True, "is_causal": True, "masked_prediction": False, "bos_token": "[CLS]"}


WIDE = (13, 21)
EURO = DECODER | dict(num_hidden_layers=2, hidden_size=48, pad_token_id=0)
OUTPUT = {"class_logits": "@logits", "logits": None}
CASES = {
    "bert": case("BertForPreTraining", "masked-language-model head, pooler and next-sentence head", BERT),
    "bert_mlm": case("BertForMaskedLM", "no pooler; another activation", BERT, hidden_act="gelu_new"),
    "bert_bare": case("BertModel", "no heads and no prefix, with pooler", BERT),
    "bert_old": case(
        "BertForPreTraining", "norms spelled gamma and beta, as in the first files, a buffer of positions, and the config.json of then", SMALL,
        tensors=oldest, rewrite=before_v5, left_over=("*.position_ids",),
    ),
    "bert_untied": case(
        "BertForMaskedLM", "a head with weights and a bias of its own", SMALL, tie_word_embeddings=False, layer_norm_eps=1e-2,
        bites={"layer_norm_eps": 1e-12},
    ),
    "bert_classes": case(
        "BertForSequenceClassification", "a classifier over the pooler, as in rerankers", SMALL, num_labels=5,
        points={"class_logits": "classifier", "logits": None},
    ),
    "bert_tokens": case(
        "BertForTokenClassification", "a classifier over every token", SMALL, num_labels=5,
        points={"token_logits": "classifier", "logits": None},
    ),
    "bert_spans": case(
        "BertForQuestionAnswering", "start and end of a span", SMALL, points={"span_logits": "qa_outputs"},
    ),
    "roberta": case("RobertaForMaskedLM", "positions from pad + 1, one token type, tied head", ROBERTA, fields=NO_PAD),
    "roberta_pad": case(
        "RobertaModel", "another padding token: positions from 4; no prefix, with pooler", ROBERTA, pad_token_id=3,
        hidden_act="gelu_new", fields=ids_without(3), layer_norm_eps=1e-5,
    ),
    "roberta_untied": case("RobertaForMaskedLM", "a head of its own", ROBERTA, tie_word_embeddings=False, fields=NO_PAD),
    "roberta_classes": case(
        "RobertaForSequenceClassification", "classifier with a hidden layer", ROBERTA, num_labels=5, fields=NO_PAD,
        points={"class_logits": "classifier.out_proj", "logits": None},
    ),
    "roberta_tokens": case(
        "RobertaForTokenClassification", "a classifier over every token", ROBERTA, num_labels=5, fields=NO_PAD,
        points={"token_logits": "classifier", "logits": None},
    ),
    "camembert": case("CamembertForMaskedLM", "RoBERTa under another name", ROBERTA, fields=NO_PAD),
    "xlm_roberta": case("XLMRobertaForMaskedLM", "RoBERTa under another name", ROBERTA, fields=NO_PAD),
    "xlm_roberta_bare": case("XLMRobertaModel", "as bge-m3: no prefix, pooler", ROBERTA, fields=NO_PAD),
    "data2vec_text": case("Data2VecTextForMaskedLM", "RoBERTa with a root of its own", ROBERTA, fields=NO_PAD),
    "xlm_roberta_xl": case(
        "XLMRobertaXLForMaskedLM", "norms before the blocks and after the last", ROBERTA, fields=NO_PAD,
        points={"final": "roberta.encoder.LayerNorm"},
    ),
    "xlm_roberta_xl_bare": case(
        "XLMRobertaXLModel", "no prefix, pooler over the normed value", ROBERTA, fields=NO_PAD, layer_norm_eps=1e-2,
        points={"final": "encoder.LayerNorm"}, bites={"layer_norm_eps": 1e-5},
    ),
    "ibert": case("IBertForMaskedLM", "full precision; the states of the integer mode are in the file", ROBERTA, fields=NO_PAD),
    "xmod": case(
        "XmodForMaskedLM", "two languages, the second one is the default", ROBERTA, fields=NO_PAD,
        languages=["en_XX", "de_DE"], default_language="de_DE", bites={"default_language": "en_XX"},
    ),
    "xmod_prenorm": case(
        "XmodModel", "norms before the blocks, no norm before the adapter", ROBERTA, fields=NO_PAD, pre_norm=True,
        languages=["en_XX"], default_language="en_XX", adapter_reuse_layer_norm=False, ln_before_adapter=False,
        points={"final": "encoder.LayerNorm"},
    ),
    "xmod_adapter_norm": case(
        "XmodForMaskedLM", "a norm of its own before the adapter", ROBERTA, fields=NO_PAD, adapter_layer_norm=True,
        languages=["en_XX"], default_language="en_XX", bites={"ln_before_adapter": False},
    ),
    "xmod_reuse": case(
        "XmodForMaskedLM", "the norm is used twice, the adapter's residual stream is the one before it", ROBERTA, fields=NO_PAD,
        languages=["en_XX"], default_language="en_XX", ln_before_adapter=False, bites={"ln_before_adapter": True},
    ),
    "albert": case(
        "AlbertForPreTraining", "one block for all three layers, narrow embeddings, sentence-order head", SMALL,
        num_hidden_layers=3, embedding_size=20, layers={"encoder": "albert.encoder.albert_layer_groups"},
        points={"pooler_output": "albert.pooler_activation"},
    ),
    "albert_groups": case(
        "AlbertForMaskedLM", "two groups over five layers, two blocks in each", SMALL, num_hidden_layers=5, embedding_size=20,
        num_hidden_groups=2, inner_group_num=2, hidden_act="gelu", layers={"encoder": "albert.encoder.albert_layer_groups"},
    ),
    "albert_bare": case(
        "AlbertModel", "as albert-xxlarge: the heads fill the width; no prefix", SMALL, num_hidden_layers=2,
        layers={"encoder": "encoder.albert_layer_groups"}, points={"pooler_output": "pooler_activation"}, embedding_size=16,
    ),
    "distilbert": case(
        "DistilBertForMaskedLM", "no token types, tied head",
        dict(vocab_size=96, dim=36, hidden_dim=60, n_layers=2, n_heads=3, max_position_embeddings=40),
        layers={"encoder": "distilbert.transformer.layer"},
    ),
    "distilbert_classes": case(
        "DistilBertForSequenceClassification", "classifier over the first token; sinusoids in the file",
        dict(vocab_size=96, dim=36, hidden_dim=60, n_layers=2, n_heads=3, max_position_embeddings=40, sinusoidal_pos_embds=True,
             num_labels=5, activation="relu"),
        layers={"encoder": "distilbert.transformer.layer"}, points={"class_logits": "classifier", "logits": None},
    ),
    "electra": case(
        "ElectraForMaskedLM", "generator: narrow embeddings, its head uses gelu whatever hidden_act is", SMALL, embedding_size=20,
        hidden_act="relu",
    ),
    "electra_discriminator": case(
        "ElectraForPreTraining", "discriminator: one logit per token", SMALL, embedding_size=36, hidden_act="relu",
        points={"discriminator_logits": "discriminator_predictions.dense_prediction", "logits": None},
    ),
    "electra_classes": case(
        "ElectraForSequenceClassification", "classifier with gelu", SMALL, embedding_size=20, num_labels=5,
        points={"class_logits": "classifier.out_proj", "logits": None},
    ),
    "ernie": case("ErnieForPreTraining", "no task embedding", SMALL),
    "ernie_task": case("ErnieForMaskedLM", "with the task embedding of ERNIE 2 and 3", SMALL, use_task_id=True),
    "mpnet": case(
        "MPNetForMaskedLM", "biases of 32 buckets, shared by the layers", SMALL, lengths=LONG,
        pad_token_id=1, fields=NO_PAD,
    ),
    "mpnet_bare": case(
        "MPNetModel", "no prefix, pooler; positions start at 2 whatever pad_token_id is", SMALL, pad_token_id=3, fields=NO_PAD,
    ),
    "squeezebert": case(
        "SqueezeBertForMaskedLM", "grouped convolutions, unequal groups; norms of the layers keep eps 1e-12", SMALL,
        embedding_size=36, q_groups=2, k_groups=3, v_groups=4, post_attention_groups=6, intermediate_groups=12,
        output_groups=4, layer_norm_eps=1e-2, points=squeezed("transformer."),
    ),
    "squeezebert_bare": case(
        "SqueezeBertModel", "no prefix, pooler, public numbers of groups", SMALL, embedding_size=36, points=squeezed(""),
    ),
    "roformer": case(
        "RoFormerForMaskedLM", "interleaved rope, narrow embeddings", SMALL, embedding_size=20,
        bites={"rotary_value": True}, computed=("*.embed_positions.weight",),
    ),
    "roformer_value": case(
        "RoFormerModel", "values are turned too; no prefix", SMALL, rotary_value=True, bites={"rotary_value": False},
        computed=("*.embed_positions.weight",),
    ),
    "roformer_classes": case(
        "RoFormerForSequenceClassification", "classifier with the activation of the layers", SMALL, num_labels=5, hidden_act="relu",
        computed=("*.embed_positions.weight",), points={"class_logits": "classifier.out_proj", "logits": None},
    ),
    "eurobert": case(
        "EuroBertForMaskedLM", "Llama without the causal mask", EURO,
        layers={"encoder": "model.layers"}, rope_parameters=rope("default", 250000.0), bites={"rope_parameters": rope("default")},
    ),
    "eurobert_old_config": case(
        "EuroBertForMaskedLM", "config.json of the public repositories", EURO,
        layers={"encoder": "model.layers"}, rope_parameters=rope("default", 250000.0), rewrite=old_eurobert, same_as="eurobert",
    ),
    "eurobert_bare": case(
        "EuroBertModel", "no prefix; eps by default", DECODER, num_hidden_layers=2, pad_token_id=0, layers={"encoder": "layers"},
        rewrite=lambda c: {k: v for k, v in c.items() if k != "rms_norm_eps"},
    ),
    "eurobert_classes": case(
        "EuroBertForSequenceClassification", "classifier of every token, then the mean", EURO, num_labels=5,
        layers={"encoder": "model.layers"}, points=OUTPUT, bites={"classifier_pooling": "mean"},
    ),
    "eurobert_mean": case(
        "EuroBertForSequenceClassification", "the mean of the tokens, then the classifier", EURO, num_labels=5,
        layers={"encoder": "model.layers"}, classifier_pooling="mean", points=OUTPUT, bites={"classifier_pooling": "bos"},
    ),
    "modernbert": case(
        "ModernBertForMaskedLM", "every third layer sees all, the others 6 tokens to both sides; two ropes", LOCAL, lengths=WIDE,
        layers={"encoder": "model.layers"}, local_attention=12, bites={"local_attention": 14},
    ),
    "modernbert_old_config": case(
        "ModernBertForMaskedLM", "config.json of the public repositories", LOCAL, lengths=WIDE, layers={"encoder": "model.layers"},
        local_attention=12, rewrite=old_modernbert, same_as="modernbert",
    ),
    "modernbert_biases": case(
        "ModernBertForSequenceClassification", "biases everywhere, two layers of each kind in an order of their own, mean pooling",
        LOCAL, lengths=WIDE, layers={"encoder": "model.layers"}, local_attention=7, attention_bias=True, mlp_bias=True,
        norm_bias=True, classifier_bias=True, classifier_pooling="mean", hidden_activation="silu", num_labels=5,
        layer_types=["sliding_attention", "full_attention", "full_attention", "sliding_attention"],
        rope_parameters={"full_attention": rope("default", 5000.0), "sliding_attention": rope("default", 700.0)},
        points={"class_logits": "classifier", "logits": None}, bites={"local_attention": 8},
    ),
    "modernbert_untied": case(
        "ModernBertForMaskedLM", "a head of its own, no bias in it; linear scaling of the ropes", LOCAL, tie_word_embeddings=False,
        decoder_bias=False, num_hidden_layers=2, layers={"encoder": "model.layers"}, classifier_activation="relu",
        rope_parameters={"full_attention": rope("linear", 160000.0, factor=4.0), "sliding_attention": rope("linear", factor=2.0)},
    ),
    "modernbert_tokens": case(
        "ModernBertForTokenClassification", "a classifier over every token", LOCAL, num_hidden_layers=2, num_labels=5,
        layers={"encoder": "model.layers"}, points={"token_logits": "classifier", "logits": None},
    ),
    "modernbert_decoder": case(
        "ModernBertDecoderForCausalLM", "causal, a window of 6 in two of three layers", LOCAL, lengths=WIDE,
        layers={"decoder": "model.layers"}, local_attention=12, bites={"sliding_window": 7},
    ),
    "modernbert_decoder_old_config": case(
        "ModernBertDecoderForCausalLM", "config.json of the public repositories", LOCAL, lengths=WIDE, local_attention=12,
        layers={"decoder": "model.layers"}, rewrite=old_modernbert_decoder, same_as="modernbert_decoder",
    ),
    "nomic_bert": case(
        "NomicBertForMaskedLM", "rope, SwiGLU", SMALL, layers={"encoder": "nomic_bert.layers"},
    ),
    "nomic_bert_dynamic": case(
        "NomicBertModel", "dynamic scaling, `b` longer than the trained length; no prefix", SMALL, lengths=LONG,
        max_position_embeddings=16, layers={"encoder": "layers"}, rope_parameters=rope("dynamic", 1000.0, factor=2.0),
        bites={"rope_parameters": rope("default", 1000.0)},
    ),
    "jina_embeddings_v3": case(
        "JinaEmbeddingsV3ForMaskedLM", "XLM-RoBERTa with rope", ROBERTA, layers={"encoder": "roberta.layers"},
    ),
    "jina_embeddings_v3_bare": case(
        "JinaEmbeddingsV3Model", "no prefix, pooler", ROBERTA, layers={"encoder": "layers"}, hidden_act="gelu_new",
        rope_parameters=rope("default", 3000.0), bites={"rope_parameters": rope("default", 20000.0)},
    ),
    "jina_embeddings_v3_public": case(
        "models.jina_embeddings_v3:JinaEmbeddingsV3", "the public file: every weight beside the adapters of two tasks", JINA_V3,
        bites={"rotary_emb_base": 10000.0},
    ),
    "jina_bert": case(
        "models.jina_bert:JinaBert", "six heads: slopes beyond a power of two; gates with the first half", JINA_V2 | jina("implementation"),
        bites={"feed_forward_type": "reglu"},
    ),
    "jina_bert_post_norm": case(
        "models.jina_bert:JinaBert", "norms on queries and keys and one more after the block; gates with the second half",
        JINA_V2 | jina("v2-qk-post-norm"), num_attention_heads=4, feed_forward_type="reglu",
    ),
    "nomic_bert_public": case(
        "models.nomic_bert:NomicBert", "config.json with GPT-2's keys, as nomic-embed-text-v1.5", NOMIC,
        bites={"rotary_emb_base": 10000.0, "activation_function": "geglu"},
    ),
    "nomic_bert_scaled": case(
        "models.nomic_bert:NomicBert", "`b` is longer than the trained length: the rope is scaled; half of each head turned; geglu", NOMIC,
        lengths=(9, 24), rotary_scaling_factor=2, max_trained_positions=12, rotary_emb_fraction=0.5, activation_function="geglu",
        bites={"rotary_scaling_factor": None, "rotary_emb_fraction": 1.0},
    ),
    "nomic_bert_moe": case(
        "models.nomic_bert:NomicBert", "nomic-embed-text-v2-moe: experts in every second layer, plain MLP elsewhere, biases", NOMIC,
        n_layer=4, activation_function="gelu", num_experts=4, moe_top_k=2, moe_every_n_layers=2, mlp_fc1_bias=True, mlp_fc2_bias=True,
        qkv_proj_bias=True, type_vocab_size=1, layer_norm_epsilon=1e-5, rotary_emb_base=10000, pad_token_id=1, num_shared_experts=0,
        moe_normalize_expert_weights=False, expert_choice_router=False, ffn_div=1, moe_impl="megablocks", moe_resid_pdrop=0.0,
        use_rms_norm=None, add_pooling_layer=False, router_aux_loss_coef=0.1, bites={"moe_top_k": 1},
    ),
}
