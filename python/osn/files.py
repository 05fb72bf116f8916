"""Checkpoints and runs in files."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osn import _core

PathLike = str | os.PathLike[str]


def inspect(
    *files: PathLike,
    select: str | Sequence[str] = (),
    view: str = "reshaped",
    output_axis: int | None = None,
    tolerance: float = 1e-6,
    top: int = 0,
) -> dict[str, Any]:
    """σ of every weight in checkpoints, in certain intervals: what ``osn inspect --json`` prints.

    Nothing in a file is executed. Weights are measured as their model uses them: divided by a spectral norm, pruned,
    scaled.

    Args:
        files: safetensors, an index with its shards, or what ``torch.save`` writes.
        select: globs over names of tensors; none selects every weight.
        view, output_axis, tolerance: see :func:`osn.sigma`.
        top: how many of the largest singular values to find besides σ.

    Returns:
        ``schema``; ``tensors``, each with ``file``, ``name``, ``shape``, ``dtype``, ``sigma`` (``value``, ``lower``,
        ``upper``), ``frobenius``, ``stable_rank``; ``skipped``, each with ``name`` and ``reason``.

    Raises:
        ValueError: a file is no checkpoint, or a weight is not finite.
    """
    if not files:
        raise ValueError("inspect needs at least one file")
    paths = [os.fspath(file) for file in files]
    found: dict[str, Any] = json.loads(_core.inspect(paths, _globs(select), view, output_axis, tolerance, top))
    return found


def normalize(
    input: PathLike,
    output: PathLike,
    *,
    target: float = 1.0,
    mode: str = "normalize",
    select: str | Sequence[str] = (),
    view: str = "reshaped",
    output_axis: int | None = None,
    tolerance: float = 1e-6,
) -> dict[str, Any]:
    """Writes a checkpoint whose weights have the wanted σ, as safetensors; it appears whole or not at all.

    Args:
        input: any checkpoint that :func:`inspect` reads.
        output: a new file, not one of the input's.
        target: the σ that each selected weight gets, greater than 0, dimensionless.
        mode: ``normalize``, up or down to the target, or ``cap``, only down.
        select, view, output_axis, tolerance: see :func:`inspect`.

    Returns:
        ``done``, each with ``name``, σ ``before`` and ``after`` and the ``scale``; ``left`` and ``left_out``, each with
        ``name`` and ``reason``.

    Raises:
        ValueError: a bad file or option, or nothing to normalize; nothing is then written.
    """
    if mode not in ("normalize", "cap"):
        raise ValueError(f"mode is {mode!r}: expected 'normalize' or 'cap'")
    paths = os.fspath(input), os.fspath(output)
    is_cap = mode == "cap"
    text = _core.normalize(*paths, target, is_cap, _globs(select), view, output_axis, tolerance)
    done: dict[str, Any] = json.loads(text)
    return done


def report(*folders: PathLike, output: PathLike | None = None) -> Path:
    """Writes runs and studies as one self-contained page, and returns its path.

    Args:
        folders: of runs (``run.json``, ``record.jsonl``) or studies (``study.json``).
        output: the page. Default: ``report.html`` in the folder, where there is one.

    Raises:
        FileNotFoundError: a folder holds neither.
        OSError: the page cannot be written.
        ValueError: a file is damaged, a folder is named twice, or several folders have no ``output``.
    """
    if output is None and len(folders) != 1:
        raise ValueError("several folders need output=")
    for folder in folders:
        if not any((Path(folder) / name).exists() for name in ("run.json", "study.json")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(Path(folder) / "run.json"))
    page = None if output is None else os.fspath(output)
    return Path(_core.report_page([os.fspath(folder) for folder in folders], page))


def _globs(select: str | Sequence[str]) -> list[str]:
    return [select] if isinstance(select, str) else list(select)
