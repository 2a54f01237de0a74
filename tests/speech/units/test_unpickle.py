"""Centres out of pickles: what joblib writes is read, what runs is refused."""

import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.units.unpickle import read_kmeans


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((60, 7))


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_joblib_models_are_read(frames: np.ndarray, tmp_path: Path, compress: Any, protocol: int) -> None:
    for kind in (KMeans, MiniBatchKMeans):
        model = kind(4, n_init=1, random_state=np.random.RandomState(0)).fit(frames)
        joblib.dump(model, tmp_path / "km.bin", compress=compress, protocol=protocol)
        centers = read_kmeans(tmp_path / "km.bin")
        assert centers.dtype == np.float32 and type(centers) is np.ndarray
        np.testing.assert_array_equal(centers, model.cluster_centers_.astype(np.float32))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_plain_pickles_of_models_and_arrays_are_read(frames: np.ndarray, tmp_path: Path, protocol: int) -> None:
    model = KMeans(4, n_init=1, random_state=0).fit(frames)
    for held in (model, np.asfortranarray(model.cluster_centers_), model.cluster_centers_.astype(">f4")):
        (tmp_path / "km.pkl").write_bytes(pickle.dumps(held, protocol))
        np.testing.assert_array_equal(read_kmeans(tmp_path / "km.pkl"), model.cluster_centers_.astype(np.float32))


class _Runs:
    """A pickle that does something when it is read."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_is_refused_and_not_run(frames: np.ndarray, tmp_path: Path, protocol: int) -> None:
    hit = tmp_path / "hit"
    for number, call in enumerate(
        (
            _Runs(os.system, f"touch {hit}"),
            _Runs(exec, f"open({str(hit)!r}, 'w')"),
            _Runs(np.load, str(hit)),
            _Runs(getattr, "a", "upper"),
            _Runs(Path(hit).touch),
        )
    ):
        model = KMeans(4, n_init=1).fit(frames)
        model.cluster_centers_extra = call
        path = tmp_path / f"{number}.bin"
        joblib.dump(model, path, protocol=protocol)
        with pytest.raises(InputError, match="nothing that runs"):
            read_kmeans(path)
        assert not hit.exists()
    joblib.load(tmp_path / "0.bin")  # the same file does run elsewhere: the test can fail
    assert hit.exists()


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    held = np.array([["a", object]], dtype=object)
    joblib.dump(held, tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(pickle.dumps(held))
    for name in ("a.bin", "b.bin"):
        with pytest.raises(InputError, match="nothing that runs"):
            read_kmeans(tmp_path / name)


def test_what_is_no_codebook(frames: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_kmeans(tmp_path / "none.bin")
    path = tmp_path / "km.bin"
    joblib.dump(KMeans(4, n_init=1).fit(frames), path)
    whole = path.read_bytes()
    for content in (b"", b"RIFF....WAVE", whole[: len(whole) // 2], whole[:40], b"\x1f\x8b" + whole):
        path.write_bytes(content)
        with pytest.raises(InputError, match="k-means model as joblib writes it"):
            read_kmeans(path)
    for held in (KMeans(4), {"cluster_centers_": [1]}, np.zeros(3)):
        joblib.dump(held, path)
        with pytest.raises(InputError, match="cluster_centers_"):
            read_kmeans(path)
