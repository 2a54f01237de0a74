"""Which seeds there are; apart from what draws by them, so that a command line is read without numpy."""

from __future__ import annotations

from smoltolk.common.errors import InputError

# What numpy, torch and transformers all take.
LARGEST_SEED = 2**32 - 1


def check_seed(seed: int) -> int:
    """The seed, if every library takes it.

    Raises:
        InputError: below 0, or above 2**32 - 1.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"a seed lies between 0 and {LARGEST_SEED}", str(seed), "give another one, e.g. 0")
    return seed
