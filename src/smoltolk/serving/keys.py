"""API keys: read from a file, held as digests, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

from smoltolk.common.errors import InputError, NotFoundError, first_line
from smoltolk.serving.admission import let_finish
from smoltolk.serving.errors import error_response

_SHORTEST = 16  # characters


class Keys:
    """Which keys open a server.

    Args:
        keys: as clients send them.
    """

    def __init__(self, keys: list[str]):
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def read(cls, path: Path) -> Keys:
        """Keys of a file, one a line; empty lines and those that begin with ``#`` are left out.

        Raises:
            NotFoundError: no such file.
            InputError: no text, no keys in it, or one that is too short to be a secret or that no header can carry.
        """
        if not path.is_file():
            raise NotFoundError("keys are lines of a file", f"no file {path}", "check the path")
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()  # editors of Windows begin files with a mark
        except (UnicodeDecodeError, OSError) as error:
            raise InputError("a file of keys is text", f"{path}: {first_line(error)}", "save it as UTF-8") from error
        keys = {number: line.strip() for number, line in enumerate(lines, 1)}
        keys = {number: key for number, key in keys.items() if key and not key.startswith("#")}
        if not keys:
            raise InputError("a file of keys has one at least", f"{path} has none", "write a key a line")
        for number, key in keys.items():
            if len(key) < _SHORTEST or not all("!" <= letter <= "~" for letter in key):
                found = "a shorter one" if len(key) < _SHORTEST else "one with others, or spaces,"
                raise InputError(
                    f"a key has {_SHORTEST} characters of ASCII at least", f"{found} in line {number} of {path}",
                    "make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
                )  # fmt: skip
        return cls(list(keys.values()))

    def owner(self, key: str) -> str | None:
        """Whose requests those with this key are, as an opaque name; None: it opens nothing.

        Every held key is looked at, and digests are compared in constant time: how long it takes tells nothing.
        """
        given, found = _digest(key), False
        for held in self._digests:
            found |= hmac.compare_digest(given, held)
        return given.hex()[:16] if found else None


class KeyCheck:
    """Lets nothing through that has no key: no route, no document, no figure.

    Args:
        app: what is asked behind it.
        keys: that open it; None: everybody may ask.
    """

    def __init__(self, app: Any, keys: Keys | None):
        self.app, self.keys = app, keys

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it; ``scope["owner"]`` is whose request it is."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        scope["owner"] = ""
        if self.keys is not None:
            sent = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            kind, _, key = sent.partition(" ")
            owner = self.keys.owner(key.strip()) if kind.lower() == "bearer" else None
            if owner is None:
                if scope["type"] == "http":
                    await let_finish(receive)
                message = "give a key of this server: Authorization: Bearer KEY"
                await error_response(401, message, "invalid_api_key")(scope, receive, send)
                return
            scope["owner"] = owner
        await self.app(scope, receive, send)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
