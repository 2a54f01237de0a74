"""Nearest centres, and fitting them."""

import importlib.util
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.cluster import KMeans, MiniBatchKMeans

from smoltolk.common.errors import InputError, MissingExtraError, NotFoundError
from smoltolk.speech.units.codebook import FAISS, SKLEARN, Codebook, clusterer, fit_codebook, read_codebook


class Counter:
    """Stands in for a bar."""

    def __init__(self) -> None:
        self.done = 0.0

    def advance(self, count: float = 1) -> None:
        self.done += count

    def note(self, text: str) -> None:
        pass


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    """Three heaps, far apart, 200 frames each."""
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(10 * k, 0.5, (200, 5)) for k in range(3)]).astype(np.float32)


def test_the_nearest_centre_is_the_one_at_the_least_distance() -> None:
    random = torch.Generator().manual_seed(0)
    centers, frames = torch.randn(30, 8, generator=random), torch.randn(200, 8, generator=random)
    expected = torch.cdist(frames.double(), centers.double()).argmin(1)
    assert torch.equal(Codebook(centers).nearest(frames), expected)
    # Not that of scikit-learn's alone: the definition, on a case by hand.
    assert Codebook(torch.tensor([[0.0, 0.0], [4.0, 0.0]])).nearest(
        torch.tensor([[1.9, 9.0], [2.1, -9.0]])
    ).tolist() == [0, 1]


def test_heaps_become_units(blobs: np.ndarray) -> None:
    counter = Counter()
    codebook = fit_codebook(blobs, 3, steps=20, seed=0, progress=counter)
    units = codebook.nearest(torch.from_numpy(blobs)).reshape(3, 200)
    assert [len(set(row.tolist())) for row in units] == [1, 1, 1]
    assert sorted(units[:, 0].tolist()) == [0, 1, 2] and counter.done == 20
    again, other = fit_codebook(blobs, 3, steps=20, seed=0), fit_codebook(blobs, 3, steps=20, seed=1)
    assert torch.equal(again.centers, codebook.centers) and not torch.equal(other.centers, codebook.centers)


def _inertia(codebook: Codebook, frames: np.ndarray) -> float:
    return float(torch.cdist(torch.from_numpy(frames), codebook.centers).amin(1).square().mean())


@pytest.mark.parametrize("library", [SKLEARN, FAISS])
def test_either_library_finds_the_heaps(library: str, blobs: np.ndarray) -> None:
    if library == FAISS:
        pytest.importorskip("faiss")
    counter = Counter()
    codebook = fit_codebook(blobs, 3, steps=200, seed=3, progress=counter, library=library)
    assert counter.done == 200
    # As good as the heaps' own means, which no centres can beat.
    means = Codebook(torch.from_numpy(blobs.reshape(3, 200, 5).mean(1)))
    assert _inertia(codebook, blobs) < 1.01 * _inertia(means, blobs)
    assert torch.equal(codebook.centers, fit_codebook(blobs, 3, steps=200, seed=3, library=library).centers)
    # Fewer frames than faiss likes, and many of them the same.
    few = np.repeat(blobs[:12], 3, axis=0)
    assert torch.isfinite(fit_codebook(few, 10, steps=1, library=library).centers).all()


def test_faiss_clusters_where_it_is_installed(blobs: np.ndarray) -> None:
    chosen = fit_codebook(blobs, 7, steps=20)
    if importlib.util.find_spec("faiss") is None:
        assert clusterer() == SKLEARN
        with pytest.raises(MissingExtraError, match=r"smoltolk\[faiss\]"):
            fit_codebook(blobs, 7, library=FAISS)
    else:
        assert clusterer() == FAISS
        assert not torch.equal(chosen.centers, fit_codebook(blobs, 7, steps=20, library=SKLEARN).centers)
    assert torch.equal(chosen.centers, fit_codebook(blobs, 7, steps=20, library=clusterer()).centers)
    with pytest.raises(InputError, match="'k-means'"):
        fit_codebook(blobs, 7, library="k-means")


def test_steps_end_when_the_inertia_does_not_fall(blobs: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    step = MiniBatchKMeans.partial_fit

    def counted(self: MiniBatchKMeans, frames: np.ndarray) -> MiniBatchKMeans:
        nonlocal taken
        taken += 1
        return step(self, frames)

    monkeypatch.setattr(MiniBatchKMeans, "partial_fit", counted)
    counter = Counter()
    settled = fit_codebook(blobs, 3, steps=5000, progress=counter, library=SKLEARN)
    assert taken == 100 and counter.done == 5000  # the bar is full
    # What was left out would have changed next to nothing: on frames that no few centres fit.
    spread = np.random.default_rng(1).standard_normal((9000, 4)).astype(np.float32)
    taken = 0
    settled = fit_codebook(spread, 30, steps=600, library=SKLEARN)
    assert 100 <= taken < 600 and taken % 50 == 0
    monkeypatch.setattr("smoltolk.speech.units.codebook._LEAST_FALL", -1.0)  # never
    taken, further = 0, fit_codebook(spread, 30, steps=600, library=SKLEARN)
    assert _inertia(settled, spread) < 1.02 * _inertia(further, spread)


def test_fitting_needs_frames(blobs: np.ndarray) -> None:
    for frames, clusters, steps in ((blobs[:2], 3, 1), (blobs, 1, 1), (blobs, 3, 0)):
        with pytest.raises(InputError, match="a frame for every cluster"):
            fit_codebook(frames, clusters, steps=steps)


def test_codebooks_are_read_from_files(tmp_path: Path) -> None:
    model = KMeans(3, n_init=1, random_state=0).fit(np.random.default_rng(0).standard_normal((40, 5)))
    centers = torch.from_numpy(model.cluster_centers_).float()
    joblib.dump(model, tmp_path / "km.bin")
    np.save(tmp_path / "km.npy", model.cluster_centers_)
    save_file({"centers": centers}, tmp_path / "km.safetensors")
    for name in ("km.bin", "km.npy", "km.safetensors"):
        assert torch.equal(read_codebook(tmp_path / name).centers, centers)
    with pytest.raises(NotFoundError):
        read_codebook(tmp_path / "none.npy")
    np.save(tmp_path / "bad.npy", np.array([object()]), allow_pickle=True)
    save_file({"a": centers, "b": centers.clone()}, tmp_path / "bad.safetensors")
    for name in ("bad.npy", "bad.safetensors"):
        with pytest.raises(InputError, match="one array"):
            read_codebook(tmp_path / name)
    np.save(tmp_path / "flat.npy", np.zeros(4))
    np.save(tmp_path / "nan.npy", np.full((4, 2), np.nan))
    for name in ("flat.npy", "nan.npy"):
        with pytest.raises(InputError, match="two centres or more"):
            read_codebook(tmp_path / name)
