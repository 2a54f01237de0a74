"""Models, page and server: from bundles to an address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, first_line, require
from smoltolk.demo.page import PURPOSE, Limits, Model, build, launch_settings
from smoltolk.inference.bundle import open_bundle
from smoltolk.inference.speech_text import SpeechText

_EXAMPLE = "Once upon a time"


@dataclass(frozen=True, slots=True)
class Opened:
    """A page that answers.

    Attributes:
        address: of the page.
        page: ``gradio.Blocks``.
    """

    address: str
    page: Any

    def close(self) -> None:
        """End the server."""
        self.page.close(verbose=False)


def open_page(
    bundles: Sequence[Path | str],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    limits: Limits | None = None,
    device: str | None = None,
) -> Opened:
    """Load one or two bundles and serve the page for them.

    Args:
        bundles: directories, or hub ids.
        host: address to listen at; only this machine reaches the default.
        port: None: the first free one from 7860 on.
        limits: of what a visitor may ask for.
        device: where the models compute; None: on a GPU if there is one.

    Raises:
        MissingExtraError: the extra ``demo`` is not installed.
        InputError, NotFoundError: no bundle, a damaged one, more than two of them, or a port that is taken.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # it would tell its makers of every start
    if not 1 <= len(bundles) <= 2:
        raise InputError("a page shows one model, or two side by side", f"{len(bundles)}", "name one or two bundles")
    require("gradio", PURPOSE)
    held = [open_bundle(bundle) for bundle in bundles]
    models = [Model(_name(one, bundles), SpeechText.from_pretrained(one, device=device)) for one in bundles]
    sample = held[0].record.get("sample")
    example = sample["prompt"] if isinstance(sample, dict) and isinstance(sample.get("prompt"), str) else _EXAMPLE
    page = build(models, limits or Limits(), example)
    try:
        _, address, _ = page.launch(server_name=host, server_port=port, prevent_thread_lock=True, **launch_settings())
    except OSError as error:
        fix = "name another --port, or leave it out"
        raise InputError("the page needs a free port", first_line(error), fix) from error
    return Opened(address, page)


def _name(bundle: Path | str, all_of: Sequence[Path | str]) -> str:
    """The last part of its path; the parent too where both are called the same."""
    path = Path(bundle)
    names = [Path(one).name for one in all_of]
    return path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
