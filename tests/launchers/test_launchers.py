"""The files that users copy start a training of two nodes: stand-ins for Slurm and SkyPilot run them on one CPU."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smoltolk.common.files import read_json
from smoltolk.training.recipes.presets import quick
from smoltolk.training.recipes.yaml_files import to_yaml

FOLDER = Path(__file__).parents[2] / "launchers"
SLURM, SKYPILOT = FOLDER / "slurm.sbatch", FOLDER / "skypilot.yaml"
# Fields of a task in SkyPilot's reference.
TASK = {
    "name",
    "workdir",
    "num_nodes",
    "resources",
    "envs",
    "secrets",
    "file_mounts",
    "setup",
    "run",
    "config",
    "volumes",
}
RESOURCES = {"infra", "accelerators", "cpus", "memory", "instance_type", "use_spot", "disk_size", "disk_tier", "ports",
             "image_id", "any_of", "ordered", "job_recovery", "autostop", "labels", "network_tier"}  # fmt: skip
# What a cluster has on its path: srun starts its command once a node, and ends with the worst of them.
SRUN = """#!/bin/bash
shift  # its own option
for node in $(seq "$SLURM_JOB_NUM_NODES"); do "$@" & pids="${pids:-} $!"; done
for pid in $pids; do wait "$pid" || failed=1; done
exit "${failed:-0}"
"""


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """An environment whose path has the commands of a cluster."""
    commands = {
        "srun": SRUN,
        "scontrol": "#!/bin/bash\necho localhost\necho other\n",
        "torchrun": f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n',
        "smoltolk": f'#!/bin/bash\nexec {sys.executable} -c "from smoltolk.cli import main; main()" "$@"\n',
    }
    (tmp_path / "bin").mkdir()
    for name, text in commands.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def recipe(byte_tokenizer: PreTrainedTokenizerFast, shards_dir: Path, tmp_path: Path) -> Path:
    """A file of a recipe of two steps."""
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, eos_token_id=0, bos_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "text")
    byte_tokenizer.save_pretrained(tmp_path / "text")
    tree = quick(1, 1, 1e-3)
    tree = replace(
        tree,
        model=replace(tree.model, text_model=str(tmp_path / "text")),
        data=replace(tree.data, shards=str(shards_dir), row_length=96),
        stages=tuple(replace(stage, num_steps=1, warmup_steps=0, decay_steps=0) for stage in tree.stages),
        optimisation=replace(tree.optimisation, rows_per_step=4),
        logging=replace(tree.logging, loggers=("none",)),
    )
    (tmp_path / "run.yaml").write_text(to_yaml(tree), encoding="utf-8")
    return tmp_path / "run.yaml"


def test_bash_reads_them() -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    task = yaml.safe_load(SKYPILOT.read_text())
    for text in (SLURM.read_text(), task["run"], task["setup"]):
        assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""


def test_skypilot_knows_every_field() -> None:
    task: dict[str, Any] = yaml.safe_load(SKYPILOT.read_text())
    assert set(task) <= TASK and set(task["resources"]) <= RESOURCES
    assert isinstance(task["num_nodes"], int) and all(isinstance(value, str) for value in task["envs"].values())
    (mount,) = task["file_mounts"].values()
    assert set(mount) <= {"name", "source", "store", "mode", "persistent"} and mount["mode"] in (
        "MOUNT", "COPY", "MOUNT_CACHED"
    )  # fmt: skip


@pytest.mark.slow
def test_slurm_trains_on_two_nodes(cluster: dict[str, str], recipe: Path, tmp_path: Path) -> None:
    options = [line.split()[1] for line in SLURM.read_text().splitlines() if line.startswith("#SBATCH")]
    assert all(option.startswith("--") for option in options)
    job = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": str(port() - 20000), "SLURM_JOB_NODELIST": "node[1-2]",
           "SLURM_GPUS_ON_NODE": "1"}  # fmt: skip
    command = ["bash", str(SLURM), str(recipe), f"out={tmp_path / 'model'}", "seed=3"]
    done = subprocess.run(command, env=cluster | job, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "model" / "training.json")["seed"] == 3 and done.stdout.count("model in") == 1


@pytest.mark.slow
def test_skypilot_trains_on_two_nodes(cluster: dict[str, str], recipe: Path, shards_dir: Path, tmp_path: Path) -> None:
    run = yaml.safe_load(SKYPILOT.read_text())["run"]
    shutil.copy(recipe, tmp_path / "here.yaml")
    machines = [
        subprocess.Popen(
            ["bash", "-c", run], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path,
            env=cluster | {
                "SKYPILOT_NODE_IPS": "127.0.0.1\n127.0.0.2", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": str(rank),
                "SKYPILOT_NUM_GPUS_PER_NODE": "1", "PORT": str(free), "RECIPE": "here.yaml", "SHARDS": str(shards_dir),
                "MORE": "seed=4", "OUTPUTS": str(tmp_path / "outputs"),
            },
        )
        for free in [port()] for rank in (0, 1)
    ]  # fmt: skip
    told = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], told
    assert read_json(tmp_path / "outputs" / "here.yaml" / "training.json")["seed"] == 4
