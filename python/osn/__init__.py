"""Optional spectral normalization: measures the largest singular value σ of weights, decides by rules when to
constrain it, and says why.

Without PyTorch: :func:`sigma`, :func:`inspect`, :func:`normalize`, :func:`compare_scores`, :func:`report`.
With it: :func:`attach`, :func:`bake`, :func:`detach`, :func:`remeasure`, :class:`Control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osn import processor

processor.check()

from osn._core import AttachError, StepError
from osn.files import inspect, normalize, report
from osn.measure import Interval, Measured, sigma
from osn.rule import Context, Decision, Rule
from osn.scores import Comparison, ConfidenceInterval, compare_scores
from osn.selection import Selection

if TYPE_CHECKING:
    from osn.torch.attach import attach, bake, detach, remeasure
    from osn.torch.control import Control
    from osn.torch.record import Recorder
    from osn.torch.report import Change, Evidence, LayerReport, Report

__all__ = [
    "AttachError", "Change", "Comparison", "ConfidenceInterval", "Context", "Control", "Decision", "Evidence",
    "Interval", "LayerReport", "Measured", "Recorder", "Report", "Rule", "Selection", "StepError", "attach", "bake",
    "compare_scores", "detach", "inspect", "normalize", "remeasure", "report", "sigma",
]

# What needs PyTorch is imported when it is asked for, so that `import osn` takes no time without it.
_OF_TORCH = {
    "attach": "attach", "bake": "attach", "detach": "attach", "remeasure": "attach",
    "Control": "control", "Recorder": "record",
    "Change": "report", "Evidence": "report", "LayerReport": "report", "Report": "report",
}


# Each imports the library that it is named after.
_INTEGRATIONS = ("lightning", "transformers")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _INTEGRATIONS:
        return import_module(f"osn.{name}")
    if name not in _OF_TORCH:
        raise AttributeError(f"module 'osn' has no attribute {name!r}")
    try:
        return getattr(import_module(f"osn.torch.{_OF_TORCH[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(f"osn.{name} needs PyTorch: pip install osn[torch]", name="torch") from None


def __dir__() -> list[str]:
    return sorted(__all__)
