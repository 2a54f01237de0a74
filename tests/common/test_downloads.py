"""Published files are fetched once, and only if they are what was published."""

import hashlib
from pathlib import Path

import pytest

from smoltolk.common.downloads import fetch
from smoltolk.common.errors import InputError, NotFoundError


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.pt").write_bytes(b"weights")
    return (tmp_path / "model.pt").as_uri(), hashlib.sha256(b"weights").hexdigest()


def test_a_file_is_fetched_once(published: tuple[str, str], tmp_path: Path) -> None:
    path = fetch(*published)
    assert path.read_bytes() == b"weights" and path.parent == tmp_path / "cache"
    (tmp_path / "model.pt").unlink()
    assert fetch(*published) == path
    path.write_bytes(b"damaged")
    with pytest.raises(NotFoundError, match="reachable once"):
        fetch(*published)


def test_another_file_is_refused(published: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the one that was published"):
        fetch(published[0], "0" * 64)
    assert not list((tmp_path / "cache").iterdir())
