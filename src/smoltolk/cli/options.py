"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Workers = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Processes; default: one per processor; 0: no others.")
]
