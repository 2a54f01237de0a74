"""Names of recordings: file names that every file system takes, in the letters of every script."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# A file name has 255 bytes at most, on some file systems 143; a suffix, a number and a temporary mark come to it.
_MOST_BYTES, _DIGEST_BYTES = 110, 5
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def file_name(name: str) -> str:
    """A name made of letters and digits of any script, ``_ . -`` that does not begin with a dot; long ones are cut.

    Letters are put together with their accents (NFC). What is cut off a long name stands behind it as a digest, so that
    names that differ there still do.
    """
    plain = name
    if not _PLAIN.fullmatch(name):
        letters = (
            c if c in "_.-" or unicodedata.category(c)[0] in "LMN" else "\0" for c in unicodedata.normalize("NFC", name)
        )
        plain = re.sub("\0+", "_", "".join(letters))
    plain = plain.lstrip(".") or "_"
    if len(plain.encode()) > _MOST_BYTES:
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
        kept = plain.encode()[: _MOST_BYTES - len(digest) - 1].decode(errors="ignore")
        plain = f"{kept}-{digest}"
    return plain


class Names:
    """Gives every name once. Names that differ in capitals alone are one: some file systems cannot tell them apart."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}

    def free(self, wanted: str) -> str:
        """:func:`file_name` of a name, with a number behind it if that was given before; in time that does not grow."""
        plain = name = file_name(wanted)
        number = self._last.get(_key(plain), 1)
        if number > 1:
            name = f"{plain}-{number}"
        while _key(name) in self._taken:  # "a b.wav" and "a_b.wav"
            number += 1
            name = f"{plain}-{number}"
        self._last[_key(plain)] = number
        self._taken.add(_key(name))
        return name


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def printable(text: str) -> str:
    r"""A text that UTF-8 can hold: what is no character, as in file names that are not UTF-8, becomes ``\udce9``."""
    return text.encode(errors="backslashreplace").decode()
