"""What is known of where weights stand in their network, and what is chosen by it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import osn


class Normalized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)


class ResidualBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Normalized(), nn.Conv2d(8, 8, 3)


class Network(nn.Module):
    """That of ``crates/osn/tests/all/plan.rs``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.norm = nn.Conv2d(1, 8, 3), ResidualBlock(), nn.BatchNorm2d(8)
        self.hidden, self.head = nn.Linear(8, 8), nn.Linear(8, 2)


def facts(model: nn.Module, **arguments: Any) -> list[set[str]]:
    """The facts about every weight, in the order of the model."""
    control = osn.attach(model, "**", "never", **arguments)
    found = [layer.layer.get("architecture", {}) for layer in control.report()]
    osn.detach(model)
    return [{name.removeprefix("is_") for name, holds in it.items() if holds is True} for it in found]


def test_the_module_tree_shows_what_it_shows_in_rust() -> None:
    """The expectations are those of ``the_module_tree_shows_normalizations_residual_blocks_fans_and_the_output``."""
    control = osn.attach(Network(), "**.weight", "never")
    seen = [layer.layer["architecture"] for layer in control.report()]
    assert [it["is_normalized"] for it in seen] == [False, True, False, False, False]
    assert [it["is_residual"] for it in seen] == [False, True, True, False, False]
    assert [it["is_output"] for it in seen] == [False, False, False, False, True]
    assert [(it["fan_in"], it["fan_out"]) for it in seen] == [(9, 72), (72, 72), (72, 72), (8, 8), (8, 2)]


def test_a_rule_takes_layers_by_what_is_known_of_them() -> None:
    rules = [("**", "always"), (osn.Selection(fact="normalized"), "never")]
    control = osn.attach(Network(), "**.weight", rules)
    assert [layer.elasticity == 1 for layer in control.report()] == [True, False, True, True, True]


def test_a_rule_of_a_file_takes_them_too(tmp_path: Any) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nrule = "always"\n\n[[rule]]\nrule = "never"\nselect = { facts = ["residual", "output"] }\n')
    control = osn.attach(Network(), "**.weight", str(file))
    assert [layer.elasticity == 1 for layer in control.report()] == [True, False, False, True, False]


def test_weights_are_held_by_facts() -> None:
    def held(selection: osn.Selection) -> list[str]:
        return [layer.name for layer in osn.attach(Network(), selection, "always").report()]

    assert held(osn.Selection("**.weight", without=["normalized", "output"])) == [
        "stem.weight", "block.second.weight", "hidden.weight",
    ]  # fmt: skip
    assert held(osn.Selection(fact="output")) == ["head.weight"]
    with pytest.raises(osn.AttachError, match="`deep` is no fact about a layer"):
        held(osn.Selection(fact="deep"))


@pytest.mark.parametrize(("layers", "expected"), [
    ([nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()], True),
    ([nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 8)], True),
    ([nn.ConvTranspose2d(3, 8, 3), nn.InstanceNorm2d(8)], True),
    ([nn.Linear(3, 8), nn.LayerNorm(8)], True),
    ([nn.Linear(3, 8), nn.Tanh(), nn.LayerNorm(8)], False),
    ([nn.Linear(3, 8), nn.GELU(), nn.BatchNorm1d(8)], False),
    ([nn.BatchNorm1d(3), nn.Linear(3, 8)], False),
    ([nn.Conv2d(3, 8, 3), nn.BatchNorm2d(16)], False),
    ([nn.Sequential(nn.Conv2d(3, 8, 3)), nn.BatchNorm2d(8)], False),
])  # fmt: skip
def test_a_normalization_counts_where_nothing_undoes_it(layers: list[nn.Module], expected: bool) -> None:
    # The last weight of a model is its output: here that is another one.
    found = facts(nn.Sequential(nn.Sequential(*layers), nn.Linear(8, 2)))
    assert ("normalized" in found[0]) == expected


def test_a_layer_normalization_outside_of_a_sequence_may_stand_anywhere() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)

    assert facts(Block()) == [{"output"}]


def test_transformers_have_residual_branches() -> None:
    model = nn.Sequential(nn.Embedding(9, 16), nn.TransformerEncoderLayer(16, 2, 32), nn.Linear(16, 9))
    found = facts(model)
    assert found[0] == set() and found[-1] == {"output"}
    assert len(found) == 8 and all(it == {"residual"} for it in found[1:-1])


def test_the_shortcut_of_a_resnet_is_no_branch() -> None:
    class BasicBlock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1, self.relu = nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU()
            self.conv2, self.bn2 = nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16)
            self.downsample = nn.Sequential(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16))

    found = facts(nn.Sequential(BasicBlock(), nn.Linear(16, 2)))
    assert found == [{"residual", "normalized"}, {"residual", "normalized"}, {"normalized"}, {"output"}]


def test_the_output_is_the_last_that_is_no_embedding_even_where_one_shares_it() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.body, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9, bias=False)
            self.head.weight = self.embedding.weight

    assert facts(Tied()) == [{"output"}, set()]
    assert facts(nn.Sequential(nn.Linear(4, 4), nn.Embedding(3, 4))) == [{"output"}, set()]


def test_what_is_stated_of_a_weight_holds_and_the_last_statement_wins() -> None:
    stated = {"**": {"normalized": True}, "block.first.*.weight": {"normalized": False}, "hidden.weight": {"output": True}}
    control = osn.attach(Network(), "**.weight", "never", stated=stated)
    seen = [layer.layer["architecture"] for layer in control.report()]
    assert [it["is_normalized"] for it in seen] == [True, False, True, True, True]
    assert [it["is_output"] for it in seen] == [False, False, False, True, True]
    for bad in ({"nothing.*": {"output": True}}, {"a[": {"output": True}}, {"**": {"deep": True}}):
        with pytest.raises(osn.AttachError):
            osn.attach(Network(), "**.weight", "never", stated=bad)


def test_what_is_stated_is_of_the_saved_state() -> None:
    """A training goes on with the rules and the layers that it had."""
    one, other = (osn.attach(Network(), "**.weight", "never", stated=it) for it in ({}, {"stem.weight": {"output": True}}))
    with pytest.raises(ValueError, match="attach to the same layers"):
        other.load_state_dict(one.state_dict())


def test_blocks_of_a_weight_stand_where_the_weight_does() -> None:
    attention = nn.MultiheadAttention(8, 2)
    control = osn.attach(attention, osn.Selection("in_proj_weight", view="heads"), "never", stated={"**": {"residual": True}})
    assert all(layer.layer["architecture"]["is_residual"] for layer in control.report())
    assert torch.equal(attention.in_proj_weight, attention.parametrizations.in_proj_weight.original)
