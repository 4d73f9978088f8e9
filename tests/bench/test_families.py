"""Every family computes on every peer what we compute, at sizes that take no time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lossmith.bench import limits, peers
from lossmith.bench.families import ELEMENTWISE, FAMILIES, GRADIENT, HESSIAN, OPERATIONS, VALUE, Work, prepare
from lossmith.bench.measure import Effort, measure
from lossmith.bench.peers import ours, scikit, textbook
from lossmith.bench.peers.contender import Contender
from lossmith.bench.run import TOLERANCE

ONCE = Effort(0.0, least=1, most=1, few=1)
SMALL = {
    "cce": (7, 5), "categorical_focal": (7, 5), "kl_divergence": (7, 5), "gaussian_nll": (9,), "dice": (2, 6, 5),
    "ctc": (9, 3, 5, 3), "triplet": (16, 4, 4), "contrastive": (16, 4, 4), "nt_xent": (8, 4),
    "linear_cross_entropy": (6, 4, 5), "multi_margin": (7, 5), "info_nce": (5, 4),
}  # fmt: skip
CASES = [(name, operation) for name, family in FAMILIES.items() for operation in family.operations]
# scikit-learn gives boosters a constant in place of a second derivative that is 0.
SURROGATES = {("sklearn", "quantile", HESSIAN), ("sklearn", "mae", HESSIAN)}


def work(name: str, operation: str, dtype: str = "float64") -> Work:
    return prepare(FAMILIES[name], operation, dtype, SMALL.get(name, (300,)))


def agree(others: list[Contender], given: Work) -> None:
    for timing in measure([ours.contenders(given)[0], *others], TOLERANCE[given.dtype], ONCE)[1:]:
        odd = (timing.contender, given.name, given.operation) in SURROGATES
        assert timing.status == ("differs" if odd else "timed"), timing


@pytest.mark.parametrize(("name", "operation"), CASES)
def test_numpy_and_sklearn_compute_the_same(name: str, operation: str) -> None:
    for dtype in ("float64", "float32"):
        given = work(name, operation, dtype)
        agree([*ours.contenders(given), *textbook.contenders(given), *scikit.contenders(given, 1)], given)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("peer", "module"),
    [("torch", "torch"), ("lossmith_torch", "torch"), ("optax", "optax"), ("pml", "pytorch_metric_learning")],
)
def test_frameworks_compute_the_same(peer: str, module: str, name: str) -> None:
    pytest.importorskip(module)
    entrant = peers.ENTRANTS[peer]
    entrant.prepare(1)
    for operation in FAMILIES[name].operations:
        given = work(name, operation)
        agree(entrant.contenders(given, 1), given)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bce", "focal", "poisson_nll", "cce", "kl_divergence", "dice", "ctc"])
@pytest.mark.filterwarnings("ignore")
def test_keras_computes_the_same(name: str) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras")
    entrant = peers.ENTRANTS["keras"]
    given = work(name, GRADIENT, "float32")
    agree(entrant.contenders(given, 1), given)


def test_every_registered_loss_is_a_family_or_is_known_to_have_no_peer() -> None:
    import lossmith as lm

    named = {loss.name for loss in lm.find()}
    # The time of nll is that of the distribution it is given, that of a sum its parts'.
    assert named - set(FAMILIES) == {"nll", "weighted_sum"}
    assert set(FAMILIES) - named == {"linear_cross_entropy"}  # two arrays to differentiate by


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_are_those_of_the_loss(name: str) -> None:
    family = FAMILIES[name]
    if name != "linear_cross_entropy":
        fields = {field.name for field in dataclasses.fields(family.loss())}
        assert set(family.settings) <= fields
    assert set(family.operations) <= set(OPERATIONS)
    assert (family.tier == ELEMENTWISE) == (not family.shapes)


def test_inputs_are_the_same_every_time_and_in_the_dtype() -> None:
    first = {key: array.copy() for key, array in work("huber", VALUE, "float32").arrays.items()}
    prepare(FAMILIES["bce"], VALUE, "float32", (10,))
    second = work("huber", VALUE, "float32").arrays
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
        assert second[key].dtype == np.float32
    assert work("cce", VALUE).y.dtype.kind == "i"


def test_the_memory_limit_moves_exactly_the_bytes_of_the_work() -> None:
    n = 300
    assert work("bce", VALUE).moved == 8 * 2 * n
    assert work("bce", GRADIENT).moved == 8 * 4 * n
    assert work("bce", HESSIAN).moved == 8 * 5 * n
    assert work("bce", GRADIENT, "float32").moved == 4 * 4 * n
    rows, classes = SMALL["cce"]
    assert work("cce", GRADIENT).moved == 8 * (rows + rows * classes) + 8 * (rows + rows * classes)


@pytest.mark.parametrize(("name", "operation"), CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_limits_leave_inputs_alone(name: str, operation: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_ALONE", 1)
    given = work(name, operation)
    before = {key: array.copy() for key, array in given.arrays.items()}
    found = limits.contenders(given, threads)
    for contender in found:
        contender.call()
    for key, array in given.arrays.items():
        np.testing.assert_array_equal(array, before[key])
    assert (len(found) > 1) == (FAMILIES[name].gemms is not None and operation != VALUE)


def test_copies_pair_inputs_with_results_of_their_size() -> None:
    a, b, small = np.ones(5), np.ones(5), np.ones(2)
    targets = [np.zeros(5), np.zeros(5), np.zeros(5)]
    copies, reads, fills = limits._paired([a, small, b], targets)
    assert [(source is a, source is b) for source, _ in copies] == [(True, False), (False, True)]
    assert [array is small for array in reads] == [True]
    assert len(fills) == 1


def test_a_missing_peer_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata as metadata

    def gone(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(peers.importlib.metadata, "version", gone)
    found = peers.enter(list(peers.ENTRANTS), 1)
    assert [peer.name for peer in found] == list(peers.ENTRANTS)
    assert all(peer.version is None and peer.note == "not installed" for peer in found)
    assert peers.contenders_of(work("bce", VALUE), found, 1) == ([], [])


def test_a_broken_peer_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(threads: int) -> None:
        raise ImportError("libgone.so:\n cannot open")

    entrant = dataclasses.replace(peers.ENTRANTS["numpy"], prepare=broken)
    monkeypatch.setitem(peers.ENTRANTS, "numpy", entrant)
    (found,) = (peer for peer in peers.enter(["numpy"], 1) if peer.name == "numpy")
    assert found.version is None
    assert found.note == "cannot be loaded: ImportError: libgone.so: cannot open"


def test_a_peer_that_cannot_do_the_work_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(given: Work, threads: int) -> list[Contender]:
        raise NotImplementedError("moved in the next version")

    monkeypatch.setitem(peers.ENTRANTS, "numpy", dataclasses.replace(peers.ENTRANTS["numpy"], contenders=fail))
    found, notes = peers.contenders_of(work("bce", VALUE), peers.enter(["numpy"], 1), 1)
    assert found == []
    assert notes == ["numpy on bce: NotImplementedError: moved in the next version"]


def test_peers_are_imported_only_when_they_take_part() -> None:
    import subprocess
    import sys

    code = (
        "import sys, lossmith.bench.run, lossmith.bench.peers, lossmith.bench.apart, lossmith.bench.page\n"
        "print(sorted({'torch', 'jax', 'tensorflow', 'keras', 'sklearn', 'matplotlib', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
