"""The monitor of XGBoost."""

from __future__ import annotations

import importlib.util
from typing import Any, Unpack

from .run import RunOptions


def xgboost_monitor(**options: Unpack[RunOptions]) -> Any:
    """Make a callback for ``xgboost.train`` and the ``fit`` of its estimators.

    Give the training rows among ``evals`` (or first in ``eval_set``) too: XGBoost tells no loss of its own. A gradient
    or Hessian of a custom objective that is not finite is named with its row; XGBoost itself says nothing.

    Parameters
    ----------
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.

    Returns
    -------
    xgboost.callback.TrainingCallback
        With the attribute ``record``.

    Raises
    ------
    ImportError
        When XGBoost is not installed.

    Examples
    --------
    >>> import numpy as np, xgboost
    >>> import lossmith as lm
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> data = xgboost.DMatrix(x, x[:, 0])
    >>> monitor = lm.xgboost_monitor(live=False)
    >>> _ = xgboost.train({}, data, 5, evals=[(data, "train")], callbacks=[monitor], verbose_eval=False)
    >>> len(monitor.record)
    5
    """
    if importlib.util.find_spec("xgboost") is None:
        raise ImportError("xgboost_monitor needs XGBoost; pip install 'lossmith[xgboost]'")
    from .xgboost_callback import XGBoostMonitor

    return XGBoostMonitor(**options)
