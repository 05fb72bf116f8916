"""State dicts of plain models, and of those that PyTorch's own functions normalized, into an attached one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from osn.torch.spectral_norm import SpectralNorm


def held(module: nn.Module) -> Iterator[tuple[str, Tensor, SpectralNorm]]:
    """The own held weights of a module: name, stored weight, state."""
    if not parametrize.is_parametrized(module):
        return
    for name, chain in module.parametrizations.items():  # type: ignore[union-attr,operator]
        for norm in chain:
            if isinstance(norm, SpectralNorm):
                yield name, chain.original, norm


def install(module: nn.Module) -> None:
    """Has the module read such state dicts; once, however many of its weights are held."""
    if not _own(module):
        module.register_load_state_dict_pre_hook(convert)  # type: ignore[no-untyped-call]
        module.register_load_state_dict_post_hook(measure_stale)  # type: ignore[no-untyped-call]


def uninstall(module: nn.Module) -> None:
    """Leaves nothing of osn in the module."""
    for key in _own(module):
        del module._load_state_dict_pre_hooks[key]
    after = module._load_state_dict_post_hooks
    for key in [key for key, hook in after.items() if hook is measure_stale]:
        del after[key]


def _own(module: nn.Module) -> list[int]:
    hooks = module._load_state_dict_pre_hooks.items()
    return [key for key, hook in hooks if getattr(hook, "hook", None) is convert]


def convert(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Renames what a plain model or PyTorch's functions call the stored weight, and drops their u and v."""
    for name, _weight, _norm in held(module):
        chain = f"{prefix}parametrizations.{name}."
        original, own = f"{chain}original", f"{chain}0._extra_state"
        if own in state:
            continue
        names = (original, f"{prefix}{name}_orig", f"{prefix}{name}")
        source = next((it for it in names if it in state), None)
        if source is None:
            continue
        state[original] = state.pop(source)
        foreign = (f"{prefix}{name}", f"{prefix}{name}_u", f"{prefix}{name}_v", f"{chain}0._u", f"{chain}0._v")
        for other in foreign:
            state.pop(other, None)
        # Of no size: the weight is measured once it is there.
        state[own] = torch.empty(0)


def measure_stale(module: nn.Module, _incompatible: Any) -> None:
    """Measures what came without vectors, or with ones that are none."""
    for _name, weight, norm in held(module):
        if norm.is_stale:
            norm.measure(weight)
