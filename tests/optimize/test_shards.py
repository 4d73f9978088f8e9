"""Fits over shards: the coefficients of a fit in memory, few passes, bounded memory, and clear refusals."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import sklearn.base
from scipy.sparse import csr_matrix

import lossmith as lm
from lossmith.optimize import solve

RNG = np.random.default_rng(7)
N, D = 6000, 5
X = RNG.standard_normal((N, D)) * [1.0, 2.0, 0.5, 1.0, 3.0] + 0.3
SIGNAL = X @ [1.0, -0.5, 2.0, 0.0, 0.2] + 0.7
REAL = SIGNAL + RNG.standard_t(2, N)
BIT = (SIGNAL + RNG.logistic(size=N) > 0).astype(float)
COUNT = RNG.poisson(np.exp(0.2 * SIGNAL)).astype(float)
CLASS = np.digitize(SIGNAL + RNG.logistic(size=N), [-1.0, 2.0])
WEIGHT = RNG.integers(0, 4, N).astype(float)
PENALTIES = [None, lm.L2(0.05), lm.L1(0.03), lm.ElasticNet(0.05, 0.5)]
LOSSES = [
    lm.MeanSquaredError(),
    lm.Huber(delta=1.2),
    lm.LogCosh(),
    lm.Tukey(),
    lm.BinaryCrossEntropy(),
    lm.BinaryFocal(),
    lm.PoissonNLL(),
    lm.GammaNLL(),
    lm.SquaredHinge(),
    lm.Hinge(),
    lm.MeanAbsoluteError(),
    lm.Quantile(q=0.9),
    lm.CategoricalCrossEntropy(),
]


def targets(loss):
    if loss.tier == "row-wise":
        return CLASS
    if isinstance(loss, lm.Hinge | lm.SquaredHinge):
        return 2 * BIT - 1
    if isinstance(loss, lm.GammaNLL):
        return COUNT + 1.0
    return {"binary": BIT, "count": COUNT}.get(loss.traits.task, REAL)


def passes(found):
    return found.history.passes[-1]


def centred(w):
    return w - w.mean(axis=1, keepdims=True) if w.ndim == 2 else w


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_coefficients_of_a_fit_in_memory(loss, penalty) -> None:
    outputs = 3 if loss.tier == "row-wise" else None
    settings = {"penalty": penalty, "outputs": outputs, "tolerance": 1e-12}
    table = lm.shards.from_arrays(X, targets(loss), WEIGHT, rows=1000)
    here = solve(loss, X, targets(loss), sample_weight=WEIGHT, **settings)
    there = solve(loss, table, **settings)
    ours, theirs = there.coefficients, here.coefficients
    if penalty is None:  # rows of logits may be shifted
        ours, theirs = centred(ours), centred(theirs)
    # SciPy's L-BFGS, in memory, ends some 1e-8 away from where Newton's method over shards does.
    np.testing.assert_allclose(ours, theirs, atol=1e-8 if outputs is None else 1e-7)
    assert there.objective <= here.objective + 1e-14
    assert 3 <= passes(there) <= 15
    assert passes(there) <= 6 or not loss.traits.convex


@pytest.mark.parametrize(
    "penalty", [lm.MCP(0.05), lm.SCAD(0.05), lm.Box(-0.1, 0.4), lm.GroupLasso(groups=(0, 0, 1, 1, 1), alpha=0.05)]
)
def test_other_penalties(penalty) -> None:
    table = lm.shards.from_arrays(X, REAL, rows=1000)
    here, there = (solve(lm.Huber(), *data, penalty=penalty, tolerance=1e-11) for data in ((X, REAL), (table,)))
    assert there.status == "converged"
    np.testing.assert_allclose(there.coefficients, here.coefficients, atol=1e-8)


@pytest.mark.parametrize("loss", [lm.Huber(), lm.Quantile(q=0.3)], ids=repr)
def test_the_cuts_do_not_matter(loss) -> None:
    found = [solve(loss, lm.shards.from_arrays(X, REAL, rows=rows), tolerance=1e-12) for rows in (N, 777)]
    np.testing.assert_allclose(found[0].coefficients, found[1].coefficients, atol=1e-10)


def test_threads_and_sparse_rows() -> None:
    kinds = [lm.shards.from_arrays(X, BIT, rows=500), lm.shards.from_arrays(X, BIT, rows=500, n_jobs=2)]
    kinds.append(lm.shards.from_arrays(csr_matrix(X), BIT, rows=500))
    for loss in (lm.BinaryCrossEntropy(), lm.MeanAbsoluteError()):
        first, *others = (solve(loss, kind, tolerance=1e-12).coefficients for kind in kinds)
        for other in others:
            np.testing.assert_allclose(other, first, atol=1e-10)


def test_files(tmp_path) -> None:
    import pandas as pd

    for name, array in (("X", X), ("y", REAL), ("w", WEIGHT), ("X32", X.astype(np.float32))):
        np.save(tmp_path / f"{name}.npy", array)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(y=REAL, w=WEIGHT)
    for i, part in enumerate((frame[:4000], frame[4000:])):
        part.to_parquet(tmp_path / f"part{i}.parquet", row_group_size=1500)
    expected = solve(lm.Huber(), X, REAL, sample_weight=WEIGHT, tolerance=1e-12).coefficients
    npy = [tmp_path / f"{name}.npy" for name in ("X", "y", "w")]
    mapped = np.load(npy[0], mmap_mode="r")
    tables = [
        lm.shards.from_memmap(*npy, rows=700),
        lm.shards.from_memmap(mapped, REAL, WEIGHT, rows=700),
        lm.shards.from_parquet(tmp_path, target="y", weight="w", rows=700),
        lm.shards.from_parquet(sorted(tmp_path.glob("*.parquet")), "y", list("abcde"), "w", n_jobs=2),
        lm.shards.from_blocks(lambda i: (X[i::4], REAL[i::4], WEIGHT[i::4]), 4, D),
    ]
    for table in tables:
        np.testing.assert_allclose(solve(lm.Huber(), table, tolerance=1e-12).coefficients, expected, atol=1e-9)
    # A part of a mapped array is not its file.
    part = lm.shards.from_memmap(mapped[100:4000], REAL[100:4000])
    expected = solve(lm.Huber(), X[100:4000], REAL[100:4000], tolerance=1e-12).coefficients
    np.testing.assert_allclose(solve(lm.Huber(), part, tolerance=1e-12).coefficients, expected, atol=1e-9)
    single = lm.shards.from_memmap(tmp_path / "X32.npy", REAL)
    assert solve(lm.Huber(), single).status == "converged"


def test_where_little_may_be_held_smoothing_comes_nearer_first() -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60_000, 4))
    y = Z @ [1.0, 0.0, -1.0, 2.0] + rng.standard_t(2, 60_000)
    for penalty in (None, lm.L1(0.02)):
        found = [
            solve(lm.Quantile(q=0.8), lm.shards.from_arrays(Z, y, rows=5000, memory=memory), penalty=penalty)
            for memory in (2**28, 2**16)
        ]
        assert [one.status for one in found] == ["converged"] * 2
        assert found[1].objective == pytest.approx(found[0].objective, rel=2e-8)
        assert passes(found[0]) < passes(found[1]) < 40


def test_many_features_on_working_sets_and_by_lbfgs() -> None:
    rng = np.random.default_rng(2)
    Z = rng.standard_normal((2500, 1200))
    y = Z[:, :5].sum(axis=1) + rng.standard_normal(2500)
    table = lm.shards.from_arrays(Z, y, rows=500)
    for penalty in (lm.L1(0.15), lm.L2(0.1)):
        here, there = (solve(lm.Huber(), *data, penalty=penalty, tolerance=1e-10) for data in ((Z, y), (table,)))
        assert there.status == "converged"
        np.testing.assert_allclose(there.coefficients, here.coefficients, atol=1e-8)
        assert passes(there) < 60


@pytest.mark.parametrize(
    ("solver", "loss", "penalty", "method"),
    [
        ("newton", lm.LogCosh(), lm.L2(0.05), "newton"),
        ("irls", lm.Tukey(), None, "irls"),
        ("proximal_newton", lm.Huber(delta=1.2), lm.L1(0.03), "proximal newton"),
        ("lbfgs", lm.BinaryCrossEntropy(), lm.L2(0.05), "lbfgs"),
        ("lbfgs", lm.CategoricalCrossEntropy(), lm.L2(0.05), "lbfgs"),
        ("newton_rows", lm.CategoricalCrossEntropy(), lm.L1(0.01), "proximal newton"),
        ("nesterov", lm.LogCosh(), lm.L2(0.05), "proximal gradient"),
        ("fista", lm.BinaryCrossEntropy(), lm.ElasticNet(0.02, 0.5), "proximal gradient"),
        ("fista", lm.CategoricalCrossEntropy(), lm.L1(0.01), "proximal gradient"),
        ("proximal_gradient(accelerate=False)", lm.Huber(), lm.GroupLasso((0, 0, 1, 1, 1), 0.05), "proximal gradient"),
        ("interior", lm.MeanAbsoluteError(), lm.L1(0.03), "interior"),
    ],
)
def test_named_solvers(solver, loss, penalty, method) -> None:
    outputs, y = (3 if loss.tier == "row-wise" else None), targets(loss)
    scaled = X / X.std(axis=0)
    table = lm.shards.from_arrays(scaled, y, WEIGHT, rows=1000)
    settings = {"penalty": penalty, "outputs": outputs, "tolerance": 1e-11}
    there = solve(loss, table, solver=solver, **settings)
    here = solve(loss, scaled, y, sample_weight=WEIGHT, **settings)
    assert there.method == f"{method} over shards"
    assert there.status == "converged"
    np.testing.assert_allclose(there.coefficients, here.coefficients, atol=1e-8 if outputs is None else 1e-7)
    assert passes(there) <= 2 * there.iterations + 3


def test_solvers_that_do_not_go_over_shards() -> None:
    table = lm.shards.from_arrays(X, REAL)
    wide = lm.shards.from_blocks(lambda i: (np.zeros((9, 1200)), np.zeros(9)), 1, 1200)
    for solver, data, penalty, message in (
        ("gd", table, None, "does not work over shards; .*: nesterov, lbfgs, .*newton, .*auto$"),
        ("newton(search=armijo)", table, None, "does not work over shards"),
        ("cd", table, lm.L1(0.1), "does not work over shards; .*: proximal_gradient, proximal_newton, auto$"),
        ("lbfgs", table, lm.L1(0.1), "lbfgs.* over shards takes no penalty or L2; give 'proximal_gradient'"),
        ("newton", wide, lm.L2(0.1), "up to 1000 coefficients, not 1201; give 'lbfgs'"),
        ("interior", table, None, "cannot minimise huber"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(lm.Huber(), data, penalty=penalty, solver=solver)
        with pytest.raises(ValueError, match=message):
            lm.LossRegressor("huber", penalty=penalty, solver=solver).fit(data)


def test_limits_and_watch() -> None:
    table, seen = lm.shards.from_arrays(X, COUNT, rows=1000), []
    start = np.zeros(D), 0.0
    short = solve(lm.PoissonNLL(), table, start=start, max_iterations=2, watch=lambda step: seen.append(step.objective))
    assert short.status == "iteration_limit"
    assert "stopped after 2 steps" in short.message
    assert short.history.objective.tolist() == seen
    assert seen[-1] == short.objective < seen[0]
    assert solve(lm.PoissonNLL(), table, start=start, max_seconds=0.0).status == "time_limit"


def test_refusals() -> None:
    bad = X.copy()
    bad[4321, 2] = np.nan
    table = lm.shards.from_arrays(X, REAL)
    for problem, message in (
        (lambda: solve(lm.Huber(), table, REAL), "hold targets"),
        (lambda: solve(lm.Huber(), lm.shards.from_arrays(bad, REAL, rows=1000)), "NaN or infinite"),
        (lambda: solve(lm.Huber(), lm.shards.from_arrays(X, REAL, 0 * WEIGHT)), "0 for every sample"),
        (lambda: solve(lm.Huber(), lm.shards.from_arrays(X, REAL, -WEIGHT)), "finite numbers >= 0"),
        (lambda: lm.shards.from_arrays(X, REAL[:-1]), "y has shape"),
        (lambda: lm.shards.from_arrays(X, REAL, rows=0), "rows=0"),
        (lambda: solve(lm.PoissonNLL(), table), "PoissonNLL"),
        (lambda: solve(lm.MultiMargin(p=1), table, outputs=3), "has kinks"),
        (lambda: solve(lm.CategoricalCrossEntropy(), table), "outputs=None"),
        (lambda: lm.shards.from_parquet("nowhere.parquet", "y"), "no Parquet files"),
        (lambda: lm.LossRegressor().fit(table, REAL), "hold targets"),
    ):
        with pytest.raises(ValueError, match=message):
            problem()


def test_parquet_refusals(tmp_path) -> None:
    import pandas as pd

    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"], "y": [0.0, 1.0]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"column 'b' .* holds .*string"):
        lm.shards.from_parquet(tmp_path / "t.parquet", "y")
    with pytest.raises(ValueError, match="has no column 'z'; it has a, b, y"):
        lm.shards.from_parquet(tmp_path / "t.parquet", "z", ["a"])


def test_estimators() -> None:
    far = X * [1.0, 1e4, 1.0, 1e-3, 1.0] + [0.0, 0.0, 1e5, 0.0, 0.0]  # moved and scaled on the way
    table = lm.shards.from_arrays(far, REAL, WEIGHT, rows=1000)
    here = lm.LossRegressor("huber", penalty=None, tol=1e-12).fit(far, REAL, WEIGHT)
    there = lm.LossRegressor("huber", penalty=None, tol=1e-12).fit(table)
    np.testing.assert_allclose(there.coef_, here.coef_, rtol=1e-9)
    np.testing.assert_allclose(there.predict(table), here.predict(far), rtol=1e-8)
    again = lm.LossRegressor("huber", penalty=None, warm_start=True).fit(table)
    assert again.fit(table).n_iter_ == 0
    names = np.array(["left", "right"])[BIT.astype(int)]
    for loss in ("log_loss", "hinge"):
        here = lm.LossClassifier(loss, tol=1e-12).fit(X, names)
        there = lm.LossClassifier(loss, tol=1e-12).fit(lm.shards.from_arrays(X, names, rows=1000))
        np.testing.assert_allclose(there.coef_, here.coef_, atol=1e-9)
        assert (there.predict(X) == here.predict(X)).all()
    several = lm.LossClassifier().fit(lm.shards.from_arrays(X, CLASS + 4, rows=1000))
    assert several.predict_proba(X).shape == (N, 3)
    for given in ("balanced", {"left": 3.0, "right": 0.5}):
        model = lm.LossClassifier(class_weight=given, tol=1e-12)
        there = sklearn.base.clone(model).fit(lm.shards.from_arrays(X, names, WEIGHT, rows=1000))
        np.testing.assert_allclose(there.coef_, model.fit(X, names, WEIGHT).coef_, atol=1e-9)
        assert np.abs(there.coef_ - lm.LossClassifier(tol=1e-12).fit(X, names, WEIGHT).coef_).max() > 1e-3
    with pytest.raises(ValueError, match=r"The classes, \['up'\], are not in class_weight|not in classes|class_weight"):
        lm.LossClassifier(class_weight={"up": 3.0}).fit(lm.shards.from_arrays(X, names))
    several = lm.QuantileLossRegressor((0.2, 0.7), alpha=1e-3).fit(lm.shards.from_arrays(X, REAL, WEIGHT, rows=1000))
    here = lm.QuantileLossRegressor((0.2, 0.7), alpha=1e-3).fit(X, REAL, WEIGHT)
    np.testing.assert_allclose(several.coef_, here.coef_, atol=1e-7)
    np.testing.assert_allclose(several.predict(X), here.predict(X), atol=1e-6)
    with pytest.warns(UserWarning, match="a hyperplane separates"):
        lm.LossClassifier(penalty=None).fit(lm.shards.from_arrays(X, X[:, 0] > 0, rows=1000))
    with pytest.raises(ValueError, match="one class only"):
        lm.LossClassifier().fit(lm.shards.from_arrays(X, 0 * BIT))


def test_dask() -> None:
    pytest.importorskip("dask.array")
    import dask.array
    import pandas as pd

    parts = [dask.array.from_array(part, chunks=size) for part, size in ((X, (900, 2)), (REAL, 1000), (WEIGHT, 800))]
    for loss in (lm.Huber(), lm.Quantile(q=0.7)):
        expected = solve(loss, X, REAL, sample_weight=WEIGHT, tolerance=1e-12).coefficients
        found = solve(loss, lm.shards.from_dask(*parts), tolerance=1e-12)
        np.testing.assert_allclose(found.coefficients, expected, atol=1e-9)
        fitted = lm.LossRegressor(loss, penalty=None, tol=1e-12).fit(*parts)
        np.testing.assert_allclose(fitted.coef_, expected, atol=1e-9)
    np.testing.assert_allclose(fitted.predict(parts[0]), fitted.predict(X), rtol=1e-12)
    frames = pytest.importorskip("dask.dataframe")
    frame = frames.from_pandas(pd.DataFrame(X, columns=list("abcde")).assign(y=REAL), npartitions=5)
    named = solve(lm.Huber(), lm.shards.from_dask(frame, target="y"), tolerance=1e-12)
    np.testing.assert_allclose(named.coefficients, solve(lm.Huber(), X, REAL, tolerance=1e-12).coefficients, atol=1e-9)
    weighted = lm.LossRegressor("huber", penalty=None, tol=1e-12)
    weights = frames.from_pandas(pd.Series(WEIGHT), npartitions=5)
    weighted.fit(frame[list("abcde")], frame["y"], sample_weight=weights)
    here = solve(lm.Huber(), X, REAL, sample_weight=WEIGHT, tolerance=1e-12)
    np.testing.assert_allclose(weighted.coef_, here.coefficients, atol=1e-9)
    with pytest.raises(ValueError, match="no column"):
        lm.shards.from_dask(frame, target="nothing")
    with pytest.raises(ValueError, match="y has shape"):
        lm.shards.from_dask(parts[0], parts[1][:-5])


MEASURE = """
import json, sys
import numpy as np
import lossmith as lm

def peak():
    # not ru_maxrss, which starts with what the parent had
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

folder, *losses = sys.argv[1:]
small = lm.shards.from_arrays(np.random.default_rng(0).standard_normal((5000, 20)), np.arange(5000.0), rows=1000)
for loss in losses:
    lm.LossRegressor(loss).fit(small)  # what code and compilers take
before = peak()
table = lm.shards.from_memmap(folder + "/X.npy", folder + "/y.npy", rows=2000, memory=2**20)
fitted = [lm.LossRegressor(loss).fit(table) for loss in losses]
print(json.dumps([peak() - before, [(one.solution_.status, one.coef_.tolist()) for one in fitted]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is what Linux tells")
def test_memory_stays_bounded(tmp_path) -> None:
    """Data of 64 MB are fitted in a tenth of that; the coefficients are those of a fit in memory."""
    rng = np.random.default_rng(1)
    Z = rng.standard_normal((400_000, 20))
    y = Z.sum(axis=1) + rng.standard_t(2, len(Z))
    np.save(tmp_path / "X.npy", Z)
    np.save(tmp_path / "y.npy", y)
    losses = ["huber", "quantile(q=0.8)"]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(lm.__file__).parents[1])}
    command = [sys.executable, "-c", MEASURE, str(tmp_path), *losses]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    grown, fitted = json.loads(ran.stdout)
    assert grown < Z.nbytes / 10
    for loss, (status, coefficients) in zip(losses, fitted, strict=True):
        assert status == "converged"
        np.testing.assert_allclose(coefficients, lm.LossRegressor(loss).fit(Z, y).coef_, atol=1e-8)
