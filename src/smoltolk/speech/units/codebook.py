"""A codebook: the centres of clusters; a unit is the number of the nearest."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.progress import Bar
from smoltolk.speech.units.unpickle import read_kmeans

_BATCH = 4096  # frames of one step of mini-batch k-means


class Codebook(nn.Module):
    """Centres of clusters.

    Args:
        centers: float32 ``[units, dim]``.

    Raises:
        InputError: fewer than two centres, another shape, or values that are not finite.
    """

    centers: Tensor
    squares: Tensor

    def __init__(self, centers: Tensor):
        super().__init__()
        if centers.ndim != 2 or centers.shape[0] < 2 or not torch.isfinite(centers).all():
            raise InputError(
                "a codebook has two centres or more, finite, as [units, dim]",
                f"shape {tuple(centers.shape)}",
                "fit it again, on more frames",
            )
        self.register_buffer("centers", centers.float().contiguous())
        self.register_buffer("squares", self.centers.square().sum(1), persistent=False)

    @property
    def num_units(self) -> int:
        """How many centres."""
        return self.centers.shape[0]

    @property
    def dim(self) -> int:
        """Of the features it quantizes."""
        return self.centers.shape[1]

    def nearest(self, features_TD: Tensor) -> Tensor:
        """The unit of each frame, int64 ``[frames]``: the least ``||x||^2 - 2 x C + ||C||^2``.

        Args:
            features_TD: ``[frames, dim]``; computed in float32.
        """
        x = features_TD.float()
        distances_TK = x.square().sum(1, keepdim=True) - 2 * (x @ self.centers.T) + self.squares
        return distances_TK.argmin(1)


def read_codebook(path: Path | str) -> Codebook:
    """Read centres from ``.safetensors`` (one tensor), ``.npy``, or a published k-means pickle (anything else).

    Raises:
        NotFoundError: no such file.
        InputError: not a codebook; see :func:`smoltolk.speech.units.unpickle.read_kmeans` for pickles.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("a codebook must exist", f"no file {path}", "check the path")
    try:
        if path.suffix == ".safetensors":
            held = load_file(path)
            if len(held) != 1:
                raise ValueError(f"{len(held)} tensors")
            return Codebook(next(iter(held.values())).float())
        if path.suffix == ".npy":
            return Codebook(torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float32)))
    except (ValueError, SafetensorError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "a codebook's file must hold one array [units, dim]", f"{path}: {error}", "write it again, whole"
        ) from error
    return Codebook(torch.from_numpy(read_kmeans(path)))


def fit_codebook(
    features: np.ndarray, num_units: int, *, steps: int = 1000, seed: int = 0, progress: Bar | None = None
) -> Codebook:
    """Cluster frames: faiss's k-means where it is installed, scikit-learn's mini-batch k-means elsewhere.

    Args:
        features: float32 ``[frames, dim]``.
        num_units: clusters.
        steps: of 4,096 frames each, drawn with replacement; faiss counts passes over all frames instead, one for
            fifty of them.
        seed: of first centres and of every draw.
        progress: advanced by one per step.

    Raises:
        InputError: fewer frames than clusters, or a number of clusters or steps that makes no sense.
    """
    if num_units < 2 or steps < 1 or len(features) < num_units:
        raise InputError(
            "k-means needs two clusters, a step, and a frame for every cluster at least",
            f"{num_units} clusters, {steps} steps, {len(features)} frames",
            "give more speech, or ask for fewer clusters",
        )
    features = np.ascontiguousarray(features, dtype=np.float32)
    if importlib.util.find_spec("faiss") is not None:
        return _fit_faiss(features, num_units, max(1, steps // 50), seed, progress, steps)
    return _fit_sklearn(features, num_units, steps, seed, progress)


def _fit_sklearn(features: np.ndarray, num_units: int, steps: int, seed: int, progress: Bar | None) -> Codebook:
    from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus

    random = np.random.default_rng(seed)
    # First centres by k-means++ on a draw: on all frames it takes longer than all steps.
    drawn = features[random.choice(len(features), min(len(features), max(10 * num_units, 2 * _BATCH)), replace=False)]
    first, _ = kmeans_plusplus(drawn, num_units, random_state=seed % (1 << 32))
    kmeans = MiniBatchKMeans(num_units, init=first, n_init=1, reassignment_ratio=0.01, random_state=seed % (1 << 32))
    batch = max(_BATCH, num_units)
    for _ in range(steps):
        kmeans.partial_fit(features[random.integers(len(features), size=batch)])
        if progress is not None:
            progress.advance()
    return Codebook(torch.from_numpy(np.asarray(kmeans.cluster_centers_, dtype=np.float32)))


def _fit_faiss(
    features: np.ndarray, num_units: int, passes: int, seed: int, progress: Bar | None, steps: int
) -> Codebook:
    faiss: Any = importlib.import_module("faiss")  # not a dependency: typed by no one

    kmeans = faiss.Kmeans(
        features.shape[1], num_units, niter=passes, seed=seed % (1 << 31), max_points_per_centroid=len(features)
    )
    kmeans.train(features)
    if progress is not None:
        progress.advance(steps)
    return Codebook(torch.from_numpy(np.array(kmeans.centroids, dtype=np.float32)))
