"""Trainings as people write them, on data and loops that the bench of faults lacks: is the cause named first?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lossmith as lm  # noqa: E402
from lossmith.diagnose.probes import TorchPatient  # noqa: E402

ROWS, HELD, COLUMNS = 400, 200, 8


class Life:
    """A plain loop over rings and waves, with nothing wrong until a case changes it."""

    def __init__(self, task: str = "regression") -> None:
        rng = np.random.default_rng(5)
        x = rng.uniform(-1.7, 1.7, (ROWS + HELD, COLUMNS))
        wave = np.sin(2.0 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.2 * rng.normal(size=len(x))
        if task == "regression":
            y = (wave - wave.mean()) / wave.std()
        else:
            y = np.digitize(wave, np.quantile(wave, [1 / 3, 2 / 3]))
        self.task, self.x, self.y = task, x.astype(np.float32), y
        self.loss = self.squared if task == "regression" else nn.CrossEntropyLoss(reduction="none")
        self.model = self.network()
        self.rate, self.steps, self.batch, self.decay = 0.01, 240, 25, 0.0
        self.make = torch.optim.Adam
        self.zero = self.shuffle = True
        self.schedule = None

    @staticmethod
    def squared(out, y):
        return (out - y) ** 2

    def network(self, *more):
        torch.manual_seed(3)
        head = [nn.Linear(20, 1), nn.Flatten(0)] if self.task == "regression" else [nn.Linear(20, 3)]
        return nn.Sequential(nn.Linear(COLUMNS, 40), nn.ReLU(), nn.Linear(40, 20), nn.ReLU(), *head, *more)

    def diagnose(self) -> lm.Diagnosis:
        kind = torch.float32 if self.task == "regression" else torch.int64
        x, y = torch.as_tensor(self.x), torch.as_tensor(self.y, dtype=kind)
        moved = getattr(self, "moved", self.model)
        optimizer = self.make(moved.parameters(), lr=self.rate, weight_decay=self.decay)

        def step(x, y):
            if self.zero:
                optimizer.zero_grad()
            loss = self.loss(self.model(x), y).mean()
            loss.backward()
            optimizer.step()
            return loss.item()

        def batches():
            while True:
                rows = torch.randperm(ROWS) if self.shuffle else torch.arange(ROWS)
                yield from rows.split(self.batch)

        with lm.TorchMonitor(self.model, optimizer, live=False, nan="ignore", every=5) as monitor:
            for number, rows in enumerate(itertools.islice(batches(), self.steps)):
                if self.schedule is not None:
                    optimizer.param_groups[0]["lr"] = self.rate * self.schedule(number)
                monitor.step(step(x[rows], y[rows]))
        seen = [(self.x[r], self.y[r]) for r in (b.numpy() for b in itertools.islice(batches(), 12))]
        train, held = (self.x[:ROWS], self.y[:ROWS]), (self.x[ROWS:], self.y[ROWS:])
        patient = TorchPatient(
            self.model, self.loss, self.task, train, held,
            optimizer=optimizer, step=step, batches=seen, learning_rate=self.rate,
        )  # fmt: skip
        return lm.diagnose(monitor.record, model=patient)


def tiny_rate(life):
    life.make, life.rate = torch.optim.SGD, 1e-5


def huge_rate(life):
    life.rate = 3.0


def no_zero_grad(life):
    life.zero, life.make, life.rate = False, torch.optim.SGD, 0.03


def other_model(life):
    life.moved = life.network()


def few_steps(life):
    life.rate, life.steps = 0.003, 12


def decayed(life):
    life.schedule = lambda number: 0.1 ** (number // 12)


def zeros(life):
    for p in life.model.parameters():
        nn.init.zeros_(p)


def dead(life):
    nn.init.constant_(life.model[0].bias, -8.0)
    nn.init.constant_(life.model[2].bias, -8.0)


def penalised(life):
    life.decay = 1.0


def raw_inputs(life):
    life.x = life.x * np.geomspace(1.0, 2000.0, COLUMNS).astype(np.float32)


def raw_target(life):
    life.y = 20000.0 + 5000.0 * life.y


def outliers(life):
    life.y = life.y.copy()
    life.y[::25] += 40.0


def missing_cells(life):
    life.x = life.x.copy()
    life.x[3, 2] = np.nan


def shuffled_labels(life):
    rng = np.random.default_rng(1)
    hit = rng.random(ROWS) < 0.6
    life.y = life.y.copy()
    life.y[:ROWS][hit] = rng.integers(0, 3, hit.sum())


def softmax_twice(life):
    life.model = life.network(nn.Softmax(dim=1))


def sorted_rows(life):
    order = np.argsort(life.y[:ROWS], kind="stable")
    life.x[:ROWS], life.y[:ROWS] = life.x[:ROWS][order], life.y[:ROWS][order]
    life.shuffle = False


CASES = [
    (tiny_rate, "regression", "learning-rate-too-low"),
    (huge_rate, "regression", "learning-rate-too-high"),
    (no_zero_grad, "multiclass", "gradient-not-reset"),
    (other_model, "regression", "optimizer-not-stepping"),
    (few_steps, "multiclass", "too-few-steps"),
    (decayed, "regression", "learning-rate-decay"),
    (zeros, "multiclass", "zero-initialisation"),
    (dead, "regression", "dead-relu"),
    (penalised, "multiclass", "weight-decay-too-high"),
    (raw_inputs, "regression", "unscaled-inputs"),
    (raw_target, "regression", "unscaled-target"),
    (outliers, "regression", "outliers"),
    (missing_cells, "multiclass", "nan-in-data"),
    (shuffled_labels, "multiclass", "label-noise"),
    (softmax_twice, "multiclass", "double-softmax"),
    (sorted_rows, "multiclass", "sorted-batches"),
]


@pytest.mark.parametrize(("change", "task", "cause"), CASES, ids=[case[0].__name__ for case in CASES])
def test_the_cause_comes_first(change, task, cause):
    life = Life(task)
    change(life)
    found = life.diagnose()
    told = [(c.id, round(c.probability, 2)) for c in found.causes[:4]]
    assert told, f"nothing found: {found.headline}"
    assert told[0][0] == cause, told


def momentum(parameters, lr, weight_decay):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=weight_decay)


HEALTHY = [
    ("regression", torch.optim.Adam, 0.003),
    ("regression", momentum, 0.02),
    ("multiclass", torch.optim.RMSprop, 0.002),
    pytest.param(
        "multiclass",
        torch.optim.SGD,
        0.1,
        marks=pytest.mark.xfail(strict=True, reason="called slow; label noise is told at 25 %, for want of better"),
    ),
    ("regression", torch.optim.SGD, 0.1),
]


@pytest.mark.parametrize(("task", "make", "rate"), HEALTHY)
def test_a_sound_training_is_not_accused(task, make, rate):
    life = Life(task)
    life.make, life.rate = make, rate
    found = life.diagnose()
    assert not found.likely, [(c.id, round(c.probability, 2)) for c in found.likely]
    assert not [s.id for s in found.symptoms if s.severity == "error"]
