"""Steps along a gradient: frozen settings, and the little state each of them needs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Steps(ABC):
    """The state of an optimiser for one vector of parameters."""

    @abstractmethod
    def step(self, theta: Array, gradient: Array, rate: float) -> None:
        """Move ``theta`` in place; ``gradient`` may be overwritten."""


@dataclass(frozen=True)
class Optimizer(ABC):
    """Settings of an optimiser; :meth:`start` makes its state."""

    @abstractmethod
    def start(self, theta: Array, weights: int) -> Steps:
        """Make the state for a vector whose first ``weights`` numbers are weights, the others biases."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """The learning rate that is taken if none is given."""


def _share(value: Any, argument: str) -> None:
    if isinstance(value, (bool, str)) or not 0.0 <= value < 1.0:
        raise ValueError(f"{argument}={value!r} is not accepted; give a number in [0, 1)")


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked: v = m v + g, theta -= rate v (Nesterov: g + m v).

    Parameters
    ----------
    momentum : float
        m, in [0, 1).
    nesterov : bool
        Whether to look ahead; needs momentum.

    References
    ----------
    Robbins and Monro (1951); Sutskever et al. (2013), On the importance of initialization and momentum, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> theta = np.array([1.0])
    >>> steps = SGD(momentum=0.5).start(theta, 1)
    >>> for _ in range(2):
    ...     steps.step(theta, np.array([1.0]), 0.1)
    >>> theta.round(2).tolist()  # 1 - 0.1 - 0.15
    [0.75]
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _share(self.momentum, "momentum")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs momentum > 0, such as 0.9")

    @property
    def rate(self) -> float:
        """0.01."""
        return 0.01

    def start(self, theta: Array, weights: int) -> Steps:
        """Make the state."""
        return Descent(self, np.zeros_like(theta) if self.momentum else theta[:0])


@dataclass
class Descent(Steps):
    """State of :class:`SGD`."""

    settings: SGD
    velocity: Array

    def step(self, theta: Array, gradient: Array, rate: float) -> None:
        """Move ``theta``."""
        if self.settings.momentum:
            self.velocity *= self.settings.momentum
            self.velocity += gradient
            if not self.settings.nesterov:
                np.multiply(self.velocity, rate, out=gradient)
                theta -= gradient
                return
            theta -= (self.settings.momentum * rate) * self.velocity
        gradient *= rate
        theta -= gradient


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, with decoupled weight decay if asked (AdamW).

    Parameters
    ----------
    beta1, beta2 : float
        Memories of the gradient and of its square, in [0, 1).
    epsilon : float
        Added to the root of the corrected mean square.
    decay : float
        Each step also takes rate * decay of every weight; biases stay.

    References
    ----------
    Kingma and Ba (2015), Adam, ICLR; Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> theta = np.array([1.0, 1.0])
    >>> Adam().start(theta, 2).step(theta, np.array([100.0, -0.01]), 0.1)
    >>> theta.round(3).tolist()  # the first step has the size of the learning rate
    [0.9, 1.1]
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0

    def __post_init__(self) -> None:
        _share(self.beta1, "beta1")
        _share(self.beta2, "beta2")
        if not self.epsilon > 0 or not 0 <= self.decay < math.inf:
            raise ValueError(f"epsilon={self.epsilon!r}, decay={self.decay!r}; give epsilon > 0 and decay >= 0")

    @property
    def rate(self) -> float:
        """0.001."""
        return 0.001

    def start(self, theta: Array, weights: int) -> Steps:
        """Make the state."""
        return Moments(self, weights, np.zeros_like(theta), np.zeros_like(theta), np.empty_like(theta))


@dataclass
class Moments(Steps):
    """State of :class:`Adam`."""

    settings: Adam
    weights: int
    mean: Array
    square: Array
    scratch: Array = field(repr=False)
    count: int = 0

    def step(self, theta: Array, gradient: Array, rate: float) -> None:
        """Move ``theta``."""
        s, scratch = self.settings, self.scratch
        self.count += 1
        if s.decay:
            theta[: self.weights] *= 1.0 - rate * s.decay
        self.mean *= s.beta1
        np.multiply(gradient, 1.0 - s.beta1, out=scratch)
        self.mean += scratch
        self.square *= s.beta2
        gradient *= gradient
        gradient *= 1.0 - s.beta2
        self.square += gradient
        np.sqrt(self.square, out=scratch)
        scratch *= 1.0 / math.sqrt(1.0 - s.beta2**self.count)
        scratch += s.epsilon
        np.divide(self.mean, scratch, out=scratch)
        scratch *= rate / (1.0 - s.beta1**self.count)
        theta -= scratch


SOLVERS: dict[str, Optimizer] = {
    "adam": Adam(),
    "adamw": Adam(decay=0.01),
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
}


def optimizer(spec: Any) -> Optimizer:
    """Return the optimiser behind a name.

    Parameters
    ----------
    spec : str or Optimizer
        "adam", "adamw", "sgd", "momentum", "nesterov", or settings of one's own.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        Says what is accepted.

    Examples
    --------
    >>> optimizer("momentum")
    SGD(momentum=0.9, nesterov=False)
    """
    if isinstance(spec, Optimizer):
        return spec
    if not isinstance(spec, str) or spec not in SOLVERS:
        accepted = ", ".join(map(repr, SOLVERS))
        raise ValueError(
            f"solver={spec!r} is not accepted; give one of {accepted}, or an Optimizer of lossmith.network"
        )
    return SOLVERS[spec]
