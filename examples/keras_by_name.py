"""A Keras model compiled with a loss by its name, trained, saved and loaded: progression of diabetes, labels mistyped.

Every twentieth training label has lost its decimal point, as typed labels do. The squared error chases these; the
Huber loss, ``compile(loss="lossmith>huber")``, does not. Runs on any backend of Keras (KERAS_BACKEND=jax, for one).

pip install 'lossmith[keras,tensorflow]' scikit-learn
python examples/keras_by_name.py
"""

import pathlib
import tempfile

import keras
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import lossmith as lm


def trained(loss: str, x: np.ndarray, y: np.ndarray) -> keras.Model:
    """Return a small network trained with a loss that Keras finds by name."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((x.shape[1],)), keras.layers.Dense(16, activation="silu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), loss=loss)
    model.fit(x, y, batch_size=32, epochs=40, verbose=0)
    return model


def error(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean absolute error in points of the disease's score."""
    return 100 * float(np.abs(model.predict(x, verbose=0)[:, 0] - y).mean())


def main() -> None:
    """Train with both losses, save one model, load it, and print what they cost on held-out patients."""
    lm.register_keras()  # Keras now knows "lossmith>huber" and the other names, here and in saved models
    x, y = load_diabetes(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x / x.std(0), y / 100, random_state=0)
    y_train[::20] *= 10
    robust, squared = (trained(loss, x_train, y_train) for loss in ("lossmith>huber", "mse"))
    for name, model in (("squared error", squared), ("lossmith>huber", robust)):
        print(f"points off on held-out patients, {name}: {error(model, x_test, y_test):.1f}")

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        robust.save(path)
        loaded = keras.saving.load_model(path)
    before, after = (model.evaluate(x_test, y_test, verbose=0) for model in (robust, loaded))
    print(f"saved and loaded on {keras.backend.backend()}: {loaded.loss.loss} costs {after:.4f}, before {before:.4f}")


if __name__ == "__main__":
    main()
