"""The rows of a training to look at, before there is one: what ``train`` with the same options will read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.index import index_shards, stays_on_disk
from smoltolk.data.rows.inspection import plain_space, words_tokenizer
from smoltolk.data.rows.row_source import RowSource
from smoltolk.data.shards.parquet import read_shards
from smoltolk.data.shards.shard_set import ShardSet, look_over
from smoltolk.data.shards.stored_units import StoredUnits
from smoltolk.data.shards.unit_corpus import UnitCorpus
from smoltolk.data.texts.text_index import WrittenText
from smoltolk.training.backbone import load_text_config, load_tokenizer
from smoltolk.training.changes import Changes
from smoltolk.training.presets import preset_for, preset_named
from smoltolk.training.recipe import Recipe
from smoltolk.training.rows import id_space, row_source, stage_named
from smoltolk.training.systems import size_of

_WITHOUT_TEXT_MODEL = "150m"  # whose figures are the paper's


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Rows, and what is needed to tell what is in them.

    Attributes:
        source: of the rows of one stage.
        recipe: whose stage it is.
        tokenizer: of the text ids.
        shards: the shards, all together.
        units: of the shards, for names, words and times.
    """

    source: RowSource
    recipe: Recipe
    tokenizer: Any
    shards: ShardSet
    units: UnitCorpus | StoredUnits


def training_rows(
    shards: Path,
    *,
    stage: str,
    text_model: str | None = None,
    text: Path | None = None,
    preset: str | None = None,
    changes: Changes | None = None,
    seed: int = 0,
    index: Path | None = None,
) -> TrainingRows:
    """The rows that :class:`~smoltolk.training.job.TrainingJob` makes of the same arguments.

    Args:
        shards, text, preset, changes, seed, index: as for a training.
        stage: of the preset.
        text_model: as for a training; only its tokenizer and its configuration are read. None: a token for each word,
            and rows as long as the paper's.

    Raises:
        NotFoundError, InputError: something is missing or does not fit.
    """
    found = look_over(shards)
    running = None if text is None else WrittenText(text, index=index)
    on_disk = stays_on_disk(found, index)
    units = StoredUnits(found) if on_disk else read_shards(found.source, fingerprint=found.metadata.fingerprint)
    kinds = {"num_units": found.metadata.num_units, "num_codebooks": found.metadata.num_codebooks}
    if text_model is None:
        tokenizer = words_tokenizer(units)
        space, chosen = plain_space(tokenizer, **kinds), preset_named(preset or _WITHOUT_TEXT_MODEL)
    else:
        tokenizer, config = load_tokenizer(text_model), load_text_config(text_model)
        space = id_space(config, tokenizer, **kinds)
        chosen = preset_for(size_of(config)) if preset is None else preset_named(preset)
    recipe = (changes or Changes()).apply(chosen.recipe)
    if on_disk:
        speech: AlignedCorpus = index_shards(found, tokenizer, index)
    else:
        speech = AlignedCorpus(units, tokenizer, found.metadata.frame_rate)
    written = None if running is None else running.open(tokenizer)
    source = row_source(stage_named(recipe, stage), recipe, space, speech, written, seed)
    return TrainingRows(source, recipe, tokenizer, found, units)
