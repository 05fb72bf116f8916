"""osn beside what people use, each with the real thing."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest
import torch
import torch._dynamo.testing
import torch.distributed as dist
import torch.multiprocessing as mp
from conftest import norm
from torch import nn
from torch.utils.checkpoint import checkpoint

import osn


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 4))


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("rule", ["always", "observe:interval=2"])
def test_a_compiled_model_has_no_break_and_does_not_compile_again_in_each_step(rule: str) -> None:
    torch._dynamo.reset()
    model, x = network(), torch.randn(4, 8)
    control = osn.attach(model, rule=rule)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    for _ in range(4):
        model.zero_grad()
        model(x).square().mean().backward()
        expected = gradients(model)
        model.zero_grad()
        compiled(x).square().mean().backward()
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients(model), expected))
        assert torch.allclose(compiled(x), model(x), atol=1e-6)
        with torch.no_grad():
            model[0].parametrizations.weight.original.mul_(1.1)
        control.observe()
        control.step()
    assert counter.frame_count == 1


def test_autocast_computes_in_half_and_measures_in_single_precision() -> None:
    model = network()
    control = osn.attach(model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(30):
        with torch.autocast("cpu", torch.bfloat16):
            out = model(torch.randn(16, 8))
            loss = out.float().square().mean()
        assert out.dtype == torch.bfloat16
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        control.step(train_loss=loss)
    assert model[0].parametrizations.weight[0].vectors.dtype == torch.float32
    assert norm(model[2].weight) == pytest.approx(1, rel=2e-2)


def test_a_backward_inside_autocast_is_in_single_precision() -> None:
    layer, cotangent = nn.Linear(8, 16, bias=False), torch.randn(16, 8)
    osn.attach(layer, "weight")
    (layer.weight * cotangent).sum().backward()
    expected = gradients(layer)
    layer.zero_grad()
    loss = (layer.weight * cotangent).sum()
    with torch.autocast("cpu", torch.bfloat16):
        loss.backward()
    assert torch.equal(gradients(layer)[0], expected[0])


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_computes_the_same(use_reentrant: bool) -> None:
    model, x = network(), torch.randn(4, 8, requires_grad=True)
    control = osn.attach(model)
    control.step()
    model(x).square().mean().backward()
    expected = gradients(model)
    model.zero_grad()
    checkpoint(model, x, use_reentrant=use_reentrant).square().mean().backward()
    assert all(torch.equal(a, b) for a, b in zip(gradients(model), expected))


def test_a_baked_model_is_exported() -> None:
    model, x = network(), torch.randn(4, 8)
    osn.attach(model, rule="always:target=0.5")
    expected = model(x)
    osn.bake(model)
    exported = torch.export.export(model.eval(), (x,))
    assert torch.allclose(exported.module()(x), expected, atol=1e-6)


@pytest.mark.skipif(
    not all(importlib.util.find_spec(it) for it in ("onnx", "onnxscript", "onnxruntime")),
    reason="onnx, onnxscript or onnxruntime is not installed",
)
def test_a_baked_model_runs_in_onnx(tmp_path: Path) -> None:
    import onnxruntime

    model, x = network(), torch.randn(4, 8)
    osn.attach(model, rule="always:target=0.5")
    expected = model(x).detach().numpy()
    torch.onnx.export(osn.bake(model).eval(), (x,), tmp_path / "model.onnx", dynamo=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert abs(found - expected).max() < 1e-5


def _rank(rank: int, folder: str) -> None:
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    torch.manual_seed(rank)
    model = nn.Sequential(network(), nn.BatchNorm1d(4))
    control = osn.attach(model, "**.weight", "auto:task=classify,interval=5")
    wrapped = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(wrapped.parameters(), 0.1)
    for _ in range(12):
        loss = wrapped(torch.randn(4, 8)).square().mean() + wrapped(torch.randn(4, 8)).abs().mean()
        loss.backward()
        control.observe()
        optimizer.step()
        optimizer.zero_grad()
        # Other losses on each process: the decisions are of their mean. One process alone knows the score.
        metrics = {"score": 1.0} if rank == 0 else None
        control.step(train_loss=loss, held_out_loss=loss * (1 + rank), metrics=metrics)
    held = {name: value for name, value in model.state_dict().items() if "running" not in name}
    torch.save({"model": held, "report": str(control.report())}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_agree_on_weights_vectors_and_decisions(tmp_path: Path) -> None:
    mp.spawn(_rank, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["report"] == second["report"]
    assert all(torch.equal(value, second["model"][name]) for name, value in first["model"].items())


def _shard(rank: int, folder: str) -> None:
    from torch.distributed.fsdp import fully_shard

    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=1)
    model = nn.Linear(4, 4)
    control = osn.attach(model, "weight")
    fully_shard(model, mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))
    try:
        control.step()
    except osn.StepError as error:
        Path(folder, "step").write_text(str(error))
    plain = fully_shard(nn.Linear(4, 4), mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))
    try:
        osn.attach(plain, "weight")
    except osn.AttachError as error:
        Path(folder, "attach").write_text(str(error))
    dist.destroy_process_group()


def test_sharded_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    mp.spawn(_shard, (str(tmp_path),), nprocs=1)
    for name in ("step", "attach"):
        text = (tmp_path / name).read_text()
        assert "sharded (DTensor)" in text and "DDP" in text and "\n" not in text


def test_the_refresh_in_tensor_operations_is_that_of_the_compiled_part() -> None:
    from osn.torch.host import named
    from osn.torch.observed import block_norms
    from osn.torch.refresh import refreshed

    for view, shape in (("reshaped", (6, 5)), ("bidirectional", (4, 3, 2, 2)), ("blocks:axis=1,count=2", (4, 6))):
        for rule in ("always:target=0.7", "cap:target=0.2", "cap:target=0.3,sharpness=4", "never"):
            module = nn.Module()
            module.weight = nn.Parameter(torch.randn(shape))
            control = osn.attach(module, osn.Selection("weight", view=view), rule)
            own = module.parametrizations.weight[0]
            weight = module.parametrizations.weight.original.detach() * 1.3
            fresh = torch.empty_like(own.vectors)
            control._core.act([None])
            control._core.refresh(0, [0], [named(weight)], [own.vectors.numpy()], [fresh.numpy()])
            composed = refreshed(weight, own.vectors, own.form, own.applied, 1)
            # In f32 the residual of vectors that have converged is rounding.
            assert torch.allclose(composed, fresh, atol=1e-3), (view, rule)
            host = torch.tensor(control._core.norms([0], [named(weight)])[0], dtype=torch.float64)
            assert torch.allclose(block_norms([weight], [own.form], torch.float64), host)


def test_a_cloned_state_is_what_a_file_of_a_stranger_can_hold() -> None:
    model = network()
    osn.attach(model)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert list(torch.load(file, weights_only=True)) == list(model.state_dict())
