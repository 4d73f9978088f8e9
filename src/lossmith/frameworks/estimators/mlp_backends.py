"""Who takes a network's steps: NumPy, PyTorch or Keras."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...network.learner import Learner, NumpyLearner, Objective
from ...network.passes import Network


@dataclass(frozen=True)
class Backend(ABC):
    """A library that can train."""

    @abstractmethod
    def learner(self, network: Network, objective: Objective, dropout: np.random.Generator, memory: Any) -> Learner:
        """Return what takes the steps from a network on; ``memory`` is that of an earlier learner, or None.

        Raises
        ------
        ImportError
            Names the extra to install.
        """

    @abstractmethod
    def model(self, network: Network) -> Any:
        """Return a model of the library itself, of its own layers only; None for NumPy."""


class OfNumpy(Backend):
    """The embedded default."""

    def learner(self, network: Network, objective: Objective, dropout: np.random.Generator, memory: Any) -> Learner:
        """Return what takes the steps."""
        return NumpyLearner(network, objective, dropout, memory)

    def model(self, network: Network) -> Any:
        """Return None: the network is its own model."""
        return None


class OfTorch(Backend):
    """PyTorch, on the accelerator if there is one."""

    def learner(self, network: Network, objective: Objective, dropout: np.random.Generator, memory: Any) -> Learner:
        """Return what takes the steps."""
        _needs("torch", "PyTorch")
        from .torch_mlp import TorchLearner

        return TorchLearner(network, objective, dropout, memory)

    def model(self, network: Network) -> Any:
        """Return a ``torch.nn.Sequential`` in eval mode."""
        from .torch_mlp import sequential

        return sequential(network.plain()).eval()


class OfKeras(Backend):
    """Keras, on TensorFlow, JAX or torch."""

    def learner(self, network: Network, objective: Objective, dropout: np.random.Generator, memory: Any) -> Learner:
        """Return what takes the steps."""
        _needs("keras", "Keras")
        from .keras_mlp import KerasLearner

        return KerasLearner(network, objective, dropout, memory)

    def model(self, network: Network) -> Any:
        """Return a ``keras.Sequential``, not compiled."""
        from .keras_mlp import sequential

        return sequential(network.plain())


def _needs(package: str, name: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ImportError(f"backend='{package}' needs {name}; pip install 'lossmith[{package}]'")


BACKENDS: dict[str, Backend] = {"numpy": OfNumpy(), "torch": OfTorch(), "keras": OfKeras()}
