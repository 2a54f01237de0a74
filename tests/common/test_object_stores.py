"""Data elsewhere becomes data here, once, whole, and anew where it has changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError
from smoltolk.common.object_stores import is_remote, local_copy


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[fsspec.AbstractFileSystem]:
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    for name in ("a.parquet", "b.parquet", ".hidden.parquet", "notes.txt", "deeper/c.parquet"):
        system.pipe_file(f"/bucket/shards/{name}", name.encode())
    yield system
    system.rm("/bucket", recursive=True)


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "copied.json"}


def test_what_is_a_url() -> None:
    assert all(map(is_remote, ("s3://bucket/shards", "s3:/bucket/shards", "memory://x", "gs://x/y", Path("s3://b/c"))))
    assert not any(map(is_remote, ("shards", "/data/shards", "./s3:/x", "C:/data", "nothing://x", "a:b/c")))
    assert local_copy("some/path") == Path("some/path")


def test_a_folder_is_copied_once_and_what_changes_again(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_copy("memory://bucket/shards", (".parquet",))
    assert files(folder) == {"a.parquet": "a.parquet", "b.parquet": "b.parquet"}
    copied: list[str] = []
    get = type(store).get_file
    monkeypatch.setattr(
        type(store), "get_file", lambda self, path, *more: (copied.append(path), get(self, path, *more))
    )
    assert local_copy("memory://bucket/shards/", (".parquet",)) == folder and not copied
    store.pipe_file("/bucket/shards/b.parquet", b"other")
    store.rm_file("/bucket/shards/a.parquet")
    assert files(local_copy("memory://bucket/shards", (".parquet",))) == {"b.parquet": "other"}
    assert copied == ["/bucket/shards/b.parquet"]


def test_a_copy_that_was_cut_short_goes_on(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    get = type(store).get_file

    def cut(self: fsspec.AbstractFileSystem, path: str, target: str, **more: object) -> None:
        get(self, path, target)
        if path.endswith("b.parquet"):
            Path(target).write_text("ha")
            raise OSError("the line went dead")

    monkeypatch.setattr(type(store), "get_file", cut)
    with pytest.raises(InputError, match="went dead"):
        local_copy("memory://bucket/shards", (".parquet",))
    monkeypatch.setattr(type(store), "get_file", get)
    assert files(local_copy("memory://bucket/shards", (".parquet",)))["b.parquet"] == "b.parquet"


def test_one_file(store: fsspec.AbstractFileSystem) -> None:
    assert local_copy("memory://bucket/shards/notes.txt").read_text() == "notes.txt"


def test_what_is_not_there(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("memory://bucket/nothing", "memory://bucket/shards/deeper/none.txt"):
        with pytest.raises(NotFoundError, match="nothing at"):
            local_copy(url)
    with pytest.raises(NotFoundError, match=r"no \*\.wav"):
        local_copy("memory://bucket/shards", (".wav",))
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"smoltolk\[s3\]"):
        local_copy("s3://bucket/shards")
