"""Which of several processes this is: those that ``torchrun`` or ``accelerate`` started for one command."""

from __future__ import annotations

import os


def num_processes() -> int:
    """How many there are; 1 where a command was started by itself."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the first of them, or the only one: the one that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0"))
