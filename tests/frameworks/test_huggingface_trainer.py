"""The Trainer itself, on models of a few thousand random weights."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import lossmith as lm

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

VOCABULARY, LENGTH = 13, 9


class Texts(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
    """Sequences that count upwards from a random start, the first of random length ignored in the loss."""

    def __init__(self, rows: int) -> None:
        rng = np.random.default_rng(0)
        ids = (rng.integers(0, VOCABULARY, (rows, 1)) + np.arange(LENGTH)) % VOCABULARY
        self.ids = torch.tensor(ids)
        self.labels = self.ids.masked_fill(
            torch.tensor(np.arange(LENGTH) < rng.integers(1, LENGTH - 1, (rows, 1))), -100
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"input_ids": self.ids[i], "labels": self.labels[i]}


def language_model() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    return transformers.LlamaForCausalLM(config)


def trained(folder: pathlib.Path, compute_loss: Any, batch: int, accumulated: int, steps: int = 3) -> Any:
    model = language_model()
    arguments = transformers.TrainingArguments(
        str(folder),
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulated,
        max_steps=steps,
        optim="sgd",
        learning_rate=0.5,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=Texts(64), compute_loss_func=compute_loss)
    trainer.train()
    return trainer


def weights(trainer: Any) -> Any:
    return torch.cat([p.detach().reshape(-1) for p in trainer.model.parameters()])


def test_training_equals_the_models_own_loss_with_and_without_accumulation(tmp_path: pathlib.Path) -> None:
    """Eight texts a step, as one batch or as four, whose numbers of labels differ; and a control without the count."""
    compute_loss = lm.to_huggingface("cce", shift=True)
    own = weights(trained(tmp_path, None, 8, 1))
    found = [trained(tmp_path, compute_loss, batch, 8 // batch) for batch in (8, 2)]
    for trainer in found:
        torch.testing.assert_close(weights(trainer), own, rtol=1e-4, atol=1e-6)
    naive = trained(tmp_path, lambda outputs, labels, num_items_in_batch: compute_loss(outputs, labels) / 4, 2, 4)
    assert (weights(naive) - own).abs().max() > 1e-4
    evaluated = [trainer.evaluate(Texts(24))["eval_loss"] for trainer in (found[0], trained(tmp_path, None, 8, 1))]
    assert evaluated[0] == pytest.approx(evaluated[1], rel=1e-4)


def test_training_lowers_the_loss(tmp_path: pathlib.Path) -> None:
    compute_loss = lm.to_huggingface(lm.CategoricalFocal(gamma=1.0), shift=True)
    texts = Texts(64)
    model = language_model()
    with torch.no_grad():
        before = compute_loss(model(texts.ids), texts.labels)
    trainer = trained(tmp_path, compute_loss, 8, 1, steps=25)
    with torch.no_grad():
        after = compute_loss(trainer.model(texts.ids), texts.labels)
    assert after < 0.7 * before
