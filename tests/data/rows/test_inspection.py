from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.data.rows.aligned import AlignedCorpus, Texts
from smoltolk.data.rows.index import index_shards
from smoltolk.data.rows.inspection import plain_space, view_row, words_tokenizer
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.mixture import Stream, Task, TextSource
from smoltolk.data.rows.mixture_view import StreamView, view_mixture
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.data.shards.parquet import UnitCorpus
from smoltolk.data.shards.shard_set import look_over
from smoltolk.data.shards.stored_units import StoredUnits
from smoltolk.model.ids import IGNORE
from smoltolk.model.modeling import SmolTolkForCausalLM


@pytest.fixture(scope="module")
def held(unit_corpus: UnitCorpus) -> tuple:
    tokenizer = words_tokenizer(unit_corpus)
    aligned = AlignedCorpus(unit_corpus, tokenizer, unit_corpus.metadata.frame_rate)
    return unit_corpus, tokenizer, aligned, plain_space(tokenizer, unit_corpus.metadata.num_units)


def source(held: tuple, *streams: Stream, separate: bool = True) -> RowSource:
    settings = RowSettings(length=300, spans=SpanLengths((2, 4), (2, 4)), minimum=8, separate=separate)
    return RowSource(streams, held[3], seed=0, settings=settings)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("separate", [True, False])
def test_a_row_is_taken_apart_without_remainder(held: tuple, task: Task, separate: bool) -> None:
    shards, tokenizer, aligned, _ = held
    rows = source(held, Stream(task, aligned), separate=separate)
    padded = 0
    for index in range(8):
        row, view = rows.row(index), view_row(rows, index, tokenizer, shards)
        assert np.array_equal(
            np.concatenate([run.ids for run in view.runs]), row.input_ids[: len(row.input_ids) - row.num_padding]
        )
        assert view.num_predicted == sum(run.num_predicted for run in view.runs) == (row.labels != IGNORE).sum()
        assert sum(view.counts.values()) == 300 and len(view.documents) == len(row.pieces)
        counts = Counter({"padding": row.num_padding})
        for run in view.runs:
            counts[run.kind] += run.stop - run.start
        assert Counter(view.counts) == counts and view.num_padding == row.num_padding
        padded += row.num_padding
        for document, piece in zip(view.documents, row.pieces, strict=True):
            assert document.name == shards.id(piece.utterance) and document.runs[0].num_predicted == 0
    assert padded or task not in (Task.TEXT, Task.INTERLEAVED)  # rows of few long documents are full


def test_runs_of_an_interleaved_document_have_their_words_and_times(held: tuple) -> None:
    shards, tokenizer, aligned, space = held
    rows = source(held, Stream(Task.INTERLEAVED, aligned))
    for document in view_row(rows, 0, tokenizer, shards).documents[:-1]:  # the last may be cut off
        said = [run for run in document.runs if run.kind in ("text", "speech")]
        assert [word for run in said for word in run.words] == list(document.words)
        units = [run.ids - space.speech_offset for run in said if run.kind == "speech"]
        for run, own in zip([run for run in said if run.kind == "speech"], units, strict=True):
            start, stop = (round(second * shards.metadata.frame_rate) for second in run.seconds or (0, 0))
            frames = np.repeat(shards.units(document.utterance), shards.durations(document.utterance))
            heard = frames[start:stop]
            assert heard[np.flatnonzero(np.diff(heard, prepend=-1))].tolist() == own.tolist()
            assert run.text == " ".join(word.text for word in run.words)
        for run in said:
            if run.kind == "text":
                assert run.text.split() == [word.text for word in run.words]
                assert run.seconds == (run.words[0].start, run.words[-1].end)


def test_a_word_without_a_token_is_where_it_is_heard(unit_corpus: UnitCorpus) -> None:
    """A token of two words belongs to the second; of the first, only units tell whether it was written or said."""
    tokenizer = words_tokenizer(unit_corpus)
    texts = [unit_corpus.text(index).split() for index in range(len(unit_corpus))]
    tokenizer.add_tokens([" ".join(words[place : place + 2]) for words in texts for place in range(0, len(words), 5)])
    aligned = AlignedCorpus(unit_corpus, tokenizer, unit_corpus.metadata.frame_rate)
    assert (np.diff(aligned.token_stops[: aligned.num_words(0)], prepend=0) == 0).sum() > 1
    space = plain_space(tokenizer, unit_corpus.metadata.num_units)
    rows = source((unit_corpus, tokenizer, aligned, space), Stream(Task.INTERLEAVED, aligned))
    for index in range(8):
        for document in view_row(rows, index, tokenizer, unit_corpus).documents[:-1]:
            word = 0
            for run in document.runs:
                if run.kind == "speech":
                    said = aligned.units(document.utterance, word, word + len(run.words))
                    assert (run.ids - space.speech_offset).tolist() == said.tolist()
                word += len(run.words)
            assert word == len(document.words)


def test_ids_lie_where_a_new_model_has_them(held: tuple) -> None:
    tokenizer = held[1]
    for num_ids in (len(tokenizer), 128):
        config = LlamaConfig(
            vocab_size=num_ids, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            eos_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        text_model = LlamaForCausalLM(config)
        for codebooks in (1, 3):
            model = SmolTolkForCausalLM.from_text_model(text_model, num_units=20, num_codebooks=codebooks)
            assert plain_space(tokenizer, 20, codebooks, num_text_ids=num_ids) == model.config.id_space
    assert plain_space(tokenizer, 20) == plain_space(tokenizer, 20, num_text_ids=len(tokenizer))


@pytest.mark.parametrize("task", [Task.INTERLEAVED, Task.SPEECH, Task.RECOGNITION])
def test_rows_and_mixtures_are_viewed_without_the_shards_in_memory(
    held: tuple, task: Task, shards_dir: Path, tmp_path: Path
) -> None:
    shards, tokenizer, aligned, _ = held
    found = look_over(shards_dir)
    stored, indexed = StoredUnits(found), index_shards(found, words_tokenizer(StoredUnits(found)), tmp_path)
    memory, disk = (source(held, Stream(task, corpus), Stream(Task.TEXT, corpus)) for corpus in (aligned, indexed))
    assert view_mixture(memory, shards) == view_mixture(disk, stored)
    for index in range(6):
        one, other = view_row(memory, index, tokenizer, shards), view_row(disk, index, tokenizer, stored)
        for mine, theirs in zip(one.documents, other.documents, strict=True):
            assert (mine.name, mine.words, mine.length) == (theirs.name, theirs.words, theirs.length)
            told = [
                [(r.kind, r.start, r.ids.tolist(), r.text, r.words, r.seconds) for r in d.runs] for d in (mine, theirs)
            ]
            assert told[0] == told[1] and mine.name.startswith("train-")
    fewer = StoredUnits(look_over(shards_dir / "part-00000.parquet"))
    assert indexed.is_of(stored) and not indexed.is_of(fewer) and not indexed.is_of(shards)
    assert view_row(disk, 0, tokenizer, fewer).documents[0].utterance == -1  # of other shards: no names, no times


def test_a_row_knows_its_pass_over_its_stream(held: tuple) -> None:
    shards, tokenizer, aligned, _ = held
    alone = source(held, Stream(Task.INTERLEAVED, aligned))
    per_pass = alone.plans[0].num_rows
    for index in (0, per_pass - 1, per_pass, 5 * per_pass + 1):
        view = view_row(alone, index, tokenizer, shards)
        assert (view.epoch, view.number) == divmod(index, per_pass) and view.rows_per_epoch == per_pass
        assert (view.share, view.num_utterances) == (1.0, len(shards))
    endless = TextSource(lambda number: shards.text(number % len(shards)), tokenizer)
    mixed = source(held, Stream(Task.SPEECH, aligned, 3.0), Stream(Task.TEXT, endless))
    seen: dict[Task, list] = {Task.SPEECH: [], Task.TEXT: []}
    for index in range(40):
        view = view_row(mixed, index, tokenizer, shards)
        seen[view.task].append((view.epoch, view.number))
        assert (view.share, view.num_utterances > 0) == ((0.75, True) if view.task is Task.SPEECH else (0.25, False))
    per_pass = mixed.plans[0].num_rows
    assert seen[Task.SPEECH] == [divmod(count, per_pass) for count in range(len(seen[Task.SPEECH]))]
    assert seen[Task.TEXT] == [(0, count) for count in range(len(seen[Task.TEXT]))] != []


def test_speech_and_text_without_end_are_viewed(held: tuple) -> None:
    shards, tokenizer, aligned, _ = held
    endless = TextSource(lambda number: shards.text(number % len(shards)), tokenizer)
    view = view_row(source(held, Stream(Task.TEXT, endless)), 0, tokenizer, shards)
    assert view.documents[0].name == "text 0" and view.documents[0].runs[1].text == shards.text(0)
    spoken = view_row(source(held, Stream(Task.SPEECH, aligned)), 0, tokenizer, shards).documents[0]
    assert spoken.runs[1].seconds == (0.0, pytest.approx(spoken.length, abs=0.1))
    assert spoken.runs[1].words == spoken.words


def test_a_mixture_describes_itself(held: tuple) -> None:
    shards, tokenizer, aligned, _ = held
    written = AlignedCorpus(Texts(["a cat", "so"]), tokenizer, 25.0)
    rows = source(
        held, Stream(Task.INTERLEAVED, aligned, 3.0), Stream(Task.TEXT, written), Stream(Task.SPEECH, aligned)
    )
    both, text, speech = view_mixture(rows, shards)
    assert [round(one.share, 3) for one in (both, text, speech)] == [0.6, 0.2, 0.2]
    assert both.num_utterances == 8 and both.sources == (("stories", 8, 1.0),)
    assert both.num_speech == speech.num_speech == aligned.num_units.sum() and speech.num_text == 0
    assert both.seconds == pytest.approx(shards.seconds.sum()) and both.rows_per_epoch == rows.plans[0].num_rows
    assert (text.num_utterances, text.num_text, text.num_speech, text.sources) == (2, 3, 0, ())
    endless = TextSource(str, tokenizer)
    alone = view_mixture(source(held, Stream(Task.TEXT, endless)), shards)
    assert alone == [StreamView(Task.TEXT, 1.0, -1, 0, 0, 0, 1, 0.0, 0, ())]  # nothing to count
