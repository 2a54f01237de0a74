"""A model whose weights are shared out among processes (FSDP2), and its weights and optimizer as plain files.

What is written does not tell how it was computed: one process, copies in several, or shards. So a run may go on in
another form, and with another number of processes. Tensors are gathered one at a time and read in place, so that no
process ever holds a second copy of a model on its device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from smoltolk.common.errors import InputError, first_line
from smoltolk.common.processes import is_main, num_processes
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.layers import block_list

_FILE_BYTES = 4 << 30
_SLASH = "/"  # between the name of a parameter and that of its state


def shard(model: PreTrainedModel, device: str) -> None:
    """Share out a model's weights among all processes, in place: each decoder layer, also the adapters', by itself.

    Tables, heads and what else is small stay together in the group of the whole model, which is gathered once a pass:
    the speech table is read as a matrix too, and how often heads are called depends on the rows.

    Args:
        model: the same in every process.
        device: ``cpu`` or ``cuda``; there the shards lie.
    """
    mesh = init_device_mesh(device, (num_processes(),))
    parts: list[PreTrainedModel] = [model]
    if isinstance(model, SmolTolkForCausalLM):
        fusion, fission = model.late_fusion, model.late_fission
        parts = [model.backbone, *(part.adapter.model for part in (fusion, fission) if part.num_layers)]
    for part in parts:
        for block in block_list(part, part.config.num_hidden_layers)[2]:
            fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model._is_fsdp_managed_module = True  # as transformers marks those that it shards itself


def is_sharded(model: nn.Module) -> bool:
    """Whether :func:`shard` has shared it out."""
    return isinstance(model, FSDPModule)


def whole_tensors(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Gather tensors one by one, on the CPU of the first process; of the others each is empty.

    Every process must ask for all of them: where one is shared out, all take part.
    """
    for name, tensor in tensors:
        if isinstance(tensor, DTensor):
            tensor = tensor.full_tensor()
        yield name, tensor.detach().cpu() if is_main() else tensor.new_empty(0)


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The state of a model, gathered on the CPU of the first process; empty in all others, which must ask too."""
    state = dict(whole_tensors(model.state_dict().items()))
    return state if is_main() else {}


# ------------------------------------------------------------------ files


def load_weights(model: PreTrainedModel, folder: Path) -> bool:
    """Read the weights of a model directory into a model in place, each process its share.

    Args:
        model: of the same settings.
        folder: as :func:`~smoltolk.training.stages.save_model` writes it.

    Returns:
        False where its names are not the model's, for transformers renames the parts of some architectures in files;
        then nothing is changed.

    Raises:
        InputError: a file is missing or damaged.
    """
    own = model.state_dict(keep_vars=True)
    with _opened(sorted(folder.glob("model*.safetensors")), folder) as found:
        there = {id(own[name]) for name in found if name in own}
        if found.keys() - own.keys() or any(id(value) not in there for value in own.values()):
            return False
        for name, file in found.items():
            _put(own[name], file.get_tensor(name))
    return True


def save_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Write an optimizer's state by the names of its parameters; all processes take part, the first one writes.

    Args:
        model: whose parameters it has.
        optimizer: AdamW, or any whose state of a parameter is tensors.
        folder: a checkpoint; gets ``optimizer-N.safetensors``.
    """
    names = _names(model)
    states = (
        (f"{names[parameter]}{_SLASH}{key}", value)
        for group in optimizer.param_groups
        for parameter in group["params"]
        for key, value in optimizer.state.get(parameter, {}).items()
    )
    held: dict[str, Tensor] = {}
    number = size = 0
    for name, value in whole_tensors(states):
        if not is_main():
            continue
        if held and size + value.nbytes > _FILE_BYTES:
            save_file(held, folder / f"optimizer-{number:05}.safetensors")
            held, size, number = {}, 0, number + 1
        held[name] = value.contiguous()
        size += value.nbytes
    if is_main():
        save_file(held, folder / f"optimizer-{number:05}.safetensors")


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Read what :func:`save_optimizer` wrote, whatever the number of processes then and now.

    Raises:
        InputError: a file is missing or damaged, or of another model.
    """
    names = _names(model)
    files = sorted(folder.glob("optimizer-*.safetensors"))
    with _opened(files, folder) as found:
        states: dict[str, dict[str, str]] = {}
        for name in found:
            parameter, _, key = name.rpartition(_SLASH)
            states.setdefault(parameter, {})[key] = name
        trained = {names[parameter] for group in optimizer.param_groups for parameter in group["params"]}
        if states.keys() - trained or (states and trained - states.keys()):
            strange = sorted(states.keys() ^ trained)
            raise _damaged(folder, f"the optimizer's state is that of other parameters: {strange[0]}")
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                state = states.get(names[parameter], {})
                optimizer.state[parameter] = {
                    key: _like(parameter, found[name].get_tensor(name)) for key, name in state.items()
                }


def _names(model: nn.Module) -> dict[Tensor, str]:
    """The names of the parameters that an optimizer has."""
    if isinstance(model, FSDPModule):
        model.reshard()  # an evaluation leaves its own group gathered
    return {parameter: name for name, parameter in model.named_parameters()}


def _like(parameter: Tensor, whole: Tensor) -> Tensor:
    """A state as it lies beside its parameter: shared out and on its device where it has its shape."""
    if isinstance(parameter, DTensor) and whole.shape == parameter.shape:  # not the step
        whole = whole.to(parameter.device_mesh.device_type)
        return distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
    return whole.to(parameter.device)


@torch.no_grad()
def _put(into: Tensor, whole: Tensor) -> None:
    if isinstance(into, DTensor):
        shared = distribute_tensor(whole, into.device_mesh, into.placements, src_data_rank=None)
        into.to_local().copy_(shared.to_local())
    else:
        into.copy_(whole)


@contextmanager
def _opened(files: list[Path], folder: Path) -> Iterator[dict[str, safe_open]]:
    """The file of each tensor, by its name."""
    if not files:
        raise _damaged(folder, "it has no *.safetensors")
    with ExitStack() as stack:
        found = {}
        for path in files:
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise _damaged(folder, f"{path.name}: {first_line(error)}") from error
            found.update(dict.fromkeys(file.keys(), file))
        yield found


def _damaged(folder: Path, found: str) -> InputError:
    return InputError(
        "what an earlier run wrote must be whole",
        f"{folder}: {found}",
        f"delete {folder}: the training goes on from what was before it",
    )
