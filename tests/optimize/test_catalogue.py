"""Every loss x penalty on real data against SciPy: a small part of what benchmarks/catalogue.py runs."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest

import lossmith as lm

PATH = pathlib.Path(__file__).parents[2] / "benchmarks" / "catalogue.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("catalogue_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_optimum(benchmark) -> None:
    X, y = benchmark.standardised(benchmark.sets()["diabetes"], rows=40)
    for loss in benchmark.losses():
        for kind, penalty in benchmark.PENALTIES.items():
            result = benchmark.cell(loss, penalty, X, y)
            assert benchmark.good(result), (loss, kind, result)


def test_a_wrong_optimum_is_noticed(benchmark) -> None:
    X, y = benchmark.standardised(benchmark.sets()["diabetes"], rows=60)
    result = benchmark.cell(lm.Huber(), lm.L1(0.01), X, y)
    result["excess"] = benchmark.excess(result["objective"] * (1 + 2e-6), result["scipy"], 1.0)
    assert not benchmark.good(result)


def test_the_oracles_agree_where_two_apply(benchmark) -> None:
    """A linear programme and a dual with hardly any L2; the quantile loss of the one is that of the other."""
    X, y = benchmark.standardised(benchmark.sets()["diabetes"], rows=60)
    plain = benchmark.Objective.build(lm.Quantile(q=0.3), X, y)
    ridge = benchmark.Objective.build(lm.Quantile(q=0.3), X, y, penalty=lm.L2(1e-6))
    assert benchmark.least(ridge) == pytest.approx(benchmark.least(plain), rel=1e-4)
