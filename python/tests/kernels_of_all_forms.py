"""Compares Triton's kernels with PyTorch's operations on weights of every form; run by `test_kernels.py`.

Without a CUDA device Triton's interpreter runs the kernels (``TRITON_INTERPRET=1``, which it reads when it is imported).
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

import osn
from osn.torch import effective_weight, fused, refresh
from osn.torch.batch import Batch
from osn.torch.spectral_norm import SpectralNorm

SELECTIONS = [
    "**.weight",
    osn.Selection("blocks", view="blocks:axis=1,count=4"),
    osn.Selection("attention.in_proj_weight", view="heads"),
    osn.Selection("both.weight", view="bidirectional"),
]


class EveryForm(nn.Module):
    """A weight of each layout, type and size that the kernels tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(600, 70)
        self.convolution = nn.Conv2d(5, 9, 3)
        self.transposed = nn.ConvTranspose2d(6, 7, 3)
        self.both = nn.Conv2d(4, 6, 3)
        self.embedding = nn.Embedding(1000, 33)
        self.attention = nn.MultiheadAttention(24, 4)
        self.row, self.column = nn.Linear(40, 1), nn.Linear(1, 40)
        self.zero, self.bad = nn.Linear(8, 8), nn.Linear(8, 8)
        self.half = nn.Linear(30, 20).bfloat16()
        self.double = nn.Linear(30, 20).double()
        self.blocks = nn.Parameter(torch.randn(6, 4, 10))


def is_close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    return bool(torch.allclose(found.double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=True))


def check_refresh(norms: list[SpectralNorm], weights: list[Tensor], applied: list[object]) -> None:
    """Two iterations, the second from what the first left."""
    batch = Batch([norm.form for norm in norms], weights)
    found = expected = [norm.vectors for norm in norms]
    for step in (7, 8):
        found = batch.refreshed(weights, found, applied, step)
        expected = [
            refresh.refreshed(weight, old, norm.form, it, step)
            for weight, old, norm, it in zip(weights, expected, norms, applied)
        ]
        for norm, one, other in zip(norms, found, expected):
            # The residual √(1 − r²) of r near 1 has half the digits.
            assert is_close(one, other, 1e-3), (norm.form.path, step)
            states, wanted = norm.form.states_of(one), norm.form.states_of(other)
            assert is_close(states[:, :3], wanted[:, :3], 2e-5), (norm.form.path, step, states, wanted)
            assert torch.equal(states[:, 4], wanted[:, 4]), (norm.form.path, step, states, wanted)


def check_catching_up(norms: list[SpectralNorm], weights: list[Tensor], applied: list[object]) -> None:
    """Some weights, as many iterations on as each is behind, like one by one."""
    places = range(1, len(weights), 2)
    jobs = {place: refresh.Weight(weights[place], norms[place].vectors, norms[place].form, applied[place]) for place in places}
    iterations = [1 + place % 3 for place in places]
    of_all = refresh.OnDevice()
    for _ in range(2):
        found = of_all.refreshed(jobs, iterations, 7)
        assert list(found) == list(places)
        for place, count in zip(places, iterations):
            batch = Batch([norms[place].form], [weights[place]])
            expected = [norms[place].vectors]
            for _ in range(count):
                expected = batch.refreshed([weights[place]], expected, [applied[place]], 7)
            assert torch.equal(found[place].nan_to_num(9), expected[0].nan_to_num(9)), norms[place].form.path


def check_gradients(norms: list[SpectralNorm], weights: list[Tensor], has_growth: bool) -> None:
    """Both signs, of which ``inward_only`` has one."""
    for norm, weight in zip(norms, weights):
        if weight.dtype == torch.float64:
            continue
        noise = torch.randn_like(weight)
        for grad in (weight + noise, noise - weight):
            found, along = fused.gradients(grad, weight, norm.vectors, norm.plain, has_growth)
            expected, wanted = effective_weight.composed_gradients(grad, weight, norm.vectors, norm.plain, has_growth)
            tolerance = 1e-5 if weight.dtype == torch.float32 else 2e-2
            assert found.dtype == expected.dtype and is_close(found, expected, tolerance), norm.form.path
            assert is_close(along, wanted, 1e-4), norm.form.path


@torch.no_grad()
def main() -> None:
    device = sys.argv[1]
    # On the host Triton's interpreter is asked for.
    refresh.has_kernels = lambda _: True
    torch.manual_seed(0)
    for rule in ("always", "cap:target=1.1", "cap:target=0.8,sharpness=4", "never"):
        for gradient in ("full", "detached", "inward_only"):
            model = EveryForm()
            model.zero.weight.zero_()
            control = osn.attach(model, SELECTIONS, rule, gradient=gradient)
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter) * (parameter != 0))
            model.bad.parametrizations.weight.original[3, 3] = float("nan")
            model.to(device)
            norms = [held.norm for held in control._held]
            weights = [held.weight.detach() for held in control._held]
            if gradient == "full":
                applied = control._core.applied(range(len(weights)))
                check_refresh(norms, weights, applied)
                if rule == "always":
                    check_catching_up(norms, weights, applied)
            check_gradients(norms, weights, has_growth=rule == "always")
    print("equal")


if __name__ == "__main__":
    main()
