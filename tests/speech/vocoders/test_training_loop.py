"""Training that is killed goes on; what does not belong together is refused."""

import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from smoltolk.common import stopping
from smoltolk.common.errors import InputError
from smoltolk.common.files import read_json
from smoltolk.speech.vocoders.training_loop import Keeping, Training, chosen_precision, run


class Killed(Exception):
    pass


class Bar:
    def __init__(self) -> None:
        self.done, self.notes = 0.0, list[str]()

    def advance(self, count: float = 1) -> None:
        self.done += count

    def note(self, text: str) -> None:
        self.notes.append(text)


def made(
    steps: int,
    work: Path | None,
    *,
    killed_at: int | None = None,
    stopped_at: int | None = None,
    rate: float = 0.1,
) -> tuple[nn.Module, Bar]:
    """A little network with momentum in its optimizer and noise for each step."""
    torch.manual_seed(3)
    network, bar = nn.Linear(3, 1), Bar()
    optimizer = torch.optim.AdamW(network.parameters(), rate)

    def step(index: int) -> dict[str, torch.Tensor]:
        if index == killed_at:
            raise Killed
        if index == stopped_at:
            signal.raise_signal(signal.SIGTERM)
        inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(index))
        loss = (network(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"error": loss}

    def sample(directory: Path) -> None:
        (directory / "weight.txt").write_text(str(network.weight.tolist()))

    training = Training({"steps": steps, "rate": rate}, {"net": network}, {"net": optimizer})
    run(training, step, steps, keeping=Keeping(work, save_every=3, sample_every=4), progress=bar, sample=sample)
    return network, bar


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, _ = made(10, None)
    with pytest.raises(Killed):
        made(10, tmp_path, killed_at=8)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000006"]
    resumed, bar = made(10, tmp_path)
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
    assert bar.done == 10 and bar.notes[-1].startswith("error ")
    assert read_json(tmp_path / "checkpoint-00000010" / "state.json")["step"] == 10
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "step-00000004",
        "step-00000008",
        "step-00000010",
    ]
    again, bar = made(10, tmp_path)
    assert torch.equal(again.weight, whole.weight) and bar.done == 10


def test_a_signal_ends_it_with_a_checkpoint(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with stopping.listening(), pytest.raises(stopping.Stopped):
        made(10, tmp_path, stopped_at=4)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000005"]
    resumed, _ = made(10, tmp_path)
    told = capfd.readouterr().err
    assert "step 5 of 10 of the vocoder is kept" in told and "goes on from step 5 of 10" in told
    assert torch.equal(made(10, None)[0].weight, resumed.weight)


def test_what_a_killed_process_half_wrote_goes(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        made(10, tmp_path, killed_at=5)
    for folder in (tmp_path, tmp_path / "samples"):
        (folder / ".tmp-999999999-half").mkdir()
    made(10, tmp_path)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    made(3, tmp_path)
    with pytest.raises(InputError, match=r"rate was 0\.1, is 0\.2"):
        made(3, tmp_path, rate=0.2)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    made(3, tmp_path)
    (tmp_path / "checkpoint-00000003" / "optimizers.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="checkpoint-00000003"):
        made(3, tmp_path)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(InputError, match="at least one step"):
        made(0, None)
    training = Training({}, {}, {})
    with pytest.raises(InputError, match="'loss': nan} at step 0"):
        run(training, lambda _: {"loss": torch.tensor(float("nan"))}, 1, keeping=Keeping())


def test_precision_is_a_known_word() -> None:
    cpu = torch.device("cpu")
    assert chosen_precision("bf16", cpu) and not chosen_precision("fp32", cpu)
    assert isinstance(chosen_precision("auto", cpu), bool)
    with pytest.raises(InputError, match="'half'"):
        chosen_precision("half", cpu)
