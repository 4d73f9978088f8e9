"""Kernels that were just compiled and those read from the disk give the same bits."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("numba")

SCRIPT = """
import hashlib, json, sys
import numpy as np
import lossmith as lm

def digests(seed):
    rng = np.random.default_rng(seed)
    queries, keys = (rng.standard_normal((600, 32)).astype(np.float32) for _ in range(2))
    wide, narrow = rng.standard_normal((2, 40_000)), rng.standard_normal((4_000, 10)).astype(np.float32)
    cases = {
        "info_nce": (lm.InfoNCE(temperature=0.1), *lm.InfoNCE.given(queries, keys)),
        "bce": (lm.BinaryCrossEntropy(), (wide[0] > 0).astype(float), wide[1]),
        "softmax": (lm.CategoricalCrossEntropy(), rng.integers(0, 10, 4_000), narrow),
    }
    return {name: [hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()
                   for part in loss.value_and_gradient(y, f)] for name, (loss, y, f) in cases.items()}

print(json.dumps([digests(0), digests(1)]))
"""


def run(folder: pathlib.Path) -> tuple[Any, set[str]]:
    """Digests for two draws of numbers, and the compiled files that there are then."""
    ours = {"LOSSMITH_CACHE_DIR": str(folder), "NUMBA_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**os.environ, **ours}, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout), {f"{file} {file.stat().st_mtime_ns}" for file in folder.rglob("*.nbc")}


def test_fresh_and_cached_kernels_give_the_same_bits(tmp_path: pathlib.Path) -> None:
    """Helpers that are compiled again beside a loop may get other lanes; the two draws are the control."""
    (fresh, others), compiled = run(tmp_path)
    assert all(fresh[name] != others[name] for name in fresh)
    again, files = run(tmp_path)
    assert files == compiled
    assert len(files) >= 4
    assert again == [fresh, others]
