"""Draw docs/images/architecture.svg: the layers, what lies in each, and which way the arrows point."""

from __future__ import annotations

import pathlib
from xml.sax.saxutils import escape

LAYERS = [
    ("ops", "the words a formula is written in", "exp  where  softplus  log_cosh  softmax ...", "#eef4fb"),
    ("engine", "a formula becomes fast", "one fused pass, threads, numba kernels, NumPy fallback", "#e3eef9"),
    ("core", "what a loss is", "contract  domain  traits and their verifiers  reduction  registry", "#d6e6f6"),
    ("losses", "the catalogue: mathematics only", "elementwise  row-wise  structured  composed", "#c8def3"),
    ("optimize", "losses at work", "objective  penalties  solvers  searches  shards", "#fdf0dd"),
    ("network", "a small network under any loss", "passes  optimisers  training", "#fdeccf"),
    ("frameworks", "in every ecosystem's own habits", "torch  jax  keras  sklearn  boosters  translation", "#fbe9cc"),
    (
        "select · diagnose",
        "which loss, and what went wrong",
        "facts  rules  records  symptoms  causes  remedies",
        "#fbe5c4",
    ),
    ("plots · report", "draw, never compute", "curves  calibration  one HTML file", "#f8d9aa"),
    ("workflow", "the eight steps as one resumable run", "data  prepare  trials  evaluate  iterate", "#f5cc8d"),
    ("bench", "measured against everyone", "times  limits  bars  parity", "#f3c578"),
    ("cli", "parse, call the library, print", "run  fit  compare  diagnose  watch  show  plot", "#f1be6e"),
]
WIDTH, ROW, GAP, LEFT = 860, 54, 12, 60


def draw() -> str:
    height = len(LAYERS) * (ROW + GAP) + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" role="img">',
        "<title>Layers of Lossmith; a layer imports only from those above it</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for i, (name, what, holds, colour) in enumerate(LAYERS):
        listed = holds.replace("  ", " · ")
        y = 20 + i * (ROW + GAP)
        parts += [
            f'<rect x="{LEFT}" y="{y}" width="{WIDTH - LEFT - 20}" height="{ROW}" rx="7" fill="{colour}" '
            'stroke="#5b6b7c" stroke-width="1"/>',
            f'<text x="{LEFT + 16}" y="{y + 33}" font-size="17" font-weight="bold" '
            f'fill="#17212b">{escape(name)}</text>',
            f'<text x="{LEFT + 235}" y="{y + 23}" font-size="15" fill="#17212b">{escape(what)}</text>',
            f'<text x="{LEFT + 235}" y="{y + 43}" font-size="13" fill="#3d4b59">{escape(listed)}</text>',
        ]
    end = 20 + len(LAYERS) * (ROW + GAP) - GAP
    parts += [
        f'<path d="M 32 {end} L 32 34" stroke="#17212b" stroke-width="2.5" fill="none"/>',
        '<path d="M 32 22 L 25 38 L 39 38 Z" fill="#17212b"/>',
        f'<text x="{LEFT}" y="{end + 32}" font-size="14" fill="#17212b">A layer imports only from the layers above '
        "it; a test keeps it so.</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    path = pathlib.Path(__file__).parent.parent / "docs/images/architecture.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw())
