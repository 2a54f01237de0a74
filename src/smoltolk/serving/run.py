"""The server's process: bundles loaded, the app listening, until a signal comes."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import uvicorn

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.hub import names_of
from smoltolk.inference.bundle import open_bundle
from smoltolk.inference.running.threads import quickest_threads
from smoltolk.inference.speech_text import SpeechText
from smoltolk.serving.app import Offer, create_app
from smoltolk.serving.keys import Keys
from smoltolk.serving.limits import Limits

LOCAL = ("127.0.0.1", "::1", "localhost")


def offers_of(bundles: Sequence[Path | str], *, int8: bool = False) -> dict[str, Offer]:
    """Bundles by their names: the last part of their place, with the one before it where two are called the same.

    Raises:
        NotFoundError, InputError: no bundle there, a damaged one, or two of one name.
    """
    names = names_of(bundles)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError("served bundles have names of their own", f"two called {twice[0]!r}", "rename one of them")
    held = [open_bundle(place) for place in bundles]  # what is none is told before any other is loaded
    offers: dict[str, Offer] = {}
    for name, one in zip(names, held, strict=True):
        origin = one.record.get("origin")
        languages = origin.get("languages") if isinstance(origin, dict) else None
        offers[name] = Offer(SpeechText.from_pretrained(one.path, int8=int8), tuple(languages or ("en",)))
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


def listener_at(host: str, port: int) -> socket.socket:
    """A socket of this address, so that one that is taken shows before any model is loaded.

    Args:
        host: name or number.
        port: 0: any that is free.

    Raises:
        InputError: no such address here, or it is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere it would share the port with whoever has it
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        told = f"{host} port {port}: {error.strerror or first_line(error)}"
        raise InputError("a server has an address of its own", told, "name another --port or --host") from error
    return listener


def serve(
    offers: dict[str, Offer],
    listener: socket.socket,
    *,
    keys: Keys | None = None,
    limits: Limits | None = None,
    origins: Sequence[str] = (),
    sound_threads: int = 2,
    drain_seconds: float = 30.0,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve until Ctrl-C or SIGTERM; what is under way is finished, within ``drain_seconds``.

    Args:
        offers: as :func:`offers_of` gives them.
        listener: of :func:`listener_at`.
        keys, limits, origins, sound_threads: as for :func:`~smoltolk.serving.app.create_app`.
        drain_seconds: that requests under way may take when it stops.
        tell: is told a line when it listens.

    Raises:
        InputError: a host that others reach, and no keys.
    """
    host, port = listener.getsockname()[:2]
    check_reachable(host, keys)
    torch.set_num_threads(max(quickest_threads(offer.talker.model) for offer in offers.values()))
    app = create_app(offers, limits=limits, keys=keys, origins=origins, sound_threads=sound_threads)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=int(drain_seconds),
        timeout_keep_alive=30, h11_max_incomplete_event_size=1 << 16, server_header=False,
    )  # fmt: skip
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    told = f"{', '.join(offers)} at {address} (what it takes: {address}/docs)"
    # Another reader of signals (smoltolk.common.stopping) would end the process before it has drained.
    woken = signal.set_wakeup_fd(-1)
    try:
        _Server(config, lambda: tell(told)).run(sockets=[listener])
    finally:
        signal.set_wakeup_fd(woken)


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]):
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()
