"""Fits on a cluster of processes, reached by its scheduler's address as a remote user would."""

from __future__ import annotations

import os
import signal
import warnings

import numpy as np
import pytest

import lossmith as lm

pytest.importorskip("dask.array")
pytest.importorskip("distributed")

RNG = np.random.default_rng(11)
N = 4000
X = RNG.standard_normal((N, 4)) * [1.0, 2.0, 0.5, 1.0]
REAL = X @ [1.0, -0.5, 2.0, 0.0] + RNG.standard_t(2, N)
KIND = np.where(X[:, 0] + RNG.logistic(size=N) > 1.0, "late", "early")
WEIGHT = RNG.integers(0, 3, N).astype(float)


@pytest.fixture(scope="module")
def client():
    """Return a client that knows an address only: two processes of one thread, each watched by a nanny."""
    from distributed import Client, LocalCluster

    path = os.pathsep.join([os.path.dirname(os.path.dirname(lm.__file__)), os.environ.get("PYTHONPATH", "")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of event loops and ports, none of them ours
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, env={"PYTHONPATH": path}
            ) as cluster,
            Client(cluster.scheduler_address) as client,
        ):
            yield client


def chunked(*arrays, rows=900):
    import dask.array

    return [dask.array.from_array(array, chunks=(rows, *array.shape[1:])) for array in arrays]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", ["huber", "quantile(q=0.8)"])
def test_the_coefficients_of_a_fit_in_memory(client, loss) -> None:
    settings = {"penalty": "l1", "alpha": 0.02, "tol": 1e-11}
    here = lm.LossRegressor(loss, **settings).fit(X, REAL, WEIGHT)
    there = lm.LossRegressor(loss, **settings).fit(*chunked(X, REAL, WEIGHT))
    np.testing.assert_allclose(there.coef_, here.coef_, atol=1e-8)
    np.testing.assert_allclose(there.predict(chunked(X)[0]), here.predict(X), atol=1e-7)
    assert there.solution_.method.endswith("over shards")


@pytest.mark.filterwarnings("ignore")
def test_classes_on_a_cluster(client) -> None:
    settings = {"class_weight": "balanced", "tol": 1e-11, "solver": "newton"}
    here = lm.LossClassifier(**settings).fit(X, KIND, WEIGHT)
    there = lm.LossClassifier(**settings).fit(*chunked(X, KIND, WEIGHT))
    np.testing.assert_allclose(there.coef_, here.coef_, atol=1e-8)
    assert there.classes_.tolist() == ["early", "late"]


@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_is_replaced(client) -> None:
    """It is killed when it has had some blocks in its hands; the nanny starts another one."""
    blocks, *others = chunked(X, REAL)
    process, kill = os.getpid(), signal.SIGKILL if os.name == "posix" else signal.SIGTERM
    before = client.run(os.getpid)
    assert process not in before.values()
    kept = client.persist([blocks, *others])  # what the dead one held is computed again
    victim, steps = next(iter(before.values())), []

    def watch(step):
        if not steps:
            os.kill(victim, kill)
        steps.append(step.objective)

    found = lm.solve(lm.LogCosh(), lm.shards.from_dask(*kept), tolerance=1e-11, watch=watch)
    here = lm.solve(lm.LogCosh(), X, REAL, tolerance=1e-11)
    np.testing.assert_allclose(found.coefficients, here.coefficients, atol=1e-8)
    assert found.status == "converged"
    assert len(steps) > 1
    client.wait_for_workers(2, timeout=30)
    assert victim not in client.run(os.getpid).values()


@pytest.mark.filterwarnings("ignore")
def test_bad_rows_are_refused_in_the_same_line_as_in_memory(client) -> None:
    bad = X.copy()
    bad[3000, 1] = np.nan
    with pytest.raises(ValueError, match="X holds NaN or infinite numbers"):
        lm.LossRegressor().fit(*chunked(bad, REAL))


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_gives_up_is_one_line(client) -> None:
    import dask.array
    from dask import delayed

    (targets,) = chunked(REAL)
    rows = [dask.array.from_delayed(delayed(_too_large)(size), (size, 4), dtype=float) for size in targets.chunks[0]]
    client.run_on_scheduler(_strict)
    with pytest.raises(RuntimeError, match=r"the Dask cluster did not finish a pass .*Killed") as caught:
        lm.LossRegressor().fit(dask.array.concatenate(rows), targets)
    assert "\n" not in str(caught.value)


def _strict(dask_scheduler) -> None:
    """Give up at the first worker that dies, so that the test need not wait for four."""
    dask_scheduler.allowed_failures = 0


def _too_large(size):
    """Stand for a block that ends its worker, as the operating system does when memory is out."""
    os._exit(1)
