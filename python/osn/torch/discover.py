"""Which parameters a model has, what each does, and why one cannot be held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from osn.torch.host import is_readable

#: Gates of each recurrent layer, whose weights lie one behind the other.
_GATES = {"RNN": 1, "LSTM": 4, "GRU": 3, "RNNCell": 1, "LSTMCell": 4, "GRUCell": 3}
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


@dataclass
class Found:
    """A parameter of rank 2 or more, at every place where the model has it."""

    path: str
    module: nn.Module
    name: str
    weight: Tensor
    kind: str
    view: str
    output_axis: int
    #: Why it cannot be held, in words.
    problem: str | None = None
    #: Other modules that share it.
    shared: list[tuple[nn.Module, str]] = field(default_factory=list)
    #: The path of each module that has it.
    module_paths: list[str] = field(default_factory=list)
    #: Where it comes among all weights of the model, for each module that has it and is no embedding.
    orders: list[int] = field(default_factory=list)

    @property
    def places(self) -> list[tuple[nn.Module, str]]:
        return [(self.module, self.name), *self.shared]

    def heads(self) -> str:
        """The view of each head of attention as a block."""
        attention = self.module
        if self.kind == "attention" and isinstance(attention, nn.MultiheadAttention):
            count = attention.num_heads * (3 if self.name == "in_proj_weight" else 1)
            return f"blocks:axis=0,count={count}"
        raise ValueError(f"view heads is for the projections of MultiheadAttention, not for {self.path}")


def parameters(model: nn.Module) -> list[Found]:
    """All parameters of rank 2 and more, in the order of the module tree, each once."""
    found: dict[int, Found] = {}
    in_attention: set[int] = set()
    order = 0
    for module_path, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            in_attention.add(id(module.out_proj))
        for name, weight, problem in _weights(module):
            kind = "attention" if id(module) in in_attention else _kind(module)
            if id(weight) in found:
                found[id(weight)].shared.append((module, name))
            else:
                path = f"{module_path}.{name}" if module_path else name
                view, axis = _view(module, name), _output_axis(module)
                found[id(weight)] = Found(path, module, name, weight, kind, view, axis, problem)
            order += 1
            found[id(weight)].module_paths.append(module_path)
            found[id(weight)].orders += [order] if kind != "embedding" else []
    return list(found.values())


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor, str | None]]:
    """The own weights of a module, by the names that its forward reads them by."""
    if isinstance(module, parametrize.ParametrizationList):
        return
    normalized = _normalized_by_hooks(module)
    for name, weight in module._parameters.items():
        if weight is None:
            continue
        if isinstance(weight, nn.UninitializedParameter):
            yield name, weight, "is not initialized: run one forward first"
        elif weight.dim() >= 2 or weight.is_nested or _is_sharded(weight):
            own = name.removesuffix("_orig").removesuffix("_v")
            taken = normalized.get(own)
            yield (own if taken else name), weight, taken or _problem(weight)
    for name, chain in getattr(module, "parametrizations", {}).items():
        weight = chain.original if hasattr(chain, "original") else chain.original0
        if weight.dim() >= 2:
            kinds = ", ".join(type(it).__name__.lstrip("_") for it in chain)
            yield name, weight, f"already has the parametrization {kinds}: remove it first, or attach once"


def _normalized_by_hooks(module: nn.Module) -> dict[str, str]:
    """The weights that the older functions of PyTorch hold, with what to do."""
    taken = {}
    for hook in module._forward_pre_hooks.values():
        kind = type(hook).__name__
        if kind in ("SpectralNorm", "WeightNorm") and type(hook).__module__.startswith("torch.nn.utils"):
            remove = "remove_spectral_norm" if kind == "SpectralNorm" else "remove_weight_norm"
            taken[getattr(hook, "name")] = f"already has {kind}: call torch.nn.utils.{remove} first"
    return taken


def _problem(weight: Tensor) -> str | None:
    if _is_sharded(weight):
        return "is sharded (DTensor): attach osn under DDP, or bake before fully_shard"
    if weight.is_meta:
        return "is on the meta device: give it values first"
    if weight.is_quantized:
        return "is quantized: attach before quantization, and bake"
    if weight.layout != torch.strided or weight.is_nested:
        return f"is {weight.layout} and not dense: call to_dense first"
    if weight.is_complex():
        return "is complex: osn holds real weights"
    if not is_readable(weight.dtype):
        return f"is {weight.dtype}: osn holds float32, float64, float16 and bfloat16"
    return None


def _is_sharded(weight: Tensor) -> bool:
    return any(kind.__name__ in ("DTensor", "FlatParameter") for kind in type(weight).__mro__)


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.MultiheadAttention):
        return "attention"
    if isinstance(module, _RECURRENT):
        return "recurrent"
    if isinstance(module, _TRANSPOSED):
        return "conv_transpose"
    if isinstance(module, _CONVOLUTIONS):
        return "conv"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    return "linear" if isinstance(module, nn.Linear) or _is_gpt2_linear(module) else "other"


def _output_axis(module: nn.Module) -> int:
    return 1 if isinstance(module, _TRANSPOSED) or _is_gpt2_linear(module) else 0


def _is_gpt2_linear(module: nn.Module) -> bool:
    """The linear layer of GPT-2 in transformers, which stores ``[in, out]``."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def _view(module: nn.Module, name: str) -> str:
    """Gates, and Q, K and V, lie one behind the other in one weight: each is a map of its own."""
    if isinstance(module, nn.MultiheadAttention) and name == "in_proj_weight":
        return "blocks:axis=0,count=3"
    if isinstance(module, _RECURRENT) and name.startswith(("weight_ih", "weight_hh")):
        mode = getattr(module, "mode", type(module).__name__)
        count = _GATES.get(mode.split("_")[0], 1)
        return f"blocks:axis=0,count={count}" if count > 1 else "reshaped"
    return "reshaped"
