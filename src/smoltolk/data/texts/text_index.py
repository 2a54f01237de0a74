"""Running text ready to be cut into rows: a small one in memory, a large one from an index on disk, as speech is.

A text of a few megabytes is read and tokenized at every start. Of a larger one that is done once; what it is made of is
known by the file's size, its time and some of its blocks, so that later starts do not read it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smoltolk.common.files import atomic_file, cache_dir
from smoltolk.common.made import digest_of_file
from smoltolk.common.progress import bar
from smoltolk.common.texts import numbered_lines
from smoltolk.common.workers import num_cpus, parallel_map
from smoltolk.data.rows.aligned import AlignedCorpus, Texts
from smoltolk.data.rows.disk_corpus import IndexWriter
from smoltolk.data.rows.index import MOST_IN_MEMORY, index_roots, kept_index
from smoltolk.data.texts.reading import read_documents
from smoltolk.data.texts.text_documents import Documents, check_text_file, no_texts, not_utf8, text_of_line

_VERSION = 1
_PART_BYTES = 1 << 22  # of text that is tokenized at a time
_FEWEST_SHARED_OUT = 16 * _PART_BYTES
_BLOCKS, _BLOCK_BYTES = 64, 1 << 14


class WrittenText:
    """The running text of a training: known at once, ready for rows when it is opened.

    Args:
        source: as for :func:`smoltolk.data.texts.reading.read_documents`.
        index: directory of indexes; None: a text of more than 32 MB has one beside it (or in the cache), others none.

    Attributes:
        digest: hex string that another text would not have.

    Raises:
        NotFoundError, InputError, MissingExtraError: as :func:`smoltolk.data.texts.reading.read_documents`; of a large
            file its lines are looked at when it is opened.
    """

    def __init__(self, source: Path | str, *, index: Path | str | None = None):
        self.source, self._index = Path(source), index
        self._documents: Documents | None = None
        is_file = self.source.is_file() or self.source.suffix.lower() in (".txt", ".jsonl")
        if is_file and (index is not None or check_text_file(self.source).stat().st_size > MOST_IN_MEMORY):
            self.digest = _digest_of(check_text_file(self.source), index)
        else:
            self._documents = read_documents(source)
            self.digest = self._documents.digest

    def texts(self) -> Iterator[str]:
        """The documents in order, one at a time in memory.

        Raises:
            InputError: a line that is none.
        """
        if self._documents is not None:
            yield from self._documents
            return
        with bar(f"text {self.source.name}", self.source.stat().st_size / 1e6, "MB") as read:
            for part in _parts(self.source):
                yield from part.texts
                read.advance(part.size / 1e6)

    def open(self, tokenizer: Any) -> AlignedCorpus:
        """The text tokenized and cut at words; rows of both forms are the same.

        Args:
            tokenizer: a fast transformers tokenizer.

        Raises:
            InputError: a line that is none, no text, or no place for an index.
        """
        if self._documents is not None:
            return AlignedCorpus(Texts(self._documents), tokenizer, 1.0)
        belongs = {"version": str(_VERSION), "text": self.digest}
        roots = index_roots(self.source.resolve().parent, self._index)
        return kept_index(belongs, tokenizer, roots, lambda directory: _write(self.source, tokenizer, directory))


def _digest_of(path: Path, index: Path | str | None) -> str:
    """Digest of a file's content, worked out once for its size, time and some of its blocks."""
    state = path.stat()
    known = hashlib.sha256(f"{path.resolve()}\x1f{state.st_size}\x1f{state.st_mtime_ns}".encode())
    with path.open("rb") as file:
        for place in np.linspace(0, max(0, state.st_size - _BLOCK_BYTES), _BLOCKS, dtype=np.int64).tolist():
            file.seek(place)
            known.update(file.read(_BLOCK_BYTES))
    kept = (cache_dir() / "text" if index is None else Path(index)) / f"text-{known.hexdigest()[:32]}.digest"
    if not kept.is_file():
        digest = digest_of_file(path)
        with atomic_file(kept) as temporary:
            temporary.write_text(digest, encoding="utf-8")
    return kept.read_text(encoding="utf-8")


class _Part(NamedTuple):
    """Some documents, and how many bytes of the file they took."""

    texts: list[str]
    size: int


def _parts(path: Path) -> Iterator[_Part]:
    is_json = path.suffix.lower() == ".jsonl"
    texts: list[str] = []
    begun = place = 0
    with path.open("rb") as file:
        for number, (place, line) in enumerate(numbered_lines(file), 1):
            if place - begun >= _PART_BYTES:
                yield _Part(texts, place - begun)
                texts, begun = [], place
            try:
                text = text_of_line(line.decode("utf-8-sig" if number == 1 else "utf-8"), is_json, path, number)
            except UnicodeDecodeError as error:
                raise not_utf8(path, error) from error
            if text:
                texts.append(text)
    if texts:
        yield _Part(texts, place - begun)


_tokenizers: list[Any] = []  # of a worker process, one


def _install(tokenizer: Any) -> None:
    _tokenizers[:] = [tokenizer]


def _align(part: _Part) -> tuple[dict[str, np.ndarray], int]:
    return AlignedCorpus(Texts(part.texts), _tokenizers[0], 1.0).parts(), part.size


def _write(path: Path, tokenizer: Any, directory: Path) -> None:
    size = path.stat().st_size
    workers = num_cpus() if size >= _FEWEST_SHARED_OUT else 0
    parts: Iterable[_Part] = (part for part in _parts(path) if part.texts)
    aligned = parallel_map(_align, parts, workers=workers, initializer=_install, initargs=(tokenizer,))
    count = 0
    with IndexWriter(directory) as writer, bar(f"index of {path.name}", size / 1e6, "MB") as done:
        for arrays, num_bytes in aligned:
            writer.add(arrays)
            count += len(arrays["num_tokens"])
            done.advance(num_bytes / 1e6)
    if not count:
        raise no_texts(path)
