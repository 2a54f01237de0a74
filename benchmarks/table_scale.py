"""At which scale speech tables should start: 0.02, that of the text table, of what is read of it, or other.

    python benchmarks/table_scale.py QUICKSTART WORK [--seeds 3] [--steps 60 140] [--scales ...] [--models ...]

QUICKSTART is a finished quick start: its shards and its text model are taken, and a Gemma 3, whose table is scaled as
it is read, is trained on its text. Each model learns to hear and speak through both stages, with speech tables at
either scale, over several seeds; the NLL of held-out speech and text behind each tells.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document
from smoltolk.data.rows.mixture import TextSource
from smoltolk.data.shards.parquet import read_shards
from smoltolk.evaluation.nll import held_out_nll
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.model.text_models.assembly import load_text_model
from smoltolk.quickstart.model_steps import text_documents
from smoltolk.quickstart.settings import Settings
from smoltolk.training.backbone import load_tokenizer, pretrain
from smoltolk.training.presets import small_recipe, text_recipe
from smoltolk.training.run import Run
from smoltolk.training.systems import settings_of


class AsTable(Run):
    """A run whose speech tables start at the scale of the text table's weights."""

    def build(self) -> SmolTolkForCausalLM:
        model = super().build()
        return scaled(model, rms(model.get_input_embeddings().weight))


class AsRead(Run):
    """A run whose speech tables start at the scale of what the backbone reads of text, which some scale up."""

    def build(self) -> SmolTolkForCausalLM:
        model = super().build()
        return scaled(model, rms(embeddings(model)))


class ByWidth(Run):
    """A run whose speech tables start with rows of norm 1: a logit of a normed state is then about 1, too."""

    def build(self) -> SmolTolkForCausalLM:
        model = super().build()
        return scaled(model, model.config.hidden_size**-0.5)


RUNS = {"0.02": Run, "text table": AsTable, "as text": AsRead, "1 / sqrt(width)": ByWidth}


@torch.no_grad()
def scaled(model: SmolTolkForCausalLM, scale: float) -> SmolTolkForCausalLM:
    """The model with other speech tables."""
    table = model.units.embed.weight
    table *= scale / rms(table)
    return model


def embeddings(model: PreTrainedModel) -> torch.Tensor:
    """What the text table gives."""
    with torch.no_grad():
        return model.get_input_embeddings()(torch.arange(256))


def rms(values: torch.Tensor) -> float:
    """Root mean square."""
    return float(values.square().mean().sqrt())


def gemma(settings: Settings, folder: Path) -> PreTrainedModel:
    """A small Gemma 3 that has read the quick start's text."""
    tokenizer = load_tokenizer(settings.backbone)
    if not (folder / "config.json").is_file():
        config = AutoConfig.for_model(
            "gemma3_text", vocab_size=len(tokenizer), hidden_size=128, intermediate_size=320, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=4, head_dim=32, query_pre_attn_scalar=32, sliding_window=256,
            eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id, pad_token_id=None,
        )  # fmt: skip
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        pretrain(model, tokenizer, settings.text, text_recipe(150), folder.with_name("pretraining"), folder)
    return load_text_model(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickstart", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scales", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--models", nargs="+", choices=["Llama", "Gemma 3"], default=["Llama", "Gemma 3"])
    parser.add_argument("--steps", type=int, nargs=2, default=(60, 140), help="of stage 1 and 2")
    arguments = parser.parse_args()
    described = json.loads((arguments.quickstart / "run.json").read_text())
    settings = Settings(arguments.quickstart, described["scale"], described["seed"])
    tokenizer, units = load_tokenizer(settings.backbone), read_shards(settings.shards("train"))
    test = read_shards(settings.shards("test"))
    speech = AlignedCorpus(units, tokenizer, units.metadata.frame_rate)
    table = Table(title=f"{arguments.steps} steps, {arguments.seeds} seeds: NLL of held-out speech and text, nats")
    for column in ("text model", "text rms", "tables at", "speech, each seed", "speech", "text"):
        table.add_column(column)
    text_models = {
        "Llama": load_text_model(str(settings.backbone)),
        "Gemma 3": gemma(settings, arguments.work / "gemma"),
    }
    for name, text_model in ((name, text_models[name]) for name in arguments.models):
        for scale in arguments.scales:
            found: list[tuple[float, float]] = []
            for seed in range(arguments.seeds):
                out = arguments.work / f"{name} {scale} {seed}".replace(" ", "-").replace("/", "by")
                if not out.is_dir():
                    run = RUNS[scale](
                        text_model=text_model, tokenizer=tokenizer, system="late",
                        settings=settings_of("late", text_model.config, num_output_layers=1),
                        recipe=small_recipe(*arguments.steps, 3e-3), units=units.metadata, speech=speech,
                        text=TextSource(settings.text, tokenizer), seed=seed,
                    )  # fmt: skip
                    run.train(out.with_name(out.name + ".work"), out)
                model = SmolTolkForCausalLM.from_pretrained(out).eval()
                space = model.config.id_space
                spoken = [Document(space).speech(test.units(i)).input_ids for i in range(len(test))]
                texts = text_documents(settings, tokenizer)
                heard = held_out_nll(model, spoken, space, "speech").nll
                found.append((heard, held_out_nll(model, texts, space, "text").nll))
            each, texts_nll = zip(*found, strict=True)
            table.add_row(
                name, f"{rms(embeddings(text_model)):.3f}", scale, ", ".join(f"{nll:.3f}" for nll in each),
                f"{statistics.mean(each):.3f}", f"{statistics.mean(texts_nll):.3f}",
            )  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
