"""A training whose shards and text lie in a bucket: moto's server stands for the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smoltolk.common.errors import InputError, NotFoundError
from smoltolk.common.object_stores import local_copy
from smoltolk.training.job import TrainingJob
from smoltolk.training.recipes.plan import plan_of
from smoltolk.training.recipes.presets import quick

server = pytest.importorskip("moto.server", reason="moto is for `make more`")
s3fs = pytest.importorskip("s3fs", reason="an extra: pip install 'smoltolk[s3]'")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    store = server.ThreadedMotoServer(port=0)
    store.start()
    host, port = store.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "SMOLTOLK_CACHE": str(tmp_path / "cache"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.makedirs("data", exist_ok=True)  # the server keeps its buckets
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
    store.stop()


def test_a_training_reads_from_a_bucket_what_it_reads_from_a_disk(
    bucket: Any, backbone: Path, shards_dir: Path, text: Path, tmp_path: Path
) -> None:
    bucket.put(str(shards_dir), "data/shards", recursive=True)
    bucket.put_file(str(text), "data/text.txt")
    recipe = quick(1, 1, 1e-3)
    recipe = replace(
        recipe,
        model=replace(recipe.model, text_model=str(backbone)),
        data=replace(recipe.data, row_length=96),
        stages=tuple(replace(stage, num_steps=1, warmup_steps=0, decay_steps=0) for stage in recipe.stages),
        logging=replace(recipe.logging, loggers=("none",)),
    )
    here = replace(recipe.data, shards=str(shards_dir), text=str(text))
    there = replace(recipe.data, shards="s3://data/shards", text="s3://data/text.txt")
    for name, data in (("here", here), ("there", there)):
        TrainingJob(replace(recipe, data=data, out=str(tmp_path / name))).run()
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("here", "there"))
    assert one == other
    assert plan_of(replace(recipe, data=there)).from_rows


def test_what_a_bucket_does_not_have(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="nothing at data/none"):
        local_copy("s3://data/none")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="from here"):
        local_copy("s3://data/shards")
