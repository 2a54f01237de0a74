"""What a whole training loses against its bare steps: loader, log, validation and report included.

    python benchmarks/training.py [--hidden 128] [--layers 4] [--rows 5] [--length 192] [--every 250] [--rounds 3]

One process trains two copies of a small late-fusion system in turns, so many steps each. The bare one has its batches
in memory and does forward pass, backward pass, clipping, AdamW and schedule, in the precision of trainings. The other
is a stage as `smoltolk train` runs it: rows made as they are needed, a line of the log (with gradient norms by group) a
hundred times a stage, TensorBoard, a validation of 16 held-out rows of each of three tasks every so many steps, one in
each turn. The table shows medians over the turns, and the ratio taken turn by turn. On a GPU the loader has two
workers; on a CPU rows are made between the steps, and seconds of the processor are counted, all threads together, which
neighbours on the machine disturb less.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch.nn.utils import clip_grad_norm_
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from data import FRAME_RATE, NUM_UNITS, VOCABULARY, MadeSpeech, tokenizer
from smoltolk.common.devices import multiplies_bfloat16
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.attention import quick_attention
from smoltolk.training.hardware import Hardware
from smoltolk.training.loop.run_loop import RunLoop, epochs_of
from smoltolk.training.loop.settings import Logging
from smoltolk.training.optimization import build_optimizer, set_trainable
from smoltolk.training.recipe import Recipe, Stage
from smoltolk.training.rows import row_source
from smoltolk.training.stages import run_stage
from smoltolk.training.systems import settings_of

MIXTURE = {"speech": 1.0, "text": 1.0, "interleaved": 1.0}
HELD, BATCHES = 100, 16


def bare_step(model: SmolTolkForCausalLM, recipe: Recipe, batches: list[dict[str, Any]]) -> Callable[[int], None]:
    """Optimizer steps on batches that are there."""
    stage = recipe.stages[0]
    set_trainable(model, stage)
    optimizer, schedule = build_optimizer(model, recipe, stage)
    device = next(model.parameters()).device.type

    def step(number: int) -> None:
        with quick_attention(model), torch.autocast(device, torch.bfloat16, enabled=multiplies_bfloat16(device)):
            loss = model(**batches[number % len(batches)]).loss
        loss.backward()
        clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()

    return step


class Turns(TrainerCallback):
    """Every so many steps of the whole training it is the bare model's turn.

    Args:
        every: steps of a turn.
        bare: does one of them.
    """

    def __init__(self, every: int, bare: Callable[[int], None]):
        self.every, self.bare = every, bare
        self.seconds: dict[str, list[float]] = {"bare": [], "whole": []}
        self._begun: float | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before a step; its rows are there."""
        if state.global_step % self.every:
            return
        if self._begun is not None:
            self.seconds["whole"].append(now() - self._begun)
        start = now()
        for number in range(self.every):
            self.bare(number)
        self.seconds["bare"].append(now() - start)
        self._begun = now()


def now() -> float:
    """Seconds, when all that was asked for is done."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = (("hidden", 128), ("layers", 4), ("rows", 5), ("length", 192), ("every", 250), ("rounds", 3))
    for name, default in sizes:
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    heads = max(1, asked.hidden // 32)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY) + 1, hidden_size=asked.hidden, intermediate_size=8 * asked.hidden // 3 // 32 * 32,
        num_hidden_layers=asked.layers, num_attention_heads=heads, num_key_value_heads=heads, eos_token_id=0,
        bos_token_id=0,
    )  # fmt: skip
    settings = settings_of("late", config, num_input_layers=2, num_output_layers=1)
    text_model = LlamaForCausalLM(config)
    model = SmolTolkForCausalLM.from_text_model(text_model, num_units=NUM_UNITS, **settings).train()
    # The first turn of both, which warms up, is left out.
    steps = (asked.rounds + 1) * asked.every + 1
    stage = Stage(name="s", num_steps=steps, trainable="all", learning_rate=1e-3, warmup_steps=10, mixture=MIXTURE)
    recipe = Recipe(stages=(stage,), row_length=asked.length, rows_per_step=asked.rows, save_steps=10 * steps)
    speech, held = (AlignedCorpus(MadeSpeech(n, seed), tokenizer(), FRAME_RATE) for seed, n in enumerate((3000, HELD)))
    space = model.config.id_space
    source = row_source(stage, recipe, space, speech, None, 0)
    rows, collate = RowDataset(source, steps * asked.rows), RowCollator(space)
    batches = [collate([rows[k * asked.rows + row] for row in range(asked.rows)]) for k in range(BATCHES)]
    turns = Turns(asked.every, bare_step(copy.deepcopy(model).to(device), recipe, send_to_device(batches, device)))
    with tempfile.TemporaryDirectory() as place:
        logging = Logging(eval_steps=asked.every)
        loop = RunLoop(settings=logging, folder=Path(place), name="benchmark", command={}, speech=held)
        held_rows = loop.rows(recipe, space, 0)
        ids = asked.rows * asked.length
        with loop.stage("s", 0, ids, held_rows, epochs_of(source, 1)) as callback:
            run_stage(
                model, recipe, stage, rows, collate, Path(place) / "s", hardware=Hardware(rows_per_device=asked.rows),
                report=lambda step, text: None, callbacks=[callback, turns],
            )  # fmt: skip
    seconds = {name: times[1 : asked.rounds + 1] for name, times in turns.seconds.items()}
    ratios = [bare / whole for bare, whole in zip(seconds["bare"], seconds["whole"], strict=True)]
    num_held = sum(len(held_rows.rows[task]) for task in held_rows.rows)
    print(
        f"{torch.get_num_threads()} threads on {device}, {asked.rows} rows of {asked.length} ids a step; {asked.rounds}"
        f" turns of {asked.every} steps, each with a validation of {num_held} rows"
    )
    for name, times in seconds.items():
        print(f"{name:6s}{asked.every * ids / statistics.median(times):12,.0f} ids a second")
    print(f"whole / bare: {statistics.median(ratios):.3f} (turns: {' '.join(f'{ratio:.3f}' for ratio in ratios)})")


if __name__ == "__main__":
    main()
