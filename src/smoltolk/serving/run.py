"""The server's process: bundles loaded, the app listening, until a signal comes."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import uvicorn

from smoltolk.common.errors import InputError
from smoltolk.inference.bundle import open_bundle
from smoltolk.inference.running.threads import quickest_threads
from smoltolk.inference.speech_text import SpeechText
from smoltolk.serving.app import Offer, create_app
from smoltolk.serving.keys import Keys
from smoltolk.serving.limits import Limits

LOCAL = ("127.0.0.1", "::1", "localhost")


def offers_of(bundles: Sequence[Path | str], *, int8: bool = False) -> dict[str, Offer]:
    """Bundles by their names: the last part of their place.

    Raises:
        NotFoundError, InputError: no bundle there, a damaged one, or two of one name.
    """
    offers: dict[str, Offer] = {}
    for place in bundles:
        name = Path(str(place).rstrip("/")).resolve().name if Path(place).is_dir() else str(place)
        if name in offers:
            raise InputError("served bundles have names of their own", f"two called {name!r}", "rename one of them")
        origin = open_bundle(place).record.get("origin")
        languages = origin.get("languages") if isinstance(origin, dict) else None
        offers[name] = Offer(SpeechText.from_pretrained(place, int8=int8), tuple(languages or ("en",)))
    return offers


def check_reachable(host: str, keys: Keys | None) -> None:
    """Refuse to be open to everybody.

    Raises:
        InputError: a host that others reach, and no keys.
    """
    if host not in LOCAL and keys is None:
        raise InputError(
            "a server that others can reach has keys", f"host {host} and no keys",
            "give --keys FILE, or leave the host out: then only this machine reaches it",
        )  # fmt: skip


def serve(
    offers: dict[str, Offer],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    keys: Keys | None = None,
    limits: Limits | None = None,
    sound_threads: int = 2,
    drain_seconds: float = 30.0,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve until Ctrl-C or SIGTERM; what is under way is finished, within ``drain_seconds``.

    Args:
        offers: as :func:`offers_of` gives them.
        host, port: where it listens; port 0: any that is free.
        keys, limits, sound_threads: as for :func:`~smoltolk.serving.app.create_app`.
        drain_seconds: that requests under way may take when it stops.
        tell: is told a line when it listens.

    Raises:
        InputError: a host that others reach, and no keys.
    """
    check_reachable(host, keys)
    torch.set_num_threads(max(quickest_threads(offer.talker.model) for offer in offers.values()))
    limits = limits or Limits()
    app = create_app(offers, limits=limits, keys=keys, sound_threads=sound_threads)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=int(drain_seconds),
        timeout_keep_alive=30, h11_max_incomplete_event_size=1 << 16, server_header=False,
        limit_concurrency=limits.slots + limits.queue,  # each may hold a body in memory

    )  # fmt: skip
    names = ", ".join(offers)
    # Another reader of signals (smoltolk.common.stopping) would end the process before it has drained.
    woken = signal.set_wakeup_fd(-1)
    try:
        _Server(config, lambda address: tell(f"{names} at {address} (what it takes: {address}/docs)")).run()
    finally:
        signal.set_wakeup_fd(woken)


class _Server(uvicorn.Server):
    """Tells its address when it listens."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[str], None]):
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.servers:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._tell(f"http://{f'[{host}]' if ':' in host else host}:{port}")
