"""Training speed of the three systems and of the bare text model, side by side in one process.

    python benchmarks/training_step.py [--hidden 128] [--layers 4] [--rows 5] [--length 192] [--rounds 7]

Each round times one optimizer step of each; the table shows medians, and the ratios to the bare text model that has as
many layers as backbone and adapters together, taken round by round. Speech is three quarters of the ids.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.devices import multiplies_bfloat16
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.attention import quick_attention
from smoltolk.model.text_models.layers import with_new_layers
from smoltolk.report.results import COMPARED
from smoltolk.training.systems import settings_of

NUM_UNITS, SPAN = 500, 24


def mixed_rows(rows: int, length: int, vocab: int, offset: int) -> torch.Tensor:
    """Runs of text and speech, a quarter and three quarters of the ids, with switches between them."""
    switch = offset - 1
    text = torch.randint(0, vocab, (rows, length))
    speech = torch.randint(offset, offset + NUM_UNITS, (rows, length))
    place = torch.arange(length) % (SPAN + SPAN // 3)
    ids = torch.where(place < SPAN // 3, text, speech)
    return ids.masked_fill((place == SPAN // 3) | (place == 0), switch)


def step_of(model: torch.nn.Module, ids: torch.Tensor, switch: int | None) -> Callable[[], None]:
    """One optimizer step in the precision and with the attention that stages train with here."""
    bf16 = multiplies_bfloat16(ids.device.type)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    labels = ids if switch is None else ids.masked_fill(ids == switch, -100)

    def step() -> None:
        with quick_attention(model), torch.autocast(ids.device.type, torch.bfloat16, enabled=bf16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 128), ("layers", 4), ("rows", 5), ("length", 192), ("rounds", 7), ("vocab", 1024)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = LlamaConfig(
        vocab_size=arguments.vocab,
        hidden_size=arguments.hidden,
        intermediate_size=8 * arguments.hidden // 3 // 32 * 32,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.hidden // 32),
        num_key_value_heads=max(1, arguments.hidden // 32),
        eos_token_id=0,
    )
    backbone = LlamaForCausalLM(config)
    deeper = with_new_layers(backbone, [arguments.layers + new for new in range(3)])
    text_ids = torch.randint(0, arguments.vocab, (arguments.rows, arguments.length), device=device)
    steps = {"bare text model, as many layers": step_of(deeper.to(device).train(), text_ids, None)}
    for system in COMPARED:
        settings = settings_of(system, config, num_input_layers=2, num_output_layers=1)
        model = SmolTolkForCausalLM.from_text_model(backbone, num_units=NUM_UNITS, **settings)
        space = model.config.id_space
        ids = mixed_rows(arguments.rows, arguments.length, arguments.vocab, space.speech_offset).to(device)
        steps[system] = step_of(model.to(device).train(), ids, space.switch)
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    num_ids, reference = arguments.rows * arguments.length, seconds["bare text model, as many layers"]
    print(f"{torch.get_num_threads()} threads on {device}, {num_ids} ids a step, medians of {arguments.rounds} rounds")
    print(f"{'':34s}{'ids per second':>16s}{'speed against the bare model':>32s}")
    for name, times in seconds.items():
        ratio = statistics.median(bare / own for bare, own in zip(reference, times, strict=True))
        print(f"{name:34s}{num_ids / statistics.median(times):16,.0f}{ratio:32.2f}")


if __name__ == "__main__":
    main()
