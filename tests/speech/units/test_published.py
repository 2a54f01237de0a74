"""Published units by name, from files made here in the same formats."""

import hashlib
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from transformers import HubertConfig, HubertModel

from smoltolk.common.downloads import fetch
from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.speech.units import published as published_units
from smoltolk.speech.units.published import PUBLISHED, PublishedUnits, pretrained_encoder, pretrained_units


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``tiny-25hz`` stands for a published name; its parts lie in this directory."""
    monkeypatch.setenv("SMOLTOLK_CACHE", str(tmp_path / "cache"))
    conv = {"conv_dim": (8,) * 8, "conv_kernel": (10, 3, 3, 3, 3, 2, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2, 2)}
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    HubertModel(HubertConfig(**conv, **size)).save_pretrained(tmp_path / "encoder")
    centers = KMeans(5, n_init=1, random_state=0).fit(np.random.default_rng(0).standard_normal((50, 16)))
    joblib.dump(centers, tmp_path / "km.bin")
    digest = hashlib.sha256((tmp_path / "km.bin").read_bytes()).hexdigest()
    entry = PublishedUnits(str(tmp_path / "encoder"), 2, (tmp_path / "km.bin").as_uri(), digest)
    monkeypatch.setitem(published_units.PUBLISHED, "tiny-25hz", entry)
    return tmp_path


def test_a_name_brings_encoder_layer_and_codebook(named: Path) -> None:
    units = pretrained_units("tiny-25hz")
    assert (units.num_units, units.frame_rate) == (5, 25.0)
    assert units.encoder.config()["layer"] == 2 and not units.encoder.config()["normalize"]
    same = pretrained_units(str(named / "encoder"), layer=2, codebook=named / "km.bin")
    assert same.fingerprint == units.fingerprint
    (named / "km.bin").unlink()  # from the cache by now
    assert pretrained_units("tiny-25hz").fingerprint == units.fingerprint
    assert pretrained_encoder("tiny-25hz").dim == 16
    for call in (
        lambda: pretrained_units("tiny-25hz", layer=1),
        lambda: pretrained_units(str(named / "encoder"), layer=2),
        lambda: pretrained_encoder(str(named / "encoder")),
    ):
        with pytest.raises(InputError, match="layer"):
            call()


def test_a_name_that_is_nearly_one(named: Path) -> None:
    for name, layer, fix in (
        ("hubert-50", None, "did you mean hubert-50hz"),
        ("mhubert_25hz", 11, "did you mean mhubert-25hz"),
        (str(named / "encoder"), None, "of another encoder"),
        ("tiny-25hz", 1, "of another encoder"),
    ):
        with pytest.raises(InputError) as error:
            pretrained_units(name, layer=layer)
        assert error.value.fix.startswith(fix) and "hubert-50hz" in error.value.rule
        assert error.value.found == f"none of {name!r}" + (f", layer {layer}" if layer else "")


def test_another_file_under_the_same_name_is_refused(named: Path) -> None:
    entry = published_units.PUBLISHED["tiny-25hz"]
    (named / "km.bin").write_bytes(b"something else")
    with pytest.raises(InputError, match="has sha256"):
        fetch(entry.codebook, entry.sha256)
    assert not list((named / "cache").glob("*"))
    with pytest.raises(NotFoundError, match="reachable"):
        fetch((named / "none.bin").as_uri(), entry.sha256)


def test_the_published_ones_are_named_as_they_are_published() -> None:
    assert {name: (one.encoder, one.layer, one.sha256[:12]) for name, one in PUBLISHED.items()} == {
        "mhubert-25hz": ("slprl/mhubert-base-25hz", 11, "03cc04a9c24f"),
        "hubert-50hz": ("facebook/hubert-base-ls960", 9, "4450dcbc90aa"),
    }
    assert all(len(one.sha256) == 64 and one.codebook.endswith("_km500.bin") for one in PUBLISHED.values())
