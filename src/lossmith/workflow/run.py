"""The eight steps in order, as one run that can be killed and started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossmith._version import __version__
from lossmith.core.errors import InputError
from lossmith.select.facts import Facts, analyse, encode_target
from lossmith.select.metrics import Metric, metric_for
from lossmith.select.rules import Selection, candidates
from lossmith.workflow import steps
from lossmith.workflow.cards import cards
from lossmith.workflow.clock import Clock
from lossmith.workflow.data import Dataset, read_table
from lossmith.workflow.evaluate import evaluate
from lossmith.workflow.final import refit
from lossmith.workflow.findings import Finding, findings_of
from lossmith.workflow.fits import available_learners, restarts_of
from lossmith.workflow.folds import affordable, fold_of
from lossmith.workflow.heldout import Model, collect
from lossmith.workflow.iterate import iterate
from lossmith.workflow.progress import STEPS, Progress, Silent
from lossmith.workflow.records import (
    SCHEMA,
    Attempt,
    Budget,
    DataRecord,
    Evaluation,
    FinalModel,
    LossCard,
    RunRecord,
    Settings,
)
from lossmith.workflow.reliability import calibration
from lossmith.workflow.settings import seconds_of, settings_of, versions
from lossmith.workflow.store import default_folder, fingerprint, identity, open_folder, plain, unwritable, write_json
from lossmith.workflow.trials import Plan, Problem, Trial, run_trials

_FOR_ITERATION = 0.45  # of the budget: what training leaves for remedies, refit and report
_FOR_A_TRIAL = 0.25  # of the budget: a guard for data on which a single training would eat it all
_AT_LEAST = 5.0  # seconds for the final training, come what may
_FOR_THE_END = 0.25  # of the budget: what remedies leave for refit and report


@dataclass(frozen=True)
class RunResult:
    """What a run leaves.

    Attributes
    ----------
    record : RunRecord
        The content of ``run.json``.
    folder : Path
        The run folder.
    report : Path
        ``report.html`` in it.
    """

    record: RunRecord
    folder: Path
    report: Path


class _Journal:
    """Tells progress of steps and keeps their times."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.timing: dict[str, float] = {}

    @contextmanager
    def step(self, number: int) -> Iterator[list[Any]]:
        """Run a step; the block appends its result to the list it is given."""
        name, started, result = STEPS[number - 1], time.monotonic(), list[Any]()
        self.progress.step_started(number, name)
        yield result
        self.timing[name] = round(time.monotonic() - started, 3)
        self.progress.step_finished(number, name, result[0])


@dataclass(frozen=True)
class _Question:
    """Steps 1 and 2: the data and what is asked of them."""

    settings: Settings
    dataset: Dataset
    facts: Facts
    metric: Metric
    selection: Selection
    who: dict[str, Any]


@dataclass(frozen=True)
class _Training:
    """Steps 3 to 5: what was trained and how it compares."""

    problem: Problem
    rows: Any
    loss_cards: tuple[LossCard, ...]
    plans: tuple[Plan, ...]
    trials: list[Trial]
    models: list[Model]
    evaluation: Evaluation
    notes: tuple[str, ...]


def run(
    path: str | Path,
    target: str,
    task: str = "auto",
    metric: str = "auto",
    budget: str | float = "60s",
    output: str | Path | None = None,
    seed: int = 0,
    jobs: int = 2,
    progress: Progress | None = None,
) -> RunResult:
    """Take a data file to a chosen, trained, explained model.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, Parquet or JSON lines.
    target : str
        Column to predict.
    task : str
        "auto", "regression", "count", "binary", "multiclass" or "ordinal".
    metric : str
        "auto" or a name of :data:`lossmith.select.metrics.METRICS`; "pinball@0.9" for a quantile.
    budget : str or float
        Wall time for everything: seconds, or text such as "90s", "2m", "1h".
    output : str or Path, optional
        Run folder; by default runs/<name of the data>.
    seed : int
        Of folds and learners.
    jobs : int
        Worker processes.
    progress : Progress, optional
        Told of steps and trials.

    Returns
    -------
    RunResult
        Record, folder and report.

    Raises
    ------
    InputError
        For whatever the user can put right: the message is one line.
    """
    journal, clock = _Journal(progress or Silent()), Clock(seconds_of(budget))
    settings = settings_of(path, target, task, metric, clock.budget, seed, jobs)
    question = _ask(settings, journal)
    problem = _problem(question, clock.budget)  # whatever the data forbid is said before a folder is made
    folder = Path(output) if output is not None else default_folder(Path(path), question.who)
    if open_folder(folder, question.who, __version__):
        journal.progress.note(f"continuing the run in {folder}")
    training = _train(question, problem, folder, clock, journal)
    findings, model, attempts, trials = _improve(question, training, folder, clock, journal)
    final, note = _finish(question, training, model, trials, folder, clock, journal)
    record = _record(question, training, findings, attempts, final, model, trials, clock, journal, note)
    return _publish(record, folder)


# --- steps 1 and 2 ------------------------------------------------------------------------------------------


def _ask(settings: Settings, journal: _Journal) -> _Question:
    with journal.step(1) as result:
        dataset = read_table(settings.path, settings.target)
        facts = analyse(dataset.X, dataset.y, settings.task, seed=settings.seed)
        metric = metric_for(settings.metric, facts)
        result.append(facts)
    with journal.step(2) as result:
        selection = candidates(facts, metric)
        result.append(selection)
    who = identity(dataset.sha256, settings.target, facts.task, metric.name, settings.seed)
    return _Question(settings, dataset, facts, metric, selection, who)


# --- steps 3 to 5 -------------------------------------------------------------------------------------------


def _train(
    question: _Question, posed: tuple[Problem, Any, tuple[str, ...]], folder: Path, clock: Clock, journal: _Journal
) -> _Training:
    problem, rows, notes = posed
    with journal.step(3) as result:
        loss_cards = cards(question.selection.admissible, problem.y, question.facts, problem.seed)
        result.append(loss_cards)
    learners, missing = available_learners()
    for line in missing:
        journal.progress.note(line)
    plans = steps.plans_of(question.selection, learners)
    with journal.step(4) as result:
        clock.reserve(_FOR_ITERATION)
        trials = run_trials(problem, plans, folder / "trials", question.settings.jobs, clock, journal.progress)
        result.append(tuple(trial.record for trial in trials))
    with journal.step(5) as result:
        models = [model for plan in plans if (model := collect(problem, plan, trials)) is not None]
        evaluation = _compare(question, problem, plans, models, trials)
        result.append(evaluation)
    return _Training(problem, rows, loss_cards, plans, trials, models, evaluation, (*notes, *missing))


def _problem(question: _Question, budget: float) -> tuple[Problem, Any, tuple[str, ...]]:
    dataset, facts, seed = question.dataset, question.facts, question.settings.seed
    y = encode_target(dataset.y, facts)
    rows, cut = affordable(dataset.rows, facts, budget, y, seed)
    fold, fewer = fold_of(y[rows], facts, seed)
    who = fingerprint({**question.who, "version": __version__, "rows": int(rows.size)})
    X = dataset.X.iloc[rows].reset_index(drop=True)
    problem = Problem(X, y[rows], fold, facts, question.metric, seed, who, budget * _FOR_A_TRIAL)
    return problem, rows, (*cut, *fewer)


def _compare(
    question: _Question, problem: Problem, plans: tuple[Plan, ...], models: list[Model], trials: list[Trial]
) -> Evaluation:
    left_out = steps.incomplete_of(plans, models, trials)
    if not models:
        reason = left_out[0] if left_out else "nothing was trained"
        raise InputError(
            f"no candidate finished all {problem.folds} folds within --budget {question.settings.budget_s:g}s "
            f"({reason}); start again with a larger --budget: what is done is kept"
        )
    entrants = steps.entrants_of(problem, question.selection, models, trials)
    return evaluate(question.metric, entrants, left_out)


# --- steps 6 and 7 ------------------------------------------------------------------------------------------


def _improve(
    question: _Question, training: _Training, folder: Path, clock: Clock, journal: _Journal
) -> tuple[tuple[Finding, ...], Model, tuple[Attempt, ...], list[Trial]]:
    problem, start = training.problem, _chosen(training)
    trials = list(training.trials)
    with journal.step(6) as result:
        restarts = restarts_of(start.plan, problem)
        curves = [trial.curve for trial in steps.own_trials(start, trials) if trial.curve is not None]
        counts = problem.facts.class_counts if problem.facts.classes else ()
        findings = findings_of(curves, steps.held_out_of(problem, start, trials), restarts, counts)
        result.append(findings)
    clock.reserve(_FOR_THE_END)

    def train(plan: Plan) -> Model | None:
        found = run_trials(problem, [plan], folder / "trials", question.settings.jobs, clock, journal.progress)
        trials.extend(found)
        return collect(problem, plan, found)

    with journal.step(7) as result:
        model, attempts = iterate(problem, start, training.evaluation, findings, training.models, train)
        result.append(attempts)
    return findings, model, attempts, trials


def _chosen(training: _Training) -> Model:
    score = training.evaluation.scores[training.evaluation.chosen]
    wanted = (score.label, score.learner)
    return next(m for m in training.models if (m.plan.label, m.plan.learner) == wanted)


# --- step 8 -------------------------------------------------------------------------------------------------


def _finish(
    question: _Question,
    training: _Training,
    model: Model,
    trials: list[Trial],
    folder: Path,
    clock: Clock,
    journal: _Journal,
) -> tuple[FinalModel, str]:
    rivals = steps.rivals_of(training.problem, question.selection, model.plan, trials)
    seconds = max(_AT_LEAST, clock.budget - clock.elapsed)
    with journal.step(8) as result:
        final, note = refit(
            question.dataset, question.facts, training.problem, model, rivals, folder / "model", seconds
        )
        result.append(final)
    return final, note


def _record(
    question: _Question,
    training: _Training,
    findings: tuple[Finding, ...],
    attempts: tuple[Attempt, ...],
    final: FinalModel,
    model: Model,
    trials: list[Trial],
    clock: Clock,
    journal: _Journal,
    note: str,
) -> RunRecord:
    dataset, metric, problem = question.dataset, question.metric, training.problem
    shown = [model, _chosen(training), *training.models[:1]]
    return RunRecord(
        schema=SCHEMA,
        version=__version__,
        versions=versions(),
        settings=question.settings,
        data=DataRecord(dataset.path, dataset.sha256, dataset.rows, tuple(map(str, dataset.X.columns)), dataset.notes),
        task=question.facts.task,
        metric={key: getattr(metric, key) for key in ("name", "greater_is_better", "functional", "about", "level")},
        facts=plain(question.facts),
        selection=plain(question.selection),
        implementation=training.loss_cards,
        trials=tuple(trial.record for trial in trials),
        evaluation=training.evaluation,
        findings=tuple(plain(finding) for finding in findings),
        attempts=attempts,
        final=final,
        calibration=calibration(question.facts.task, problem.y, model.prediction, metric.level),
        curves=steps.curves_of(shown, trials),
        predictions=steps.sample_of(problem, model, training.rows),
        budget=_budget(training, clock),
        interrupted=clock.interrupted,
        notes=tuple(filter(None, (*training.notes, *_words(clock), note))),
        timing={**journal.timing, "total": round(clock.elapsed, 3)},
    )


def _budget(training: _Training, clock: Clock) -> Budget:
    planned = len(training.plans) * training.problem.folds
    note = "" if not clock.cut else "the budget ended before everything planned was tried"
    return Budget(clock.budget, clock.cut, planned, len(training.trials), note)


def _words(clock: Clock) -> Iterator[str]:
    if clock.interrupted:
        yield "the training was interrupted; this is the best found until then"
    elif clock.cut:
        yield "the budget cut the training or the remedies short; a larger --budget continues where it stopped"


def _publish(record: RunRecord, folder: Path) -> RunResult:
    from lossmith.report.html import write_report

    facts = plain(record)
    write_json(folder / "run.json", facts)
    try:
        report = write_report(facts, folder)
    except OSError as problem:
        raise unwritable(folder / "report.html", problem) from None
    return RunResult(record, folder, report)
