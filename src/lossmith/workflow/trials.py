"""Train candidates on folds in parallel; every finished trial is on disk, so nothing is ever trained twice."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lossmith.core.errors import InputError
from lossmith.select.facts import Facts
from lossmith.select.metrics import Metric
from lossmith.workflow.clock import Clock, signals_interrupt
from lossmith.workflow.fits import Fit, fit
from lossmith.workflow.progress import Progress
from lossmith.workflow.records import Curve, TrialRecord
from lossmith.workflow.scoring import score
from lossmith.workflow.store import fingerprint, write_json

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Plan:
    """One thing to train: a candidate, a learner and its settings.

    Attributes
    ----------
    label, config
        The candidate.
    learner : str
        "linear" or "boosted".
    settings : dict
        What differs from the learner's defaults.
    """

    label: str
    config: dict[str, Any]
    learner: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Text that names it on the screen."""
        extra = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.label}, {self.learner}" + (f" ({extra})" if extra else "")


@dataclass(frozen=True)
class Problem:
    """What all trials of a run share; sent to every worker.

    Attributes
    ----------
    X : DataFrame
        Features.
    y : ndarray, shape (n,)
        Numbers or class codes.
    fold : ndarray of int, shape (n,)
        The fold in which each row is held out.
    facts : Facts
        Problem analysis.
    metric : Metric
        What is measured.
    seed : int
        Seed of the learners.
    identity : str
        Hash of the data (the rows that are trained on), target, task and version.
    seconds : float
        Most wall time for one trial; what takes longer gives the best model until then.
    """

    X: Any
    y: Array
    fold: Array
    facts: Facts
    metric: Metric
    seed: int
    identity: str
    seconds: float = math.inf

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1


@dataclass(frozen=True)
class Trial:
    """A trial with what later steps need of it.

    Attributes
    ----------
    record : TrialRecord
        For ``run.json``.
    raw, prediction, target : ndarray
        Of the held-out rows: raw scores, predictions, and targets in the loss's coding and unit.
    rounds : int
        Iterations of the model that was kept.
    curve : Curve or None
        How training went.
    """

    record: TrialRecord
    raw: Array
    prediction: Array
    target: Array
    rounds: int
    curve: Curve | None


def key_of(problem: Problem, plan: Plan, fold: int) -> str:
    """Return the content key of a trial: everything that its numbers depend on, hashed."""
    return fingerprint(
        {
            "identity": problem.identity,
            "metric": problem.metric.name,
            "config": plan.config,
            "learner": plan.learner,
            "settings": plan.settings,
            "fold": fold,
            "folds": problem.folds,
            "seed": problem.seed,
        }
    )


def run_trials(
    problem: Problem, plans: Sequence[Plan], folder: Path, jobs: int, clock: Clock, progress: Progress
) -> list[Trial]:
    """Run every plan on every fold, as far as the clock allows.

    Parameters
    ----------
    problem : Problem
        Data and question.
    plans : sequence of Plan
        In the order in which they are to be tried; all folds of one before the next.
    folder : Path
        Where finished trials are kept, one file each.
    jobs : int
        Worker processes.
    clock : Clock
        Says when to launch no more; a keyboard interrupt or SIGTERM also stops it.
    progress : Progress
        Told of each finished trial.

    Returns
    -------
    list of Trial
        Those that finished, in the order of the plans, also when cut short or interrupted.
    """
    wanted = [(plan, fold) for plan in plans for fold in range(problem.folds)]
    done = {key: trial for plan, fold in wanted if (trial := load(folder, key := key_of(problem, plan, fold)))}
    for count, trial in enumerate(done.values(), 1):
        progress.trial_finished(trial.record, count, len(wanted), None)
    open_ = [(plan, fold) for plan, fold in wanted if key_of(problem, plan, fold) not in done]
    with _until_interrupted(clock), closing(_launch(problem, open_, folder, jobs, clock)) as finished:
        for key in finished:
            trial = load(folder, key, reused=False)
            if trial is not None:
                done[key] = trial
                left = clock.estimate(len(wanted) - len(done), jobs, trial.record.seconds)
                progress.trial_finished(trial.record, len(done), len(wanted), left)
    if clock.interrupted:  # what workers finished meanwhile
        late = [key for plan, fold in open_ if (key := key_of(problem, plan, fold)) not in done]
        done |= {key: trial for key in late if (trial := load(folder, key, reused=False)) is not None}
    return [done[key] for plan, fold in wanted if (key := key_of(problem, plan, fold)) in done]


@contextmanager
def _until_interrupted(clock: Clock) -> Iterator[None]:
    """End the block quietly on Ctrl-C or SIGTERM, wherever in it they strike."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with signals_interrupt():
            yield
    except KeyboardInterrupt:
        clock.interrupted = True
    except TerminatedWorkerError:
        raise InputError(
            "a worker process was killed from outside, perhaps for lack of memory; start again with --jobs 1: "
            "what is done is kept"
        ) from None


def _launch(
    problem: Problem, open_: Sequence[tuple[Plan, int]], folder: Path, jobs: int, clock: Clock
) -> Generator[str, None, None]:
    """Yield keys as trials finish; launch no more when time is up."""
    from joblib import Parallel, delayed

    if not open_ or clock.spent:
        clock.cut = clock.cut or bool(open_)
        return

    def tasks() -> Iterator[Any]:
        for plan, fold in open_:
            if clock.spent:
                clock.cut = True
                return
            yield delayed(run_one)(problem, plan, fold, folder)

    workers = min(jobs, len(open_))
    pool = Parallel(n_jobs=workers, pre_dispatch=workers, batch_size=1, return_as="generator_unordered")
    results = pool(tasks())
    try:
        # "yield from" would close the results before the warning below is silenced.
        for key in results:  # noqa: UP028
            yield key
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that unused results are lost: they are on disk
            results.close()


def run_one(problem: Problem, plan: Plan, fold: int, folder: Path) -> str:
    """Train and score one plan on one fold, and write the result.

    Parameters
    ----------
    problem, plan, fold
        What to do.
    folder : Path
        Where the result goes.

    Returns
    -------
    str
        The content key, which is the file's name.
    """
    from threadpoolctl import threadpool_limits

    key, started = key_of(problem, plan, fold), time.perf_counter()
    try:
        # One thread: workers fill the cores already, and sums must not depend on how many there are.
        with threadpool_limits(1):
            body = _trained(problem, plan, fold)
    except InputError:
        raise
    except Exception as failure:  # one candidate that cannot be trained must not end the run
        body = {"failure": f"{type(failure).__name__}: {failure}".splitlines()[0][:300]}
    record = {"seconds": time.perf_counter() - started, "score": None, "train_score": None, "failure": "", **body}
    write_json(folder / f"{key}.json", {**dataclasses.asdict(plan), "fold": fold, "key": key, **record})
    return key


def _trained(problem: Problem, plan: Plan, fold: int) -> dict[str, Any]:
    held = problem.fold == fold
    fitted = fit(
        plan,
        problem.X[~held],
        problem.y[~held],
        problem.facts,
        problem.metric,
        problem.seed,
        watch=(problem.X[held], problem.y[held]),
        seconds=problem.seconds,
    )
    return _scored(problem, fitted, held, fold)


def _scored(problem: Problem, fitted: Fit, held: Array, fold: int) -> dict[str, Any]:
    raw = fitted.raw(problem.X[held])
    prediction = fitted.respond(raw)
    if not (np.isfinite(raw).all() and np.isfinite(prediction).all()):
        return {"failure": "the predictions hold NaN or infinite numbers"}
    train = fitted.respond(fitted.raw(problem.X[~held]))
    return {
        "score": score(problem.metric, problem.y[held], prediction),
        "train_score": score(problem.metric, problem.y[~held], train),
        "raw": pack(raw),
        "prediction": pack(prediction),
        "target": pack(fitted.encode(problem.y[held])),
        "rounds": fitted.rounds,
        "curve": None if fitted.curve is None else dataclasses.replace(fitted.curve, fold=fold),
    }


def pack(values: Array) -> dict[str, Any]:
    """Write an array into JSON without losing a bit."""
    array = np.ascontiguousarray(values, dtype="<f8")
    return {"shape": list(array.shape), "float64": base64.b64encode(array.tobytes()).decode("ascii")}


def unpack(packed: dict[str, Any]) -> Array:
    """Read an array that :func:`pack` wrote."""
    return np.frombuffer(base64.b64decode(packed["float64"]), dtype="<f8").reshape(packed["shape"])


def load(folder: Path, key: str, reused: bool = True) -> Trial | None:
    """Read a finished trial.

    Parameters
    ----------
    folder : Path
        Where trials are kept.
    key : str
        Its content key.
    reused : bool
        Whether it counts as found from an earlier run.

    Returns
    -------
    Trial or None
        None when there is none, or the file is damaged (it is then trained again).
    """
    try:
        saved = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        names = [field.name for field in dataclasses.fields(TrialRecord)]
        record = TrialRecord(**{name: saved[name] for name in names if name != "reused"}, reused=reused)
        if record.failure:
            return Trial(record, np.empty(0), np.empty(0), np.empty(0), 0, None)
        raw, prediction, target = (unpack(saved[name]) for name in ("raw", "prediction", "target"))
        return Trial(record, raw, prediction, target, saved["rounds"], _curve(saved["curve"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _curve(saved: dict[str, Any] | None) -> Curve | None:
    if saved is None:
        return None
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()}
    return Curve(**fields)
