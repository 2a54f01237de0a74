"""What stands beside a token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a token and changes how it is said.

    Args:
        before, behind: the neighbours without marks, "" where there is none.
        capitals: the whole text is in capitals, which therefore tell nothing.
        currency: said behind this token, the scale of an amount of money ("$5 million").
        scaled: the next token is the scale of this amount, and says the currency.
    """

    before: str = ""
    behind: str = ""
    capitals: bool = False
    currency: str = ""
    scaled: bool = False


ALONE = Beside()
