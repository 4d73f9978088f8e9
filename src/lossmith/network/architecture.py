"""What a network is made of, and where its numbers lie in one flat vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .activations import LAST, Activation, Identity, Relu, activation

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Architecture:
    """A feed-forward network of dense layers.

    Its numbers are one flat vector: first the weights of all layers, (inputs, units) each in C order, then all
    biases. So a penalty on the weights, an optimiser and a norm are a few calls on whole vectors.

    Parameters
    ----------
    sizes : tuple of int
        Number of inputs, units of each hidden layer, number of outputs.
    hidden : Activation or str
        Of the hidden layers: "relu", "tanh", "gelu", "sigmoid" or "identity".
    last : Activation or str
        Of the outputs: "identity" for losses on raw scores, "sigmoid", "softmax" or "exp" for losses on
        probabilities and rates.
    dropout : float
        Share of the hidden activations that training leaves out, in [0, 1).

    Raises
    ------
    ValueError
        For sizes below 1, an unknown activation, a share outside [0, 1).

    Examples
    --------
    >>> Architecture((4, 8, 1)).count  # 4 * 8 + 8 * 1 weights and 8 + 1 biases
    49
    """

    sizes: tuple[int, ...]
    hidden: Activation = Relu()  # noqa: RUF009 - frozen, without state
    last: Activation = Identity()  # noqa: RUF009
    dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = tuple(_whole(size) for size in self.sizes)
        if len(sizes) < 2:
            raise ValueError(f"sizes={self.sizes!r} is not accepted; give inputs, hidden layers and outputs")
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "hidden", activation(self.hidden))
        object.__setattr__(self, "last", activation(self.last, LAST, "last"))
        if isinstance(self.dropout, (bool, str)) or not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout={self.dropout!r} is not accepted; give a share in [0, 1)")

    @property
    def depth(self) -> int:
        """Number of dense layers."""
        return len(self.sizes) - 1

    @property
    def inputs(self) -> int:
        """Number of features."""
        return self.sizes[0]

    @property
    def outputs(self) -> int:
        """Number of raw scores."""
        return self.sizes[-1]

    @property
    def weight_count(self) -> int:
        """How many of the numbers are weights; they come first."""
        return sum(a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def count(self) -> int:
        """How many numbers the network has."""
        return self.weight_count + sum(self.sizes[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers, in forward order."""
        return (*(f"hidden_{i + 1}" for i in range(self.depth - 1)), "output")

    def layers(self, theta: Array) -> tuple[tuple[Array, Array], ...]:
        """Return weights (inputs, units) and biases (units,) of each layer, as views of a flat vector."""
        pairs, here, there = [], 0, self.weight_count
        for a, b in zip(self.sizes, self.sizes[1:], strict=False):
            pairs.append((theta[here : here + a * b].reshape(a, b), theta[there : there + b]))
            here, there = here + a * b, there + b
        return tuple(pairs)

    def initial(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Draw weights that keep the size of what passes through; biases are 0.

        He's for rectifiers, variance 2 / inputs; Glorot's for the others and for the last layer, variance
        2 / (inputs + units).

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws normal numbers; float32 networks get the rounded ones.
        dtype : dtype
            float32 or float64.

        Returns
        -------
        ndarray, shape (count,)

        References
        ----------
        Glorot and Bengio (2010), AISTATS; He et al. (2015), Delving Deep into Rectifiers, ICCV.
        """
        theta = np.zeros(self.count)
        for i, (weights, _) in enumerate(self.layers(theta)):
            fan_in, fan_out = weights.shape
            rectified = self.hidden.rectifies and i < self.depth - 1
            variance = 2.0 / fan_in if rectified else 2.0 / (fan_in + fan_out)
            weights[...] = rng.normal(0.0, math.sqrt(variance), weights.shape)
        return theta.astype(dtype, copy=False)


def _whole(size: Any) -> int:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"a layer of size {size!r} is not accepted; give whole numbers >= 1")
    return int(size)
