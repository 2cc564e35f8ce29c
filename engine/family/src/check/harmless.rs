//! Keys of config.json that no forward pass depends on.

/// Keys that are about tokens, training, generation, saving or display, or that only fix shapes, which
/// the tensors prove.
const KEYS: &[&str] = &[
    // what the file is
    "model_type", "architectures", "auto_map", "_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "_commit_hash",
    "custom_pipelines", "adapted_from", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "unsloth_version", "unsloth_fixed",
    "model_max_length", "tokenizer_class", "license", "auto_mapping",
    // special tokens
    "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "decoder_start_token_id",
    "forced_bos_token_id", "forced_eos_token_id", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "eos_token_ids",
    // sizes that the tensors prove
    "hidden_size", "intermediate_size", "vocab_size", "type_vocab_size", "n_inner", "n_positions", "n_ctx", "n_embd", "d_model", "d_ff", "conv_kernel",
    "max_position_embeddings", "moe_intermediate_size", "shared_expert_intermediate_size", "max_sequence_length", "seq_length", "max_seq_len",
    // training
    "attention_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop", "hidden_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout",
    "activation_dropout", "classifier_dropout", "embedding_dropout", "emb_dropout", "resid_dropout", "dropout_rate", "summary_first_dropout",
    "initializer_range", "initializer_factor", "init_std", "router_aux_loss_coef", "router_z_loss_coef", "router_jitter_noise", "output_router_logits",
    "aux_loss_alpha", "seq_aux", "gradient_checkpointing", "use_cache", "keys_to_ignore_at_inference", "pretraining_tp", "layerdrop",
    "encoder_layerdrop", "decoder_layerdrop", "rescale_prenorm_residual", "embedding_initializer_range", "ep_size", "problem_type",
    // results and generation
    "output_attentions", "output_hidden_states", "return_dict", "use_return_dict", "return_dict_in_generate", "output_scores", "task_specific_params",
    "num_beams", "num_beam_groups", "num_return_sequences", "max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "temperature",
    "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "diversity_penalty",
    "exponential_decay_length_penalty", "remove_invalid_values", "prefix", "chunk_size_feed_forward", "torchscript", "use_bfloat16", "tf_legacy_loss",
    "pruned_heads", "reorder_and_upcast_attn", "finetuning_task", "cross_attention_hidden_size", "is_encoder_decoder",
    "output_past", "_num_labels", "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
    "pooler_type",
    // labels of classifiers
    "id2label", "label2id", "num_labels", "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels",
];

/// True if no forward pass depends on the key.
pub(crate) fn is_harmless(key: &str) -> bool {
    KEYS.contains(&key)
}
