"""The verb that takes over checkpoints of other implementations: convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="A SmolTolk release (model_ckpt.pt or its folder), or LF2AR's folder.")
    ],
    destination: Annotated[Path, typer.Argument(help="The model directory to write; new or empty.")],
    text_model: Annotated[
        str | None, typer.Option(help="Hub id or directory of its text model; default: what the checkpoint names.")
    ] = None,
) -> None:
    """Turn a checkpoint of a published implementation into a model of ours.

    Two formats are known: the SmolTolk release (Anon-SmolTolk/SmolTolk,
    vozlms/smoltolk_base) and LF2AR (tiagoCuervo/interleaved_lm). Of the text
    model its configuration and its tokenizer are needed, not its weights.
    Code in a pickle is never run.

    Example: smoltolk convert model_ckpt.pt model --text-model HuggingFaceTB/SmolLM-135M
    """
    from smoltolk.cli.printing import show
    from smoltolk.model.interop.card import describe
    from smoltolk.training.checkpoints import convert_checkpoint
    from smoltolk.training.systems import num_parameters

    made = convert_checkpoint(source, destination, text_model)
    written = len(made.model.state_dict())
    show(
        f"{made.format} converted: model in {destination}",
        {
            **describe(made.model.config),
            "parameters": f"{num_parameters(made.model):,}",
            "tensors": f"{made.num_tensors} read, {written} written",
            "tokenizer": "with the model" if made.has_tokenizer else "none found: name one with --text-model",
        },
    )
