"""Peak memory of the linear cross-entropy, measured in a process of its own.

The peak of the resident set (VmHWM, reset through clear_refs) during one call, less what was resident before and less
the gradients that are returned, as a share of the size of the logits. What loads and compiles is done by a call before.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import lossmith as lm

PROGRAM = """
import sys
import numpy as np
from lossmith import LinearCrossEntropy

library, chunk = sys.argv[1], int(sys.argv[2]) or None
n, d, k = 4096, 32, 32_000

def memory(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

def inputs(n):
    rng = np.random.default_rng(0)
    return rng.integers(0, k, n), *(rng.standard_normal((m, d), np.float32) for m in (n, k))

def call(y, X, W):
    if library == "numpy":
        return LinearCrossEntropy().value_and_gradient(y, X, W, chunk_size=chunk)[1][:2]
    import torch
    from lossmith.frameworks.torch_linear import linear_cross_entropy
    y, X, W = map(torch.from_numpy, (y, X, W))
    loss = linear_cross_entropy(X.requires_grad_(), W.requires_grad_(), y, chunk_size=chunk)
    loss.backward()
    return X.grad, W.grad

call(*inputs(64))
given = inputs(n)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = memory("VmRSS")
gradients = call(*given)
print((memory("VmHWM") - before - sum(g.nbytes for g in gradients)) / (4 * n * k))
"""


def share_of_logits(library: str, chunk: int) -> float:
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(lm.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, library, str(chunk)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return float(ran.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="measures memory as Linux does")
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_there_is_no_matrix_of_logits(library: str) -> None:
    """The bar is 5 %; what an allocator keeps may differ from machine to machine."""
    if library == "torch":
        pytest.importorskip("torch")
    assert share_of_logits(library, 0) < 0.08


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="measures memory as Linux does")
def test_the_measurement_sees_the_logits() -> None:
    """Negative control: all rows in one chunk."""
    assert share_of_logits("numpy", 4096) > 0.95
