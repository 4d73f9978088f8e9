"""What a layer does to its sums: in place, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, Any]

_SQRT_HALF = 0.7071067811865476
_DENSITY_AT_0 = 0.3989422804014327  # of the normal distribution
# From here on a bounded function counts as flat: its slope is a few percent of the largest.
_FLAT = 0.99
# exp of more overflows float32.
_LARGEST_EXPONENT = 88.0


@dataclass(frozen=True)
class Activation(ABC):
    """A function of a layer's sums; all methods work in place on arrays (m, units)."""

    name: ClassVar[str]
    rectifies: ClassVar[bool] = False  # which half of the variance is lost: He's initial weights make up for it

    @abstractmethod
    def apply(self, z: Array) -> None:
        """Turn sums into activations."""

    def apply_keeping(self, z: Array, slope: Array) -> None:
        """Turn sums into activations, and note in ``slope`` what :meth:`pull` cannot tell from them."""
        self.apply(z)

    @abstractmethod
    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations ``a`` into one by the sums."""

    def flat(self, a: Array) -> Array:
        """Tell which activations lie at a flat end; a rectifier's zeros are counted apart."""
        return np.zeros(a.shape, bool)


class Identity(Activation):
    """No change."""

    name = "identity"

    def apply(self, z: Array) -> None:
        """Turn sums into activations."""

    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations into one by the sums."""


class Relu(Activation):
    """max(z, 0); the slope at 0 is 0."""

    name = "relu"
    rectifies = True

    def apply(self, z: Array) -> None:
        """Turn sums into activations."""
        np.maximum(z, 0.0, out=z)

    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations into one by the sums."""
        np.putmask(delta, a == 0.0, 0.0)


class Tanh(Activation):
    """The hyperbolic tangent."""

    name = "tanh"

    def apply(self, z: Array) -> None:
        """Turn sums into activations."""
        np.tanh(z, out=z)

    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations into one by the sums."""
        np.multiply(a, a, out=slope)
        np.subtract(1.0, slope, out=slope)
        np.multiply(delta, slope, out=delta)

    def flat(self, a: Array) -> Array:
        """Tell which activations lie at a flat end."""
        return np.abs(a) > _FLAT


class Sigmoid(Activation):
    """1 / (1 + exp(-z))."""

    name = "sigmoid"

    def apply(self, z: Array) -> None:
        """Turn sums into activations."""
        from scipy.special import expit

        expit(z, out=z)

    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations into one by the sums."""
        np.subtract(1.0, a, out=slope)
        np.multiply(slope, a, out=slope)
        np.multiply(delta, slope, out=delta)

    def flat(self, a: Array) -> Array:
        """Tell which activations lie at a flat end."""
        return np.abs(a - 0.5) > 0.5 * _FLAT


class Gelu(Activation):
    """z times the normal distribution function of z, by erf and not by the tanh that resembles it."""

    name = "gelu"
    rectifies = True

    def apply(self, z: Array) -> None:
        """Turn sums into activations."""
        z *= _distribution(z)

    def apply_keeping(self, z: Array, slope: Array) -> None:
        """Turn sums into activations and keep the slope, Phi(z) + z phi(z)."""
        below = _distribution(z)
        np.multiply(z, z, out=slope)
        np.multiply(slope, -0.5, out=slope)
        np.exp(slope, out=slope)
        np.multiply(slope, _DENSITY_AT_0, out=slope)
        np.multiply(slope, z, out=slope)
        slope += below
        z *= below

    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations into one by the sums."""
        np.multiply(delta, slope, out=delta)


class Exponential(Activation):
    """exp(z), for a last layer that predicts rates."""

    name = "exp"

    def apply(self, z: Array) -> None:
        """Turn sums into activations."""
        np.minimum(z, _LARGEST_EXPONENT, out=z)
        np.exp(z, out=z)

    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations into one by the sums."""
        np.multiply(delta, a, out=delta)


class Softmax(Activation):
    """Probabilities of a row, for a last layer under a loss on probabilities; losses on logits need none."""

    name = "softmax"

    def apply(self, z: Array) -> None:
        """Turn sums into activations."""
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)

    def pull(self, delta: Array, a: Array, slope: Array) -> None:
        """Turn a gradient by the activations into one by the sums."""
        delta -= np.einsum("ij,ij->i", delta, a)[:, None]
        delta *= a


def _distribution(z: Array) -> Array:
    """Return the normal distribution function."""
    from scipy.special import erfc

    # erfc keeps its digits where the distribution function is nearly 0; 1 + erf does not.
    below = np.multiply(z, -_SQRT_HALF)
    erfc(below, out=below)
    below *= 0.5
    return below


HIDDEN: dict[str, Activation] = {made.name: made for made in (Relu(), Tanh(), Gelu(), Sigmoid(), Identity())}
LAST: dict[str, Activation] = {made.name: made for made in (Identity(), Sigmoid(), Exponential(), Softmax())}


def activation(spec: Any, known: dict[str, Activation] = HIDDEN, argument: str = "activation") -> Activation:
    """Return the activation behind a name.

    Parameters
    ----------
    spec : str or Activation
        Which one.
    known : dict
        What is accepted, by name.
    argument : str
        Name for the message.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        Says what is accepted.

    Examples
    --------
    >>> activation("tanh").name
    'tanh'
    """
    if isinstance(spec, Activation):
        return spec
    if not isinstance(spec, str) or spec not in known:
        raise ValueError(f"{argument}={spec!r} is not accepted; give one of {', '.join(map(repr, known))}")
    return known[spec]
