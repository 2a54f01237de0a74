"""A codebook: the centres of clusters; a unit is the number of the nearest."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from smoltolk.common.errors import InputError, NotFoundError, require
from smoltolk.common.progress import Bar
from smoltolk.speech.units.unpickle import read_kmeans

FAISS, SKLEARN = "faiss", "scikit-learn"
_BATCH = 4096  # frames of one step of mini-batch k-means
# Inertia is looked at after every so many steps; where it has fallen by less than this share, the centres are settled.
_LOOK, _LEAST_FALL = 50, 5e-4
_FEWEST_PASSES = 10  # of faiss


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


def clusterer() -> str:
    """The library that clusters here: faiss where it is installed, scikit-learn elsewhere."""
    return SKLEARN if importlib.util.find_spec("faiss") is None else FAISS


def fit_codebook(
    features: np.ndarray,
    num_units: int,
    *,
    steps: int = 1000,
    seed: int = 0,
    progress: Bar | None = None,
    library: str | None = None,
) -> Codebook:
    """Cluster frames: faiss's k-means where it is installed, scikit-learn's mini-batch k-means elsewhere.

    The same frames, settings and seed give the same centres from the same library; another one gives others.

    Args:
        features: float32 ``[frames, dim]``.
        num_units: clusters.
        steps: of 4,096 frames each, drawn with replacement, at most: they end when the inertia falls by less than
            0.05% in fifty of them. faiss counts passes over all frames instead, one for fifty steps, ten at least.
        seed: of first centres and of every draw.
        progress: advanced by one per step.
        library: ``"faiss"`` or ``"scikit-learn"``; None: :func:`clusterer`.

    Raises:
        InputError: fewer frames than clusters, a number of clusters or steps that makes no sense, or another library.
        MissingExtraError: faiss is asked for and not installed.
    """
    library = library or clusterer()
    if library not in (FAISS, SKLEARN):
        raise InputError(f"k-means is that of {FAISS} or of {SKLEARN}", f"{library!r}", "choose one of them")
    if num_units < 2 or steps < 1 or len(features) < num_units:
        raise InputError(
            "k-means needs two clusters, a step, and a frame for every cluster at least",
            f"{num_units} clusters, {steps} steps, {len(features)} frames",
            "give more speech, or ask for fewer clusters",
        )
    features = np.ascontiguousarray(features, dtype=np.float32)
    if library == FAISS:
        return _fit_faiss(features, num_units, steps, seed, progress)
    return _fit_sklearn(features, num_units, steps, seed, progress)


def _first_centers(
    features: np.ndarray, num_units: int, seed: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Centres by k-means++ on a draw (on all frames it takes longer than all steps), and the draw."""
    from sklearn.cluster import kmeans_plusplus

    drawn = features[random.choice(len(features), min(len(features), max(10 * num_units, 2 * _BATCH)), replace=False)]
    return kmeans_plusplus(drawn, num_units, random_state=seed % (1 << 32))[0], drawn


def _fit_sklearn(features: np.ndarray, num_units: int, steps: int, seed: int, progress: Bar | None) -> Codebook:
    from sklearn.cluster import MiniBatchKMeans

    random = np.random.default_rng(seed)
    first, drawn = _first_centers(features, num_units, seed, random)
    kmeans = MiniBatchKMeans(
        num_units, init=first, n_init=1, reassignment_ratio=0.01, random_state=seed % (1 << 32), compute_labels=False
    )
    batch = max(_BATCH, num_units)
    before = math.inf
    for step in range(1, steps + 1):
        kmeans.partial_fit(features[random.integers(len(features), size=batch)])
        if progress is not None:
            progress.advance()
        if step % _LOOK == 0:
            # Of one draw throughout: a batch's is noisy, and low because its own frames have just moved the centres.
            inertia = -kmeans.score(drawn)
            if inertia >= (1 - _LEAST_FALL) * before:
                if progress is not None:
                    progress.note(f"settled after {step}")
                    progress.advance(steps - step)
                break
            before = inertia
    return Codebook(torch.from_numpy(np.asarray(kmeans.cluster_centers_, dtype=np.float32)))


def _fit_faiss(features: np.ndarray, num_units: int, steps: int, seed: int, progress: Bar | None) -> Codebook:
    faiss: Any = require("faiss", "clustering with faiss")
    kmeans = faiss.Kmeans(
        features.shape[1],
        num_units,
        niter=max(_FEWEST_PASSES, steps // 50),
        seed=seed % (1 << 31),
        max_points_per_centroid=len(features),  # all frames, however many
        min_points_per_centroid=1,  # it warns of fewer on the terminal; how few are too few is the caller's to say
    )
    # Its own first centres, frames drawn at random, can leave heaps of frames without one for good.
    kmeans.train(features, init_centroids=_first_centers(features, num_units, seed, np.random.default_rng(seed))[0])
    if progress is not None:
        progress.advance(steps)
    return Codebook(torch.from_numpy(np.array(kmeans.centroids, dtype=np.float32)))
