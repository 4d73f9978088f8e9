"""The monitor of the Hugging Face Trainer."""

from __future__ import annotations

import importlib.util
from typing import Any


def huggingface_monitor(**options: Any) -> Any:
    """Make a callback for the Hugging Face Trainer: ``Trainer(..., callbacks=[lm.huggingface_monitor()])``.

    Parameters
    ----------
    **options
        As of `TorchMonitor`: ``watch``, ``every``, ``budget``, and those of `lossmith.RunOptions`.

    Returns
    -------
    transformers.TrainerCallback
        With the attribute ``record``. The loss is that of each step where the model returns one, else the mean that
        the Trainer logs; the gradient's norm is that after clipping.

    Raises
    ------
    ImportError
        When Transformers is not installed.

    Examples
    --------
    >>> import transformers
    >>> import lossmith as lm
    >>> isinstance(lm.huggingface_monitor(live=False), transformers.TrainerCallback)
    True
    """
    if importlib.util.find_spec("transformers") is None:
        raise ImportError(
            "huggingface_monitor needs Transformers; pip install transformers accelerate 'lossmith[torch]'"
        )
    from .huggingface_callback import HuggingFaceMonitor

    return HuggingFaceMonitor(options)
