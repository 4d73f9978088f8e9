"""The bench of injected faults: its list is whole, its twins are sound, a fault is found from end to end."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from lossmith.diagnose.causes import causes  # noqa: E402
from lossmith.diagnose.probes import TorchPatient, examine  # noqa: E402
from lossmith.diagnose.symptoms import RULES  # noqa: E402
from lossmith.diagnose.words import CAUSES  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.diagnosis.grid")


def test_the_list_is_whole(bench):
    faults, known = bench.FAULTS.values(), {rule.id for rule in RULES}
    assert len(faults) >= 25
    assert {fault.cause for fault in faults} <= set(CAUSES)
    assert {sign for fault in faults for sign in fault.symptoms} <= known
    development = {fault.cause for fault in faults if not fault.held_out}
    assert {fault.cause for fault in faults if fault.held_out} <= development
    assert len(bench.data.SOURCES) >= 8
    assert set(bench.data.SOURCES) > bench.data.HELD_OUT
    assert set(bench.nets.ARCHITECTURES) > bench.nets.HELD_OUT


def test_every_fault_applies_somewhere(bench):
    pytest.importorskip("statsmodels", reason="three data sets come from it")
    drawn = list(bench.drawn_cases())
    assert set(bench.FAULTS) <= {case.fault for case in drawn}
    # Nothing but the fault, the data or the architecture is new at a time, and each of them is somewhere.
    assert {case.held_out for case in drawn} >= {(), ("data",), ("architecture",), ("fault",)}
    assert not any("fault" in case.held_out and len(case.held_out) > 1 for case in drawn)


def test_a_twin_shares_the_manner_of_its_faults(bench):
    pytest.importorskip("statsmodels", reason="three data sets come from it")
    for case in list(bench.drawn_cases())[::97]:
        twin, manner = bench.Case(case.dataset, case.arch, case.seed).setup(), case.setup().manner
        assert manner is not None
        assert twin.manner == manner


def test_manners_differ(bench):
    manners = [bench.Case("iris", "shallow", seed).setup().manner for seed in range(2, 40)]
    assert {m.descent.name for m in manners} == {"sgd", "plain sgd", "adamw", "adam", "rmsprop"}
    assert {m.evaluates for m in manners} == {True, False}
    assert len({m.schedule for m in manners}) == 4


def test_from_fault_to_cause(bench, tmp_path):
    twin, sick = bench.Case("iris", "shallow", 1), bench.Case("iris", "shallow", 1, "no_step", 0)
    for case in (twin, sick):
        record, _, loop, row = bench.run(case)
        bench.write(tmp_path, case, record, loop, row)
    rows = {row["fault"]: row for row in bench.manifest(tmp_path)}
    assert rows["healthy"]["accepted"]
    assert rows["no_step"]["accepted"]
    _, plan, loop = bench.revive(tmp_path, sick)
    ranked = causes(bench.read_record(tmp_path, sick.name), examine(TorchPatient.of(plan, loop)))
    assert ranked[0].id == "optimizer-not-stepping"
