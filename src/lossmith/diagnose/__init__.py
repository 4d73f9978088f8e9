"""Why training goes wrong: symptoms, causes, remedies.

Called, the package does what :func:`lossmith.diagnose.diagnosis.diagnose` does, parameters and all.

Examples
--------
>>> import lossmith as lm
>>> from lossmith.diagnose.record import Facts, Record, Step
>>> lm.diagnose(Record.of(Facts(), [Step(0, loss=0.7), Step(1, loss=float("nan"))])).findings[0].id
'LM-NAN'
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Diagnose(ModuleType):
    """The package, which is called by the name of what it does."""

    def __call__(self, *given: Any, **named: Any) -> Any:
        from lossmith.diagnose.diagnosis import diagnose

        return diagnose(*given, **named)


# The package takes the name that the public function has; Python binds it here as soon as a part of it is imported.
sys.modules[__name__].__class__ = _Diagnose
