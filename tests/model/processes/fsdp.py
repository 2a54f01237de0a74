"""One process of a training step under FSDP2; run by tests/model/test_fsdp.py.

``python fsdp.py RANK DIRECTORY`` reads ``model/`` and ``batches.pt``, and writes the loss and all gradients of each
batch as ``NAME-RANK.pt``.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from smoltolk.model.modeling import SmolTolkForCausalLM

NUM_PROCESSES = 2


def main(rank: int, directory: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory}/store", rank=rank, world_size=NUM_PROCESSES)
    model = SmolTolkForCausalLM.from_pretrained(directory / "model").train()
    mesh = init_device_mesh("cpu", (NUM_PROCESSES,))
    adapters = [part for part in (model.input_adapter, model.output_adapter) if part is not None]
    for block in [*model.backbone.base_model.layers, *(block for adapter in adapters for block in adapter.blocks)]:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for name, ids in torch.load(directory / "batches.pt").items():
        # FSDP takes the mean over processes, so each divides by its share of all predicted positions.
        count = sum(int((one[:, 1:] != model.config.switch_id).sum()) for one in ids) / NUM_PROCESSES
        loss = model(input_ids=ids[rank], labels=ids[rank], num_items_in_batch=count).loss
        loss.backward()
        gradients = {name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()}
        torch.save({"loss": loss.detach(), "gradients": gradients}, directory / f"{name}-{rank}.pt")
        model.zero_grad()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
