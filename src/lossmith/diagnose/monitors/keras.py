"""The monitor of Keras."""

from __future__ import annotations

import importlib.util
from typing import Any


def keras_monitor(**options: Any) -> Any:
    """Make a callback for ``model.fit`` of Keras, on TensorFlow, JAX or PyTorch.

    Recorded are the loss and the learning rate of each batch; norms of parameters and updates of each layer as often
    as 4 % of the time allow; and what an epoch gives on held-out rows. The gradient's norm is recorded on PyTorch
    only: the other backends keep gradients inside a compiled step.

    A loss that is not finite is found when its step is over, and the update has spoiled the parameters then. Named are
    the row of the batch (input, target or weight; on TensorFlow not where XLA compiles the step), else the layer, by
    running the batch with the parameters of the latest look (on TensorFlow and others alike), else the output's loss.

    Parameters
    ----------
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`; and ``every``: look at the layers
        every so many steps, whatever it costs.

    Returns
    -------
    keras.callbacks.Callback
        With the attribute ``record``.

    Raises
    ------
    ImportError
        When Keras is not installed.

    Examples
    --------
    >>> import keras
    >>> import lossmith as lm
    >>> isinstance(lm.keras_monitor(live=False), keras.callbacks.Callback)
    True
    """
    if importlib.util.find_spec("keras") is None:
        raise ImportError("keras_monitor needs Keras; pip install 'lossmith[keras]'")
    from .keras_callback import KerasMonitor

    return KerasMonitor(options)
