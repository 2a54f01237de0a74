"""The verb that opens a page to talk with models on: demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    bundles: Annotated[
        list[Path],
        typer.Argument(help="One bundle, or two side by side: directories, or hub ids.", metavar="BUNDLE..."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0: the whole network.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: the first free one from 7860 on.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Longest recording that is taken.")] = 30,
    device: Annotated[str | None, typer.Option(help="Where the models compute: cpu, cuda, ...")] = None,
) -> None:
    """Open a page in the browser: speak, upload or write, and a model goes on.

    The page shows the answer in writing and aloud, and below it the words, the
    units, the layers that speech is read from, and what the text head makes of
    each layer. It needs the extra `demo`. Ctrl-C ends it.

    Example: smoltolk demo quickstart/bundle
    """
    from smoltolk.common.stopping import check
    from smoltolk.demo.limits import Limits
    from smoltolk.demo.opening import open_page
    from smoltolk.demo.page import streams_sound

    def tell(address: str) -> None:
        print(f"the page is at {address}; Ctrl-C ends it", flush=True)
        if not streams_sound():
            print("  note: no ffmpeg here, so sound is played when it is whole, not while it is made", flush=True)

    opened = open_page(bundles, host=host, port=port, limits=Limits(seconds=seconds), device=device, tell=tell)
    print("the models are loaded", flush=True)
    try:
        while True:
            check(patience=1.0)
    finally:
        opened.close()
