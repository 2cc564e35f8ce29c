"""GPT-2 and its kin."""

from .common import case

GPT2 = dict(vocab_size=112, n_embd=48, n_layer=3, n_head=4, n_positions=40, bos_token_id=1, eos_token_id=2)

CASES = {
    "gpt2": case("GPT2LMHeadModel", "learned positions, tied head, `transformer.` prefix", GPT2),
    "gpt2_scaled": case(
        "GPT2LMHeadModel", "attention divided by the layer's number, an own inner width, exact gelu", GPT2,
        scale_attn_by_inverse_layer_idx=True, n_inner=72, activation_function="gelu",
        bites={"scale_attn_by_inverse_layer_idx": False},
    ),
    "gpt2_bare": case("GPT2Model", "no head and no prefix: no logits", GPT2),
}
