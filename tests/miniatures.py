"""The writers of `examples/miniature.py`, which is no package, for tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("miniature", Path(__file__).parents[1] / "examples" / "miniature.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

ACTIONS = _module.ACTIONS
DISHES = _module.DISHES
LABELS = _module.LABELS
write_clip = _module.write_clip
write_crisismmd = _module.write_crisismmd
write_food101 = _module.write_food101
write_ucf101 = _module.write_ucf101
