"""Each framework's monitor in a real, tiny training, against numbers from elsewhere."""

from __future__ import annotations

import importlib.util
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import lossmith as lm
from lossmith.diagnose.monitors.arrays import norm
from lossmith.diagnose.record import Facts


def data(n=96, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4))
    return x, x @ [1.0, -2.0, 0.5, 0.0] + 0.1 * random.normal(size=n)


# --- Lossmith's own ---------------------------------------------------------------------------------------------


def test_a_solver_is_watched():
    x, y = data()
    monitor = lm.FitMonitor(live=False)
    solution = lm.solve(lm.Huber(), x, y, watch=monitor)
    record = monitor.record
    np.testing.assert_allclose(record.column("loss")[1], solution.history.objective[: len(record)], rtol=1e-12)
    size = math.hypot(*solution.coefficients, float(solution.intercept))
    assert record.steps[-1].parameter_norm == pytest.approx(size, rel=1e-6)
    moves = record.column("update_norm")[1]
    assert moves[-1] < moves[0]


@pytest.mark.filterwarnings("ignore:.*no better than a constant")  # three epochs are few
def test_a_network_is_watched(tmp_path):
    x, y = data()
    with lm.FitMonitor(live=False, every=1, path=tmp_path / "net.jsonl") as monitor:
        lm.LossMLPRegressor("mse", (8,), max_epochs=3, batch_size=32, random_state=0).fit(x, y, watch=monitor)
    record = monitor.record
    first = next(s for s in record.steps if s.layers)
    assert len(record.layer_names) >= 2
    parts = [layer.gradient_norm for layer in first.layers.values() if layer.gradient_norm is not None]
    assert math.hypot(*parts) == pytest.approx(first.grad_norm, rel=1e-5)
    assert first.samples["max"] >= first.samples["median"]
    again = lm.read_record(tmp_path / "net.jsonl")
    np.testing.assert_array_equal(again.column("loss")[1], record.column("loss")[1])


# --- boosters ---------------------------------------------------------------------------------------------------


def test_lightgbm():
    import lightgbm

    x, y = data()
    train, valid = lightgbm.Dataset(x[:64], y[:64]), lightgbm.Dataset(x[64:], y[64:])
    said: dict = {}
    monitor = lm.LightGBMMonitor(live=False)
    lightgbm.train(
        {"objective": "l2", "verbose": -1, "learning_rate": 0.3, "metric": "l2"},
        train,
        6,
        valid_sets=[train, valid],
        valid_names=["training", "held out"],
        callbacks=[monitor, lightgbm.record_evaluation(said)],
    )
    assert monitor.record.column("loss")[1].tolist() == said["training"]["l2"]
    assert monitor.record.column("eval_loss")[1].tolist() == said["held out"]["l2"]
    assert monitor.record.column("learning_rate")[1].tolist() == [0.3] * 6
    assert monitor.record.facts.planned_steps == 6
    assert lm.read_record(said).column("loss")[1].tolist() == said["training"]["l2"]


def test_a_booster_whose_measure_is_not_finite_is_stopped():
    import lightgbm

    x, y = data()
    train = lightgbm.Dataset(x, y)

    def broken(prediction, rows):
        return "broken", math.nan, False

    with pytest.raises(lm.NonFiniteError, match=r"step 0: broken of 'training': is nan"):
        lightgbm.train(
            {"objective": "l2", "verbose": -1, "metric": "none"},
            train,
            6,
            valid_sets=[train],
            valid_names=["training"],
            feval=broken,
            callbacks=[lm.LightGBMMonitor(live=False)],
        )


def test_xgboost():
    xgboost = pytest.importorskip("xgboost")
    x, y = data()
    monitor = lm.xgboost_monitor(live=False)
    model = xgboost.XGBRegressor(n_estimators=5, callbacks=[monitor])
    model.fit(x[:64], y[:64], eval_set=[(x[:64], y[:64]), (x[64:], y[64:])], verbose=False)
    said = model.evals_result()
    assert monitor.record.column("loss")[1].tolist() == said["validation_0"]["rmse"]
    assert monitor.record.column("eval_loss")[1].tolist() == said["validation_1"]["rmse"]


def test_catboost(tmp_path):
    catboost = pytest.importorskip("catboost")
    x, y = data()
    monitor = lm.CatBoostMonitor(live=False)
    model = catboost.CatBoostRegressor(iterations=5, verbose=0, train_dir=str(tmp_path), thread_count=1)
    model.fit(x[:64], y[:64], eval_set=(x[64:], y[64:]), callbacks=[monitor])
    said = model.get_evals_result()
    assert monitor.record.column("loss")[1].tolist() == said["learn"]["RMSE"]
    assert monitor.record.column("eval_loss")[1].tolist() == said["validation"]["RMSE"]
    written = lm.read_record(tmp_path / "learn_error.tsv")
    np.testing.assert_allclose(written.column("loss")[1], said["learn"]["RMSE"], rtol=1e-6)


# --- scikit-learn -----------------------------------------------------------------------------------------------


def test_partial_fit_of_an_mlp():
    from sklearn.neural_network import MLPRegressor

    x, y = data()
    model = MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
    with lm.SklearnMonitor(model, live=False) as monitor:
        before = None
        for _ in range(4):
            model.partial_fit(x, y)
            monitor.step(r2=model.score(x, y))
            parts = [a.copy() for pair in zip(model.coefs_, model.intercepts_, strict=True) for a in pair]
            step = monitor.record.steps[-1]
            assert step.parameter_norm == pytest.approx(norm(parts))
            if before is not None:
                moved = norm([a - b for a, b in zip(parts, before, strict=True)])
                assert step.update_norm == pytest.approx(moved)
            before = parts
    assert monitor.record.column("loss")[1].tolist() == model.loss_curve_
    assert monitor.record.layer_names == ("layer 0", "layer 1")


def test_what_fitted_models_remember():
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestRegressor

    x, y = data()
    boosted = HistGradientBoostingRegressor(max_iter=4, early_stopping=True, random_state=0).fit(x, y)
    record = lm.SklearnMonitor(boosted, live=False).fitted()
    np.testing.assert_array_equal(record.column("loss")[1], -boosted.train_score_)
    np.testing.assert_array_equal(record.column("eval_loss")[1], -boosted.validation_score_)
    trees = GradientBoostingRegressor(n_estimators=4).fit(x, y)
    np.testing.assert_array_equal(lm.SklearnMonitor(trees, live=False).fitted().column("loss")[1], trees.train_score_)
    forest = RandomForestRegressor(n_estimators=2).fit(x, y)
    with pytest.raises(ValueError, match=r"remembers no history: call monitor\.step"):
        lm.SklearnMonitor(forest, live=False).fitted()


def test_parameters_that_are_not_finite_are_named():
    from sklearn.linear_model import SGDRegressor

    x, y = data()
    model = SGDRegressor().fit(x, y)
    monitor = lm.SklearnMonitor(model, live=False)
    monitor.step(1.0)
    model.coef_[2] = math.nan
    with pytest.raises(lm.NonFiniteError, match="step 1: parameter of layer 'coef_'"):
        monitor.step(1.0)


# --- JAX --------------------------------------------------------------------------------------------------------


def test_a_jax_loop():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    x, y = (jnp.asarray(a, dtype=jnp.float32) for a in data())

    def predict(p, x):
        return (jnp.tanh(x @ p["a"]["w"] + p["a"]["b"]) @ p["out"]["w"])[:, 0]

    gradient = jax.value_and_grad(lambda p: jnp.mean((predict(p, x) - y) ** 2))
    key = jax.random.PRNGKey(0)
    params = {"a": {"w": jax.random.normal(key, (4, 3)), "b": jnp.zeros(3)}, "out": {"w": jnp.ones((3, 1))}}
    with lm.JaxMonitor(live=False, every=1) as monitor:
        for i in range(3):
            loss, grads = gradient(params)
            before, params = params, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
            monitor.step(loss, grads, params, learning_rate=0.1)
            step = monitor.record.steps[-1]
            assert step.loss == pytest.approx(float(loss))
            assert step.grad_norm == pytest.approx(norm(jax.tree.leaves(grads)), rel=1e-5)
            assert step.layers["a"].gradient_norm == pytest.approx(norm(jax.tree.leaves(grads["a"])), rel=1e-5)
            assert step.parameter_norm == pytest.approx(norm(jax.tree.leaves(params)), rel=1e-5)
            if i:
                moved = jax.tree.map(lambda p, q: p - q, params, before)
                assert step.update_norm == pytest.approx(norm(jax.tree.leaves(moved)), rel=1e-4)


def test_a_jax_loss_that_is_not_finite_names_layer_and_sample():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    monitor = lm.JaxMonitor(live=False)
    grads = {"a": {"w": jnp.zeros(2)}, "b": {"w": jnp.array([1.0, jnp.nan])}}
    with pytest.raises(lm.NonFiniteError) as caught:
        monitor.step(jnp.nan, grads, grads, samples=np.array([1.0, 2.0, math.nan, 3.0]))
    found = caught.value.found
    assert (found.step, found.term, found.layer, found.sample) == (0, "loss", "b", 2)


# --- Keras ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras(backend):
    """A process knows one backend: each has its own."""
    for name in ("keras", backend):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    root = pathlib.Path(__file__).parents[2]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    command.append(str(pathlib.Path(__file__).with_name("keras_monitor_laws.py")))
    ran = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout


# --- Lightning and Hugging Face ---------------------------------------------------------------------------------


def regressor(torch, lightning, seen):
    """A module that puts down the norm of each step's gradient."""

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 1))

        def training_step(self, batch, index):
            loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def on_before_optimizer_step(self, optimizer):
            seen.append(norm([p.grad.numpy() for p in self.parameters()]))

        def validation_step(self, batch, index):
            self.log("val_loss", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    return Model()


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_lightning(tmp_path):
    torch = pytest.importorskip("torch")
    lightning = pytest.importorskip("lightning")
    seen = []
    torch.manual_seed(0)
    x, y = (torch.tensor(a, dtype=torch.float32) for a in data())
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y[:, None]), batch_size=32)
    monitor = lm.lightning_monitor(live=False, every=1)
    logger = lightning.pytorch.loggers.CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=1,
        callbacks=[monitor],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(regressor(torch, lightning, seen), loader, loader)
    record = monitor.record
    np.testing.assert_allclose(record.column("grad_norm")[1], seen, rtol=1e-5)
    assert record.column("learning_rate")[1].tolist() == [0.05] * 6
    assert (record.column("update_norm")[1] > 0).all()
    np.testing.assert_allclose(record.column("update_norm")[1], 0.05 * np.array(seen), rtol=1e-4)
    assert len(record.column("eval_loss")[1]) == 2
    written = lm.read_record(logger.log_dir + "/metrics.csv")
    np.testing.assert_allclose(written.column("loss")[1], record.column("loss")[1], rtol=1e-5)
    np.testing.assert_allclose(written.column("eval_loss")[1], record.column("eval_loss")[1], rtol=1e-5)


def test_hugging_face(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1))

        def forward(self, x=None, labels=None):
            return {"loss": torch.nn.functional.mse_loss(self.net(x)[:, 0], labels)}

    torch.manual_seed(0)
    x, y = (torch.tensor(a, dtype=torch.float32) for a in data())
    rows = [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]
    monitor = lm.huggingface_monitor(live=False, every=1)
    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=6, per_device_train_batch_size=32, logging_steps=1, report_to=[], use_cpu=True,
        disable_tqdm=True, max_grad_norm=0.0, save_strategy="no", eval_strategy="steps", eval_steps=3,
        lr_scheduler_type="constant",
    )  # fmt: skip
    trainer = transformers.Trainer(Model(), arguments, train_dataset=rows, eval_dataset=rows[:32], callbacks=[monitor])
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    trainer.train()
    record = monitor.record
    logged = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    np.testing.assert_allclose(record.column("loss")[1], logged, atol=1e-4)
    assert record.column("loss")[0].tolist() == list(range(6))
    held_out = [row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row]
    np.testing.assert_allclose(record.column("eval_loss")[1], held_out, rtol=1e-5)
    norms = [row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row]
    if norms:
        np.testing.assert_allclose(record.column("grad_norm")[1], norms, rtol=1e-4)
    assert (record.column("update_norm")[1] > 0).all()
    assert (record.facts.planned_steps, record.facts.framework) == (6, "huggingface")
    trainer.state.save_to_json(str(tmp_path / "trainer_state.json"))
    written = lm.read_record(tmp_path / "trainer_state.json")
    np.testing.assert_allclose(written.column("loss")[1], logged)


# --- what is missing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("TorchMonitor", "torch"),
        ("JaxMonitor", "jax"),
        ("keras_monitor", "keras"),
        ("xgboost_monitor", "xgboost"),
        ("lightning_monitor", "lightning"),
        ("huggingface_monitor", "transformers"),
    ],
)
def test_a_framework_that_is_missing_is_named_with_what_to_install(name, package, monkeypatch):
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda n, *a: None if n == package else find(n, *a))
    made = getattr(lm, name)
    with pytest.raises(ImportError, match="pip install"):
        made(*([None] if name == "TorchMonitor" else []))


def test_facts_that_the_user_gave_stay():
    monitor = lm.FitMonitor(live=False, facts=Facts(framework="mine", rows=3))
    assert (monitor.record.facts.framework, monitor.record.facts.rows) == ("mine", 3)
