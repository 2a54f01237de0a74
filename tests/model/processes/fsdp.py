"""Training steps under FSDP2 in two processes; run by tests/model/test_fsdp.py.

``python fsdp.py DIRECTORY`` reads ``model/`` and ``batches.pt``, and writes the loss and all gradients of each batch,
and how many spans and positions each call of the input adapter saw, as ``NAME-RANK.pt``.
"""

import multiprocessing
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from smoltolk.model.modeling import SmolTolkForCausalLM

NUM_PROCESSES = 2
MOST_SECONDS = 120


def main(rank: int, directory: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/store", rank=rank, world_size=NUM_PROCESSES)
    model = SmolTolkForCausalLM.from_pretrained(directory / "model").train()
    mesh = init_device_mesh("cpu", (NUM_PROCESSES,))
    adapters = [part for part in (model.late_fusion.adapter, model.late_fission.adapter) if part is not None]
    for block in [*model.backbone.base_model.layers, *(block for adapter in adapters for block in adapter.blocks)]:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    calls: list[tuple[int, int]] = []
    model.late_fusion.adapter.register_forward_pre_hook(lambda _, given: calls.append(tuple(given[0].shape[:2])))
    for name, ids in torch.load(directory / "batches.pt").items():
        # FSDP takes the mean over processes, so each divides by its share of all predicted positions.
        count = sum(int((one[:, 1:] != model.config.switch_id).sum()) for one in ids) / NUM_PROCESSES
        loss = model(input_ids=ids[rank], labels=ids[rank], num_items_in_batch=count).loss
        loss.backward()
        seen = list(calls)
        gradients = {name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()}
        torch.save({"loss": loss.detach(), "gradients": gradients, "calls": seen}, directory / f"{name}-{rank}.pt")
        model.zero_grad()
        with torch.no_grad():
            model.eval()(input_ids=ids[rank])
        model.train().reshard()
        calls.clear()
    dist.destroy_process_group()


if __name__ == "__main__":
    # Forked before anything is computed: imports take longer than all the rest, so they are done once.
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=main, args=(rank, Path(sys.argv[1]))) for rank in range(NUM_PROCESSES)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + MOST_SECONDS
    while any(process.is_alive() for process in processes):
        failed = any(process.exitcode for process in processes)
        if failed or time.monotonic() > deadline:  # the other one would wait for it
            for process in processes:
                process.kill()
        processes[0].join(0.1)
    sys.exit(any(process.exitcode for process in processes))
