"""Files that lie inside a page."""

from __future__ import annotations

import base64

MEDIA_TYPES = {
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".svg": "image/svg+xml",
}


def data_address(content: bytes, suffix: str) -> str:
    """A file as a ``data:`` address.

    Args:
        content: of the file.
        suffix: of its name, e.g. ``.mp3``; what is not known is taken for ``.wav``.
    """
    kind = MEDIA_TYPES.get(suffix.lower(), MEDIA_TYPES[".wav"])
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
