"""Published files, fetched once into a cache and checked by their SHA-256."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.files import atomic_file, cache_dir

_PIECE = 1 << 20
_TIMEOUT_SECONDS = 60


def fetch(url: str, sha256: str) -> Path:
    """A published file on this machine.

    Args:
        url: where it is published.
        sha256: of its content, 64 hex digits; also a part of its name in the cache, so that two files of one name
            never meet.

    Returns:
        Its path under ``$SMOLTOLK_CACHE``, by default ``~/.cache/smoltolk``.

    Raises:
        NotFoundError: it cannot be fetched.
        InputError: what came is another file.
    """
    path = cache_dir() / f"{sha256[:16]}-{url.rsplit('/', 1)[-1]}"
    if path.is_file() and _digest(path) == sha256:
        return path
    with atomic_file(path) as temporary:
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as source, temporary.open("wb") as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
        except (urllib.error.URLError, TimeoutError) as error:
            raise NotFoundError(
                "a published file must be reachable once", f"{url}: {error}", f"connect, or put the file at {path}"
            ) from error
        found = _digest(temporary)
        if found != sha256:
            raise InputError(
                "a published file must be the one that was published",
                f"{url} has sha256 {found}, not {sha256}",
                "fetch it again; if this stays, the file was changed there: do not use it",
            )
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
