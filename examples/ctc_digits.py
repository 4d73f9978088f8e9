"""Reading strings of digits with CTC, in PyTorch.

Two to six real 8 x 8 digits stand side by side, up to two empty columns apart and under noise; two columns of pixels
are a frame. A small convolutional and recurrent network learns from the strings alone, not told which digit is where.

Printed, mean and standard error over two seeds: ``CER``, the character error rate (edit distance over length) on 500
held-out strings of digits that were not trained on. ``cut`` is the classical way: cut at columns without ink, and call
each piece by its nearest neighbour. About 20 s on one core.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

import lossmith as lm


class Reader(torch.nn.Module):
    """From images (N, 8, 60) to logits (30, N, 11) of each frame; class 0 is CTC's blank."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = torch.nn.Conv1d(8, 96, 8, stride=2, padding=3)
        self.memory, self.classes = torch.nn.GRU(96, 32, bidirectional=True), torch.nn.Linear(64, 11)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classes(self.memory(self.frames(images).relu().permute(2, 0, 1))[0])


def strings(x: np.ndarray, y: np.ndarray, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Return images (count, 8, 60), how many frames they fill, labels 1 ... 10 and how many there are."""
    images, widths = rng.normal(0, 0.1, (count, 8, 60)), np.zeros(count, int)
    lengths, chosen = rng.integers(2, 7, count), rng.integers(len(x), size=(count, 6))
    for n, rows in enumerate(chosen):
        for row in rows[: lengths[n]]:
            images[n, :, widths[n] : widths[n] + 8] += x[row] / 16
            widths[n] += 8 + rng.integers(3)
    arrays = images.astype(np.float32), widths // 2, y[chosen] + 1, lengths
    return tuple(map(torch.from_numpy, arrays))


def distance(one: list[int], other: list[int]) -> int:
    """Return the edit distance."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one):
        last, row = row, [i + 1]
        for j, b in enumerate(other):
            row.append(min(last[j] + (a != b), last[j + 1] + 1, row[j] + 1))
    return row[-1]


def cut_and_call(image: np.ndarray, judge: KNeighborsClassifier) -> list[int]:
    """Read by columns without ink: what lies between two is one digit."""
    ink = np.flatnonzero((image > 0.35).any(axis=0))
    runs = np.split(ink, np.flatnonzero(np.diff(ink) > 1) + 1)
    starts = np.clip([round(run.mean() - 3.5) for run in runs], 0, 52)
    return judge.predict([image[:, s : s + 8].ravel() for s in starts]).tolist()


def trial(seed: int) -> list[float]:
    """Train on strings of some digits, read strings of others."""
    torch.manual_seed(seed)
    rng, (digits, labels) = np.random.default_rng(seed), load_digits(return_X_y=True)
    x, x_new, y, y_new = train_test_split(digits.reshape(-1, 8, 8), labels, test_size=0.3, random_state=seed)
    images, widths, targets, lengths = strings(x, y, 5000, rng)
    new_images, new_widths, new_targets, new_lengths = strings(x_new, y_new, 500, rng)
    net, criterion = Reader(), lm.to_torch(lm.CTC(blank=0))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, 600)
    for _ in range(600):
        batch = torch.randint(len(images), (32,))
        optimizer.zero_grad()
        criterion(net(images[batch]), targets[batch], widths[batch], lengths[batch]).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        paths = net(new_images).argmax(dim=2).T
    judge = KNeighborsClassifier(1).fit(x.reshape(len(x), -1) / 16, y + 1)
    errors = np.zeros(2)
    for path, image, width, row, n in zip(paths, new_images, new_widths, new_targets, new_lengths, strict=True):
        best = torch.unique_consecutive(path[:width])
        for i, read in enumerate((best[best > 0].tolist(), cut_and_call(image.numpy(), judge))):
            errors[i] += distance(read, row[:n].tolist())
    return list(errors / int(new_lengths.sum()))


def main() -> None:
    """Print means over the seeds."""
    torch.set_num_threads(1)  # small batches: threads would cost more than they bring
    for name, found in zip(("ctc", "cut"), zip(*(trial(seed) for seed in range(2)), strict=True), strict=True):
        print(f"CER, {name}: {np.mean(found):.3f} +- {np.std(found, ddof=1) / len(found) ** 0.5:.3f}")


if __name__ == "__main__":
    main()
