"""What watching costs: the same training with and without a monitor, in turns, in one process.

    python benchmarks/monitors.py [--blocks 12] [--json FILE]

Each cell trains two copies of a model on the same batches, one of them watched, in alternating blocks of steps on one
thread. Its figure is the median over the blocks of watched over plain CPU time, less one, with a 95 % interval by
bootstrap; "null" cells compare two plain copies, and say how far to trust the others. The monitor's start (its first
block) is not in the figures; it is reported apart, in steps.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import lossmith as lm

Train = Callable[[int], None]


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    model: str
    watch: str
    step_us: float
    overhead_percent: float
    low: float
    high: float
    layer_looks: int
    steps: int


def models() -> dict[str, tuple[Callable, tuple[int, ...], int]]:
    """Return, by name: how to make a model, the shape of a sample, the size of a batch."""
    from torch import nn

    def small():
        return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 10))

    def middle():
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))

    def images():
        convolutions = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()
        return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(32 * 13 * 13, 10))

    return {
        "MLP 30-32-10, batch 64": (small, (30,), 64),
        "MLP 784-256-256-10, batch 128": (middle, (784,), 128),
        "CNN 28x28, batch 64": (images, (1, 28, 28), 64),
    }


def trainer(name: str, watch: str | None, path: Path | None = None) -> tuple[Train, lm.TorchMonitor | None]:
    """Return a function that trains for so many steps, and its monitor."""
    import torch

    make, shape, batch = models()[name]
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
    monitor = None
    if watch is not None:
        monitor = lm.TorchMonitor(model, optimizer, watch=watch, live=False, path=path)

    def train(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            if monitor is not None:
                monitor.step(loss)

    return train, monitor


def cpu(train: Train, steps: int) -> float:
    """Return CPU seconds of one block."""
    begun = time.process_time()
    train(steps)
    return time.process_time() - begun


def measure(name: str, watch: str | None, blocks: int) -> Cell:
    """Measure one cell."""
    plain, _ = trainer(name, None)
    watched, monitor = trainer(name, watch)
    plain(20)
    steps = max(50, int(0.25 / (cpu(plain, 50) / 50)))
    cpu(watched, steps)
    ratios, seconds = [], []
    for block in range(blocks):
        order = (plain, watched) if block % 2 else (watched, plain)
        times = {run: cpu(run, steps) for run in order}
        ratios.append(times[watched] / times[plain] - 1)
        seconds.append(times[plain] / steps)
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    looks = 0 if monitor is None else sum(1 for s in monitor.record.steps if s.layers)
    if monitor is not None:
        monitor.close()
    said = "null" if watch is None else watch
    middle = float(np.median(ratios))
    return Cell(name, said, 1e6 * min(seconds), 100 * middle, 100 * low, 100 * high, looks, steps * (blocks + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    cells = []
    print(f"{'model':<32}{'watched':<9}{'step us':>9}{'overhead %':>12}{'95 % interval':>18}{'looks at layers':>18}")
    for name in models():
        for watch in (None, "all", "loss"):
            cell = measure(name, watch, options.blocks)
            cells.append(cell)
            interval = f"{cell.low:.2f} ... {cell.high:.2f}"
            looks = f"{cell.layer_looks} in {cell.steps}"
            print(
                f"{name:<32}{cell.watch:<9}{cell.step_us:>9.0f}{cell.overhead_percent:>12.2f}{interval:>18}{looks:>18}"
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")


if __name__ == "__main__":
    main()
