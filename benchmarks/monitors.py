"""What watching costs: the same training with and without a monitor, in turns, in one process.

    python benchmarks/monitors.py [--rounds 150] [--json FILE]

Each cell trains two copies of a model on the same batches, one of them watched, in short alternating turns on one
thread. Its figure is the CPU time of all watched turns over that of all plain ones, less one, with a 95 % interval by
bootstrap over the turns; "null" cells compare two plain copies, and say how far to trust the others. The monitor's
first steps (100 or one turn) are not in the figures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


class Lane:
    """One training in a thread of its own, so that its monitor's clock does not see the other one's time."""

    def __init__(self, name: str, watch: str | None) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._train, self.monitor = self._thread.submit(trainer, name, watch).result()

    def cpu(self, steps: int) -> float:
        """Return the CPU seconds of so many steps."""
        return self._thread.submit(self._timed, steps).result()

    def _timed(self, steps: int) -> float:
        begun = time.thread_time()
        self._train(steps)
        return time.thread_time() - begun


def measure(name: str, watch: str | None, rounds: int) -> Cell:
    """Measure one cell."""
    plain, watched = Lane(name, None), Lane(name, watch)
    plain.cpu(20)
    steps = max(10, int(0.02 / (plain.cpu(20) / 20)))
    watched.cpu(max(100, steps))
    pairs = []
    for turn in range(rounds):
        order = (plain, watched) if turn % 2 else (watched, plain)
        times = {lane: lane.cpu(steps) for lane in order}
        pairs.append((times[watched], times[plain]))
    monitor = watched.monitor
    looks = 0 if monitor is None else sum(1 for s in monitor.record.steps if s.layers)
    if monitor is not None:
        monitor.close()
    said = "null" if watch is None else watch
    low, middle, high = interval(np.array(pairs))
    fastest = min(time for _, time in pairs) / steps
    return Cell(name, said, 1e6 * fastest, middle, low, high, looks, steps * rounds + max(100, steps))


def interval(pairs: np.ndarray) -> tuple[float, float, float]:
    """Return the overhead in percent between the ends of its interval: sums over all rounds, rare looks included."""
    draws = pairs[np.random.default_rng(0).integers(0, len(pairs), (2000, len(pairs)))].sum(1)
    low, high = np.quantile(100 * (draws[:, 0] / draws[:, 1] - 1), [0.025, 0.975])
    watched, plain = pairs.sum(0)
    return low, 100 * (watched / plain - 1), high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    cells = []
    print(f"{'model':<32}{'watched':<9}{'step us':>9}{'overhead %':>12}{'95 % interval':>18}{'looks at layers':>18}")
    for name in models():
        for watch in (None, "all", "loss"):
            cell = measure(name, watch, options.rounds)
            cells.append(cell)
            between = f"{cell.low:.2f} ... {cell.high:.2f}"
            looks = f"{cell.layer_looks} in {cell.steps}"
            print(
                f"{name:<32}{cell.watch:<9}{cell.step_us:>9.0f}{cell.overhead_percent:>12.2f}{between:>18}{looks:>18}"
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")


if __name__ == "__main__":
    main()
