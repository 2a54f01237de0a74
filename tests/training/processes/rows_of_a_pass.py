"""Rows of a pass by trial in two processes, of which the second has less room.

Run by tests/training/test_memory_trial.py: ``python rows_of_a_pass.py PORT FOLDER`` prints for each process what it
finds, what it finds a second time, and how many rows it tried. A forward pass computes next to nothing.
"""

import multiprocessing
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from smoltolk.training.hardware import Hardware
from smoltolk.training.memory_trial import rows_by_trial
from smoltolk.training.processes import begin_together


class Model(torch.nn.Linear):
    """Has room for some rows of a number each."""

    def __init__(self, most: int):
        super().__init__(1, 1)
        self.most, self.tried = most, []

    def forward(self, rows: torch.Tensor) -> Any:
        self.tried.append(len(rows))
        if len(rows) > self.most:
            raise torch.OutOfMemoryError("as a device says it")
        return SimpleNamespace(loss=super().forward(rows).sum())


def work(rank: int, port: str, folder: Path, found: Any) -> None:
    given = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in given.items()})
    begin_together(on_cpu=True)
    model, rows = Model(4 - 2 * rank), torch.arange(8.0)[:, None]
    # The first process alone sees what is kept: another one may be on another machine.
    own = folder / f"process-{rank}"
    own.mkdir()
    made = [
        rows_by_trial(model, rows, lambda some: {"rows": torch.stack(some)}, Hardware(autocast=False), 4, own)
        for _ in range(2)
    ]
    found.put((rank, *made, model.tried))


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    found = fork.Queue()
    processes = [fork.Process(target=work, args=(rank, sys.argv[1], Path(sys.argv[2]), found)) for rank in range(2)]
    for process in processes:
        process.start()
    for told in sorted(found.get(timeout=120) for _ in processes):
        print(*told)
    for process in processes:
        process.join()
