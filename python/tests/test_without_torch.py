"""What works without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import osn
from osn import processor
from osn.measure import measure


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_osn_imports_neither_torch_nor_numpy() -> None:
    found = run("import sys, osn; print({'torch', 'numpy'} & set(sys.modules))")
    assert found.stdout.strip() == "set()", found.stderr


def test_a_processor_that_cannot_run_the_compiled_part_is_named_by_what_it_lacks(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx f16c movbe\n")
    with pytest.raises(ImportError, match="lacks abm, avx2, bmi2, fma: osn needs"):
        processor.check("x86_64", info)
    processor.check("aarch64", info)
    info.write_text(info.read_text().replace("avx", "avx avx2 abm bmi2 fma"))
    processor.check("x86_64", info)
    info.write_text("Features : asimd\n")
    processor.check("x86_64", info)
    processor.check("x86_64", tmp_path / "nothing")


def test_a_name_that_needs_torch_says_so_where_there_is_none() -> None:
    found = run("import sys; sys.modules['torch'] = None\nimport osn\nosn.attach")
    assert found.stderr.strip().endswith("osn.attach needs PyTorch: pip install osn[torch]")
    assert run("import osn; osn.nothing").stderr.strip().endswith("module 'osn' has no attribute 'nothing'")


@settings(max_examples=60, deadline=None)
@given(
    matrix=arrays.arrays(
        st.sampled_from([numpy.float32, numpy.float64, numpy.float16, numpy.int32, numpy.uint8]),
        arrays.array_shapes(min_dims=2, max_dims=4, max_side=6),
        elements=st.integers(0, 100),
    ),
    is_transposed=st.booleans(),
)
def test_the_interval_holds_the_largest_singular_value_of_any_array(matrix: Any, is_transposed: bool) -> None:
    if is_transposed:
        matrix = matrix.T
    sigma = osn.sigma(matrix)
    exact = numpy.linalg.norm(matrix.reshape(len(matrix), -1).astype(numpy.float64), 2)
    assert sigma.lower <= exact * (1 + 1e-12) and exact <= sigma.upper * (1 + 1e-12)
    assert float(sigma) == pytest.approx(exact, rel=1e-5, abs=1e-12)


def test_anything_with_the_buffer_protocol_or_dlpack_is_measured() -> None:
    class OnlyDlpack:
        def __init__(self, it: Any) -> None:
            self.it = it

        def __dlpack__(self, **arguments: Any) -> Any:
            return self.it.__dlpack__(**arguments)

        def __dlpack_device__(self) -> Any:
            return self.it.__dlpack_device__()

    matrix = numpy.array([[3.0, 0.0], [4.0, 0.0]])
    buffer = memoryview(array("d", matrix.reshape(-1))).cast("B").cast("d", (2, 2))
    for source in (matrix, matrix.tolist(), OnlyDlpack(matrix), buffer):
        assert 5.0 in osn.sigma(source)


def test_tensors_are_measured_where_torch_is_there() -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        weight = torch.diag(torch.tensor([3.0, 1.0])).to(dtype).requires_grad_()
        assert 3.0 in osn.sigma(weight)


def test_blocks_are_measured_one_by_one() -> None:
    found = measure(numpy.diag([1.0, 2.0, 3.0, 4.0]), "blocks:axis=0,count=2", leading=1)
    assert [it.sigma.value for it in found] == pytest.approx([2, 4])
    assert [it.leading[0] for it in found] == pytest.approx([2, 4])


@pytest.mark.parametrize(
    ("source", "arguments", "error", "words"),
    [
        (numpy.eye(2) * 1j, {}, TypeError, "complex"),
        ("text", {}, TypeError, "no largest singular value"),
        ([[1.0], [2.0, 3.0]], {}, (TypeError, ValueError), "inhomogeneous|object"),
        (numpy.ones(3), {}, ValueError, "rank|axes"),
        (numpy.ones((0, 3)), {}, ValueError, "empty|no elements|no element"),
        (numpy.array([[1.0, numpy.nan]]), {}, ValueError, "NaN|finite"),
        (numpy.eye(2), {"view": "rows"}, ValueError, "unknown view"),
        (numpy.eye(2), {"output_axis": 5}, ValueError, "axis"),
        (numpy.eye(2), {"tolerance": 0.0}, ValueError, "tolerance"),
        (numpy.eye(2), {"view": "blocks:axis=0,count=2"}, ValueError, "2 blocks"),
    ],
)
def test_what_cannot_be_measured_is_refused(source: Any, arguments: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        osn.sigma(source, **arguments)


def test_a_checkpoint_is_inspected_and_normalized(checkpoint: Path, tmp_path: Path) -> None:
    found = {it["name"]: it["sigma"]["value"] for it in osn.inspect(checkpoint)["tensors"]}
    assert found == pytest.approx({"a.weight": 4, "b.weight": 0.5})
    done = osn.normalize(checkpoint, tmp_path / "out.safetensors", target=1.0, mode="cap")
    assert {it["name"]: it["scale"] for it in done["done"]} == pytest.approx({"a.weight": 0.25, "b.weight": 1})
    again = osn.inspect(tmp_path / "out.safetensors", select="a.*")["tensors"]
    assert [it["sigma"]["value"] for it in again] == pytest.approx([1])


def test_bad_files_and_options_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no checkpoint")
    for call in (
        lambda: osn.inspect(),
        lambda: osn.inspect(tmp_path / "text"),
        lambda: osn.inspect(tmp_path / "missing"),
        lambda: osn.inspect(checkpoint, select="[a"),
        lambda: osn.normalize(checkpoint, checkpoint),
        lambda: osn.normalize(checkpoint, tmp_path / "out", target=-1.0),
        lambda: osn.normalize(checkpoint, tmp_path / "out", mode="clip"),
        lambda: osn.report(tmp_path, tmp_path),
    ):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(OSError, match="run.json"):
        osn.report(tmp_path)
    assert not (tmp_path / "out").exists()


def test_scores_are_compared_by_seed() -> None:
    found = osn.compare_scores([3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 4.0], higher_is_better=True)
    assert (found.wins, found.ties, found.losses) == (4, 0, 0)
    assert found.p == pytest.approx(2 / 2**4)
    assert found.difference.value == pytest.approx(2)
    assert found.difference.lower <= 2 <= found.difference.upper
    assert found.first.value == pytest.approx(4.5)
    assert found.probability_of_improvement.value == pytest.approx(14 / 16)
    for bad in (([1.0], [1.0, 2.0]), ([], []), ([float("nan")], [1.0])):
        with pytest.raises(ValueError):
            osn.compare_scores(*bad, higher_is_better=True)
