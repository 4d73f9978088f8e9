"""One linear fit of a file, under a given loss, penalty and solver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lossmith._version import __version__
from lossmith.core.errors import InputError
from lossmith.core.loss import Loss
from lossmith.core.registry import get
from lossmith.frameworks.estimators.settings import made_penalty
from lossmith.frameworks.links import Affine, Exponential, output_link
from lossmith.optimize import L2, Penalty, Solution
from lossmith.optimize.solvers import Solver, must_fit
from lossmith.optimize.solvers import get as made_solver
from lossmith.select.facts import Facts, analyse, encode_target
from lossmith.select.metrics import METRICS
from lossmith.workflow.adjust import NONE
from lossmith.workflow.data import Dataset, read_table
from lossmith.workflow.encoders import DateEncoder, NumberEncoder
from lossmith.workflow.final import Predictor, save
from lossmith.workflow.fits import Fit
from lossmith.workflow.fitted import Fitted
from lossmith.workflow.linear import LinearLearner
from lossmith.workflow.prepare import Preparation
from lossmith.workflow.scoring import score
from lossmith.workflow.store import write_json

__all__ = ["Question", "SingleFit", "fit_file", "open_folder", "penalty_of"]

Array = np.ndarray[Any, Any]
SCHEMA = 1
RECORD = "fit.json"

_DEFAULT_LOSSES = {"regression": "mse", "count": "poisson_nll", "binary": "bce"}
_NUMBERS, _CLASSES = ("rmse", "mae"), ("log_loss", "accuracy")


@dataclass(frozen=True)
class Question:
    """A file, what is to be predicted, and the table of numbers for a linear model.

    Attributes
    ----------
    dataset : Dataset
        As read.
    facts : Facts
        Problem analysis.
    prepared : Preparation
        From columns to numbers.
    X : ndarray, shape (n, d)
        Complete numbers.
    y : ndarray, shape (n,)
        Numbers or class codes.
    """

    dataset: Dataset
    facts: Facts
    prepared: Preparation
    X: Array
    y: Array

    @classmethod
    def of(cls, path: str | Path, target: str, task: str = "auto") -> Question:
        """Read a file and analyse it.

        Raises
        ------
        InputError
            When it cannot be used.
        """
        dataset = read_table(path, target)
        facts = analyse(dataset.X, dataset.y, task)
        prepared = Preparation.fit(dataset.X, facts)
        X = np.asarray(prepared.linear(dataset.X), np.float64)
        return cls(dataset, facts, prepared, X, encode_target(dataset.y, facts))

    @property
    def classes(self) -> int | None:
        """Number of classes; None for numbers."""
        return len(self.facts.classes) or None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What fits are judged on: numbers that compare across losses."""
        return _CLASSES if self.classes else _NUMBERS

    def loss(self, spec: str) -> Loss:
        """Return the loss behind a name, "auto" for the task's default; refuse one for another task."""
        loss = get(_DEFAULT_LOSSES.get(self.facts.task, "cce") if spec == "auto" else spec)
        numeric = isinstance(output_link(loss), Affine | Exponential)
        if numeric == bool(self.classes):
            wanted = "classes" if self.classes else "numbers"
            raise InputError(
                f"--loss {spec}: it is for {'numbers' if numeric else 'classes'}, and {self.dataset.target!r} holds "
                f"{wanted} ({self.facts.task}); 'lossmith list --task' shows what fits"
            )
        if self.classes and self.classes > 2 and loss.tier == "elementwise":
            raise InputError(
                f"--loss {spec} separates two classes and {self.dataset.target!r} has {self.classes}; take cce"
            )
        return loss

    def scores(self, fitted: Fitted, rows: Array | slice) -> dict[str, float | None]:
        """Return what a fit scores on some rows; None where it has no probabilities to be judged."""
        decoded = fitted.predict(self.X[rows])
        two = decoded.ndim == 2 and decoded.shape[1] == 2
        response = decoded[:, 1] if two else decoded
        known = fitted.has_probabilities or not self.classes
        return {
            name: score(METRICS[name], self.y[rows], response) if known or name != "log_loss" else None
            for name in self.metrics
        }


def penalty_of(spec: str, alpha: float | None, l1_ratio: float) -> Penalty:
    """Return the penalty that the command line names; "none" is L2 of strength 0.

    Raises
    ------
    ValueError
        For an unknown name or a bad number.
    """
    named = None if spec in ("none", "") else spec
    if named is None and alpha:
        raise InputError(f"--alpha {alpha:g} has no meaning without a penalty; give --penalty l2, l1, ...")
    return made_penalty(named, alpha, l1_ratio) or L2(0.0)


def is_none(penalty: Penalty) -> bool:
    """Tell whether a penalty penalises nothing."""
    return penalty == L2(0.0)


@dataclass(frozen=True)
class Coefficient:
    """What one column of numbers does.

    Attributes
    ----------
    name : str
        The column, or the level of a text column.
    unit : tuple of float
        Change of the raw score (in the target's unit for losses of the residual) for one unit of the column; one
        number for each output.
    deviation : tuple of float
        The same for one standard deviation of the column.
    """

    name: str
    unit: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class SingleFit:
    """A linear fit of a file.

    Attributes
    ----------
    question : Question
        Data and target.
    loss : Loss
        What was minimised.
    penalty : Penalty
        On standardised coefficients.
    solver : Solver
        As asked for.
    tolerance : float
        As asked for.
    solution : Solution
        How the fit ended, on standardised features.
    fitted : Fitted
        The model.
    coefficients : tuple of Coefficient
        In the columns' own units.
    intercept : tuple of float
        Raw score where all columns are 0.
    scores : dict
        On the rows it learned from.
    """

    question: Question
    loss: Loss
    penalty: Penalty
    solver: Solver
    tolerance: float
    solution: Solution
    fitted: Fitted
    coefficients: tuple[Coefficient, ...]
    intercept: tuple[float, ...]
    scores: dict[str, float | None]

    def record(self) -> dict[str, Any]:
        """Return all of it as plain data, for ``fit.json``."""
        found, dataset = self.solution, self.question.dataset
        return {
            "schema": SCHEMA,
            "version": __version__,
            "data": {"path": dataset.path, "sha256": dataset.sha256, "rows": dataset.rows, "target": dataset.target},
            "task": self.question.facts.task,
            "classes": list(self.question.facts.classes),
            "loss": self.loss.to_config(),
            "link": self.fitted.link.to_config(),
            "penalty": repr(self.penalty),
            "solver": self.solver.to_config(),
            "method": found.method,
            "tolerance": self.tolerance,
            "status": found.status,
            "message": found.message,
            "objective": found.objective,
            "optimality": found.optimality,
            "gap": found.gap,
            "iterations": found.iterations,
            "passes": float(found.history.passes[-1]),
            "seconds": found.seconds,
            "scores": self.scores,
            "intercept": list(self.intercept),
            "coefficients": list(self.coefficients),
            "history": found.history.to_dict(),
            "notes": [*dataset.notes, *self.question.prepared.notes],
        }

    def save(self, folder: Path) -> None:
        """Write ``fit.json`` and the model for ``lossmith predict``.

        Parameters
        ----------
        folder : Path
            From :func:`open_folder`.
        """
        question, dataset = self.question, self.question.dataset
        fit = Fit(question.prepared, self.fitted, "linear", None, self.solution.iterations)
        sure, classes = self.fitted.has_probabilities, question.facts.classes
        save(
            Predictor(fit, question.facts.task, dataset.target, classes, NONE, None, sure),
            folder / "model",
        )
        write_json(folder / RECORD, self.record())


def fit_file(
    question: Question,
    loss: Loss,
    penalty: Penalty,
    solver: str | Solver = "auto",
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    max_seconds: float = float("inf"),
    bar: bool = False,
) -> SingleFit:
    """Fit.

    Features are standardised, so that the penalty treats them alike; the target of a loss of the residual is centred
    and scaled, so that Huber's delta is in robust standard deviations of the residuals.

    Parameters
    ----------
    question : Question
        Data and target.
    loss : Loss
        For its task.
    penalty : Penalty
        On the standardised coefficients.
    solver : str or Solver
        As of :func:`lossmith.solve`.
    tolerance, max_iterations, max_seconds, bar
        As of :func:`lossmith.solve`.

    Returns
    -------
    SingleFit

    Raises
    ------
    ValueError
        For a solver that does not fit, or targets that the loss does not take.
    """
    way = made_solver(solver)
    must_fit(way, loss, None if is_none(penalty) else penalty)
    posed = LinearLearner(loss, penalty=penalty).posed(question.X, question.y, classes=question.classes)
    found = posed.solve(way, tolerance=tolerance, max_iterations=max_iterations, max_seconds=max_seconds, bar=bar)
    fitted = posed.fitted(found)
    coefficients, intercept = _in_own_units(question, fitted)
    scores = question.scores(fitted, slice(None))
    return SingleFit(question, loss, penalty, way, tolerance, found, fitted, coefficients, intercept, scores)


def _in_own_units(question: Question, fitted: Fitted) -> tuple[tuple[Coefficient, ...], tuple[float, ...]]:
    """Undo the standardisation of the columns and of the target."""
    model: Any = fitted.model
    link = fitted.link
    centre, scale = (link.centre, link.scale) if isinstance(link, Affine) else (0.0, 1.0)
    places, units = _units(question.prepared)
    prepared = scale * model.coefficients.reshape(len(units), -1)
    own, spread = prepared / units[:, None], question.X.std(axis=0)
    intercept = centre + scale * np.atleast_1d(model.intercept) - places @ own
    coefficients = tuple(
        Coefficient(name, tuple(map(float, one)), tuple(map(float, other)))
        for name, one, other in zip(question.prepared.linear_names, own, prepared * spread[:, None], strict=True)
    )
    return coefficients, tuple(map(float, intercept))


def _units(prepared: Preparation) -> tuple[Array, Array]:
    """Return what was subtracted from each column of numbers, and what it was divided by."""
    pairs: list[tuple[float, float]] = []
    for encoder in prepared.encoders:
        standard = isinstance(encoder, NumberEncoder | DateEncoder)
        pairs += [(encoder.centre, encoder.scale)] if standard else []  # type: ignore[attr-defined]
        pairs += [(0.0, 1.0)] * (len(encoder.linear_names()) - int(standard))
    table = np.array(pairs, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def open_folder(folder: Path, marker: str = RECORD) -> None:
    """Make a folder for results; one that holds other things is refused.

    Parameters
    ----------
    folder : Path
        New, empty, or of an earlier command of the same kind, whose files are replaced.
    marker : str
        The file that tells the kind.

    Raises
    ------
    InputError
        When the folder cannot be taken.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--output {str(folder)!r} is a file; give a folder")
        if folder.exists() and not (folder / marker).exists() and any(folder.iterdir()):
            raise InputError(
                f"--output {str(folder)!r} is not empty and holds no {marker}; choose a new or empty folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"--output {str(folder)!r}: {problem.strerror or problem}; choose another folder") from None
