"""The run folder that ``osn train`` writes, of a training in PyTorch."""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from osn import _core
from osn.torch.control import Control
from osn.torch.report import Change

#: The version of the files' meaning (docs/formats.md).
SCHEMA = 2


class Recorder:
    """Writes ``run.json`` and ``record.jsonl``, which :func:`osn.report`, ``osn watch`` and ``osn decide why`` read.

    It follows every :meth:`osn.Control.step`: decisions as they change, losses and layers every ``every`` steps. In a
    process group only rank 0 writes.

    Args:
        control: of the attached model.
        folder: a new folder, or an empty one.
        every: steps between two logged ones, at least 1.
        name: what was trained, in place of a recipe's name.
        data, seed, config: what a reader should know of the training; ``config`` is any JSON.
        tensorboard: also write an event file into the folder, as ``osn train --tensorboard`` does.

    Raises:
        FileExistsError: the folder holds a run already.

    Example::

        with osn.Recorder(control, "runs/mine", config={"lr": 1e-3}):
            for x, y in loader:
                ...
                control.step(train_loss=loss, metrics={"accuracy": accuracy})
    """

    def __init__(
        self,
        control: Control,
        folder: str | os.PathLike[str],
        *,
        every: int = 50,
        name: str = "torch",
        data: str = "",
        seed: int = 0,
        config: Mapping[str, Any] | None = None,
        tensorboard: bool = False,
    ) -> None:
        if every < 1:
            raise ValueError(f"every is {every}: expected at least 1")
        self._control, self._folder, self._every = control, Path(folder), every
        self._started, self._last_step = time.time(), control.steps
        self._wanted = {it.name: it.action for it in control.wanted()}
        self._scores: dict[str, float] = {}
        self._n_decisions: Counter[str] = Counter()
        self._description = {
            "schema": SCHEMA,
            "recipe": name,
            "preset": "",
            "decide": control.label,
            "rules": None,
            "seed": seed,
            "data": data,
            "device": str(control.device),
            "config": dict(config or {}),
            "checkpoints": {"every": None, "keep": 0},
            "versions": {"osn": _version(), "torch": torch.__version__},
            "machine": {"os": platform.system().lower(), "arch": platform.machine(), "n_cores": os.cpu_count() or 0},
            "started_unix_secs": int(self._started),
            "status": "running",
            "error": None,
            "totals": None,
        }
        self._file = None
        self._lock: _core.RunLock | None = None
        self._events: _core.Events | None = None
        if control.is_first_process:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = _core.RunLock(self._folder)
            self._file = (self._folder / "record.jsonl").open("x", encoding="utf-8")
            self._describe()
            self._events = _core.Events(self._folder) if tensorboard else None
            for change in control.wanted():
                self._decision(change, "nothing")
        control.listen(self._after)

    def close(self, status: str = "finished", error: str | None = None) -> None:
        """Ends the record; ``status`` is ``finished``, ``stopped`` or ``failed``."""
        self._control.listen(None)
        if self._file is None:
            return
        self._flush()
        self._file.close()
        self._file = None
        layers = [self._summary(layer) for layer in self._control.report()] if error is None else []
        totals = {"steps": self._last_step, "wall_secs": self._wall(), "metrics": self._scores, "real_vs_real": {}}
        self._description.update(status=status, error=error, totals={**totals, "layers": layers})
        self._describe()
        # After the last word: whoever watches takes a run that nobody writes for one whose process died.
        self._lock = None

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.close()
        elif isinstance(error, KeyboardInterrupt):
            self.close("stopped")
        else:
            self.close("failed", f"{kind.__name__ if kind else ''}: {error}")

    def _after(self, changed: list[Change], given: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        step = self._last_step = self._control.steps
        if self._file is None:
            return
        for change in changed:
            self._decision(change, self._wanted[change.name])
            self._n_decisions[change.name] += 1
        if scores:
            self._scores.update(scores)
            self._write("eval", step=step, metrics=scores, real_vs_real={}, wall_secs=self._wall())
        if step % self._every == 0:
            numbers = {name: float(it.detach() if isinstance(it, Tensor) else it) for name, it in given.items()}
            losses = {name: it for name, it in numbers.items() if name.endswith("loss")}
            signals = {name: it for name, it in numbers.items() if name not in losses}
            self._write("step", step=step, losses=losses, signals=signals, wall_secs=self._wall())
            for layer in self._control.report():
                self._write("layer", step=step, **self._layer(layer))
            self._flush()

    def _flush(self) -> None:
        """Passes what was written on to the system, and from there to TensorBoard."""
        if self._file is not None:
            self._file.flush()
        if self._events is not None:
            self._events.catch_up()

    def _decision(self, change: Change, before: str) -> None:
        place = {"network": change.network, "path": change.name}
        self._write("decision", step=change.step, **place, **{"from": before}, to=change.action, reason=change.reason)
        self._wanted[change.name] = change.action

    def _layer(self, layer: Any) -> dict[str, Any]:
        return {
            "network": layer.layer["network"],
            "path": layer.name,
            "sigma": layer.sigma,
            "residual": layer.residual,
            "stable_rank": layer.stable_rank,
            "target": layer.target,
            "scale": layer.scale,
            "elasticity": layer.elasticity,
            "action": layer.kind,
            "reason": layer.reason,
            **({} if layer.evidence is None else {"evidence": asdict(layer.evidence)}),
        }

    def _summary(self, layer: Any) -> dict[str, Any]:
        names = ("network", "path", "sigma", "target", "scale", "elasticity", "action")
        described = self._layer(layer)
        return {**{name: described[name] for name in names}, "n_decisions": self._n_decisions[layer.name]}

    def _write(self, event: str, **fields: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"event": event, **_finite(fields)}, ensure_ascii=False) + "\n")

    def _wall(self) -> float:
        return time.time() - self._started

    def _describe(self) -> None:
        """The description appears whole or not at all."""
        text = json.dumps(_finite(self._description), ensure_ascii=False, indent=2)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, self._folder / "run.json")


def _finite(value: Any) -> Any:
    """JSON has no number that is not finite: such a one is ``null``."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(it) for name, it in value.items()}
    return [_finite(it) for it in value] if isinstance(value, (list, tuple)) else value


def _version() -> str:
    try:
        return metadata.version("osn")
    except metadata.PackageNotFoundError:
        return ""
