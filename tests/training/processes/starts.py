"""Fresh starts of a command in four processes; run by tests/training/test_starts.py.

``python starts.py NUMBER DIRECTORY VERB ARGUMENTS...`` runs the command so many times, each into ``DIRECTORY/N``, which
stands for ``OUT`` among the arguments, and prints the codes with which the processes ended, a line for each start.
Processes are forked, with the environment that torchrun gives: imports take longer than all the rest, so they are done
once, and nothing keeps the processes from meeting in any order.
"""

import contextlib
import multiprocessing
import os
import random
import socket
import sys
import time
from pathlib import Path

import torch

from smoltolk.cli import main
from smoltolk.cli import model_verbs as _  # noqa: F401 - what the verbs import is imported before the forks
from smoltolk.training import job, text_job  # noqa: F401
from smoltolk.training.presets import PRESETS  # noqa: F401

PROCESSES, MOST_SECONDS = 4, 120


def work(rank: int, port: int, delay: float, arguments: list[str], log: Path) -> None:
    given = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": PROCESSES, "LOCAL_WORLD_SIZE": PROCESSES,
             "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
    os.environ.update({name: str(value) for name, value in given.items()})
    torch.set_num_threads(1)
    time.sleep(delay)
    sys.argv = ["smoltolk", *arguments]
    with log.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        os.dup2(file.fileno(), 2)
        main()


def one(number: int, folder: Path, arguments: list[str]) -> list[int | None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out, draw, fork = folder / str(number), random.Random(number), multiprocessing.get_context("fork")
    given = [str(out) if argument == "OUT" else argument for argument in arguments]
    processes = [
        fork.Process(target=work, args=(rank, port, draw.uniform(0, 0.3), given, folder / f"{number}-{rank}.log"))
        for rank in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    deadline = time.monotonic() + MOST_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill()
    return [process.exitcode for process in processes]


if __name__ == "__main__":
    for start in range(int(sys.argv[1])):
        print(*one(start, Path(sys.argv[2]), sys.argv[3:]), flush=True)
