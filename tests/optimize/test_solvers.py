"""Every solver on every loss and penalty that fits it: the same minimum, or a status that says why not."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.optimize import linprog

import lossmith as lm
from lossmith.optimize import Objective
from lossmith.optimize.bars import Bar
from lossmith.optimize.smoothing import SmoothedRows
from lossmith.optimize.solvers import Needs, fitting_solvers

RNG = np.random.default_rng(0)
N, D = 300, 5
X = RNG.standard_normal((N, D)) * [1.0, 2.0, 0.5, 1.0, 3.0] + 0.3
SIGNAL = X @ [1.0, -0.5, 2.0, 0.0, 0.2] + 0.7
TARGETS = {
    "regression": SIGNAL + RNG.standard_t(3, N),
    "binary": (SIGNAL + RNG.logistic(size=N) > 0).astype(float),
    "count": RNG.poisson(np.exp(0.2 * SIGNAL)).astype(float),
    "multiclass": np.digitize(SIGNAL + RNG.logistic(size=N), [-1, 2]),
}
SMOOTH = [
    lm.MeanSquaredError(),
    lm.Huber(delta=1.2),
    lm.LogCosh(),
    lm.BinaryCrossEntropy(),
    lm.SquaredHinge(),
    lm.PoissonNLL(),
    lm.CategoricalCrossEntropy(),
    lm.Tukey(),
    lm.BinaryFocal(),
]
KINKED = [lm.MeanAbsoluteError(), lm.Quantile(q=0.8), lm.Hinge(), lm.MultiMargin()]
GROUPS = lm.GroupLasso([0, 0, 1, 1, 2], 0.03)
PENALTIES = [
    None,
    lm.L2(0.02),
    lm.L1(0.02),
    lm.ElasticNet(0.02),
    lm.MCP(0.05),
    lm.SCAD(0.05),
    GROUPS,
    lm.Box(-0.4, 1.0),
]
NAMES = [name for name in lm.solvers.names() if name != "auto"]
SUBGRADIENT = ("gd", "adam")
PATIENT = ("gd", "momentum", "nesterov", "adam", "proximal_gradient")


def targets(loss):
    y = TARGETS[loss.traits.task]
    return 2.0 * y - 1.0 if isinstance(loss, (lm.Hinge, lm.SquaredHinge)) else y


def solve(loss, **options):
    outputs = 3 if loss.tier == "row-wise" else None
    return lm.solve(loss, options.pop("X", X), targets(loss), outputs=outputs, **options)


def kind(penalty) -> str:
    return "none" if penalty is None else type(penalty).__name__


def cases(losses):
    return [
        pytest.param(name, loss, penalty, id=f"{name}-{loss.name}-{kind(penalty)}")
        for loss in losses
        for penalty in PENALTIES
        for name in fitting_solvers(loss, penalty)
    ]


@pytest.fixture(scope="module")
def lowest():
    """The objective that "auto" reaches, once for each pair."""
    known = {}

    def find(loss, penalty):
        key = (repr(loss), repr(penalty))
        if key not in known:
            known[key] = solve(loss, penalty=penalty, tolerance=1e-10, max_iterations=3000).objective
        return known[key]

    return find


@pytest.mark.parametrize(("name", "loss", "penalty"), cases(SMOOTH))
def test_the_same_minimum_under_smooth_losses(name, loss, penalty, lowest) -> None:
    limit = 20_000 if name in PATIENT else 500
    found = solve(loss, penalty=penalty, solver=name, max_iterations=limit)
    best = lowest(loss, penalty)
    # Adam's steps on a kinked penalty prove nothing, but get there.
    stalls = name == "adam" and penalty is not None and not penalty.smooth
    assert found.status == "stalled" if stalls else found.status in ("converged", "stalled")
    if isinstance(penalty, (lm.MCP, lm.SCAD)):  # not convex: several minima, and nothing says which one is found
        assert found.objective <= found.history.objective[0]
    else:
        assert found.objective == pytest.approx(best, rel=1e-6 if stalls else 1e-8, abs=1e-9)
    assert stalls or found.optimality <= 1e-6
    assert found.method.startswith(name)


@pytest.mark.parametrize(("name", "loss", "penalty"), cases(KINKED))
def test_close_to_the_minimum_under_kinked_losses(name, loss, penalty, lowest) -> None:
    if name == "lbfgs":
        pytest.skip("what is left for kinks in rows of scores, and what the others are held against")
    found = solve(loss, penalty=penalty, solver=name, max_iterations=3000 if name in SUBGRADIENT else 1500)
    best = lowest(loss, penalty)
    close = 1e-4 if name in SUBGRADIENT else 1e-5
    assert best * (1.0 - 1e-3) <= found.objective <= best * (1.0 + close) + 1e-9
    # A subgradient proves no minimum: it is 0 only where all of it is.
    assert name not in SUBGRADIENT or found.status != "converged"
    assert np.isfinite(found.coefficients).all()


@pytest.mark.parametrize("search", ["constant", "armijo", "strong_wolfe", "polyak(lowest=0)"])
@pytest.mark.parametrize("loss", [lm.MeanSquaredError(), lm.LogCosh(), lm.CategoricalCrossEntropy()], ids=repr)
def test_gradient_descent_with_every_search(loss, search, lowest) -> None:
    found = solve(
        loss, penalty=lm.L2(0.02), solver=f"gd(search={search})", max_iterations=300 if "polyak" in search else 20_000
    )
    # Polyak's step towards 0, which is below the minimum, goes too far and returns the best of what it saw.
    close = 0.2 if "polyak" in search else 1e-9
    assert found.objective == pytest.approx(lowest(loss, lm.L2(0.02)), rel=close)
    assert found.status == ("iteration_limit" if "polyak" in search else "converged")


def test_polyak_knows_the_way_to_a_perfect_fit() -> None:
    y = X @ np.arange(1.0, D + 1.0)
    found = lm.solve(
        lm.MeanAbsoluteError(), X, y, solver="gd(search=polyak(lowest=0))", intercept=False, max_iterations=20_000
    )
    assert found.objective < 1e-8
    blind = lm.solve(lm.MeanAbsoluteError(), X, y, solver="gd(search=constant(step=0.1))", intercept=False)
    assert blind.objective > 1e-3


@pytest.mark.parametrize("search", ["constant", "armijo", "strong_wolfe"])
def test_newton_with_every_search(search) -> None:
    found = solve(lm.BinaryCrossEntropy(), penalty=lm.L2(0.1), solver=f"newton(search={search})")
    assert (found.status, found.iterations < 12) == ("converged", True)
    short = solve(lm.MeanSquaredError(), solver="newton(search=constant(step=0.1))", max_iterations=400)
    ratio = np.diff(short.history.objective[:10] - short.objective)
    assert short.status == "converged"
    np.testing.assert_allclose(ratio[1:] / ratio[:-1], 0.81, rtol=1e-3)  # (1 - 0.1)^2 of the height is left


def test_smoothing_against_linear_programmes() -> None:
    """Absolute error within limits, and the margin of three classes: both are linear programmes."""
    y, ones, eye = targets(lm.MeanAbsoluteError()), np.ones((N, 1)), np.eye(N)
    best = linprog(
        np.concatenate([np.zeros(D + 1), np.full(2 * N, 1.0 / N)]),
        A_eq=np.hstack([X, ones, eye, -eye]),
        b_eq=y,
        bounds=[(-0.4, 1.0)] * D + [(None, None)] + [(0, None)] * (2 * N),
    ).fun
    found = solve(lm.MeanAbsoluteError(), penalty=lm.Box(-0.4, 1.0))
    assert (found.method, found.status) == ("smoothing", "converged")
    assert best - 1e-9 <= found.objective <= best + 1e-7

    labels, wide = targets(lm.MultiMargin()), np.hstack([X, ones])
    pairs = [(i, j) for i in range(N) for j in range(3) if j != labels[i]]
    rows = np.zeros((len(pairs), 3 * (D + 1) + len(pairs)))
    for row, (i, j) in enumerate(pairs):  # 1 - f_y + f_j <= slack
        rows[row, j * (D + 1) : (j + 1) * (D + 1)] = wide[i]
        rows[row, labels[i] * (D + 1) : (labels[i] + 1) * (D + 1)] = -wide[i]
        rows[row, 3 * (D + 1) + row] = -1.0
    cost = np.concatenate([np.zeros(3 * (D + 1)), np.full(len(pairs), 1.0 / (3 * N))])
    bounds = [(None, None)] * (3 * (D + 1)) + [(0, None)] * len(pairs)
    best = linprog(cost, A_ub=rows, b_ub=-np.ones(len(pairs)), bounds=bounds).fun
    found = solve(lm.MultiMargin(), solver="smoothing")
    # L-BFGS compares objectives, in whose last bits the narrowest parabolas drown.
    assert found.status == "converged" or (found.status == "stalled" and found.optimality < 1e-5)
    assert best - 1e-9 <= found.objective <= best + found.smoothing_error
    assert found.smoothing_error < 1e-5
    assert solve(lm.MultiMargin(), solver="lbfgs").objective > found.objective


def test_smoothed_rows_are_above_by_at_most_their_error_and_smooth() -> None:
    loss = lm.MultiMargin(class_weights=(1.0, 2.0, 0.5))
    y, f = RNG.integers(0, 3, 40), RNG.normal(size=(40, 3))
    smoothed = SmoothedRows.of(loss, 3, 0.4)
    np.testing.assert_allclose(smoothed.jump, [1 / 3, 2 / 3, 0.5 / 3])
    value, slope = smoothed.value_and_gradient(y, f)
    plain = loss(y, f, reduction="none")
    assert (value >= plain - 1e-15).all()
    assert (value <= plain + smoothed.error).all()
    assert (value > plain).any()
    for j in range(3):
        step = np.zeros_like(f)
        step[:, j] = 1e-6
        up, down = (smoothed.value_and_gradient(y, f + sign * step)[0] for sign in (1, -1))
        np.testing.assert_allclose(slope[:, j], (up - down) / 2e-6, atol=1e-8)


# --- steps that are too long -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "loss"),
    [
        ("gd(search=constant(step=5))", lm.MeanSquaredError()),
        ("momentum(step=5)", lm.MeanSquaredError()),
        ("newton(search=constant(step=3))", lm.MeanSquaredError()),
        ("gd(search=constant(step=100))", lm.PoissonNLL()),
    ],
)
def test_steps_that_are_too_long_diverge_and_say_so(solver, loss) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve(loss, solver=solver)
    assert found.status == "diverged"
    assert "shorter step" in found.message
    assert np.isfinite(found.coefficients).all()
    assert np.isfinite(found.intercept)
    assert found.objective <= found.history.objective[0]
    assert found.objective == pytest.approx(np.nanmin(found.history.objective))


def test_the_longest_sure_step_is_twice_the_default() -> None:
    from lossmith.optimize.searches import largest_curvature

    loss = lm.MeanSquaredError()
    most = largest_curvature(Objective.build(loss, X, targets(loss)))
    matrix = np.column_stack([X, np.ones(N)])
    assert most == pytest.approx(2.0 * np.linalg.eigvalsh(matrix.T @ matrix / N)[-1])
    for factor, ends in ((1.9, "converged"), (2.1, "diverged")):
        found = solve(loss, solver=f"gd(search=constant(step={factor / most}))", max_iterations=20_000)
        assert found.status == ends


# --- what is told on the way -----------------------------------------------------------------------


def fitting(name):
    """The first loss that fits a solver without a penalty."""
    losses = (lm.LogCosh(), lm.MeanAbsoluteError(), lm.CategoricalCrossEntropy(), lm.MultiMargin())
    return next(loss for loss in losses if name in fitting_solvers(loss, None))


@pytest.mark.parametrize("name", NAMES)
def test_history(name) -> None:
    loss = fitting(name)
    steps = []
    found = solve(loss, solver=name, watch=steps.append, max_iterations=40)
    history = found.history
    assert len(history) == found.iterations + 1 == len(steps)
    assert [step.iteration for step in steps] == list(range(len(steps)))
    for column in (history.objective, history.gradient_norm, history.seconds, history.passes):
        assert column.shape == (len(history),)
        assert np.isfinite(column).all()
    assert (np.diff(history.seconds) >= 0).all()
    assert (np.diff(history.passes) >= 0).all()
    assert history.passes[-1] > 0
    objective = Objective.build(loss, X, targets(loss), outputs=3 if loss.tier == "row-wise" else None)
    first = np.append(steps[0].coefficients.ravel(), steps[0].intercept)
    assert history.objective[0] == pytest.approx(objective.value(first))
    assert (found.gap is None) == (history.gap is None) == (name not in ("interior", "margin_lines"))
    assert set(history.to_dict()) >= {"objective", "gradient_norm", "seconds", "passes"}
    assert pickle.loads(pickle.dumps(found)).history.objective.tolist() == history.objective.tolist()


def test_passes_are_counted_as_they_happen() -> None:
    """A step of gradient descent with one trial reads the features twice: along the step, and for the gradient."""
    found = solve(lm.MeanSquaredError(), solver="gd(search=constant(step=0.01))", max_iterations=10)
    assert np.diff(found.history.passes).tolist() == [2.0] * 10


@pytest.mark.parametrize("name", NAMES)
def test_watch_ends_a_fit(name) -> None:
    loss = fitting(name)
    found = solve(loss, solver=name, watch=lambda step: step.iteration == 1, tolerance=1e-14)
    assert found.status == "stopped"
    assert found.iterations == 1
    assert "stopped by watch" in found.message


@pytest.mark.parametrize("name", NAMES)
def test_limits_end_a_fit(name) -> None:
    loss = fitting(name)
    assert solve(loss, solver=name, max_iterations=1, tolerance=1e-14).status == "iteration_limit"
    assert solve(loss, solver=name, max_seconds=0.0, tolerance=1e-14).status == "time_limit"


def test_a_start_is_taken_and_checked() -> None:
    first = solve(lm.Huber())
    for name in ("gd", "nesterov", "newton", "lbfgs", "irls"):
        again = solve(lm.Huber(), solver=name, start=(first.coefficients, first.intercept), tolerance=1e-6)
        assert again.iterations <= 1
    with pytest.raises(ValueError, match="NaN"):
        solve(lm.Huber(), start=(np.full(D, np.nan), 0.0))


def test_a_bar_is_drawn_late_and_only_on_terminals(monkeypatch) -> None:
    drawn = []

    class Screen:
        def __init__(self) -> None:
            self.tasks = []

        def add_task(self, *args, **options):
            self.tasks.append(type("Task", (), {"id": 0})())

        def update(self, *args, completed, description):
            drawn.append((completed, description))

        def stop(self):
            drawn.append("stop")

    monkeypatch.setattr("lossmith.optimize.bars._screen", Screen)
    solve(lm.Huber(), solver="gd", bar=True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    solve(lm.Huber(), solver="gd", bar=True)
    assert not drawn  # too quick
    monkeypatch.setattr("lossmith.optimize.bars._PATIENCE", 0.0)
    monkeypatch.setattr("lossmith.optimize.bars._PERIOD", 0.0)
    solve(lm.Huber(), solver="gd", bar=True)
    assert drawn[-1] == "stop"
    shares = [share for share, _ in drawn[:-1]]
    assert shares == sorted(shares)
    assert 0.9 < shares[-1] <= 1.0
    assert isinstance(Bar(1e-8), Bar)


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_pairs_that_do_not_fit_are_refused_with_what_fits(name) -> None:
    refused = 0
    for loss in SMOOTH + KINKED:
        for penalty in PENALTIES:
            fit = fitting_solvers(loss, penalty)
            if name in fit:
                continue
            refused += 1
            with pytest.raises(ValueError, match=f"^{name} cannot minimise {loss.name}") as caught:
                solve(loss, penalty=penalty, solver=name)
            text = str(caught.value)
            assert "it needs" in text
            assert "\n" not in text
            assert all(other in text for other in fit)
    assert refused


def test_needs_name_what_is_missing() -> None:
    """A declaration that asks for nothing lets everything through, and each field stops one thing."""
    nothing = Needs(kinks="any", penalty="proximal")
    mae, tukey, rows = lm.MeanAbsoluteError(), lm.Tukey(), lm.CategoricalCrossEntropy()
    assert nothing.missing(mae, lm.MCP(1.0)) == nothing.missing(tukey, GROUPS) == ()
    assert "kinks" in Needs().missing(mae, None)[0]
    assert "convex" in Needs(convex=True).missing(tukey, None)[0]
    assert "bounded" in Needs(bounded=True).missing(lm.PoissonNLL(), None)[0]
    assert "one number a sample" in Needs(one_output=True).missing(rows, None)[0]
    assert "two straight lines" in Needs(kinks="one").missing(lm.Huber(), None)[0]
    assert "L2" in Needs().missing(lm.Huber(), lm.L1(1.0))[0]
    assert "single coefficients" in Needs(penalty="separable").missing(lm.Huber(), GROUPS)[0]


def test_a_solver_that_lies_about_its_needs_is_found_out() -> None:
    """The law above fails for a solver that takes what it cannot minimise: Newton's method on kinks."""
    from lossmith.optimize.solvers import Newton

    class Careless(Newton):
        @property
        def needs(self) -> Needs:
            return Needs(kinks="any")

    best = solve(lm.MeanAbsoluteError()).objective
    found = lm.solve(lm.MeanAbsoluteError(), X, targets(lm.MeanAbsoluteError()), solver=Careless())
    assert not (found.status == "converged" and found.objective <= best * (1.0 + 1e-5))
