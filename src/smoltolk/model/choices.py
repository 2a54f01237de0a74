"""Words that settings of a model are chosen among; here alone, so that recipes are read without loading torch."""

from __future__ import annotations

from typing import Literal

LayerMixMode = Literal["last", "fixed", "static", "dynamic"]
LayerMixPool = Literal["backbone", "all"]
