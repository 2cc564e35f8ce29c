"""Which values of a reference model are the points of a fixture, and how they are taken."""

import fnmatch

import torch

LISTS = ("layers", "layer", "h", "blocks", "block", "groups")
NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f", "final_norm", "ln_out", "layer_norm",
         "norm_out", "out_norm", "layernorm_embedding_out", "embedding_norm")
# Attribute of the output -> point.
OUTPUTS = {"logits": "logits", "prediction_logits": "logits", "seq_relationship_logits": "seq_relationship_logits",
           "sop_logits": "sop_logits", "pooler_output": "pooler_output"}


def first(value):
    return value[0] if isinstance(value, (tuple, list)) else value


def module(model, path: str):
    """The module; of `a+b`, the members of both lists."""
    if "+" in path:
        return [layer for part in path.split("+") for layer in model.get_submodule(part)]
    return model.get_submodule(path) if path else model


def find_layers(model) -> dict[str, str]:
    """Stack -> path of its list of layers, by the usual names: the shallowest list, or those of encoder and decoder."""
    lists = [name for name, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)]
    lists = sorted((n for n in lists if n.split(".")[-1] in LISTS), key=lambda n: n.count("."))
    if getattr(model.config, "is_encoder_decoder", False):
        return {s: next(n for n in lists if s in n.split(".")) for s in ("encoder", "decoder")}
    if not lists:
        raise SystemExit("no list of layers under a usual name: give the case `layers`")
    return {"encoder" if "encoder" in lists[0].split(".") else "decoder": lists[0]}


def final_of(model, path: str) -> str:
    """The norm beside a list of layers; the last layer where there is none."""
    parent = path.rpartition(".")[0]
    for name in NORMS:
        if isinstance(getattr(module(model, parent), name, None), torch.nn.Module):
            return f"{parent}.{name}" if parent else name
    return f"{path}.{len(module(model, path)) - 1}"


def points_of(model, case, row: dict) -> dict[str, torch.Tensor]:
    """Every captured value of one sequence, each `[rows, width]` in f32."""
    stacks = case.layers or find_layers(model)
    got, hooks, calls = {}, [], {stack: [] for stack in stacks}

    def save(point):
        def hook(_module, _args, output):
            got[point] = first(output)

        return hook

    def save_input(point):
        def hook(_module, args, kwargs):
            got.setdefault(point, args[0] if args else kwargs["hidden_states"])

        return hook

    modules = {}
    for stack, path in stacks.items():
        several = f"{stack}." if len(stacks) > 1 else ""
        layers = module(model, path)
        hooks.append(layers[0].register_forward_pre_hook(save_input(f"{several}embed"), with_kwargs=True))
        modules |= {f"{stack}.{i}": f"{path}.{i}" for i in range(len(layers)) if "+" not in path}
        hooks += [layer.register_forward_hook(lambda _m, _a, y, c=calls[stack]: c.append(first(y))) for layer in layers]
        modules[f"{several}final"] = None if "+" in path else final_of(model, path)
    if isinstance(getattr(model.base_model, "pooler", None), torch.nn.Module):
        hooks.append(model.base_model.pooler.register_forward_hook(save("pooler_output")))
    for point, path in (modules | case.points).items():
        if path is not None and not path.startswith("@"):
            hooks.append(module(model, path.rstrip("'")).register_forward_hook(save(point)))
    inputs = {k: torch.tensor([v]) for k, v in row.items() if k != "id"}
    with torch.no_grad():
        output = model(**inputs, return_dict=True, **({} if "encoder" in stacks and len(stacks) == 1 else {"use_cache": False}))
    for hook in hooks:
        hook.remove()
    for stack, values in calls.items():
        if len(values) > len(module(model, stacks[stack])):  # weights shared by several layers (ALBERT): points in order of the calls
            got |= {f"{stack}.{i}": value for i, value in enumerate(values)}
    for key, point in OUTPUTS.items():
        if output.get(key) is not None:
            got.setdefault(point, output[key])
    for point, path in case.points.items():
        if path and path.startswith("@"):
            got[point] = output[path[1:].rstrip("'")]
        if path and path.endswith("'"):
            got[point] = got[point].transpose(-1, -2)
    if case.streams:
        got = {k: v.permute(1, 2, 0, 3).flatten(2) if v.dim() == 4 else v for k, v in got.items()}
    dropped = [point for point, path in case.points.items() if path is None]
    return {k: flat(v) for k, v in got.items() if not any(fnmatch.fnmatch(k, d) for d in dropped)}


def flat(value: torch.Tensor) -> torch.Tensor:
    """`[rows, width]`, f32, in memory of its own; several streams of a row lie side by side."""
    value = value.flatten(2) if value.dim() == 4 else value
    return value.detach().float().reshape(-1, value.shape[-1]).contiguous().clone()
