"""Where weights stand in the architecture of their network, as far as the module tree shows it.

A tree shows modules and the order in which they were assigned, and not what a forward does with them:

- *normalized*: a normalization over the batch or over channels, as wide as the weight's outputs, is the next layer of the
  same module. ``LayerNorm`` and ``RMSNorm`` count in ``nn.Sequential`` alone, where the order is that of the forward:
  elsewhere they stand in front of a part of a network as often.
- *residual*: the weight is in a module that is known to add its input to its output: PyTorch's Transformer layers, the
  blocks of ResNets in torchvision and timm (without their ``downsample``), and classes named after residual connections.
- *output*: the last weight of the model that is no embedding. One that an embedding shares counts.

What else is so is to be stated: ``osn.attach(stated=...)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from osn.torch.discover import Found

_OVER_BATCH_OR_CHANNELS = (nn.modules.batchnorm._NormBase, nn.GroupNorm)
_OVER_FEATURES = tuple(getattr(nn, name) for name in ("LayerNorm", "RMSNorm") if hasattr(nn, name))
#: What may stand between a weight and its normalization in ``nn.Sequential``: a larger scale of what goes in is one of
#: what comes out.
_HOMOGENEOUS = (
    nn.Identity, nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Flatten, nn.Unflatten, nn.Upsample, nn.PixelShuffle,
    nn.modules.dropout._DropoutNd, nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd,
)
_RESIDUAL = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
#: Of ResNets in torchvision and timm.
_RESNET_BLOCKS = ("BasicBlock", "Bottleneck")


@dataclass
class Architecture:
    """Facts about one weight; false where nothing is known."""

    is_normalized: bool = False
    is_residual: bool = False
    is_output: bool = False


def architectures(model: nn.Module, found: Sequence[Found]) -> list[Architecture]:
    """What the module tree shows of each weight."""
    seen = [Architecture(is_residual=any(_is_residual(model, path) for path in it.module_paths)) for it in found]
    for place in _normalized(model, found):
        seen[place].is_normalized = True
    places = {order: place for place, it in enumerate(found) for order in it.orders}
    if places:
        seen[places[max(places)]].is_output = True
    return seen


def _normalized(model: nn.Module, found: Sequence[Found]) -> Iterator[int]:
    """The places of the weights that a normalization follows."""
    by_module = {id(it.module): place for place, it in enumerate(found)}
    sequences = {path for path, module in model.named_modules() if isinstance(module, nn.Sequential)}
    last: int | None = None
    for path, module in model.named_modules():
        is_in_sequence = _parent(path) in sequences
        counts = _OVER_BATCH_OR_CHANNELS + (_OVER_FEATURES if is_in_sequence else ())
        if id(module) in by_module:
            last = by_module[id(module)]
        elif last is None:
            continue
        elif isinstance(module, counts):
            if _is_within(path, _parent(found[last].module_paths[0])) and _width(module) in (0, _n_outputs(found[last])):
                yield last
        elif is_in_sequence and not any(module.children()) and not isinstance(module, _HOMOGENEOUS):
            last = None


def _is_residual(model: nn.Module, path: str) -> bool:
    """Whether a module is in the branch of a residual connection."""
    around, rest = model, path.split(".") if path else []
    for place in range(len(rest) + 1):
        name = type(around).__name__
        if isinstance(around, _RESIDUAL) or "Residual" in name:
            return True
        if name in _RESNET_BLOCKS and hasattr(around, "downsample"):
            return rest[place : place + 1] != ["downsample"]
        if place < len(rest):
            around = getattr(around, rest[place])
    return False


def _width(normalization: nn.Module) -> int:
    """How many channels or features it normalizes; 0 where that is not known yet."""
    shape = getattr(normalization, "normalized_shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) == 1 else -1
    width = getattr(normalization, "num_features", None)
    return int(getattr(normalization, "num_channels", 0) if width is None else width)


def _n_outputs(found: Found) -> int:
    for name in ("out_channels", "out_features"):
        if isinstance(count := getattr(found.module, name, None), int):
            return count
    return int(found.weight.shape[found.output_axis])


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _is_within(path: str, around: str) -> bool:
    return not around or path.startswith(f"{around}.")
