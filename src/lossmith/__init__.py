"""Lossmith: choose a loss, trust it, train with it anywhere, find out why training goes wrong."""

from __future__ import annotations

from ._version import __version__
from .core.registry import find, from_config, get
from .core.registry import names as _names  # noqa: F401
from .losses import *  # noqa: F403
from .losses import __all__ as _losses

__all__ = ["__version__", "find", "from_config", "get", *_losses]
