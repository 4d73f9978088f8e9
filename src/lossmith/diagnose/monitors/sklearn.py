"""The monitor of scikit-learn: loops over ``partial_fit``, and what fitted models remember of their training."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Self, Unpack, final

import numpy as np

from ..record import Record, Step
from .arrays import ArrayGauge, first_bad
from .run import Run, RunOptions
from .trouble import NonFinite


@final
class SklearnMonitor:
    """Watches a loop over ``partial_fit`` or ``warm_start``, or reads the history of a fitted model.

    Parameters
    ----------
    estimator : estimator
        What is trained. Its parameters are found where linear models and MLPs keep them.
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.

    Attributes
    ----------
    record : Record
        The run so far.

    Examples
    --------
    >>> import numpy as np
    >>> import lossmith as lm
    >>> from sklearn.linear_model import SGDRegressor
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = SGDRegressor()
    >>> with lm.SklearnMonitor(model, live=False) as monitor:
    ...     for _ in range(4):
    ...         _ = model.partial_fit(x, x[:, 0])
    ...         monitor.step(loss=np.mean((model.predict(x) - x[:, 0]) ** 2))
    >>> len(monitor.record), monitor.record.layer_names
    (4, ('coef_', 'intercept_'))
    """

    def __init__(
        self,
        estimator: Any,
        **options: Unpack[RunOptions],
    ) -> None:
        self._estimator = estimator
        self._run = Run(**options)
        self._run.learn(framework="sklearn", source=type(estimator).__name__)
        self._gauge = ArrayGauge()
        self._number = 0

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._run.record

    def step(
        self, loss: float | None = None, *, samples: Any = None, eval_loss: float | None = None, **metrics: float
    ) -> None:
        """Record one round; call it after ``partial_fit``.

        Parameters
        ----------
        loss : float, optional
            On the rows learned from; an MLP's own ``loss_`` by default.
        samples : array_like, optional
            One loss for each row learned from: looked at only if the loss is not finite, to name the row.
        eval_loss : float, optional
            On held-out rows.
        **metrics : float
            Whatever else was measured.

        Raises
        ------
        NonFiniteError
            If the loss or a parameter is not finite and ``nan="stop"``.
        """
        number, self._number = self._number, self._number + 1
        own = vars(self._estimator).get("loss_")
        told = loss if loss is not None else own if isinstance(own, (float, np.floating)) else None
        value = None if told is None else float(told)
        held_out = None if eval_loss is None else float(eval_loss)
        named = parameters(self._estimator)
        layers, size, moved = self._gauge.look(named)
        self._run.add(
            Step(
                number,
                value,
                held_out,
                parameter_norm=size if named else None,
                update_norm=moved,
                seconds=self._run.seconds(),
                metrics={name: float(v) for name, v in metrics.items()},
                layers=layers,
            )
        )
        bad = first_bad(named)
        if self._run.nan != "ignore" and bad is not None:
            self._run.trouble(NonFinite(number, "parameter", bad, detail="holds NaN or infinities"))
        if self._run.nan != "ignore" and value is not None and not math.isfinite(value):
            losses = np.asarray([] if samples is None else samples, dtype=np.float64).ravel()
            rows = np.flatnonzero(~np.isfinite(losses)).tolist()
            self._run.trouble(NonFinite(number, "loss", None, rows[0] if rows else None, f"is {value}"))

    def fitted(self) -> Record:
        """Take over what a fitted model remembers of its training.

        Returns
        -------
        Record
            Of ``loss_curve_`` (MLPs), or ``train_score_`` and ``validation_score_`` (boosting).

        Raises
        ------
        ValueError
            If the model remembers nothing.
        """
        for step in _remembered(self._estimator):
            self._run.add(step)
        return self.record

    def close(self) -> None:
        """Write what is left; a second call does nothing."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parameters(estimator: Any) -> dict[str, list[Any]]:
    """Return the fitted parameters of linear models and MLPs.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    dict of str to list of arrays
        By layer for MLPs; empty for models without such parameters.
    """
    held = vars(estimator)
    if "coefs_" in held:
        return {
            f"layer {i}": list(pair) for i, pair in enumerate(zip(held["coefs_"], held["intercepts_"], strict=True))
        }
    return {name: [held[name]] for name in ("coef_", "intercept_") if name in held}


def _remembered(estimator: Any) -> list[Step]:
    held = vars(estimator)
    if "loss_curve_" in held:
        scores = held.get("validation_scores_") or []
        return [
            Step(i, float(loss), metrics={"eval_score": float(scores[i])} if i < len(scores) else {})
            for i, loss in enumerate(held["loss_curve_"])
        ]
    if "_raw_predict_init" in dir(estimator) and "train_score_" in held:  # GradientBoosting: already losses
        return [Step(i, float(loss)) for i, loss in enumerate(held["train_score_"])]
    if "train_score_" in held and len(held["train_score_"]):
        # Histogram boosting keeps scores, larger is better: with scoring="loss" they are losses with their sign turned.
        valid = held.get("validation_score_", ())
        return [
            Step(i, -float(score), -float(valid[i]) if i < len(valid) else None)
            for i, score in enumerate(held["train_score_"])
        ]
    raise ValueError(
        f"{type(estimator).__name__} remembers no history: call monitor.step() in a loop over partial_fit, or give "
        "boosting early_stopping=True"
    )
