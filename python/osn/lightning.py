"""osn in a training with Lightning: ``Trainer(callbacks=[osn.lightning.OsnCallback("**.weight", "auto")])``."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from osn.rule import Rules
from osn.selection import Select
from osn.torch.attach import attach
from osn.torch.control import Control


class OsnCallback(Callback):
    """Attaches osn before the training, and takes its step after each optimizer step.

    The training loss is what ``training_step`` returns. After a validation the rules get all that was logged there, and
    the metric named ``held_out`` as the held-out loss. What rules remember is in Lightning's checkpoints.

    Args:
        select, rule: see :func:`osn.attach`; paths are those of the ``LightningModule``.
        held_out: the name of the loss on held-out data.
        arguments: the other arguments of :func:`osn.attach`.
    """

    control: Control

    def __init__(
        self, select: Select = "**.weight", rule: Rules = "auto", *, held_out: str = "val_loss", **arguments: Any
    ) -> None:
        self._select, self._rule, self._held_out, self._arguments = select, rule, held_out, arguments
        self._step, self._validated = 0, False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and not hasattr(self, "control"):
            self.control = attach(pl_module, self._select, self._rule, **self._arguments)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.control.observe()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:
            # Gradients are still accumulated.
            return
        self._step = trainer.global_step
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        metrics = dict(trainer.callback_metrics) if self._validated else {}
        self._validated = False
        held_out = metrics.get(self._held_out)
        self.control.step(train_loss=loss, held_out_loss=held_out, metrics=metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def state_dict(self) -> dict[str, Any]:
        return {"control": self.control.state_dict(), "step": self._step} if hasattr(self, "control") else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict and hasattr(self, "control"):
            self.control.load_state_dict(state_dict["control"])
            self._step = state_dict["step"]
