"""Models, page and server: from bundles to an address."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, first_line, require
from smoltolk.common.files import read_json
from smoltolk.common.hub import names_of
from smoltolk.demo.limits import Limits
from smoltolk.demo.page import PURPOSE, Model, build, launch_settings

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
    tell: Callable[[str], None] = lambda _: None,
) -> Opened:
    """Serve the page for one or two bundles, and load them; whoever comes earlier waits for them.

    Args:
        bundles: directories, or hub ids.
        host: address to listen at; only this machine reaches the default.
        port: None: the first free one from 7860 on.
        limits: of what a visitor may ask for.
        device: where the models compute; None: on a GPU if there is one.
        tell: is told the address when the page is there, before the models are.

    Raises:
        MissingExtraError: the extra ``demo`` is not installed.
        InputError, NotFoundError: no bundle, a damaged one, more than two of them, or a port that is taken.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # it would tell its makers of every start
    if not 1 <= len(bundles) <= 2:
        raise InputError("a page shows one model, or two side by side", f"{len(bundles)}", "name one or two bundles")
    require("gradio", PURPOSE)
    records = [_record(bundle) for bundle in bundles]
    sample = records[0].get("sample")
    example = sample["prompt"] if isinstance(sample, dict) and isinstance(sample.get("prompt"), str) else _EXAMPLE
    models = [Model(name) for name in names_of(bundles)]
    page = build(models, limits or Limits(), example)
    try:
        _, address, _ = page.launch(server_name=host, server_port=port, prevent_thread_lock=True, **launch_settings())
    except OSError as error:
        fix = "name another --port, or leave it out"
        raise InputError("the page needs a free port", first_line(error), fix) from error
    opened = Opened(address, page)
    try:
        tell(address)
        _load(models, bundles, device)
    except BaseException:
        for model in models:
            model.talker.cancel()  # nobody waits for it any more
        opened.close()
        raise
    return opened


def _load(models: Sequence[Model], bundles: Sequence[Path | str], device: str | None) -> None:
    """Give the page its models; here and not above, for torch and transformers take longer than the page."""
    from smoltolk.inference.speech_text import SpeechText

    for model, bundle in zip(models, bundles, strict=True):
        model.talker.set_result(SpeechText.from_pretrained(bundle, device=device))
    import_module("smoltolk.demo.answering")  # a first click need not wait for it


def _record(bundle: Path | str) -> Mapping[str, Any]:
    """What a bundle says of itself; one that is none, or not here, takes what loads it to say so or to fetch it."""
    path = Path(bundle) / "bundle.json"
    if path.is_file():
        held = read_json(path)
        if isinstance(held, dict):
            return held
    from smoltolk.inference.bundle import open_bundle

    return open_bundle(bundle).record
