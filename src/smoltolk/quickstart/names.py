"""Names of scales, known before anything large is loaded."""

from __future__ import annotations

from smoltolk.common.errors import named

SCALE_NAMES = ("tiny", "small", "medium")


def check_scale(name: str) -> None:
    """Raise InputError unless it is the name of a scale."""
    named("a scale", name, dict.fromkeys(SCALE_NAMES), "choose one of them with --scale")
