"""Solvers by name: a name, its settings and a configuration lead to the same solver; a slip is one line."""

from __future__ import annotations

import pytest

import lossmith as lm
from lossmith.optimize.solvers import SOLVERS

X, Y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]


@pytest.mark.parametrize("name", lm.solvers.names())
def test_names_and_configurations_lead_back(name) -> None:
    solver = lm.solvers.get(name)
    assert lm.solvers.from_config(solver.to_config()) == solver
    assert lm.solvers.get(str(solver)) == solver
    assert all(lm.solvers.get(alias) == solver for alias in solver.aliases)
    assert type(solver).__doc__
    assert ">>>" in type(solver).__doc__


def test_settings_lead_back() -> None:
    text = "gd(search=armijo(shrink=0.3))"
    solver = lm.solvers.GradientDescent(search=lm.solvers.Armijo(shrink=0.3))
    assert lm.solvers.get(text) == solver == lm.solvers.GradientDescent(search="armijo(shrink=0.3)")
    assert str(solver) == text
    assert lm.solvers.from_config(solver.to_config()) == solver
    assert solver.to_config()["params"]["search"]["search"] == "armijo"


@pytest.mark.parametrize(
    ("solver", "words"),
    [
        ("gdd", "did you mean 'gd'"),
        ("zzz", "there are gd, momentum"),
        ("gd(serch=armijo)", "no setting 'serch'; its settings: search"),
        ("gd(search=armio)", "no search is called 'armio'; did you mean 'armijo'"),
        ("gd(search=constant(step=-1))", "step=-1 is not accepted"),
        ("gd(armijo)", "write name"),
        ("gd(search=1+1)", "cannot read"),
        ("lbfgs(memory=0)", "memory=0 is not accepted"),
        ("newton(search=3)", "search=3 is not accepted; give a search"),
    ],
)
def test_bad_names_are_refused_in_one_line(solver, words) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")) as caught:
        lm.solve(lm.Huber(), X, Y, solver=solver)
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="solver=3 is not accepted"):
        lm.solve(lm.Huber(), X, Y, solver=3)


def test_registered_names_are_unique() -> None:
    names = [word for name in SOLVERS.names() for word in (name, *SOLVERS.build(name, {}).aliases)]
    assert len(set(names)) == len(names)
