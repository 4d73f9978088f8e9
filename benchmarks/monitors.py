"""What watching costs: the same training with and without a monitor, in turns, in one process.

    python benchmarks/monitors.py [--seconds 50] [--json FILE]

For each model, five copies train on the same batches, each in a thread of its own on one processor: two plain ones,
and three that are watched. In each round all of them have a turn of some 50 ms, in random order. A copy's figure is
the time of its turns over that of the first plain copy's, less one, with a 95 % interval by bootstrap over the rounds.
The second plain copy ("null") has a figure too: its interval has to hold 0, and its width says what can be told from
noise. The quarter of the rounds in which the two plain copies differ most is left out: something else ran then, and
plain copies know nothing of what watching costs. Of the two figures the processor's time is the one to trust on a busy
machine. The steps before the first round (a second) are not in the figures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import lossmith as lm

Train = Callable[[int], None]
WATCHED = ("null", "all", "all, file", "loss", "loss, file")
TURN = 0.05
DROPPED = 0.25


@dataclass(frozen=True)
class Cell:
    """One row of the table: overheads in percent, with the ends of their intervals."""

    model: str
    watch: str
    step_us: float
    cpu: tuple[float, float, float]
    wall: tuple[float, float, float]
    looks: int
    losses: int
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


def trainer(name: str, watch: str | None, folder: Path) -> tuple[Train, lm.TorchMonitor | None]:
    """Return a function that trains for so many steps, and its monitor."""
    import torch

    make, shape, batch = models()[name]
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
    monitor = None
    if watch is not None:
        path = folder / "run.jsonl" if watch.endswith("file") else None
        monitor = lm.TorchMonitor(model, optimizer, watch=watch.partition(",")[0], live=False, path=path)

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
    """One training in a thread of its own, so that its monitor's clock does not see the other ones' time."""

    def __init__(self, name: str, watch: str | None, folder: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._train, self.monitor = self._thread.submit(trainer, name, watch, folder).result()
        self.done = 0

    def turn(self, steps: int) -> tuple[float, float]:
        """Return processor seconds and wall seconds of so many steps."""
        self.done += steps
        return self._thread.submit(self._timed, steps).result()

    def _timed(self, steps: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.thread_time()
        self._train(steps)
        return time.thread_time() - cpu, time.perf_counter() - wall


def measure(name: str, seconds: float) -> list[Cell]:
    """Measure one model."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Lane(name, None, Path(folder))
        lanes = [plain, *(Lane(name, None if w == "null" else w, Path(tempfile.mkdtemp(dir=folder))) for w in WATCHED)]
        plain.turn(20)
        steps = max(5, int(TURN / (plain.turn(20)[1] / 20)))
        for lane in lanes:
            lane.turn(steps * max(1, int(0.2 / TURN)))
        table, rng, end = [], np.random.default_rng(0), time.perf_counter() + seconds
        while time.perf_counter() < end:
            times = {place: lanes[place].turn(steps) for place in rng.permutation(len(lanes))}
            table.append([times[place] for place in range(len(lanes))])
        found = [_cell(name, w, lane, np.array(table), steps) for w, lane in zip(WATCHED, lanes[1:], strict=True)]
        for lane in lanes[1:]:
            if lane.monitor is not None:
                lane.monitor.close()
    return found


def _cell(name: str, watch: str, lane: Lane, table: np.ndarray, steps: int) -> Cell:
    place = 1 + WATCHED.index(watch)
    figures = []
    for clock in (0, 1):
        gap = np.abs(np.log(table[:, 1, clock] / table[:, 0, clock]))
        # Looking at the null copy's own figure, dropping rounds by its gap would flatter it.
        kept = np.ones(len(table), bool) if watch == "null" else gap <= np.quantile(gap, 1 - DROPPED)
        figures.append(interval(table[kept][:, [place, 0], clock]))
    record = None if lane.monitor is None else lane.monitor.record
    looks = 0 if record is None else sum(1 for s in record.steps if s.layers)
    losses = 0 if record is None else record.total
    fastest = 1e6 * float(table[:, 0, 0].min()) / steps
    return Cell(name, watch, fastest, figures[0], figures[1], looks, losses, lane.done)


def interval(pairs: np.ndarray) -> tuple[float, float, float]:
    """Return the overhead in percent and the ends of its interval: sums over all rounds, rare looks included."""
    draws = pairs[np.random.default_rng(0).integers(0, len(pairs), (2000, len(pairs)))].sum(1)
    low, high = np.quantile(100 * (draws[:, 0] / draws[:, 1] - 1), [0.025, 0.975])
    watched, plain = pairs.sum(0)
    return float(100 * (watched / plain - 1)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=50.0, help="for each model")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="part of a model's name")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    cells = []
    head = f"{'cpu %':>8} {'[95 %]':<15}{'wall %':>8} {'[95 %]':<15}"
    print(f"{'model':<31}{'watched':<12}{'step us':>8}{head}looks at layers, losses")
    for name in (n for n in models() if options.only in n):
        for cell in measure(name, options.seconds):
            cells.append(cell)
            told = "".join(f"{v:>8.2f} {f'[{low:.2f}, {high:.2f}]':<15}" for v, low, high in (cell.cpu, cell.wall))
            count = f"{cell.looks}, {cell.losses} of {cell.steps}"
            print(f"{name:<31}{cell.watch:<12}{cell.step_us:>8.0f}{told}{count}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")


if __name__ == "__main__":
    main()
