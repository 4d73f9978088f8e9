"""A loop of Hugging Face's Accelerate: weighted loss, gradient accumulation, and the mean over all processes.

The loss of a step is sum(w l) / sum(w) over all its small batches in all processes: each batch gives its sum, and the
step's sum of weights divides it. A mean of the batches' means is another number, since their weights differ.

Needs ``pip install 'lossmith[torch]' accelerate``; ``torchrun`` or ``accelerate launch`` runs it in many processes.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

import lossmith as lm

STEPS = 4  # small batches for each step of the optimiser
COSTS = torch.tensor([5.0, 1.0])  # a malign tumour (0) that is missed costs five false alarms


def batched(loader: DataLoader, count: int) -> Iterator[list]:
    """Yield lists of count batches."""
    batches = iter(loader)
    while step := list(islice(batches, count)):
        yield step


def main() -> None:
    """Train a linear model, and print what it costs on held-out tumours."""
    torch.set_num_threads(1)
    set_seed(0)
    accelerator = Accelerator(cpu=True)
    x, y = (torch.tensor(a, dtype=torch.float32) for a in load_breast_cancer(return_X_y=True))
    x_train, x_test, y_train, y_test = train_test_split((x - x.mean(0)) / x.std(0), y, random_state=0, stratify=y)
    loader = DataLoader(TensorDataset(x_train, y_train), batch_size=16, shuffle=True)
    model = torch.nn.Linear(30, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.05)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    mean, total = lm.to_torch("bce"), lm.to_torch("bce", reduction="sum")

    def held_out() -> torch.Tensor:
        with torch.no_grad():
            return mean(model(x_test)[:, 0], y_test, COSTS[y_test.long()])

    before = held_out()
    for _ in range(20):
        for step in batched(loader, STEPS):
            weights = [COSTS[label.long()] for _, label in step]
            mass = accelerator.reduce(sum(w.sum() for w in weights), "sum") / accelerator.num_processes
            for (features, label), w in zip(step, weights, strict=True):
                last = w is weights[-1]
                with nullcontext() if last else accelerator.no_sync(model):
                    accelerator.backward(total(model(features)[:, 0], label, w) / mass)
            optimizer.step()
            optimizer.zero_grad()
    missed = ((model(x_test)[:, 0] > 0) & (y_test == 0)).sum()
    accelerator.print(f"held-out weighted loss  {before:.3f} -> {held_out():.3f}")
    accelerator.print(f"malign tumours missed   {missed} of {int((y_test == 0).sum())}")


if __name__ == "__main__":
    main()
