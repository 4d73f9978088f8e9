"""The laws of Keras (``keras_laws.py``, ``keras_training_laws.py``) on each backend, and what is said without Keras."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import lossmith as lm

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# NumPy 2 against tensors of torch, inside Keras's convert_to_numpy.
NOT_OURS = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"


def installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_laws_hold(backend: str) -> None:
    if not installed("keras", backend):
        pytest.skip(f"keras or {backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-W", NOT_OURS]
    command += [str(HERE / name) for name in ("keras_laws.py", "keras_training_laws.py")]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout


@pytest.mark.parametrize("ask", [lambda: lm.to_keras("huber"), lm.register_keras])
def test_a_missing_keras_names_what_to_install(ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match=r"pip install 'lossmith\[keras\]'"):
        ask()
