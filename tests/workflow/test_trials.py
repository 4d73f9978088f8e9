"""Trials: finished ones are never run again, however the process ended; the numbers do not depend on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lossmith
from lossmith.select.facts import analyse
from lossmith.select.metrics import METRICS
from lossmith.workflow.clock import Clock
from lossmith.workflow.folds import affordable, fold_of
from lossmith.workflow.heldout import collect
from lossmith.workflow.progress import Silent
from lossmith.workflow.trials import Plan, Problem, key_of, pack, run_trials, unpack

N = 90


def plan(loss="mse", learner="linear", **settings):
    return Plan(loss, {"loss": loss, "params": {}}, learner, settings)


def make_problem(identity="p"):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N)})
    y = 2.0 * X["a"] + rng.normal(0, 0.3, N)
    facts = analyse(X, pd.Series(y, name="y"), "regression")
    fold, _ = fold_of(y.to_numpy(), facts, 0)
    return Problem(X, y.to_numpy(), fold, facts, METRICS["rmse"], 0, identity)


@pytest.fixture(scope="module")
def problem():
    return make_problem()


class Watch(Silent):
    def __init__(self, action=None):
        self.trials, self.action = [], action

    def trial_finished(self, trial, done, planned, seconds_left):
        self.trials.append(trial)
        if self.action is not None and done >= 3:
            self.action()


PLANS = [plan(), plan("huber")]


def scores(trials):
    return [(t.record.key, t.record.score, t.prediction.tolist()) for t in trials]


def test_every_plan_gets_every_fold_in_order(problem, tmp_path):
    watch = Watch()
    trials = run_trials(problem, PLANS, tmp_path, 1, Clock(60), watch)
    assert [(t.record.label, t.record.fold) for t in trials] == [(p.label, f) for p in PLANS for f in range(5)]
    assert len(watch.trials) == 10
    assert sorted(p.stem for p in tmp_path.glob("*.json")) == sorted(t.record.key for t in trials)
    held = np.sort(np.concatenate([np.flatnonzero(problem.fold == t.record.fold) for t in trials[:5]]))
    assert held.tolist() == list(range(N))


def test_the_second_run_trains_nothing_and_gives_the_same(problem, tmp_path, monkeypatch):
    first = run_trials(problem, PLANS, tmp_path, 1, Clock(60), Silent())
    monkeypatch.setattr("lossmith.workflow.trials.fit", _forbidden)
    again = run_trials(problem, PLANS, tmp_path, 1, Clock(60), Silent())
    assert scores(again) == scores(first)
    assert all(t.record.reused for t in again)
    assert not any(t.record.reused for t in first)


def _forbidden(*args, **kwargs):
    raise AssertionError("a finished trial was trained again")


def test_two_processes_give_the_numbers_of_one(problem, tmp_path):
    one = run_trials(problem, PLANS, tmp_path / "one", 1, Clock(60), Silent())
    two = run_trials(problem, PLANS, tmp_path / "two", 2, Clock(60), Silent())
    assert scores(one) == scores(two)


@pytest.mark.parametrize("content", ["", "{", '{"key": 1}', '{"failure": "", "curve": 3}'])
def test_a_damaged_trial_is_trained_again(problem, tmp_path, content):
    first = run_trials(problem, PLANS[:1], tmp_path, 1, Clock(60), Silent())
    (tmp_path / f"{first[2].record.key}.json").write_text(content)
    again = run_trials(problem, PLANS[:1], tmp_path, 1, Clock(60), Silent())
    assert scores(again) == scores(first)
    assert [t.record.reused for t in again] == [True, True, False, True, True]


def test_the_key_covers_everything_the_numbers_depend_on(problem):
    base = key_of(problem, plan(), 0)
    others = [
        key_of(problem, plan(), 1),
        key_of(problem, plan("mae"), 0),
        key_of(problem, plan(learner="boosted"), 0),
        key_of(problem, plan(regularisation=10.0), 0),
        key_of(make_problem("other data"), plan(), 0),
    ]
    assert base == key_of(make_problem(), plan(), 0)
    assert len({base, *others}) == 6


def test_nothing_is_launched_when_the_time_is_up(problem, tmp_path):
    clock = Clock(60, started=time.monotonic() - 61)
    assert run_trials(problem, PLANS, tmp_path, 1, clock, Silent()) == []
    assert clock.cut
    assert not tmp_path.joinpath("trials").exists()


def test_finished_trials_count_even_when_the_time_is_up(problem, tmp_path):
    first = run_trials(problem, PLANS[:1], tmp_path, 1, Clock(60), Silent())
    late = run_trials(problem, PLANS, tmp_path, 1, Clock(60, started=time.monotonic() - 61), Silent())
    assert scores(late) == scores(first)


def _interrupt():
    raise KeyboardInterrupt


def _terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)


@pytest.mark.parametrize("action", [_interrupt, _terminate])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_keeps_what_is_finished(problem, tmp_path, action, jobs):
    clock, before = Clock(60), signal.getsignal(signal.SIGTERM)
    trials = run_trials(problem, PLANS, tmp_path, jobs, clock, Watch(action))
    assert clock.interrupted
    assert 3 <= len(trials) < 10
    assert signal.getsignal(signal.SIGTERM) is before
    rest = run_trials(problem, PLANS, tmp_path, 1, Clock(60), Silent())
    assert scores(rest) == scores(run_trials(problem, PLANS, tmp_path / "whole", 1, Clock(60), Silent()))
    assert sum(t.record.reused for t in rest) >= len(trials)


def test_a_plan_that_fails_is_recorded_and_does_not_stop_the_rest(problem, tmp_path):
    bad = Plan("poisson_nll", {"loss": "poisson_nll", "params": {"inputs": "log_rate"}}, "linear", {})
    trials = run_trials(problem, [bad, plan()], tmp_path, 1, Clock(60), Silent())
    assert all("negative" in t.record.failure or "y_true" in t.record.failure for t in trials[:5])
    assert collect(problem, bad, trials) is None
    model = collect(problem, plan(), trials)
    assert model is not None
    assert np.sqrt(np.mean((model.prediction - problem.y) ** 2)) < 0.6


def test_arrays_keep_every_bit():
    values = np.random.default_rng(0).normal(size=(7, 3)) * 1e-300
    assert unpack(json.loads(json.dumps(pack(values)))).tobytes() == values.tobytes()


SCRIPT = """
import sys, time
sys.path[:0] = {paths!r}
import test_trials as t
from pathlib import Path
from lossmith.workflow import trials
real = trials.fit
def slow(*args, **kwargs):
    time.sleep(0.1)
    return real(*args, **kwargs)
trials.fit = slow
t.run_trials(t.make_problem(), t.PLANS, Path({folder!r}), 1, t.Clock(60), t.Silent())
"""


def test_killed_at_any_moment_it_continues(problem, tmp_path):
    folder = tmp_path / "killed"
    paths = [str(Path(__file__).parent), str(Path(lossmith.__file__).parents[1])]
    text = textwrap.dedent(SCRIPT).format(paths=paths, folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", text])
    try:
        deadline = time.monotonic() + 60
        while len(list(folder.glob("*.json"))) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.glob("*.json")}
    assert 3 <= len(kept) < 10
    continued = run_trials(problem, PLANS, folder, 1, Clock(60), Silent())
    assert sum(t.record.reused for t in continued) == len(kept)
    for name, (when, content) in kept.items():
        assert ((folder / name).stat().st_mtime_ns, (folder / name).read_bytes()) == (when, content)
    assert scores(continued) == scores(run_trials(problem, PLANS, tmp_path / "whole", 1, Clock(60), Silent()))


# --- folds --------------------------------------------------------------------------------------------------


def _facts(y, task):
    X = pd.DataFrame({"a": np.random.default_rng(0).normal(size=len(y))})
    return analyse(X, pd.Series(y, name="y"), task)


def test_folds_spread_classes_evenly():
    y = np.repeat([0, 1], [50, 10])
    fold, notes = fold_of(y, _facts(y, "binary"), 0)
    assert notes == ()
    assert [int((y[fold == k] == 1).sum()) for k in range(5)] == [2] * 5


def test_few_rows_of_a_class_mean_fewer_folds_with_a_note():
    y = np.repeat([0, 1], [20, 3])
    fold, notes = fold_of(y, _facts(y, "binary"), 0)
    assert fold.max() == 2
    assert "3 rows" in notes[0]


@pytest.mark.parametrize(
    ("y", "task", "words"),
    [
        (np.repeat([0, 1], [20, 1]), "binary", "one row"),
        (np.arange(4.0) ** 1.5, "regression", "fewer than the 5 folds"),
    ],
)
def test_too_few_rows_are_refused(y, task, words):
    with pytest.raises(ValueError, match=words):
        fold_of(y, _facts(y, task), 0)


def test_how_many_rows_are_tried_depends_on_the_budget_only():
    y = np.random.default_rng(0).normal(size=6000)
    facts = _facts(y, "regression")
    rows, notes = affordable(6000, facts, 10.0, y, 0)
    assert rows.size == 5000
    assert "5000 of 6000" in notes[0]
    assert affordable(6000, facts, 10.0, y, 0)[0].tolist() == rows.tolist()
    assert affordable(6000, facts, 60.0, y, 0)[1] == ()
