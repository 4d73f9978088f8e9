"""Step 8: refit on all rows, save in plain text, load and predict without running anything from the file."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith._version import __version__
from lossmith.core.errors import InputError
from lossmith.select.facts import Facts, encode_target
from lossmith.workflow.adjust import NONE, Adjustment, adjust
from lossmith.workflow.evaluate import standard_error
from lossmith.workflow.fits import Fit, fit, fit_from_config
from lossmith.workflow.heldout import Model, settled
from lossmith.workflow.records import FinalModel
from lossmith.workflow.scoring import decide, error
from lossmith.workflow.store import read_json, write_json, write_text

if TYPE_CHECKING:
    import pandas as pd

    from lossmith.workflow.data import Dataset
    from lossmith.workflow.trials import Problem

Array = np.ndarray[Any, Any]
_FORMAT = 1
_MODEL, _TREES = "model.json", "trees-{}.txt"


@dataclass(frozen=True)
class Predictor:
    """A saved model: preparation, fitted learner, adjustment of the predictions, threshold.

    Attributes
    ----------
    fit : Fit
        Takes a table of features to raw scores and predictions.
    task : str
        The task.
    target : str
        Name of the predicted column.
    classes : tuple
        Labels in the order of their codes; empty for numbers.
    adjustment : dict
        See :mod:`lossmith.workflow.adjust`.
    threshold : float or None
        Two classes only.
    probabilities : bool
        Whether class scores are probabilities.
    """

    fit: Fit
    task: str
    target: str
    classes: tuple[Any, ...]
    adjustment: Adjustment
    threshold: float | None
    probabilities: bool

    def response(self, X: pd.DataFrame) -> Array:
        """Predict numbers, the probability of class 1, or rows of class probabilities.

        Parameters
        ----------
        X : DataFrame
            The features the model was trained on; further columns are ignored.

        Returns
        -------
        ndarray, shape (n,) or (n, k)
        """
        return adjust(self.adjustment, self.fit.respond(self.fit.raw(X)))

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Predict as a table.

        Parameters
        ----------
        X : DataFrame
            The features the model was trained on; further columns are ignored.

        Returns
        -------
        DataFrame
            Column "prediction"; for classes also "probability_<label>" (or "score_<label>" for margin losses,
            which have no probabilities).

        Raises
        ------
        InputError
            When a column is missing or holds what it cannot.
        """
        import pandas as pd

        response = self.response(X)
        if not self.classes:
            return pd.DataFrame({"prediction": response}, index=X.index)
        codes = decide(response, 0.5 if self.threshold is None else self.threshold)
        rows = np.column_stack([1.0 - response, response]) if response.ndim == 1 else response
        word = "probability" if self.probabilities else "score"
        labels = np.array(self.classes, dtype=object)
        table = {"prediction": labels[codes]}
        table |= {f"{word}_{label}": rows[:, code] for code, label in enumerate(self.classes)}
        return pd.DataFrame(table, index=X.index)


def refit(
    dataset: Dataset,
    facts: Facts,
    problem: Problem,
    model: Model,
    rivals: Sequence[Model],
    folder: Path,
    seconds: float,
) -> tuple[FinalModel, str]:
    """Train the winner on all rows and save it.

    Parameters
    ----------
    dataset : Dataset
        All rows.
    facts : Facts
        Problem analysis.
    problem : Problem
        The rows and folds the trials used.
    model : Model
        What steps 5 and 7 settled on.
    rivals : sequence of Model
        The default loss with the same learner, with default settings and with those that were kept.
    folder : Path
        The folder "model".
    seconds : float
        Wall time after which the best model so far is taken.

    Returns
    -------
    tuple
        The record, and a note for the reader ("" for none).
    """
    from threadpoolctl import threadpool_limits

    plan, y = model.plan, encode_target(dataset.y, facts)
    # Trials chose their rounds with a fifth of the rows set aside; with all rows a few more are right.
    rounds = round(1.1 * model.rounds) if plan.learner == "boosted" else None
    with threadpool_limits(1):  # as in the trials, so that sums are the same on any machine
        fitted = fit(plan, dataset.X, y, facts, problem.metric, problem.seed, rounds=rounds, seconds=seconds)
    adjustment, threshold = settled(problem, model)
    sure = fitted.fitted.has_probabilities or adjustment["kind"] == "platt"
    predictor = Predictor(fitted, facts.task, dataset.target, facts.classes, adjustment, threshold, sure)
    files = save(predictor, folder)
    rival = min(rivals, key=lambda m: error(problem.metric, float(np.mean(m.folds))), default=None)
    final = FinalModel(
        label=plan.label,
        config=plan.config,
        learner=plan.learner,
        settings=plan.settings,
        adjustment=adjustment,
        threshold=threshold,
        score=float(np.mean(model.folds)),
        standard_error=standard_error(model.folds),
        reference_score=float(np.mean(rival.folds)) if rival else None,
        reference_error=standard_error(rival.folds) if rival else None,
        rows=dataset.rows,
        files=files,
    )
    return final, _note(adjustment, fitted)


def _note(adjustment: Adjustment, fitted: Fit) -> str:
    if fitted.curve is not None and fitted.curve.stopped == "time limit":
        return "the budget ended the final training early; give a larger --budget"
    return "" if adjustment == NONE else "predictions are adjusted after the model; see the final step"


def save(predictor: Predictor, folder: Path) -> tuple[str, ...]:
    """Write a predictor as JSON, and its trees as the text that LightGBM itself reads.

    Parameters
    ----------
    predictor : Predictor
        What to save.
    folder : Path
        Where; ``model.json`` is replaced last, so that at any moment a whole model is there.

    Returns
    -------
    tuple of str
        Names of the files.
    """
    config, trees = predictor.fit.to_config()
    files = [_MODEL]
    if trees is not None:
        digest = hashlib.sha256(trees.encode()).hexdigest()
        files.append(_TREES.format(digest[:12]))
        write_text(folder / files[1], trees)
        config = {**config, "trees": {"file": files[1], "sha256": digest}}
    write_json(
        folder / _MODEL,
        {
            "format": _FORMAT,
            "version": __version__,
            "task": predictor.task,
            "target": predictor.target,
            "classes": list(predictor.classes),
            "adjustment": predictor.adjustment,
            "threshold": predictor.threshold,
            "probabilities": predictor.probabilities,
            "fit": config,
        },
    )
    for old in folder.glob(_TREES.format("*")):
        if old.name not in files:
            with contextlib.suppress(OSError):
                old.unlink()
    return tuple(files)


def _adjustment(saved: Adjustment) -> Adjustment:
    """Return it, once it is seen to work: a damaged one must not come to light in the middle of predictions."""
    adjust(saved, np.full((1, 2), 0.5))
    return saved


def load_model(folder: str | Path) -> Predictor:
    """Read a saved model.

    Parameters
    ----------
    folder : str or Path
        A run folder, or its "model".

    Returns
    -------
    Predictor

    Raises
    ------
    InputError
        When there is no model, it is damaged, or another version wrote it.
    """
    place = Path(folder)
    place = place / "model" if not (place / _MODEL).exists() else place
    saved = read_json(place / _MODEL)
    try:
        if saved["format"] != _FORMAT:
            raise InputError(
                f"{str(place)!r} has model format {saved['format']}; this lossmith reads {_FORMAT}: train it again"
            )
        fitted = fit_from_config(saved["fit"], _trees(place, saved["fit"].get("trees")))
        return Predictor(
            fitted,
            saved["task"],
            saved["target"],
            tuple(saved["classes"]),
            _adjustment(saved["adjustment"]),
            saved["threshold"],
            saved["probabilities"],
        )
    except (KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"{str(place / _MODEL)!r} is damaged ({problem}); run the training again") from None


def _trees(place: Path, entry: dict[str, str] | None) -> str | None:
    if entry is None:
        return None
    path = place / Path(entry["file"]).name  # a file beside model.json, wherever the entry points
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"cannot read {str(path)!r}: {problem}; run the training again") from None
    if hashlib.sha256(text.encode()).hexdigest() != entry["sha256"]:
        raise InputError(f"{str(path)!r} was changed after the training; run the training again")
    return text


def predict(run_folder: str | Path, table: str | Path) -> pd.DataFrame:
    """Predict the rows of a file with the model of a run.

    Parameters
    ----------
    run_folder : str or Path
        Folder of a finished run.
    table : str or Path
        CSV, TSV, Parquet or JSON lines with the feature columns; the target may be there and is ignored.

    Returns
    -------
    DataFrame
        See :meth:`Predictor.predict`.

    Raises
    ------
    InputError
        For a missing model, an unreadable table or missing columns.
    """
    from lossmith.workflow.data import read_features

    predictor = load_model(run_folder)
    return predictor.predict(read_features(table))
