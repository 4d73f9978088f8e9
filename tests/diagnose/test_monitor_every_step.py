"""No step goes unseen: each loss is kept, and a number that is not finite is named at its very step."""

from __future__ import annotations

import copy
import inspect
import json
import math
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import lossmith as lm  # noqa: E402
from lossmith.diagnose.monitors.run import Run  # noqa: E402
from lossmith.diagnose.monitors.schedule import Schedule  # noqa: E402
from lossmith.diagnose.record import Record, Step  # noqa: E402


def data(n=64):
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(0))
    return x, (x[:, :1] > 0).float()


class Trap(torch.nn.Module):
    """Passes everything on; puts out infinities from one pass on."""

    def __init__(self, step, pause=0.0):
        super().__init__()
        self.left, self.pause = step, pause

    def forward(self, x):
        time.sleep(self.pause)
        self.left -= 1
        return x if self.left >= 0 else x * math.inf


def network(trap=None, seed=1):
    torch.manual_seed(seed)
    middle = () if trap is None else (trap,)
    return torch.nn.Sequential(torch.nn.Linear(5, 8), *middle, torch.nn.ReLU(), torch.nn.Linear(8, 1))


def train(model, steps, losses=None, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = data()
    with lm.TorchMonitor(model, optimizer, live=False, **options) as monitor:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            if losses is not None:
                losses.append(loss.item())
            monitor.step(loss)
    return monitor


@pytest.mark.parametrize("watch", ["all", "loss"])
def test_a_tiny_net_has_every_loss_on_record_and_in_the_file(tmp_path, watch):
    losses, path = [], tmp_path / "run.jsonl"
    record = train(network(), 700, losses, watch=watch, path=path).record
    steps, values = record.column("loss")
    assert steps.tolist() == list(range(700))
    assert values.tolist() == losses
    assert record.column("learning_rate")[1].tolist() == [0.1] * 700
    again = lm.read_record(path)
    assert again.column("loss")[1].tolist() == losses
    assert again.column("seconds")[1].tolist() == record.column("seconds")[1].tolist()
    if watch == "all":
        assert 2 <= len(record.layer_column("0", "gradient_norm")[0]) < 80


@pytest.mark.parametrize(("step", "pause"), [(157, 0.0), (203, 0.0), (12, 0.006)])
def test_a_number_that_is_not_finite_is_named_at_its_step_with_the_layer_before_it_is_used(step, pause):
    model = network(Trap(step, pause))
    with pytest.raises(lm.NonFiniteError) as caught:
        train(model, step + 20)
    found = caught.value.found
    assert (found.step, found.term, found.layer) == (step, "activation", "1")
    assert all(torch.isfinite(p).all() for p in model.parameters())


class Leak(Trap):
    """Puts out one infinity in the passes with gradients from one on."""

    @staticmethod
    def spot(x):
        spot = torch.zeros_like(x)
        spot[11, 3] = math.inf
        return spot

    def forward(self, x):
        self.left -= torch.is_grad_enabled()
        return x if self.left >= 0 else x + self.spot(x)


@pytest.mark.parametrize("step", [1, 63])
def test_a_number_that_is_lost_behind_tanh_is_named_at_its_step_when_the_update_shows_it(step):
    torch.manual_seed(1)
    linear = torch.nn.Linear
    model = torch.nn.Sequential(linear(5, 8), torch.nn.ReLU(), Leak(step), linear(8, 8), torch.nn.Tanh(), linear(8, 1))
    with pytest.raises(lm.NonFiniteError) as caught:
        train(model, step + 20)
    found = caught.value.found
    assert (found.step, found.term, found.layer, found.sample) == (step, "activation", "2", 11)
    assert ("after the update 3.weight holds" in found.detail) == (step == 63)  # all gradients are looked at early on


def test_with_nothing_but_the_loss_watched_the_step_is_exact_too():
    model = network(Trap(101))
    with pytest.raises(lm.NonFiniteError) as caught:
        train(model, 120, watch="loss")
    assert (caught.value.found.step, caught.value.found.term) == (101, "loss")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_hooks_on_layers_are_there_for_the_sampled_step_only():
    model, hooked = network(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = data()
    with lm.TorchMonitor(model, optimizer, live=False) as monitor:
        for _ in range(300):
            hooked.append(bool(model[0]._forward_hooks))
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            monitor.step(loss)
    looked = [bool(s.layers) for s in monitor.record.steps]
    assert hooked == looked
    assert 1 <= sum(looked) <= 30


def test_what_is_passed_at_every_step_is_kept_at_every_step():
    monitor = lm.TorchMonitor(network(), live=False)
    for i in range(200):
        monitor.step(torch.tensor(1.0 + i), terms={"fit": 1.0}, accuracy=0.5, epoch=i / 100)
    monitor.close()
    for name in ("loss", "fit", "accuracy", "epoch"):
        assert len(monitor.record.column(name)[0]) == 200
    assert monitor.record.column("loss")[1].tolist() == [1.0 + i for i in range(200)]


# --- losses that lie on an accelerator --------------------------------------------------------------------------


class Far(torch.Tensor):
    """Says that it lies on an accelerator, and counts how often it is waited for."""

    waits = 0

    @property
    def is_cpu(self):
        return False

    def item(self):
        Far.waits += 1
        return super().item()


def test_losses_on_an_accelerator_are_read_together():
    Far.waits = 0
    monitor = lm.TorchMonitor(network(), live=False, watch="loss")
    for i in range(500):
        monitor.step(torch.tensor(float(i)).as_subclass(Far))
    assert monitor.record.column("loss")[1].tolist() == [float(i) for i in range(500)]
    assert monitor.record.column("loss")[0].tolist() == list(range(500))
    assert Far.waits <= 2
    monitor.close()


def test_a_loss_read_late_is_blamed_on_its_own_step():
    monitor = lm.TorchMonitor(network(), live=False, watch="loss")

    def loop():
        for i in range(500):
            monitor.step(torch.tensor(math.nan if i == 230 else 1.0).as_subclass(Far))

    with pytest.raises(lm.NonFiniteError, match="step 230: loss"):
        loop()
    bad = [s.step for s in monitor.record.steps if not s.finite]
    assert bad == [230]
    monitor.close()


# --- parts --------------------------------------------------------------------------------------------------------


def test_rows_are_steps():
    rows = [(i, 1.0 / (i + 1), None, 0.1, None, None, None, 0.5, 0.25 * i) for i in range(40)]
    rows[7] = (*rows[7], {"accuracy": 0.5, "loss": 2.0})
    slow, quick = Record(), Record()
    for row in rows:
        slow.add(Step(*row))
    quick.add_rows(rows[:13])
    quick.add_rows(())
    quick.add_rows(rows[13:])
    assert quick.steps == slow.steps
    assert quick.total == slow.total


def test_rows_are_thinned_like_steps():
    slow, quick = Record(limit=64), Record(limit=64)
    for i in range(5000):
        slow.add(Step(i, 1.0))
        quick.add_rows([(i, 1.0)])
    assert quick.steps == slow.steps


def test_rows_are_written_as_steps_are(tmp_path):
    rows = [(i, 1 / 3, None, 1e-300, None, None, None, None, 0.1 * i, {"a": 0.5} if i == 2 else {}) for i in range(5)]
    rows.append((5, np.float64(0.5), None, math.inf, None, None, None, 1, 0.6))
    written = []
    for name in ("slow", "quick"):
        run = Run(path=tmp_path / name, live=False)
        for row in rows:
            (run.add(Step(*row)) if name == "slow" else run.quick(row))
        run.close()
        written.append((tmp_path / name).read_text())
    assert written[0] == written[1]
    assert all(json.loads(line) for line in written[0].splitlines())


def test_a_crash_costs_at_most_the_last_second(tmp_path):
    run = Run(path=tmp_path / "run.jsonl", live=False)
    for i in range(400):  # 4 seconds by the clock of the steps
        run.quick((i, 1.0, None, None, None, None, None, None, i / 100))
    time.sleep(1.01)
    run.quick((400, 1.0, None, None, None, None, None, None, 5.1))
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 400
    run.close()


def test_looks_are_spaced_by_their_cost_and_by_the_toll():
    def looks(cost, toll, step=1e-3, steps=4000):
        now = [0.0]
        plan = Schedule({"layers": 10}, {"layers": 0.02}, toll=toll)
        plan.budget._clock = lambda: now[0]
        plan.budget._started = 0.0
        done = 0
        for number in range(steps):
            now[0] += step
            if number >= plan.next and plan.due("layers", number):
                now[0] += cost
                plan.budget.charge("layers", cost)
                done += 1
        return done

    assert looks(1e-5, 0.0) > 250  # as often as the gap allows
    assert 75 <= looks(1e-3, 0.0) <= 84  # 2 % of 4 s, and two for nothing
    assert 35 <= looks(1e-3, 5e-4) <= 44  # half the time is spoken for
    assert looks(1e-3, 1e-2) >= 14  # and a fifth stays, whatever the toll


def test_what_keeps_hold_of_batches_is_neither_copied_nor_saved_and_goes_in_the_end(tmp_path):
    model, (x, _) = network(), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    usual = inspect.signature(model.forward)
    monitor = lm.TorchMonitor(model, optimizer, live=False)
    assert vars(model)["forward"].__wrapped__ == torch.nn.Sequential.forward.__get__(model)
    assert inspect.signature(model.forward) == usual
    torch.save(model, tmp_path / "model.pt")
    for twin in (copy.deepcopy(model), torch.load(tmp_path / "model.pt", weights_only=False)):
        assert twin.forward == torch.nn.Sequential.forward.__get__(twin)
        assert torch.equal(twin(x), model(x))
        with torch.no_grad():
            twin[0].weight.zero_()
        assert not torch.equal(twin(x), model(x))
    monitor.close()
    assert "forward" not in vars(model)


def test_whoever_else_stands_in_for_forward_stays():
    model, (x, _) = network(), data()
    first = model.forward = lambda value: torch.nn.Sequential.forward(model, value)
    monitor = lm.TorchMonitor(model, live=False)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x))
    monitor.close()
    assert model.forward is first
    monitor = lm.TorchMonitor(model, live=False)
    below = model.forward
    model.forward = last = lambda value: 2 * below(value)
    monitor.close()
    assert model.forward is last
    assert torch.equal(model(x), 2 * first(x))
    assert monitor._looks._probe._entry.batch is None


@pytest.mark.parametrize("when", ["before", "after", "wrapped before", "wrapped after"])
def test_a_model_that_is_compiled_is_watched(when):
    torch.compiler.reset()
    model, (x, y) = network(), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    called = model
    if when == "before":
        model.compile(backend="eager", fullgraph=True)
    elif when == "wrapped before":
        called = torch.compile(model, backend="eager", fullgraph=True)
    monitor = lm.TorchMonitor(called, optimizer, live=False)
    if when == "after":
        model.compile(backend="eager", fullgraph=True)
    elif when == "wrapped after":
        called = torch.compile(model, backend="eager", fullgraph=True)

    def loop(x):
        for i in range(40):
            optimizer.zero_grad()
            if i == 30:
                x = x.clone()
                x[7, 2] = math.nan
            loss = torch.nn.functional.binary_cross_entropy_with_logits(called(x), y)
            loss.backward()
            optimizer.step()
            monitor.step(loss)

    with pytest.raises(lm.NonFiniteError) as caught:
        loop(x)
    monitor.close()
    assert (caught.value.found.step, caught.value.found.term, caught.value.found.sample) == (30, "input", 7)


def test_rates_of_plain_steps_are_those_in_force():
    model, rates = network(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with lm.TorchMonitor(model, optimizer, live=False, watch="loss") as monitor:
        for i in range(200):
            optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
            rates.append(0.1 / (i + 1))
            monitor.step(torch.tensor(1.0), epoch=i / 100)
            if i % 50 == 0:
                assert monitor.record.total == i + 1
    assert monitor.record.column("learning_rate")[1].tolist() == rates
    assert monitor.record.column("epoch")[1].tolist() == [i / 100 for i in range(200)]
