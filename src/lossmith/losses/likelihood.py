"""Negative log-likelihoods of distributions whose parameters are predicted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from ..core import contract
from ..core.domain import EXTENDED_REAL, POSITIVE, Domain, Interval, check
from ..core.elementwise import inputs_among
from ..core.parameters import Check, custom, flag
from ..core.registry import register
from ..core.rowwise import RowWiseLoss
from ..core.traits import About, Traits
from ..ops import exp, is_numpy, log, square, times
from ..ops.arrays import stack

Array = Any
_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


class _OnLogVariance:
    """1/2 s + 1/2 e^2 exp(-s) with e = mean - y and s = log variance."""

    @staticmethod
    def value(y: Array, f: Array, constant: float) -> Array:
        e, s = f[..., 0] - y, f[..., 1]
        return 0.5 * (s + square(times(e, exp(-0.5 * s)))) + constant

    @staticmethod
    def slope(y: Array, f: Array, constant: float) -> Array:
        e, s = f[..., 0] - y, f[..., 1]
        return stack(times(e, exp(-s)), 0.5 - 0.5 * square(times(e, exp(-0.5 * s))))

    @staticmethod
    def second(y: Array, f: Array) -> tuple[Array, Array, Array]:
        e, s = f[..., 0] - y, f[..., 1]
        return exp(-s), -times(e, exp(-s)), 0.5 * square(times(e, exp(-0.5 * s)))


class _OnVariance:
    """1/2 log v + e^2 / (2 v)."""

    @staticmethod
    def value(y: Array, f: Array, constant: float) -> Array:
        e, v = f[..., 0] - y, f[..., 1]
        return 0.5 * (log(v) + e * (e / v)) + constant

    @staticmethod
    def slope(y: Array, f: Array, constant: float) -> Array:
        e, v = f[..., 0] - y, f[..., 1]
        return stack(e / v, 0.5 * (1.0 - e * (e / v)) / v)

    @staticmethod
    def second(y: Array, f: Array) -> tuple[Array, Array, Array]:
        e, v = f[..., 0] - y, f[..., 1]
        return 1.0 / v, -e / v / v, (e * (e / v) - 0.5) / v / v


def _matrix_form(columns: Any) -> Any:
    """Complete a two-column form with Hessian matrix and product."""

    class Form:
        value = staticmethod(columns.value)
        slope = staticmethod(columns.slope)

        @staticmethod
        def curvature(y: Array, f: Array, constant: float) -> Array:
            a, b, c = columns.second(y, f)
            return stack(stack(a, b), stack(b, c))

        @staticmethod
        def product(y: Array, f: Array, v: Array, constant: float) -> Array:
            a, b, c = columns.second(y, f)
            return stack(a * v[..., 0] + b * v[..., 1], b * v[..., 0] + c * v[..., 1])

    return Form


@register("gaussian_nll", aliases=("gnll", "heteroscedastic"))
@dataclass(frozen=True)
class GaussianNLL(RowWiseLoss):
    """Gaussian negative log-likelihood: 1/2 log(2 pi v) + (y - mean)^2 / (2 v).

    Parameters
    ----------
    inputs : {"log_variance", "variance"}
        What the second column of y_pred (n, 2) holds; the first holds the mean. Targets are (n,).
    full : bool, default True
        Include the constant 1/2 log(2 pi) (torch leaves it out by default).

    References
    ----------
    Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution, ICNN.

    Examples
    --------
    >>> import lossmith as lm
    >>> round(float(lm.GaussianNLL(inputs="variance")([1.0], [[0.0, 1.0]])), 7)
    1.4189385
    """

    inputs: str = inputs_among("log_variance", "variance")
    full: bool = flag(True)
    forms: ClassVar[Mapping[str, Any]] = {
        "log_variance": _matrix_form(_OnLogVariance),
        "variance": _matrix_form(_OnVariance),
    }
    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]] = {
        "log_variance": (EXTENDED_REAL, EXTENDED_REAL),
        "variance": (EXTENDED_REAL, POSITIVE),
    }
    claims = Traits("distribution", symmetric=True, proper=True, elicits="distribution", strong=float("-inf"))
    about = About(
        formula=r"\ell(y, \mu, v) = \tfrac12 \log(2 \pi v) + \frac{(y - \mu)^2}{2 v}",
        gradient=r"\Bigl(\frac{\mu - y}{v},\ \frac{1}{2v}\bigl(1 - \frac{(y-\mu)^2}{v}\bigr)\Bigr)",
        pros="models uncertainty along with the mean",
        cons="not jointly convex; a mean that fits one sample exactly lets its variance collapse",
        best_for="regression with uncertainty estimation",
        reference="Nix and Weigend (1994), ICNN",
        note="no floor on the variance: give the log-variance to train",
    )

    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Check targets (n,) against rows (n, 2)."""
        return _scalar_targets(y_true, f, "GaussianNLL")

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return the constant."""
        return (_HALF_LOG_TAU if self.full else 0.0,)


def _scalar_targets(y_true: Any, f: Array, loss: str) -> Array:
    y = contract.targets(y_true, f)
    if tuple(y.shape) != tuple(f.shape[:-1]):
        raise ValueError(
            f"{loss}: y_true has shape {tuple(y.shape)} and y_pred has shape {tuple(f.shape)}; "
            f"give targets of shape {tuple(f.shape[:-1])}"
        )
    if is_numpy(y):
        check(y, Interval(), "y_true", loss, nan_allowed=False)
    return y


@runtime_checkable
class Continuous(Protocol):
    """A distribution with a density, such as ``scipy.stats.gamma``."""

    def logpdf(self, x: Array, *parameters: Array) -> Array:
        """Logarithm of the density at x, elementwise."""


@runtime_checkable
class Discrete(Protocol):
    """A distribution with a probability mass, such as ``scipy.stats.poisson``."""

    def logpmf(self, k: Array, *parameters: Array) -> Array:
        """Logarithm of the probability of k, elementwise."""


def _distribution(value: Any) -> Any:
    """Return SciPy's own distributions by their name, and others of that style as they are."""
    if value == "norm":  # the default needs no look-up: importing scipy.stats takes a second
        return "norm"
    import scipy.stats

    named: Any = getattr(scipy.stats, value if isinstance(value, str) else str(getattr(value, "name", "")), None)
    if isinstance(value, str) or named is value:
        if not isinstance(named, (Continuous, Discrete)) or isinstance(named, type):
            raise TypeError
        return value if isinstance(value, str) else str(value.name)
    if not isinstance(value, (Continuous, Discrete)) or isinstance(value, type):
        raise TypeError
    return value


def _no_numbers(value: Any) -> tuple[float, ...]:
    return ()


_DISTRIBUTION = Check(
    "the name of a scipy.stats distribution, or an object with logpdf or logpmf", _distribution, _no_numbers
)


class _LogDensity:
    """Value and derivatives of -log p(y | parameters) for a SciPy distribution, NumPy only."""

    @staticmethod
    def value(y: Array, f: Array, density: Callable[..., Array]) -> Array:
        return -density(y, *np.moveaxis(f, -1, 0))

    @staticmethod
    def slope(y: Array, f: Array, density: Callable[..., Array]) -> Array:
        from scipy.differentiate import derivative

        columns = list(np.moveaxis(f, -1, 0))
        result = []
        for i, x in enumerate(columns):

            def along(value: Array, y: Array, *rest: Array, _i: int = i) -> Array:
                return -density(y, *rest[:_i], value, *rest[_i:])

            rest = columns[:i] + columns[i + 1 :]
            found = derivative(along, x, args=(y, *rest), initial_step=_step(x), tolerances={"rtol": 1e-11})
            result.append(found.df)
        return np.stack(result, axis=-1)

    @staticmethod
    def curvature(y: Array, f: Array, density: Callable[..., Array]) -> Array:
        """Fourth-order central differences of the gradient, symmetrised."""
        columns = []
        for i in range(f.shape[-1]):
            h = np.zeros_like(f)
            h[..., i] = 0.1 * _step(f[..., i])
            near, far = (
                _LogDensity.slope(y, f + k * h, density) - _LogDensity.slope(y, f - k * h, density) for k in (1, 2)
            )
            columns.append((8.0 * near - far) / (12.0 * h[..., i, None]))
        matrix = np.stack(columns, axis=-1)
        return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))

    @staticmethod
    def product(y: Array, f: Array, v: Array, density: Callable[..., Array]) -> Array:
        return np.einsum("...ij,...j->...i", _LogDensity.curvature(y, f, density), v)


def _step(x: Array) -> Array:
    """First step of the differences: small against the parameter, so that a scale stays positive."""
    return np.where(x == 0.0, 0.05, 0.1 * np.abs(x))


@register("nll", aliases=("negative_log_likelihood", "neg_log_likelihood"))
@dataclass(frozen=True)
class NegativeLogLikelihood(RowWiseLoss):
    """Negative log-likelihood -log p(y | parameters) of any SciPy distribution (NumPy arrays only).

    Gradient and Hessian come from SciPy's adaptive differences: about 1e-8 and 1e-5 relative.

    Parameters
    ----------
    distribution : str or distribution
        A name of ``scipy.stats`` such as "norm" or "gamma", or an object in its style: with ``logpdf(y,
        *parameters)`` or ``logpmf``. y_pred (n, k) holds the parameters in that order, which for SciPy's own is
        shapes, loc, scale (discrete distributions have no scale).

    References
    ----------
    Fisher (1922), On the Mathematical Foundations of Theoretical Statistics.

    Examples
    --------
    >>> import lossmith as lm
    >>> round(float(lm.NegativeLogLikelihood("norm")([1.0], [[0.0, 1.0]])), 7)
    1.4189385
    """

    distribution: Any = custom("norm", _DISTRIBUTION)  # noqa: RUF009 - a dataclass field
    forms: ClassVar[Mapping[str, Any]] = {"raw": _LogDensity}
    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]] = {"raw": (EXTENDED_REAL,)}
    inputs: ClassVar[str] = "raw"  # type: ignore[misc]
    claims = Traits("distribution", proper=True, elicits="distribution", strong=float("-inf"))
    about = About(
        formula=r"\ell(y, \theta) = -\log p(y \mid \theta)",
        gradient=r"-\nabla_\theta \log p(y \mid \theta)",
        pros="direct likelihood maximisation; strictly proper",
        cons="needs the right family; differences cost several evaluations",
        best_for="probabilistic models with a known family",
        reference="Fisher (1922), Phil. Trans. R. Soc. A 222",
    )

    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Check the targets and the number of parameters."""
        if not is_numpy(f):
            raise TypeError("NegativeLogLikelihood computes on NumPy arrays; use GaussianNLL or PoissonNLL elsewhere")
        y = _scalar_targets(y_true, f, "NegativeLogLikelihood")
        wanted = _parameter_names(self._density)
        if wanted and f.shape[-1] != len(wanted):
            raise ValueError(
                f"NegativeLogLikelihood: y_pred has shape {f.shape}; {self.distribution} takes "
                f"{len(wanted)} columns ({', '.join(wanted)})"
            )
        return y

    @property
    def _density(self) -> Any:
        import scipy.stats

        named = isinstance(self.distribution, str)
        return getattr(scipy.stats, self.distribution) if named else self.distribution

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return the log-density."""
        found = self._density
        return (found.logpdf if isinstance(found, Continuous) else found.logpmf,)


def _parameter_names(found: Any) -> tuple[str, ...]:
    """Return the names of a SciPy distribution's parameters; none for objects that do not say."""
    import scipy.stats

    if not isinstance(found, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        return ()
    shapes = tuple(found.shapes.replace(",", " ").split()) if found.shapes else ()
    return shapes + (("loc", "scale") if isinstance(found, scipy.stats.rv_continuous) else ("loc",))
