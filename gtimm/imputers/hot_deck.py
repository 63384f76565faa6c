"""Hot deck: a real item of the same class, from those that are left."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gtimm.core.imputer import Imputer
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool

if TYPE_CHECKING:
    from gtimm.core.imputer import State, View


class HotDeck(Imputer):
    """Draws among the training rows of the same class that have the modality.

    It tells what generation adds from what mere resampling gives. A class without any stays absent (filled as by `zero`).
    """

    info: ClassVar[Info] = Info(items="row", needs_label=True, depths=("pooled", "last_block"))

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the present rows by class."""
        assert view.labels is not None
        rows = np.flatnonzero(view.present(target))
        return Pool.rows(rows, view.labels[rows], view.labels, len(view.classes))
