"""Hugging Face's Trainer with a loss of Lossmith, on scikit-learn's handwritten digits.

The Trainer counts the items of all batches between two optimiser steps, and `lm.to_huggingface` divides by that count:
four batches of 16 train as one batch of 64 does. Nothing is downloaded: the model starts from random weights.
Needs ``pip install 'lossmith[torch]' transformers accelerate``.
"""

import tempfile

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import EvalPrediction, Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

import lossmith as lm


def datasets() -> list[list[dict[str, torch.Tensor]]]:
    """Return training and held-out digits as the Trainer takes them: dictionaries with labels."""
    images, labels = load_digits(return_X_y=True)
    pixels = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16 - 0.5
    rows = [{"pixel_values": image, "labels": torch.tensor(label)} for image, label in zip(pixels, labels, strict=True)]
    return train_test_split(rows, test_size=0.25, random_state=0, stratify=labels)


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Return the share of digits that are read right."""
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


def main() -> None:
    """Train a small vision transformer, and print what it costs on held-out digits."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train, held_out = datasets()
    config = ViTConfig(image_size=8, patch_size=4, num_channels=1, hidden_size=32, intermediate_size=64, num_labels=10)
    config.num_hidden_layers, config.num_attention_heads = 1, 4
    model = ViTForImageClassification(config)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            use_cpu=True,
            per_device_train_batch_size=16,
            gradient_accumulation_steps=4,
            per_device_eval_batch_size=450,
            num_train_epochs=10,
            learning_rate=1e-2,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=train,
            eval_dataset=held_out,
            compute_metrics=accuracy,
            compute_loss_func=lm.to_huggingface(lm.CategoricalCrossEntropy(label_smoothing=0.05)),
        )
        before = trainer.evaluate()
        trainer.train()
        after = trainer.evaluate()
    print(f"held-out loss      {before['eval_loss']:.3f} -> {after['eval_loss']:.3f}")
    print(f"held-out accuracy  {before['eval_accuracy']:.3f} -> {after['eval_accuracy']:.3f}")


if __name__ == "__main__":
    main()
