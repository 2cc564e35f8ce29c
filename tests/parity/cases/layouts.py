"""Other storage layouts of models of other files: experts packed in two tensors, q, k and v apart."""

from dataclasses import replace

from . import bert, encoders, latent, mamba, moe, phi, qwen
from .common import Case

PACKED = (
    "mixtral", "qwen2_moe", "qwen3_moe", "qwen3_next", "qwen3_5_moe_text", "olmoe", "phimoe", "minimax_m2", "granitemoe",
    "granitemoehybrid", "mimo_v2_flash", "ernie4_5_moe", "dots1", "hunyuan_v1_moe", "deepseek_v2", "deepseek_v3", "glm4_moe", "jamba",
    "lfm2_moe", "nemotron_h_moe",
)
SPLIT = ("nomic_bert", "jina_embeddings_v3", "gte_masked")

found = bert.CASES | encoders.CASES | latent.CASES | mamba.CASES | moe.CASES | phi.CASES | qwen.CASES


def native(name: str) -> Case:
    """The model of case `name` under the names and in the layout of transformers 5."""
    case = found[name]
    return replace(case, native=True, bites={}, note=f"`{name}` as transformers 5 holds it in memory: {case.note}")


CASES = {f"{name}_packed": native(name) for name in PACKED} | {f"{name}_split": native(name) for name in SPLIT}
