"""osn in the loops of Lightning and of Hugging Face, each with the real thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import norm
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import osn


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_with_osn_and_resumes(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    class Model(lightning.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, _: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    def fit(epochs: int, path: str | None = None) -> tuple[Any, Any]:
        data = DataLoader(TensorDataset(torch.randn(32, 6), torch.randint(2, (32,))), 4)
        callback = osn.lightning.OsnCallback("**.weight", "auto:task=classify,interval=4")
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", callbacks=[callback], logger=False, enable_progress_bar=False,
            enable_model_summary=False, accumulate_grad_batches=2, default_root_dir=tmp_path,
        )
        trainer.fit(Model(), data, data, ckpt_path=path)
        return trainer, callback

    trainer, callback = fit(2)
    # Eight batches an epoch, two for each step.
    assert callback.control.steps == trainer.global_step == 8
    assert "not reported" not in callback.control.report()[0].reason
    trainer.save_checkpoint(tmp_path / "mid.ckpt")
    _, resumed = fit(3, str(tmp_path / "mid.ckpt"))
    assert resumed.control.steps == 12


class Rows(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        return {"x": torch.randn(6, generator=generator), "labels": torch.tensor(index % 2)}


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_hugging_face_trains_with_osn_and_resumes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    def train(epochs: int, resume: bool) -> osn.Control:
        torch.manual_seed(0)
        model = Classifier()
        control = osn.attach(model, "**.weight", "cap:target=0.5,interval=4")
        arguments = transformers.TrainingArguments(
            str(tmp_path), num_train_epochs=epochs, per_device_train_batch_size=8, logging_steps=2, report_to=[],
            save_strategy="epoch", eval_strategy="epoch", use_cpu=True, disable_tqdm=True,
        )
        trainer = transformers.Trainer(
            model, arguments, train_dataset=Rows(), eval_dataset=Rows(),
            callbacks=[osn.transformers.OsnCallback(control)],
        )
        trainer.train(resume_from_checkpoint=resume)
        assert norm(model.net[0].weight) == pytest.approx(0.5, rel=5e-2)
        return control

    assert train(2, resume=False).steps == 8
    assert train(3, resume=True).steps == 12
