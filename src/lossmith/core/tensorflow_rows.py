"""Row-wise losses of labels as functions of TensorFlow: the gradient is computed when it is asked for.

Imported only where TensorFlow has been imported.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .attach import finite

Tensor = Any


def values(form: Any, y: Any, f: Tensor, parameters: tuple[Any, ...]) -> Tensor:
    """Return the values of a row-wise loss, which differentiate by f into the formulas that we wrote.

    Parameters
    ----------
    form : RowForm
        The formulas.
    y : tensor or tuple of tensors
        Targets as the formulas take them, by which nobody differentiates.
    f : tensor, shape (..., k)
        Rows of predictions.
    parameters : tuple
        What the formulas take after them.

    Returns
    -------
    tensor
        Of f's shape without the last axis.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def slope(f: Tensor) -> Any:
        return finite(form.slope(y, f, *parameters)), lambda v: form.product(y, f, v, *parameters)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def value(f: Tensor) -> Any:
        return form.value(y, f, *parameters), lambda rate: rate[..., None] * slope(f)

    return value(tf.convert_to_tensor(f))
