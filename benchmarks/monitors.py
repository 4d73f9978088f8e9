"""What watching costs: the same training with and without a monitor, in turns, in one process.

    python benchmarks/monitors.py [--seconds 60] [--json FILE]

For each network, six trainings take turns of some 30 ms, in random order in each round: two plain ones and four that
are watched. Trainings that only look alike are no fair rivals (two equal copies of one may differ by a third, by
where their arrays lie), so here all are one: their networks and optimisers are objects of their own, for the
hooks that a monitor puts there, but hold the *same* parameters, gradients and moments, read the same batch, and begin
each turn from the same numbers, put back in place. All memory comes from one pool that gives nothing back to the system
(glibc otherwise has one for each thread, and page faults where arrays are large); where gradients and activations come
to lie in it is drawn anew for each turn. Each training has a thread, so that its monitor's clock does not see the
others' time.

A figure is the mean over the rounds of (watched - plain), with a 95 % interval by bootstrap over the rounds; plain is
the mean of the two plain turns of that round. Rounds that differ by more than half a turn are cut to that, as something
else ran then, unless the monitor looked at layers in them: what watching costs is all counted. "null" is one plain
training against the other: its interval has to hold 0, and its width says what can be told from noise. Times are the
processor's, of the thread; each training's first second is not in the figures: a run's first looks are not budgeted.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lossmith as lm

WATCHED = ("null", "all", "all, file", "loss", "loss, file")
TURN = 0.03
WARM = 1.0
CUT = 0.5


@dataclass(frozen=True)
class Cell:
    """One row of the table: overheads with the ends of their intervals."""

    model: str
    watch: str
    step_us: float
    percent: tuple[float, float, float]
    microseconds: tuple[float, float, float]
    looks: int
    losses: int
    steps: int
    rounds: int


def models() -> dict[str, tuple[Callable[[], Any], tuple[int, ...], int]]:
    """Return, by name: how to make a model, the shape of a sample, the size of a batch."""
    from torch import nn

    def small():
        return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 10))

    def middle():
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))

    def images():
        convolutions = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()
        return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(32 * 13 * 13, 10))

    def deep():
        def block(channels: int, more: int) -> list[Any]:
            return [nn.Conv2d(channels, more, 3, padding=1, bias=False), nn.BatchNorm2d(more), nn.ReLU()]

        body = [*block(3, 16), *block(16, 16), nn.MaxPool2d(2), *block(16, 32), *block(32, 32), nn.MaxPool2d(2)]
        head = nn.Flatten(), nn.Linear(32 * 8 * 8, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10)
        return nn.Sequential(*body, *block(32, 32), *head)

    return {
        "MLP 30-32-10, batch 64": (small, (30,), 64),
        "MLP 784-256-256-10, batch 128": (middle, (784,), 128),
        "CNN 28x28, batch 64": (images, (1, 28, 28), 64),
        "CNN 32x32, 5 norms, batch 32": (deep, (3, 32, 32), 32),
    }


class Ground:
    """What all trainings share: parameters, moments, a batch, and the numbers from which each turn begins."""

    def __init__(self, name: str) -> None:
        import torch

        self._make, shape, batch = models()[name]
        torch.manual_seed(0)
        self._first = self._make()
        self._optimizer = torch.optim.Adam(self._first.parameters(), lr=1e-3)
        self.x, self.y = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
        self.train(self._first, self._optimizer, None, 3)
        self._held = [*self._first.parameters(), *self._first.buffers()]
        self._held += [v for state in self._optimizer.state.values() for v in state.values()]
        self._start = [v.detach().clone() for v in self._held]
        self._lot, self._pads = np.random.default_rng(2), list[Any]()

    def copy(self) -> tuple[Any, Any]:
        """Return a model and its optimiser: new objects over the same memory."""
        import torch

        model = self._make()
        for module, source in zip(model.modules(), self._first.modules(), strict=True):
            for place, tensor in (*source.named_parameters(recurse=False), *source.named_buffers(recurse=False)):
                setattr(module, place, tensor)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        optimizer.state = self._optimizer.state
        return model, optimizer

    def restore(self) -> None:
        """Put back the numbers of the start, and shuffle what is free of the memory."""
        import torch

        torch.manual_seed(1)
        self._first.zero_grad()
        self._pads = []
        self._pads = [torch.empty(int(size), dtype=torch.uint8) for size in self._lot.integers(64, 1 << 17, 8)]
        with torch.no_grad():
            for value, start in zip(self._held, self._start, strict=True):
                value.copy_(start)

    def train(self, model: Any, optimizer: Any, monitor: lm.TorchMonitor | None, steps: int) -> None:
        """Train for so many steps."""
        import torch

        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(self.x), self.y)
            loss.backward()
            optimizer.step()
            if monitor is not None:
                monitor.step(loss)


class Lane:
    """One training."""

    def __init__(self, ground: Ground, watch: str, folder: Path) -> None:
        self._ground, self._thread = ground, ThreadPoolExecutor(1)
        self._model, self._optimizer = ground.copy()
        self.done = 0
        self.monitor = self._thread.submit(self._watched, watch, folder).result()

    def _watched(self, watch: str, folder: Path) -> lm.TorchMonitor | None:
        if watch.startswith("null"):
            return None
        path = folder / f"{watch}.jsonl" if watch.endswith("file") else None
        return lm.TorchMonitor(self._model, self._optimizer, watch=watch.partition(",")[0], live=False, path=path)

    def turn(self, steps: int) -> float:
        """Return the processor's seconds of so many steps."""
        self.done += steps
        return self._thread.submit(self._timed, steps).result()

    def _timed(self, steps: int) -> float:
        self._ground.restore()
        begun = time.thread_time()
        self._ground.train(self._model, self._optimizer, self.monitor, steps)
        return time.thread_time() - begun

    def close(self) -> None:
        """End it."""
        if self.monitor is not None:
            self._thread.submit(self.monitor.close).result()
        self._thread.shutdown()


def measure(name: str, seconds: float) -> list[Cell]:
    """Measure one model."""
    ground = Ground(name)
    with tempfile.TemporaryDirectory() as folder:
        lanes = [Lane(ground, watch, Path(folder)) for watch in ("null", *WATCHED)]
        lanes[0].turn(20)
        steps = max(2, round(TURN / (lanes[0].turn(20) / 20)))
        for lane in lanes:
            for _ in range(round(WARM / TURN)):
                lane.turn(steps)
        warm, table = lanes[1].done, []
        rng, end = np.random.default_rng(0), time.perf_counter() + seconds
        while time.perf_counter() < end:
            times = {place: lanes[place].turn(steps) for place in rng.permutation(len(lanes))}
            table.append([times[place] / steps for place in range(len(lanes))])
        for lane in lanes:
            lane.close()
    made = np.array(table)
    return [_cell(name, w, lane, made, warm) for w, lane in zip(WATCHED, lanes[1:], strict=True)]


def _cell(name: str, watch: str, lane: Lane, table: np.ndarray, warm: int) -> Cell:
    steps = (lane.done - warm) // len(table)
    record = None if lane.monitor is None else lane.monitor.record
    seen = [] if record is None else [s.step for s in record.steps if s.layers]
    looked = np.zeros(len(table), bool)
    looked[[(step - warm) // steps for step in seen if step >= warm]] = True
    plain = table[:, 0] if watch == "null" else table[:, :2].mean(1)
    step = 1e6 * float(np.median(table[:, 0]))
    extra = interval(1e6 * (table[:, 1 + WATCHED.index(watch)] - plain), looked, CUT * step)
    losses = 0 if record is None else record.total
    share = tuple((100 / step * extra).tolist())
    return Cell(name, watch, step, share, tuple(extra.tolist()), len(seen), losses, lane.done, len(table))


def interval(extra: np.ndarray, looked: np.ndarray, cut: float) -> np.ndarray:
    """Return what was taken a step on average, looks at layers in full, and the ends of its interval."""
    extra = np.where(looked, extra, extra.clip(-cut, cut))
    draws = extra[np.random.default_rng(0).integers(0, len(extra), (2000, len(extra)))].mean(1)
    return np.array([extra.mean(), *np.quantile(draws, [0.025, 0.975])])


def one_pool() -> None:
    """Have all threads share one pool of memory that gives nothing back, where the C library is glibc."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    arenas, trim, mapped = -8, -1, -4
    for option, value in ((arenas, 1), (trim, 1 << 30), (mapped, 0)):
        libc.mallopt(option, value)


def one_processor() -> None:
    """Stay on one processor, where the system can be told: each thread would have its own habits."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each model")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="part of a model's name")
    options = parser.parse_args()
    one_pool()
    one_processor()
    import torch

    torch.set_num_threads(1)
    cells = []
    print(f"{'model':<31}{'watched':<12}{'step us':>8}{'%':>8} {'[95 %]':<16}{'us':>8} {'[95 %]':<16}looks, losses")
    for name in (n for n in models() if options.only in n):
        for cell in measure(name, options.seconds):
            cells.append(cell)
            pairs = (cell.percent, cell.microseconds)
            told = "".join(f"{v:>8.2f} {f'[{low:.2f}, {high:.2f}]':<16}" for v, low, high in pairs)
            count = f"{cell.looks}, {cell.losses} of {cell.steps}"
            print(f"{name:<31}{cell.watch:<12}{cell.step_us:>8.0f}{told}{count}", flush=True)
        if options.json:
            options.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")


if __name__ == "__main__":
    main()
