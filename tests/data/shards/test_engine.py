import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from smoltolk.common.errors import InputError, MissingExtraError
from smoltolk.data.shards.engine import Engine, engine_named, spread

RAY = importlib.util.find_spec("ray") is not None
# A process of its own, with a limit: Ray leaves daemons and threads behind that other tests should not meet.
ON_RAY = """
import os, sys
from smoltolk.common.errors import NotFoundError, WorkerError
from smoltolk.data.shards.engine import Engine, spread
from smoltolk.data.shards.parquet import shard_paths
from smoltolk.data.shards.prepare import prepare
import ray
corpus, units, out = sys.argv[1:]
ray.shutdown = lambda: None  # the other calls join the cluster of the first: starting one takes seconds
print(prepare(corpus, units, out, workers=2, engine=Engine.RAY).num_utterances)
def die_once(path):  # as where a machine goes away
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(1)
    return path
ray.cloudpickle.register_pickle_by_value(sys.modules["__main__"])
print(list(spread(die_once, [out + ".died"], engine=Engine.RAY, workers=1, initializer=int)) == [out + ".died"])
try:
    list(spread(os._exit, [1], engine=Engine.RAY, workers=1, initializer=int))
except WorkerError as error:
    print("WorkerError")
try:
    list(spread(shard_paths, [out + "/nothing"], engine=Engine.RAY, workers=1, initializer=int))
except NotFoundError as error:
    print("NotFoundError")
"""


@pytest.mark.slow
@pytest.mark.skipif(not RAY, reason="needs the extra 'ray'")
def test_ray_makes_the_same_shards(
    spoken_corpus: Path, phone_units_dir: Path, shards_dir: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", ON_RAY, str(spoken_corpus), str(phone_units_dir), str(tmp_path / "shards")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "(raylet)" not in line]  # which tells of deaths, too
    assert lines == ["8", "True", "WorkerError", "NotFoundError"], done.stdout
    for path in shards_dir.glob("*.parquet"):
        assert (tmp_path / "shards" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_without_ray_its_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"smoltolk\[ray\]"):
        list(spread(str, [1], engine=Engine.RAY, workers=1, initializer=print))


def test_engines_have_names() -> None:
    assert engine_named("ray") is Engine.RAY
    assert list(spread(str, [1, 2], workers=0, initializer=int)) == ["1", "2"]
    with pytest.raises(InputError, match="processes or ray"):
        engine_named("slurm")
