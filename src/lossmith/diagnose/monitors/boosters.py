"""Monitors of LightGBM and CatBoost, and what XGBoost's has to do."""

from __future__ import annotations

from typing import Any, Unpack, final

from .rounds import RoundMonitor
from .run import RunOptions


@final
class LightGBMMonitor(RoundMonitor):
    """A callback for ``lightgbm.train`` and the ``fit`` of its estimators.

    Give the training rows among ``valid_sets`` too: LightGBM tells no loss of its own. A gradient or Hessian of a
    custom objective that is not finite is named with its row, from the second round on; LightGBM itself says nothing.

    Parameters
    ----------
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> import lossmith as lm
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> data = lightgbm.Dataset(x, x[:, 0], params={"verbose": -1})
    >>> monitor = lm.LightGBMMonitor(live=False)
    >>> parameters = {"objective": "l2", "verbose": -1}
    >>> _ = lightgbm.train(parameters, data, 5, valid_sets=[data], valid_names=["training"], callbacks=[monitor])
    >>> losses = monitor.record.column("loss")[1]
    >>> len(losses), bool(losses[-1] < losses[0])
    (5, True)
    """

    order = 10
    before_iteration = False

    def __init__(self, **options: Unpack[RunOptions]) -> None:
        super().__init__("lightgbm", **options)

    def __call__(self, env: Any) -> None:
        """Record a round; LightGBM calls this."""
        found = {(rows, measure): value for rows, measure, value, *_ in env.evaluation_result_list or ()}
        rate = (env.params or {}).get("learning_rate")
        self._rounds.run.learn(planned_steps=env.end_iteration - env.begin_iteration)
        self._rounds.add(env.iteration, found, None if rate is None else float(rate))
        if env.iteration == env.end_iteration - 1:
            self.close()
        else:
            self._rounds.watch(env.model, env.iteration + 1)


@final
class CatBoostMonitor(RoundMonitor):
    """A callback for the ``fit`` of CatBoost's models: ``fit(..., callbacks=[monitor])``.

    Parameters
    ----------
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`. With ``nan="stop"`` training ends
        and ``monitor.found`` says why; CatBoost lets no error out of a callback, nor gradients into one: of a custom
        objective that fails, only measures that are not finite are seen.

    Examples
    --------
    >>> import lossmith as lm
    >>> monitor = lm.CatBoostMonitor(live=False)
    >>> class Info:  # what CatBoost hands over after each round
    ...     iteration, metrics = 1, {"learn": {"RMSE": [0.5]}, "validation": {"RMSE": [0.6]}}
    >>> monitor.after_iteration(Info())
    True
    >>> monitor.record.steps[0].eval_loss
    0.6
    """

    def __init__(self, **options: Unpack[RunOptions]) -> None:
        super().__init__("catboost", **options)

    @property
    def found(self) -> Any:
        """The first measure that was not finite, or None."""
        return self._rounds.run.found

    def after_iteration(self, info: Any) -> bool:
        """Record a round; CatBoost calls this, and goes on while it returns True."""
        found = {(rows, m): values[-1] for rows, measures in info.metrics.items() for m, values in measures.items()}
        try:
            self._rounds.add(info.iteration - 1, found)
        except FloatingPointError:
            return False
        return True
