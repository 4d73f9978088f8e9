"""LaTeX of the catalogue's kind as plain text that reads well in a terminal or a page."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORDS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "varphi": "φ", "omega": "ω", "xi": "ξ", "zeta": "ζ", "Delta": "Δ", "Gamma": "Γ",
    "Phi": "Φ", "Sigma": "Σ", "Omega": "Ω", "ell": "ℓ", "nabla": "∇", "partial": "∂", "infty": "∞",
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "in": "∈", "cap": "∩", "cup": "∪",
    "mid": "|", "cdot": "·", "times": "×", "pm": "±", "to": "→", "approx": "≈", "propto": "∝", "odot": "⊙",
    "sum": "Σ", "prod": "Π", "int": "∫", "ldots": "…", "dots": "…", "cdots": "…", "top": "T", "lVert": "‖",
    "rVert": "‖", "lvert": "|", "rvert": "|", "langle": "⟨", "rangle": "⟩", "forall": "∀", "circ": "∘",
    "lfloor": "⌊", "rfloor": "⌋", "lbrace": "{", "rbrace": "}", "prime": "′", "ast": "*", "star": "*",
    "quad": "   ", "qquad": "     ",
}  # fmt: skip
_CLOSE = ("sum", "prod", "nabla", "partial")
_SILENT = (
    "left|right|big|bigl|bigr|Big|Bigl|Bigr|bigg|biggl|biggr|mathrm|mathbf|mathcal|mathbb|operatorname|text|limits"
)
_SUPER = dict(zip("0123456789+-−()nTkiγ′t", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ⁿᵀᵏⁱᵞ′ᵗ", strict=True))
_SUB = dict(zip("0123456789+-()aeijklmnoprstuvxβγρφ", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩ", strict=True))
_ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
_HALVES = {("1", "2"): "½", ("1", "4"): "¼", ("1", "3"): "⅓"}
# Marks of private use stand for what must survive until the end.
_LAST = str.maketrans({"{": "", "}": "", "\\": "", "\ue000": "{", "\ue001": "}", "\ue004": "-"})
# A quotient next to a factor needs brackets: c^2/6 (1 - ...), log(P/Q).
_JOINED_AFTER = re.compile(r"\s*[\w(\\\[|](?!quad)")
_JOINED_BEFORE = re.compile(r"\\[a-z]+\s*$|[\w)]\s*$")


def unicode(latex: str) -> str:
    r"""Turn LaTeX into one line of Unicode text.

    Parameters
    ----------
    latex : str
        A formula without dollar signs.

    Returns
    -------
    str
        Readable text; commands it does not know keep their names, without the backslash.

    Examples
    --------
    >>> unicode(r"\ell(y, f) = \tfrac12 (f - y)^2")
    'ℓ(y, f) = ½ (f − y)²'
    >>> unicode(r"\frac{p - y}{p (1 - p)}")
    '(p − y) / (p (1 − p))'
    """
    text = latex
    text = re.sub(r"\\([{}])", lambda m: "\ue000" if m[1] == "{" else "\ue001", text)
    text = re.sub(r"\\text\{([^{}]*)\}", lambda m: "{" + m[1].replace("-", "\ue004") + "}", text)
    text = re.sub(r"\\\\", "; ", text)
    text = re.sub(r"\\(begin|end)\{[a-z*]+\}|&", " ", text)
    text = re.sub(r"\\[,;:!> ]", " ", text)
    text = re.sub(r"\\(t|d)frac", r"\\frac", text)
    text = re.sub(rf"\\(?:{_SILENT})(?![A-Za-z])", "", text)
    text = _arguments(text, r"\\frac", 2, _fraction)
    text = _arguments(text, r"\\sqrt", 1, lambda parts: f"√({parts[0]})")
    for accent, mark in _ACCENTS.items():
        text = _arguments(text, rf"\\{accent}", 1, lambda parts, mark=mark: parts[0] + mark)  # type: ignore[misc]
    text = re.sub(r"\\([A-Za-z]+)(\s*)", _word, text)
    text = _scripts(text.replace("-", "−"))
    return _tidy(text.translate(_LAST))


def _word(match: re.Match[str]) -> str:
    name, gap = match.groups()
    if name in _WORDS:
        return _WORDS[name] + ("" if name in _CLOSE else gap)
    return name + (" " if match.string[match.end() : match.end() + 1] == "\\" else gap)


def _arguments(text: str, command: str, count: int, build: Callable[[list[str]], str]) -> str:
    """Replace every ``command{a}{b}`` from the innermost outwards."""
    pattern = re.compile(command + r"(?![A-Za-z])\s*")
    while matches := list(pattern.finditer(text)):
        match = matches[-1]
        parts, end = [], match.end()
        for _ in range(count):
            part, end = _argument(text, end)
            parts.append(part)
        built = build(parts)
        if " / " in built and (_JOINED_AFTER.match(text[end:]) or _JOINED_BEFORE.search(text[: match.start()])):
            built = f"({built})"
        text = text[: match.start()] + built + text[end:]
    return text


def _argument(text: str, start: int) -> tuple[str, int]:
    """Read one braced group, or one character."""
    while start < len(text) and text[start] == " ":
        start += 1
    if start >= len(text) or text[start] != "{":
        return text[start : start + 1], start + 1
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + 1 : place], place + 1
    return text[start + 1 :], len(text)


def _fraction(parts: list[str]) -> str:
    above, below = (part.strip() for part in parts)
    if (above, below) in _HALVES:
        return _HALVES[above, below] + " "
    return f"{_wrapped(above)} / {_wrapped(below)}"


def _wrapped(part: str) -> str:
    simple = re.fullmatch(r"(\\?\w+)([\^_](\w|\{\w+\}))*(\([^()]*\))?", part)
    return part if simple else f"({part})"


def _scripts(text: str) -> str:
    for mark, table in (("^", _SUPER), ("_", _SUB)):
        while (place := text.rfind(mark)) >= 0:
            part, end = _argument(text, place + 1)
            text = text[:place] + _script(part, mark, table) + text[end:]
    return text


def _script(part: str, mark: str, table: dict[str, str]) -> str:
    small = part.replace(" ", "")
    if small and all(letter in table for letter in small):
        return "".join(table[letter] for letter in small)
    hidden = "\ue002" if mark == "^" else "\ue003"
    return hidden + (part if len(part) == 1 or part.isalnum() else f"({part})")


def _tidy(text: str) -> str:
    text = text.replace("\ue002", "^").replace("\ue003", "_")
    text = re.sub(r" {4,}", "   ", re.sub(r"(?<=\S) {2}(?=\S)", " ", text))
    return re.sub(r"\(\s+", "(", re.sub(r"\s+([,;)])", r"\1", text)).strip()
