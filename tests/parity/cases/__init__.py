"""The models of the parity fixtures, a file for each group, each small enough that a reference stays below 60 kB."""

import importlib
import pkgutil

from .common import Case

CASES: dict[str, Case] = {}
for module in sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "common"):
    found = importlib.import_module(f"{__name__}.{module}").CASES
    assert not CASES.keys() & found.keys(), f"{module}: {CASES.keys() & found.keys()} is in another file too"
    CASES |= found
