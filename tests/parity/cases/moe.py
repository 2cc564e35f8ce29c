"""Mixtures of experts."""

from .common import DECODER, LONG, case

CASES = {
    "mixtral": case(
        "MixtralForCausalLM", "4 experts, 2 at work; experts under their public names", DECODER,
        num_local_experts=4, num_experts_per_tok=2, num_hidden_layers=2,
    ),
    "mixtral_many": case(
        "MixtralForCausalLM", "8 experts, 3 at work, a window of 8", DECODER, lengths=LONG, num_local_experts=8,
        num_experts_per_tok=3, sliding_window=8, num_hidden_layers=2, bites={"sliding_window": 9},
    ),
}
