"""What monitors name where a number is not finite: step, layer, row and term, each really injected."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lossmith as lm


def data(n=96, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4))
    return x, x @ [1.0, -2.0, 0.5, 0.0] + 0.1 * random.normal(size=n)


def caught(run):
    with pytest.raises(lm.NonFiniteError) as error:
        run()
    return error.value.found


# --- PyTorch ----------------------------------------------------------------------------------------------------


class Spoilt:
    """A network, its rows, and one fault of batch 41."""

    STEP = 41

    def __init__(self, where):
        torch = self.torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        self.where, (x, y) = where, data()
        self.x, self.y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def batch(self, step):
        x, y = self.x[:32].clone(), self.y[:32].clone()
        if step == self.STEP:
            if self.where == "input":
                x[17, 2] = math.nan
            if self.where == "target":
                y[17] = math.nan
        return x, y

    def before(self, step):
        if self.where == "layer" and step == self.STEP:
            self.model[2].weight.data[0, 3] = math.nan

    def penalty(self, step):
        size = sum((p**2).sum() for p in self.model.parameters())
        return 1e-4 * (size * math.inf if self.where == "term" and step == self.STEP else size)


FAULTS = [
    ("input", "input", None, 17),
    ("target", "fit", None, 17),
    ("layer", "parameter", "2", None),
    ("term", "penalty", None, None),
]


@pytest.mark.parametrize("hooked", [True, False], ids=["optimiser seen", "optimiser not seen"])
@pytest.mark.parametrize(("where", "term", "layer", "sample"), FAULTS)
def test_a_plain_loop(where, term, layer, sample, hooked):
    held = Spoilt(where)

    def run():
        with lm.TorchMonitor(held.model, held.optimizer if hooked else None, live=False) as monitor:
            for step in range(60):
                x, y = held.batch(step)
                held.before(step)
                held.optimizer.zero_grad()
                fit = held.torch.nn.functional.mse_loss(held.model(x)[:, 0], y)
                penalty = held.penalty(step)
                loss = fit + penalty
                loss.backward()
                held.optimizer.step()
                monitor.step(loss)

    found = caught(run)
    if where == "layer" and not hooked:  # the update has spread it to all layers by then
        term, layer = "fit", None
        assert "give the optimiser" in found.detail
    assert (found.step, found.term, found.layer, found.sample) == (held.STEP, term, layer, sample), found
    if hooked:  # the update never came
        bad = sum(int((~held.torch.isfinite(p)).sum()) for p in held.model.parameters())
        assert bad == (where == "layer")


@pytest.mark.parametrize("where", ["target", "term"])
def test_a_loop_that_watches_the_loss_alone(where):
    held = Spoilt(where)

    def run():
        with lm.TorchMonitor(held.model, held.optimizer, watch="loss", live=False) as monitor:
            for step in range(60):
                x, y = held.batch(step)
                fit = held.torch.nn.functional.mse_loss(held.model(x)[:, 0], y)
                penalty = held.penalty(step)
                monitor.step(fit + penalty, terms={"fit": fit.item(), "penalty": penalty.item()})

    found = caught(run)
    expected = ("fit", 17) if where == "target" else ("penalty", None)
    assert (found.step, found.term, found.sample) == (held.STEP, *expected), found


@pytest.mark.filterwarnings("ignore")  # Lightning's own
@pytest.mark.parametrize(
    ("where", "term", "layer", "sample", "detail"),
    [
        ("input", "input", None, 17, "part 0 of the batch"),
        ("target", "input", None, 17, "part 1 of the batch"),
        ("layer", "parameter", "net.2", None, "weight"),
        ("term", "penalty", None, None, "inf"),
    ],
)
def test_lightning(where, term, layer, sample, detail, tmp_path):
    lightning = pytest.importorskip("lightning")
    held = Spoilt(where)

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = held.model

        def training_step(self, batch, index):
            held.before(index)
            fit = held.torch.nn.functional.mse_loss(self.net(batch[0])[:, 0], batch[1])
            penalty = held.penalty(index)
            self.log("penalty", penalty)
            return {"loss": fit + penalty, "penalty": penalty}

        def configure_optimizers(self):
            return held.torch.optim.SGD(self.parameters(), lr=0.01)

    class Batches(held.torch.utils.data.IterableDataset):
        def __iter__(self):
            return (held.batch(step) for step in range(60))

    options = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    monitor = lm.lightning_monitor(live=False)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, callbacks=[monitor], **options
    )
    loader = held.torch.utils.data.DataLoader(Batches(), batch_size=None)
    found = caught(lambda: trainer.fit(Model(), loader))
    assert (found.step, found.term, found.layer, found.sample) == (held.STEP, term, layer, sample), found
    assert detail in found.detail


# --- boosters ---------------------------------------------------------------------------------------------------


def objective(at, row, value=math.nan, part=0):
    """Squared error whose gradient (or Hessian) at one row is not finite from a round on."""
    rounds = []

    def derivatives(predictions, rows):
        rounds.append(0)
        found = [predictions - rows.get_label(), np.ones(len(predictions))]
        if len(rounds) > at:
            found[part][row] = value
        return tuple(found)

    return derivatives


@pytest.mark.parametrize(("value", "part", "term"), [(math.nan, 0, "gradient"), (math.inf, 1, "hessian")])
@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_custom_objectives_of_boosters(library, at, value, part, term):
    boosters, (x, y) = pytest.importorskip(library), data()

    def train(custom, monitor):
        if library == "lightgbm":
            rows = boosters.Dataset(x, y, params={"verbose": -1})
            parameters = {"objective": custom, "metric": "l2", "verbose": -1}
            return boosters.train(parameters, rows, 8, valid_sets=[rows], valid_names=["training"], callbacks=[monitor])
        rows = boosters.DMatrix(x, y)
        return boosters.train({}, rows, 8, obj=custom, evals=[(rows, "train")], callbacks=[monitor], verbose_eval=False)

    def monitor():
        return lm.LightGBMMonitor(live=False) if library == "lightgbm" else lm.xgboost_monitor(live=False)

    found = caught(lambda: train(objective(at, 17, value, part), monitor()))
    # LightGBM shows a booster after its first round only.
    step = max(at, 1) if library == "lightgbm" else at
    assert (found.step, found.term, found.sample) == (step, term, 17), found
    # Negative control; and the trained booster is as it would be.
    model = train(objective(99, 17), monitor())
    assert "update" not in vars(model)


# --- JAX --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "term", "layer", "sample"),
    [
        ("input", "input", None, 17),
        ("target", "input", None, 17),
        ("layer", "parameter", "out", None),
        ("term", "penalty", None, None),
    ],
)
def test_a_jax_loop(where, term, layer, sample):
    jax = pytest.importorskip("jax")
    jnp, (x, y) = jax.numpy, data()

    def total(p, x, y, factor):
        fit = jnp.mean(((jnp.tanh(x @ p["a"]["w"]) @ p["out"]["w"])[:, 0] - y) ** 2)
        penalty = factor * sum(jnp.sum(v["w"] ** 2) for v in p.values())
        return fit + penalty, {"fit": fit, "penalty": penalty}

    gradient = jax.jit(jax.value_and_grad(total, has_aux=True))
    params = {"a": {"w": jnp.ones((4, 3)) / 9}, "out": {"w": jnp.ones((3, 1))}}

    def run(params=params):
        with lm.JaxMonitor(live=False) as monitor:
            for step in range(20):
                rows, labels = x[:32].copy(), y[:32].copy()
                if step == 13:
                    if where == "input":
                        rows[17, 1] = math.nan
                    if where == "target":
                        labels[17] = math.inf
                    if where == "layer":
                        params = params | {"out": {"w": params["out"]["w"].at[1].set(jnp.nan)}}
                before = params
                (loss, terms), grads = gradient(
                    params, rows, labels, math.inf if step == 13 and where == "term" else 1e-4
                )
                params = jax.tree.map(lambda p, g: p - 0.01 * g, params, grads)
                monitor.step(loss, grads, params, before=before, batch=(rows, labels), terms=terms)

    found = caught(run)
    assert (found.step, found.term, found.layer, found.sample) == (13, term, layer, sample), found


# --- Lossmith's own, and scikit-learn ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # that it did not converge
@pytest.mark.parametrize("where", ["input", "target"])
def test_a_network_of_lossmith(where):
    x, y = (a.astype(np.float32) for a in data())
    if where == "input":
        x[70] = 3e38 * np.sign(x[70])  # finite; what comes of it is not
    else:
        y[70] = 1e20  # its square overflows; that of the others, from their mean, does not
    estimator = lm.LossMLPRegressor("mse", (64,), max_epochs=3, batch_size=96, random_state=0)
    found = caught(lambda: estimator.fit(x, y, watch=lm.FitMonitor(live=False)))
    assert (found.step, found.term) == (0, "loss"), found
    assert (found.layer is None) == (where == "target"), found
    assert found.sample is not None  # of the batch, which is shuffled


def test_partial_fit():
    from sklearn.linear_model import SGDRegressor

    x, y = data()
    model = SGDRegressor().fit(x, y)
    monitor = lm.SklearnMonitor(model, live=False)
    losses = np.square(model.predict(x) - y)
    monitor.step(losses.mean(), samples=losses)
    losses[17] = math.inf
    found = caught(lambda: monitor.step(losses.mean(), samples=losses))
    assert (found.step, found.term, found.sample) == (1, "loss", 17)
