"""Optax under ``jax.jit``: value and gradient of the mean in one compiled call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..families import HESSIAN, LINEAR, STRUCTURED, VALUE, Work
from .contender import Contender, Outcome, outcome

_WRITTEN = ("quantile", "mae", "tukey", "poisson_nll", "squared_hinge", "linear_cross_entropy")


def prepare(threads: int) -> None:
    """Allow float64; threads follow the processors this process may use.

    Parameters
    ----------
    threads : int
        Not used: XLA has no setting for it once it runs.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")


def contenders(work: Work) -> list[Contender]:
    """Return optax's loss, or the expression a user writes in JAX.

    Parameters
    ----------
    work : Work
        What is to be done.
    """
    mean = _forms(work).get(work.name)
    if mean is None:
        return []
    import jax
    import jax.numpy as jnp

    y, *variables = (jnp.asarray(array) for array in work.inputs)
    places = tuple(range(1, 1 + len(variables)))
    if work.operation == VALUE:
        compiled = jax.jit(lambda y, *v: (mean(y, *v),))
    elif work.operation == HESSIAN:
        compiled = jax.jit(lambda y, f: _three(mean, y, f))
    else:
        compiled = jax.jit(jax.value_and_grad(mean, argnums=places))
    note = "written by hand: optax has no such loss" if work.name in _WRITTEN else ""
    call = lambda: jax.block_until_ready(compiled(y, *variables))  # noqa: E731
    refusal = _refusal(work)
    return [Contender("optax", "", call, lambda result: _read(work, result), note, refusal)]


def _three(mean: Callable[..., Any], y: Any, f: Any) -> tuple[Any, ...]:
    """Value, gradient and diagonal of the Hessian of the mean: samples do not interact."""
    import jax
    import jax.numpy as jnp

    def value(v: Any) -> Any:
        return mean(y, v)

    gradient, hessian = jax.jvp(jax.grad(value), (f,), (jnp.ones_like(f),))
    return value(f), gradient, hessian


def _read(work: Work, result: Any) -> Outcome:
    scale = 1.0 if work.family.tier in (STRUCTURED, LINEAR) else float(work.count)
    value, *derivatives = result
    flat = derivatives[0] if derivatives and isinstance(derivatives[0], tuple) else derivatives
    return outcome(value, *(np.asarray(d) for d in flat), scale=scale)


def _refusal(work: Work) -> str:
    if work.name != "nt_xent" or work.shape[0] <= 1024:
        return ""
    n, d = work.shape
    return f"makes an n x n x d array: {n * n * d * work.f.itemsize / 1e9:.0f} GB"


def _forms(work: Work) -> dict[str, Callable[..., Any]]:
    return _of_optax(work.family.settings) | _of_jax(work.family.settings)


def _of_jax(s: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Losses that Optax lacks, as one writes them."""
    import jax.numpy as jnp

    def quantile(y: Any, f: Any) -> Any:
        e = y - f
        return jnp.maximum(s["q"] * e, (s["q"] - 1.0) * e).mean()

    def tukey(y: Any, f: Any) -> Any:
        u = jnp.clip((f - y) / s["c"], -1.0, 1.0) ** 2
        return (s["c"] ** 2 / 6.0 * (1.0 - (1.0 - u) ** 3)).mean()

    return {
        "quantile": quantile,
        "poisson_nll": lambda y, f: (jnp.exp(f) - y * f).mean(),
        "mae": lambda y, f: jnp.abs(f - y).mean(),
        "tukey": tukey,
        "squared_hinge": lambda y, f: (jnp.maximum(0.0, 1.0 - y * f) ** 2).mean(),
    }


def _of_optax(s: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    import jax
    import jax.numpy as jnp
    from optax import losses

    def ctc(y: Any, f: Any) -> Any:
        frames, labels = jnp.zeros(f.shape[:2], f.dtype), jnp.zeros(y.shape, f.dtype)
        return losses.ctc_loss(f, frames, y, labels).mean()

    def linear(y: Any, x: Any, w: Any) -> Any:
        return losses.softmax_cross_entropy_with_integer_labels(x @ w.T, y).mean()

    return {
        "bce": lambda y, f: losses.sigmoid_binary_cross_entropy(f, y).mean(),
        "huber": lambda y, f: losses.huber_loss(f, y, delta=s["delta"]).mean(),
        "log_cosh": lambda y, f: losses.log_cosh(f, y).mean(),
        "focal": lambda y, f: losses.sigmoid_focal_loss(f, y, gamma=s["gamma"]).mean(),
        "mse": lambda y, f: losses.squared_error(f, y).mean(),
        "hinge": lambda y, f: losses.hinge_loss(f, y).mean(),
        "cce": lambda y, f: losses.softmax_cross_entropy_with_integer_labels(f, y).mean(),
        "kl_divergence": lambda y, f: losses.kl_divergence(jax.nn.log_softmax(f), y).mean(),
        # optax halves numerator and denominator, so its smoothing counts twice
        "dice": lambda y, f: losses.dice_loss(f[..., None], y[..., None], smooth=0.5 * s["smooth"]).mean(),
        "ctc": ctc,
        "nt_xent": lambda y, f: losses.ntxent(f, y, temperature=s["temperature"]),
        "linear_cross_entropy": linear,
    }
