"""osn in a training with the ``Trainer`` of Hugging Face.

::

    control = osn.attach(model, "**.attention.**.weight", "auto:task=classify")
    trainer = Trainer(model, arguments, callbacks=[osn.transformers.OsnCallback(control)], ...)
    trainer.train()
    osn.bake(model).save_pretrained("out")
"""

from __future__ import annotations

import os
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from osn.torch.control import Control

#: Beside the model in each checkpoint.
_FILE = "osn.pt"


class OsnCallback(TrainerCallback):
    """Takes osn's step after each optimizer step.

    The training loss is the mean that the ``Trainer`` logs, at its ``logging_steps``; after an evaluation the rules get
    ``eval_loss`` as the held-out loss and all other scores as metrics. Checkpoints have what rules remember;
    a training goes on from those in its ``output_dir``.

    Args:
        control: what :func:`osn.attach` returned, before the ``Trainer`` was made.
    """

    def __init__(self, control: Control) -> None:
        self.control = control
        self._reported: dict[str, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        saved = os.path.join(args.output_dir or "", f"checkpoint-{state.global_step}", _FILE)
        if state.global_step and os.path.exists(saved):
            self.control.load_state_dict(torch.load(saved, weights_only=True))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.control.observe()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.control.step(**self._reported)
        self._reported = {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if logs and "loss" in logs:
            self._reported["train_loss"] = float(logs["loss"])

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        numbers = {name: float(it) for name, it in (metrics or {}).items() if isinstance(it, (int, float))}
        if "eval_loss" in numbers:
            self._reported["held_out_loss"] = numbers["eval_loss"]
        self._reported["metrics"] = numbers

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        folder = os.path.join(args.output_dir or "", f"checkpoint-{state.global_step}")
        if state.is_world_process_zero and os.path.isdir(folder):
            torch.save(self.control.state_dict(), os.path.join(folder, _FILE))
