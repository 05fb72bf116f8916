"""Which weights are held, as which maps, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import norm
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import osn

KINDS = {
    "linear": (nn.Linear(12, 7), "weight", "linear", 1),
    "conv1d": (nn.Conv1d(3, 8, 3), "weight", "conv", 1),
    "conv2d": (nn.Conv2d(3, 8, 3, groups=1), "weight", "conv", 1),
    "conv3d": (nn.Conv3d(3, 4, 2), "weight", "conv", 1),
    "embedding": (nn.Embedding(20, 6), "weight", "embedding", 1),
    "bilinear": (nn.Bilinear(3, 4, 5), "weight", "other", 1),
    "lstm": (nn.LSTM(5, 6), "weight_hh_l0", "recurrent", 4),
    "gru": (nn.GRU(5, 6, bidirectional=True), "weight_ih_l0_reverse", "recurrent", 3),
    "rnn": (nn.RNN(5, 6), "weight_hh_l0", "recurrent", 1),
    "lstm_cell": (nn.LSTMCell(5, 6), "weight_ih", "recurrent", 4),
    "attention": (nn.MultiheadAttention(8, 2), "in_proj_weight", "attention", 3),
    "attention_out": (nn.MultiheadAttention(8, 2), "out_proj.weight", "attention", 1),
}


@pytest.mark.parametrize("case", KINDS)
def test_every_block_of_every_kind_is_normalized_from_the_first_read_on(case: str) -> None:
    module, path, kind, count = KINDS[case]
    control = osn.attach(module, select=path, rule="always")
    assert [layer.layer["kind"] for layer in control.report()] == [kind] * count
    owner, name = module.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
    for block in getattr(owner, name).chunk(count):
        assert norm(block) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("layer", [nn.ConvTranspose1d(4, 6, 3), nn.ConvTranspose2d(4, 6, 3), nn.ConvTranspose3d(4, 3, 2)])
def test_a_transposed_kernel_has_its_outputs_second(layer: nn.Module) -> None:
    osn.attach(layer, select="weight", rule="always")
    assert norm(layer.weight.transpose(0, 1)) == pytest.approx(1, rel=1e-3)


def test_heads_of_attention_are_blocks_of_their_own() -> None:
    attention = nn.MultiheadAttention(8, 2)
    control = osn.attach(attention, osn.Selection("in_proj_weight", view="heads"), "always")
    assert len(control.report()) == 6
    assert all(norm(head) == pytest.approx(1, rel=1e-3) for head in attention.in_proj_weight.chunk(6))


def test_a_rule_is_given_to_one_head_by_its_number() -> None:
    attention = nn.MultiheadAttention(8, 2)
    rules = [("**", "never"), (osn.Selection("in_proj_weight", block=3), "always")]
    control = osn.attach(attention, osn.Selection("in_proj_weight", view="heads"), rules)
    held = [layer.name for layer in control.report() if layer.kind != "off"]
    assert held == ["in_proj_weight[3]"]


def test_a_recurrent_layer_computes_with_the_effective_weights() -> None:
    torch.manual_seed(1)
    lstm = nn.LSTM(5, 6)
    x = torch.randn(4, 2, 5)
    osn.attach(lstm, select="weight_*", rule="always:target=0.5")
    held, _ = lstm(x)
    plain = nn.LSTM(5, 6)
    plain.load_state_dict(osn.bake(lstm).state_dict())
    assert torch.allclose(held, plain(x)[0], atol=1e-6)
    assert norm(plain.weight_hh_l0[:6]) == pytest.approx(0.5, rel=1e-3)


def test_attention_computes_the_same_in_training_and_on_its_fast_path() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, dropout=0.0, batch_first=True)
    osn.attach(layer, select="self_attn.*", rule="always:target=0.3")
    x = torch.randn(2, 3, 8)
    trained = layer(x)
    with torch.no_grad():
        assert torch.allclose(layer.eval()(x), trained, atol=1e-5)


def test_a_tied_weight_is_held_once_and_effective_everywhere() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
            self.head.weight = self.embed.weight

    model = Tied()
    control = osn.attach(model, rule="always")
    assert [layer.name for layer in control.report()] == ["embed.weight"]
    assert torch.equal(model.embed.weight, model.head.weight)
    assert norm(model.head.weight) == pytest.approx(1, rel=1e-3)
    control.step()
    osn.bake(model)
    assert torch.equal(model.embed.weight, model.head.weight)
    assert norm(model.head.weight) == pytest.approx(1, rel=1e-3)


def test_an_operator_view_is_the_convolution_itself() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    view = "operator:size=6x6,padding=1"
    control = osn.attach(conv, osn.Selection("weight", view=view), "always")
    for _ in range(30):
        control.step()
    columns = conv(torch.eye(72).view(72, 2, 6, 6)).flatten(1)
    assert norm(columns) == pytest.approx(1, rel=1e-3)


def test_the_last_selection_and_the_last_rule_apply() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    select = ["**.weight", osn.Selection("**.weight", position="last", view="blocks:axis=0,count=2")]
    control = osn.attach(model, select, [("**", "always:target=2"), (osn.Selection("0.*"), "never")])
    report = control.report()
    assert [layer.name for layer in report] == ["0.weight", "1.weight", "2.weight[0]", "2.weight[1]"]
    assert [layer.effective_sigma == pytest.approx(2) for layer in report] == [False, True, True, True]
    assert report["0.weight"].reason.startswith("rule 2: ")


def _lazy() -> nn.Module:
    return nn.LazyLinear(3)


def _with(weight: torch.Tensor) -> nn.Module:
    module = nn.Linear(2, 2)
    module.weight = nn.Parameter(weight, requires_grad=False)
    return module


REFUSED = {
    "spectrally normalized": (lambda: parametrizations.spectral_norm(nn.Linear(4, 4)), "SpectralNorm"),
    "by the older function": (lambda: spectral_norm(nn.Linear(4, 4)), "remove_spectral_norm"),
    "weight norm": (lambda: weight_norm(nn.Linear(4, 4)), "remove_weight_norm"),
    "sparse": (lambda: _with(torch.eye(3).to_sparse()), "not dense"),
    "complex": (lambda: _with(torch.eye(3, dtype=torch.complex64)), "complex"),
    "integers": (lambda: _with(torch.eye(3, dtype=torch.int8)), "int8"),
    "meta": (lambda: nn.Linear(4, 4, device="meta"), "meta"),
    "quantized": (lambda: _with(torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8)), "quantized"),
    "lazy": (_lazy, "not initialized"),
    "not finite": (lambda: _with(torch.tensor([[1.0, float("nan")]])), "cannot measure weight"),
    "empty": (lambda: _with(torch.empty(0, 3)), "cannot measure weight"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_a_weight_that_cannot_be_held_is_refused_in_one_line(case: str) -> None:
    make, words = REFUSED[case]
    module = make()
    before = dict(module.state_dict())
    with pytest.raises(osn.AttachError, match=words) as refused:
        osn.attach(module, select="weight", rule="always")
    assert "\n" not in str(refused.value)
    assert list(module.state_dict()) == list(before)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"select": "nothing.*"}, osn.AttachError, "matches no parameter"),
        ({"select": []}, osn.AttachError, "nothing is selected"),
        ({"select": "[a"}, osn.AttachError, "bad glob"),
        ({"select": 3}, TypeError, "expected a glob|not iterable"),
        ({"rule": "allways"}, osn.AttachError, "unknown rule"),
        ({"rule": "cap:target=-1"}, osn.AttachError, "target"),
        ({"rule": "no_such.toml"}, osn.AttachError, "no_such.toml"),
        ({"rule": 3}, TypeError, "int"),
        ({"gradient": "half"}, osn.AttachError, "full, detached or inward_only"),
        ({"measure": ["gradient"]}, osn.AttachError, "expected some of gradients"),
        ({"blend_per_step": 0.0}, osn.AttachError, "blend_per_step"),
        ({"select": osn.Selection("weight", view="blocks:axis=0,count=3")}, osn.AttachError, "3 equal blocks"),
        ({"select": osn.Selection("weight", view="heads")}, osn.AttachError, "heads"),
        ({"select": osn.Selection("weight", output_axis=2)}, osn.AttachError, "no axis 2"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, object], error: type[Exception], words: str) -> None:
    module = nn.Linear(4, 4)
    with pytest.raises(error, match=words):
        osn.attach(module, **{"select": "weight", **arguments})
    assert list(module.state_dict()) == ["weight", "bias"]


def test_attaching_twice_is_refused() -> None:
    module = nn.Linear(4, 4)
    osn.attach(module, "weight")
    with pytest.raises(osn.AttachError, match="attach once"):
        osn.attach(module, "weight")


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="expected torch.nn.Module"):
        osn.attach(torch.eye(3))  # type: ignore[arg-type]


def test_a_copy_that_is_baked_leaves_the_original_held() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    control = osn.attach(model, "**.weight", "always")
    x = torch.randn(2, 4)
    before, copied = model(x), osn.bake(copy.deepcopy(model))
    assert torch.equal(copied(x), before) and torch.equal(model(x), before)
    assert type(copied[0]) is nn.Linear and type(model[0]) is not nn.Linear
    control.step()
    assert norm(model[1].weight) == pytest.approx(1, rel=1e-3)
