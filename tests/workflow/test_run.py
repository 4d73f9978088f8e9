"""The whole run on small data: what it leaves, that it repeats itself, continues, and refuses clearly."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lossmith
from lossmith.core.errors import InputError
from lossmith.workflow.final import load_model, predict
from lossmith.workflow.findings import CHECKS
from lossmith.workflow.progress import STEPS, Silent
from lossmith.workflow.run import run
from lossmith.workflow.settings import seconds_of
from lossmith.workflow.store import plain

N = 120
VOLATILE = {"timing", "seconds", "reused"}


def _frame(kind):
    rng = np.random.default_rng(11)
    x, z = rng.normal(size=N), rng.normal(size=N)
    color = np.where(z > 0.3, "red", "blue")
    y = {
        "price": np.round(np.exp(0.5 * x + rng.normal(0, 0.2, N)), 4),
        "ill": np.where(x + 0.8 * rng.normal(size=N) > 0.9, "yes", "no"),
        "kind": np.array(["a", "b", "c"])[np.digitize(x + 0.5 * rng.normal(size=N), [-0.5, 0.5])],
        "visits": rng.poisson(np.exp(0.3 + 0.6 * x)),
    }[kind]
    return pd.DataFrame({"x": np.round(x, 5), "color": color, "gap": np.where(z > 1, np.nan, np.round(z, 5)), kind: y})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    for kind in ("price", "ill", "kind", "visits"):
        _frame(kind).to_csv(place / f"{kind}.csv", index=False)
    return place


class Tell(Silent):
    def __init__(self, stop_after=None):
        self.started, self.finished, self.trials, self.stop_after = [], [], 0, stop_after

    def step_started(self, step, name):
        self.started.append((step, name))

    def step_finished(self, step, name, record):
        self.finished.append((step, name))

    def trial_finished(self, trial, done, planned, seconds_left):
        self.trials += not trial.reused
        if self.stop_after is not None and done >= self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def results(folder):
    metrics = {"price": "rmse", "ill": "log_loss", "kind": "balanced_accuracy"}
    return {
        kind: run(folder / f"{kind}.csv", kind, metric=metric, output=folder / kind, jobs=1, progress=Tell())
        for kind, metric in metrics.items()
    }


def _stable(value):
    if isinstance(value, dict):
        return {k: _stable(v) for k, v in value.items() if k not in VOLATILE}
    return [_stable(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ["price", "ill", "kind"])
def test_the_folder_is_complete(results, kind):
    result = results[kind]
    saved = json.loads((result.folder / "run.json").read_text())
    assert saved == json.loads(json.dumps(plain(result.record)))
    assert result.report == result.folder / "report.html"
    assert set(result.record.final.files) == {p.name for p in (result.folder / "model").iterdir()}
    assert not [p for p in result.folder.rglob("*") if p.name.endswith(".tmp")]
    assert [f["id"] for f in saved["findings"]] == list(CHECKS)
    assert all(card["passed"] for card in saved["implementation"])
    assert not saved["budget"]["cut"]
    assert saved["data"]["rows"] == N


@pytest.mark.parametrize("kind", ["price", "ill", "kind"])
def test_the_chosen_model_is_not_worse_than_the_default_loss(results, kind):
    record = results[kind].record
    sign = -1.0 if record.metric["greater_is_better"] else 1.0
    reference = next(s for s in record.evaluation.scores if s.reference and s.learner == record.final.learner)
    assert sign * record.final.score <= sign * reference.mean + reference.standard_error


@pytest.mark.parametrize("kind", ["price", "ill", "kind"])
def test_kept_remedies_won_and_the_rest_did_not(results, kind):
    for attempt in results[kind].record.attempts:
        if attempt.gain is None:
            assert not attempt.kept
            assert attempt.note
        else:
            assert attempt.kept == (attempt.gain > attempt.gain_error and attempt.gain > 0)


@pytest.mark.parametrize("kind", ["price", "ill", "kind"])
def test_the_saved_model_predicts(results, folder, kind):
    table = predict(results[kind].folder, folder / f"{kind}.csv")
    frame = _frame(kind)
    assert len(table) == N
    if kind == "price":
        assert np.corrcoef(table["prediction"], frame[kind])[0, 1] > 0.5
        return
    assert set(table["prediction"]) <= set(frame[kind])
    assert (table["prediction"] == frame[kind]).mean() > 0.55
    shares = table[[c for c in table if c != "prediction"]].to_numpy()
    assert np.allclose(shares.sum(axis=1), 1.0)


def test_the_model_holds_text_only(results):
    for result in results.values():
        for file in (result.folder / "model").iterdir():
            content = file.read_bytes().decode("utf-8")
            assert file.suffix in (".json", ".txt")
            assert file.suffix == ".txt" or json.loads(content)["format"] == 1


def test_the_same_seed_gives_the_same_numbers_in_one_or_two_processes(results, folder):
    again = run(folder / "ill.csv", "ill", metric="log_loss", output=folder / "ill-2", jobs=2)
    first, second = (_stable(plain(r.record)) for r in (results["ill"], again))
    assert first.pop("settings") != second.pop("settings")  # jobs
    assert first == second
    assert load_model(folder / "ill-2").fit.to_config() == load_model(results["ill"].folder).fit.to_config()


def test_another_seed_gives_other_numbers(results, folder):
    other = run(folder / "ill.csv", "ill", output=folder / "ill-seed", jobs=1, seed=3)
    assert other.record.evaluation.scores[0].folds != results["ill"].record.evaluation.scores[0].folds


def test_the_same_command_again_trains_nothing(results, folder):
    tell = Tell()
    again = run(folder / "price.csv", "price", metric="rmse", output=folder / "price", jobs=1, progress=tell)
    assert tell.trials == 0
    assert tell.started == tell.finished == [(i, name) for i, name in enumerate(STEPS, 1)]
    assert _stable(plain(again.record)) == _stable(plain(results["price"].record))


def test_killed_and_started_again_it_ends_as_if_nothing_had_happened(results, folder):
    place, source = folder / "killed", Path(lossmith.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); from lossmith.workflow.run import run; "
    code += f"run({str(folder / 'kind.csv')!r}, 'kind', metric='balanced_accuracy', output={str(place)!r}, jobs=1)"
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list(place.glob("trials/*.json"))) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {p: p.stat().st_mtime_ns for p in place.glob("trials/*.json")}
    assert len(kept) >= 4
    tell = Tell()
    ended = run(folder / "kind.csv", "kind", metric="balanced_accuracy", output=place, jobs=1, progress=tell)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert tell.trials == len(ended.record.trials) - sum(t.reused for t in ended.record.trials)
    assert _stable(plain(ended.record)) == _stable(plain(results["kind"].record))


def test_an_interrupt_leaves_the_best_so_far(folder):
    ended = run(folder / "visits.csv", "visits", output=folder / "visits", jobs=1, progress=Tell(stop_after=7))
    assert ended.record.interrupted
    assert ended.record.task == "count"
    assert len(ended.record.evaluation.scores) == 1
    assert any("interrupted" in note for note in ended.record.notes)
    assert len(predict(ended.folder, folder / "visits.csv")) == N


def test_an_interrupt_before_anything_is_finished_says_how_to_go_on(folder):
    with pytest.raises(InputError, match="start again"):
        run(folder / "visits.csv", "visits", output=folder / "early", jobs=1, progress=Tell(stop_after=2))


# --- what is refused ----------------------------------------------------------------------------------------


def test_the_folder_of_another_run_is_refused_and_untouched(results, folder):
    before = {p: p.read_bytes() for p in (folder / "price").rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="another run"):
        run(folder / "ill.csv", "ill", output=folder / "price", jobs=1)
    assert {p: p.read_bytes() for p in (folder / "price").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": "soon"}, "--budget 'soon'"),
        ({"budget": "1s"}, "at least 5 seconds"),
        ({"jobs": 0}, "--jobs 0"),
        ({"seed": -1}, "--seed -1"),
        ({"metric": "auc"}, "does not fit"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(folder, options, words):
    with pytest.raises(InputError, match=words) as caught:
        run(folder / "price.csv", "price", **{"output": folder / "none", **options})
    assert "\n" not in str(caught.value)
    assert not (folder / "none").exists()


def test_too_few_rows_are_refused_before_a_folder_is_made(folder):
    _frame("price").head(4).to_csv(folder / "four.csv", index=False)
    with pytest.raises(InputError, match="fewer than the 5 folds"):
        run(folder / "four.csv", "price", task="regression", output=folder / "four", jobs=1)
    assert not (folder / "four").exists()


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("2m", 120), ("1.5h", 5400), (30, 30), ("45", 45)])
def test_budgets_are_read(text, seconds):
    assert math.isclose(seconds_of(text), seconds)


def test_a_changed_or_damaged_model_is_refused(results, tmp_path):
    import shutil

    for kind, result in results.items():
        copy = tmp_path / kind
        shutil.copytree(result.folder / "model", copy)
        trees = list(copy.glob("trees-*"))
        if trees:
            trees[0].write_text(trees[0].read_text() + " ")
            with pytest.raises(InputError, match="changed after the training"):
                load_model(copy)
        saved = json.loads((result.folder / "model" / "model.json").read_text())
        for damage in (None, {"kind": "shift"}):
            (copy / "model.json").write_text(json.dumps(saved | {"adjustment": damage}))
            with pytest.raises(InputError, match=r"damaged|changed after"):
                load_model(copy)
        (copy / "model.json").write_text('{"format": 1}')
        with pytest.raises(InputError, match="damaged"):
            load_model(copy)
        (copy / "model.json").write_text('{"format": 99}')
        with pytest.raises(InputError, match="format 99"):
            load_model(copy)


def test_predicting_without_a_run_or_a_column(results, folder, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        predict(tmp_path, folder / "price.csv")
    _frame("price").drop(columns="x").to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match="lacks column 'x'"):
        predict(results["price"].folder, tmp_path / "short.csv")


def test_unseen_categories_and_gaps_are_predicted(results, tmp_path):
    frame = _frame("price").head(3).assign(color="green")
    frame.loc[1, "x"] = np.nan
    frame.drop(columns="price").to_csv(tmp_path / "new.csv", index=False)
    assert predict(results["price"].folder, tmp_path / "new.csv")["prediction"].notna().all()


def test_without_openmp_the_run_says_so_and_goes_on(tmp_path: Path) -> None:
    """A LightGBM that cannot load, as on a machine without libgomp."""
    broken = tmp_path / "site" / "lightgbm"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise OSError('libgomp.so.1: cannot open shared object file')\n")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "y": rng.normal(size=60)})
    table.to_csv(tmp_path / "data.csv", index=False)
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(broken.parent), str(source)])}
    command = [sys.executable, "-m", "lossmith.cli", "run", "data.csv", "--target", "y", "--budget", "20s"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "libgomp1" in done.stdout
    assert "on the linear learner" in done.stdout
