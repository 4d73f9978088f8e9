"""The monitor of Lightning."""

from __future__ import annotations

import importlib.util
from typing import Any


def lightning_monitor(**options: Any) -> Any:
    """Make a callback for Lightning: ``Trainer(callbacks=[lm.lightning_monitor()])``.

    Parameters
    ----------
    **options
        As of `TorchMonitor`: ``watch``, ``every``, ``budget``, and those of `lossmith.RunOptions`.

    Returns
    -------
    lightning.pytorch.Callback
        With the attribute ``record``. Loss and layers of each training batch, and what validation logs.

    Raises
    ------
    ImportError
        When Lightning is not installed.

    Examples
    --------
    >>> import lightning
    >>> import lossmith as lm
    >>> isinstance(lm.lightning_monitor(live=False), lightning.pytorch.Callback)
    True
    """
    if importlib.util.find_spec("lightning") is None:
        raise ImportError("lightning_monitor needs Lightning; pip install lightning 'lossmith[torch]'")
    from .lightning_callback import LightningMonitor

    return LightningMonitor(options)
