"""The verb that serves models: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def serve(
    bundles: Annotated[list[str], typer.Argument(help="Bundles: directories or hub ids.", metavar="BUNDLE...")],
    host: Annotated[str, typer.Option(help="Address to listen at; others reach it only with --keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    keys: Annotated[Path | None, typer.Option(help="File of API keys, one a line.")] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Of pages that may ask, as https://example.org; repeatable."),
    ] = None,
    slots: Annotated[int, typer.Option(min=1, help="Continuations that run at once, of each model.")] = 64,
    queue: Annotated[int, typer.Option(min=1, help="That wait for a slot; more are told to come again.")] = 256,
    most_seconds: Annotated[float, typer.Option(min=0.1, help="Of sound in a request.")] = 60.0,
    most_ids: Annotated[int, typer.Option(min=1, help="Ids of a continuation.")] = 1024,
    most_megabytes: Annotated[int, typer.Option(min=1, help="Of a request's body.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 120.0,
    int8: Annotated[bool, typer.Option("--int8", help="Hold weights in eight bits (extra int8).")] = False,
) -> None:
    """Serve bundles by the OpenAI API: transcriptions, speech, chat, completions; until Ctrl-C.

    Examples:

    smoltolk serve quickstart/bundle

    smoltolk serve quickstart/bundle --host 0.0.0.0 --keys keys.txt
    """
    from smoltolk.serving.keys import Keys
    from smoltolk.serving.limits import Limits
    from smoltolk.serving.run import check_reachable, listener_at, offers_of, serve

    opened = None if keys is None else Keys.read(keys)
    check_reachable(host, opened)
    limits = Limits(
        body_bytes=most_megabytes << 20, audio_seconds=most_seconds, new_ids=most_ids, slots=slots, queue=queue,
        seconds=timeout,
    )  # fmt: skip
    with listener_at(host, port) as listener:
        serve(offers_of(bundles, int8=int8), listener, keys=opened, limits=limits, origins=origin or ())
