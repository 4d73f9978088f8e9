"""The monitor of XGBoost, as a class of XGBoost's own."""

from __future__ import annotations

from typing import Any, Unpack, final

from xgboost.callback import TrainingCallback

from ..record import Record
from .rounds import Rounds
from .run import RunOptions


@final
class XGBoostMonitor(TrainingCallback):  # type: ignore[misc]
    """See `lossmith.xgboost_monitor`.

    Parameters
    ----------
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.
    """

    def __init__(self, **options: Unpack[RunOptions]) -> None:
        super().__init__()
        self._rounds = Rounds("xgboost", **options)

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._rounds.record

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Look at the derivatives of a custom objective; XGBoost calls this, and goes on while it returns False."""
        self._rounds.watch(model, epoch)
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Record a round; XGBoost calls this, and goes on while it returns False."""
        found = {
            (rows, measure): values[-1] if not isinstance(values[-1], tuple) else values[-1][0]
            for rows, measures in evals_log.items()
            for measure, values in measures.items()
        }
        self._rounds.add(epoch, found)
        return False

    def after_training(self, model: Any) -> Any:
        """Write what is left; XGBoost calls this."""
        self._rounds.run.close()
        return model
