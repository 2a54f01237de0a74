"""Several codebooks a frame, from shards to batches that the model reads."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from smoltolk.common.errors import InputError
from smoltolk.data.rows.aligned import AlignedCorpus
from smoltolk.data.rows.documents import Document, recognition_prompt, synthesis_prompt
from smoltolk.data.rows.index import index_shards
from smoltolk.data.rows.interleave import SpanLengths
from smoltolk.data.rows.loader import RowCollator, RowDataset
from smoltolk.data.rows.mixture import Stream, Task
from smoltolk.data.rows.row_source import RowSettings, RowSource
from smoltolk.data.shards.parquet import (
    ShardMetadata,
    ShardWriter,
    UnitUtterance,
    read_shard_metadata,
    read_shards,
    schema_for,
)
from smoltolk.data.shards.shard_set import look_over
from smoltolk.model.codec.codebooks import check_layout, frames_of
from smoltolk.model.codec.delays import delayed
from smoltolk.model.ids import IGNORE, IdSpace
from smoltolk.model.modeling import SmolTolkForCausalLM
from smoltolk.speech.segments import Segment

Q, RATE = 4, 12.5
METADATA = ShardMetadata(frame_rate=RATE, fingerprint="codec", num_units=20, num_codebooks=Q)
SPANS = SpanLengths(text=(1, 4), speech=(1, 3))


def utterance(name: str = "a", num_frames: int = 10, **changes: object) -> UnitUtterance:
    rng = np.random.default_rng(num_frames)
    seconds = num_frames / RATE
    made = UnitUtterance(
        id=name,
        text="Mia owns a kite.",
        words=tuple(
            Segment(word, k * seconds / 4, (k + 1) * seconds / 4)
            for k, word in enumerate(("Mia", "owns", "a", "kite."))
        ),
        units=rng.integers(0, 20, (num_frames, Q)).astype(np.uint16),
        durations=np.ones(num_frames, np.uint16),
        speaker="s",
        language="en",
        source="made",
        seconds=seconds,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    for part in range(2):
        with ShardWriter(folder / f"part-{part}.parquet", METADATA) as writer:
            for number in range(12):
                writer.add(utterance(f"{part}-{number}", 3 + 5 * number + part))
    return folder


@pytest.fixture(scope="module")
def frames_space(space: IdSpace) -> IdSpace:
    return replace(space, delays=(0, 1, 3, 2))


@pytest.fixture(scope="module")
def spoken(shards: Path, tokenizer) -> AlignedCorpus:
    return AlignedCorpus(read_shards(shards), tokenizer, RATE)


def rows(corpus: AlignedCorpus, space: IdSpace, task: Task, **changes: object) -> RowSource:
    held = RowSettings(length=64, spans=SPANS, minimum=8, **changes)  # type: ignore[arg-type]
    return RowSource([Stream(task, corpus)], space, seed=3, settings=held)


# ---------------------------------------------------------------------- shards


def test_what_is_read_is_what_was_written(shards: Path) -> None:
    corpus = read_shards(shards, fingerprint="codec")
    assert corpus.metadata == METADATA == read_shard_metadata(shards / "part-1.parquet")
    expected = [utterance(f"{part}-{number}", 3 + 5 * number + part) for part in range(2) for number in range(12)]
    travelled = pickle.loads(pickle.dumps(corpus))  # noqa: S301 - our own bytes
    for held in (corpus, travelled):
        for one, two in zip(held, expected, strict=True):
            assert one.id == two.id and one.units.dtype == np.uint16 and one.units.shape == two.units.shape
            assert np.array_equal(one.units, two.units) and np.array_equal(one.durations, two.durations)
    assert corpus.num_units_each.tolist() == [len(one.units) for one in expected]


def test_other_tools_read_the_matrices(shards: Path) -> None:
    table = pq.read_table(shards / "part-0.parquet")
    assert table.schema.equals(schema_for(Q), check_metadata=False)
    assert str(table.schema.field("units").type) == "list<element: fixed_size_list<element: uint16>[4]>"
    assert np.array_equal(np.array(table["units"][3].as_py()), utterance("", 18).units)


def test_one_codebook_keeps_its_schema() -> None:
    assert schema_for(1).field("units").type.value_type == "uint16"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"units": np.zeros(10, int)}, r"units of shape \(10,\) from 4 codebooks"),
        ({"units": np.zeros((10, 3), int)}, r"units of shape \(10, 3\) from 4 codebooks"),
        ({"units": np.zeros((9, 4), int)}, "9 units, 10 durations"),
        ({"units": np.full((10, 4), 20)}, "units from 20 to 20 with a codebook of 20"),
        ({"units": np.zeros((5, 4), int), "durations": np.full(5, 2)}, "stand one by one"),
        ({"seconds": 3.0}, "durations sum to 10 frames"),
    ],
)
def test_utterances_that_break_a_rule(changes: dict, problem: str, tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "a.parquet", METADATA) as writer, pytest.raises(InputError, match=problem):
        writer.add(utterance(**changes))


def test_matrices_are_no_units_of_one_codebook(tmp_path: Path) -> None:
    one = ShardMetadata(RATE, "codec", 20)
    with ShardWriter(tmp_path / "a.parquet", one) as writer, pytest.raises(InputError, match="from 1 codebook\n"):
        writer.add(utterance())


# ---------------------------------------------------------------------- documents


def test_speech_is_delayed_and_closed(frames_space: IdSpace) -> None:
    frames = np.arange(8).reshape(2, 4)
    document = Document(frames_space).speech(frames).end()
    pad, end, first = frames_space.pad_speech, frames_space.eos_speech, frames_space.speech_offset
    assert document.input_ids.tolist() == [end, first, first + 4, pad, pad, pad, end]
    assert document.codes[1:6].tolist() == delayed(frames, frames_space.delays)[:, 1:].tolist()
    assert (document.codes[[0, 6]] == -1).all() and document.owed.shape == (0, 3)
    assert document.labels.tolist() == [IGNORE, *document.input_ids[1:].tolist()]
    quiet = Document(frames_space).speech(frames, predict=False).switch()
    assert (quiet.labels == IGNORE).all() and len(quiet) == 7


def test_speech_that_goes_on_owes_what_is_known(frames_space: IdSpace) -> None:
    frames = np.arange(20).reshape(5, 4)
    document = Document(frames_space).text([5]).switch().speech(frames[:2]).speech(frames[2:])
    assert len(document) == 8 == len(document.codes) and len(document.owed) == 3
    grid = np.concatenate([document.codes[3:], document.owed])
    assert np.array_equal(grid, delayed(frames, frames_space.delays)[:, 1:])
    document.switch()
    assert len(document.owed) == 0 and np.array_equal(document.codes[3:11], grid)


def test_prompts(frames_space: IdSpace) -> None:
    frames = np.arange(12).reshape(3, 4)
    heard, spoken = recognition_prompt(frames_space, frames), synthesis_prompt(frames_space, [5, 6])
    for document in (heard, spoken.speech(frames)):
        ids, codes = torch.from_numpy(document.input_ids)[None], torch.from_numpy(document.codes)[None]
        check_layout(ids, codes, frames_space)
        assert len(frames_of(ids[0], codes[0], frames_space)) == 1
    assert len(heard.owed) == 0 and len(spoken.owed) == 3


def test_frames_of_another_width(frames_space: IdSpace) -> None:
    for units in (np.zeros((3, 2), int), np.zeros(3, int)):
        with pytest.raises(InputError, match="frames are a matrix"):
            Document(frames_space).speech(units)
    assert len(Document(frames_space).speech([])) == 1


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=7),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_undoing_the_delay_gives_the_units_back(space, later, runs, goes_on) -> None:
    several = replace(space, delays=(0, *later))
    rng = np.random.default_rng(len(runs))
    made = [(speech, rng.integers(0, 20, (n, several.num_codebooks) if speech else n)) for speech, n in runs]
    at_once = Document(several).runs(made)
    one_by_one = Document(several)
    expected: list[list] = []
    last = None
    for speech, run in made:
        if len(run):
            if last not in (None, speech):
                one_by_one.switch()
            (one_by_one.speech if speech else one_by_one.text)(run)
            if speech:
                expected = [*expected[:-1], expected[-1] + run.tolist()] if last else [*expected, run.tolist()]
            last = speech
    if last is not None and not goes_on:
        at_once.end(), one_by_one.end()
    for name in ("input_ids", "labels", "codes", "owed"):
        assert np.array_equal(getattr(at_once, name), getattr(one_by_one, name))
    ids, codes = at_once.input_ids, np.concatenate([at_once.codes, at_once.owed])
    ids = np.concatenate([ids, np.full(len(at_once.owed), several.pad_speech)])
    found = frames_of(torch.from_numpy(ids), torch.from_numpy(codes), several)
    assert [frames.tolist() for frames in found] == expected
    if len(ids):
        check_layout(torch.from_numpy(ids)[None], torch.from_numpy(codes)[None], several)


# ---------------------------------------------------------------------- rows


@given(st.sampled_from([Task.SPEECH, Task.INTERLEAVED, Task.RECOGNITION, Task.SYNTHESIS]), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_rows_keep_the_layout(spoken, frames_space, task, index) -> None:
    row = rows(spoken, frames_space, task).row(index)
    ids, codes = torch.from_numpy(row.input_ids)[None], torch.from_numpy(row.codes)[None]
    assert row.codes.shape == (64, Q - 1) and row.codes.dtype == np.int64
    check_layout(ids, codes, frames_space, document_ids=torch.from_numpy(row.document_ids)[None], ends=False)
    predicted = row.labels != IGNORE
    assert np.array_equal(row.labels[predicted], row.input_ids[predicted])


@pytest.mark.parametrize("task", list(Task))
def test_rows_are_the_same_from_an_index_on_disk(
    task: Task, spoken: AlignedCorpus, shards: Path, tokenizer, frames_space: IdSpace, tmp_path: Path
) -> None:
    stored = index_shards(look_over(shards), tokenizer, tmp_path)
    assert np.array_equal(stored.units(5, 1, 3), spoken.units(5, 1, 3)) and stored.units(5).shape[1] == Q
    sources = [rows(corpus, frames_space, task) for corpus in (spoken, pickle.loads(pickle.dumps(stored)))]  # noqa: S301
    for index in range(12):
        one, other = (source.row(index) for source in sources)
        for name in ("input_ids", "labels", "document_ids", "codes"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        assert one.pieces == other.pieces


def test_spans_tile_the_frames(spoken: AlignedCorpus, frames_space: IdSpace) -> None:
    """The runs of an interleaved document are the units and the tokens of its words, each word once and in order."""
    source, num_runs = rows(spoken, frames_space, Task.INTERLEAVED), 0
    for index in range(30):
        row = source.row(index)
        for number, piece in enumerate(row.pieces):
            place = row.document_ids == number
            ids, codes = row.input_ids[place], row.codes[place]
            if ids[-1] not in (frames_space.eos_text, frames_space.eos_speech):
                continue  # cut: the last of a row, or one behind another that came out longer than expected
            speech = iter(frames_of(torch.from_numpy(ids), torch.from_numpy(codes), frames_space))
            # Words without units can belong to either side: several places may have been reached.
            reached = {piece.start}
            for run in np.split(ids[1:-1], np.flatnonzero(ids[1:-1] == frames_space.switch)):
                run = run[run != frames_space.switch]
                is_speech = run[0] >= frames_space.speech_offset
                wanted = next(speech).numpy() if is_speech else run
                side = spoken.units if is_speech else spoken.tokens
                reached = {
                    stop
                    for start in reached
                    for stop in range(start, piece.stop + 1)
                    if np.array_equal(side(piece.utterance, start, stop), wanted)
                }
                num_runs += 1
            assert piece.stop in reached and next(speech, None) is None
    assert num_runs > 60


def test_a_speech_row_holds_whole_utterances(spoken: AlignedCorpus, frames_space: IdSpace) -> None:
    source = rows(spoken, frames_space, Task.SPEECH)
    for index in range(10):
        row = source.row(index)
        for number, piece in enumerate(row.pieces[:-1]):
            place = row.document_ids == number
            (frames,) = frames_of(
                torch.from_numpy(row.input_ids[place]), torch.from_numpy(row.codes[place]), frames_space
            )
            assert np.array_equal(frames.numpy(), spoken.units(piece.utterance)[piece.start : piece.stop])


@pytest.mark.parametrize("task", [Task.SPEECH, Task.RECOGNITION, Task.SYNTHESIS])
def test_planned_lengths_are_the_documents(task: Task, spoken: AlignedCorpus, frames_space: IdSpace) -> None:
    source = rows(spoken, frames_space, task)
    plan = source.plans[0]
    for number in range(plan.num_pieces):
        piece = plan.piece(number)
        if task is not Task.SPEECH and piece.start:
            continue  # a text that begins in the middle may have another token
        built = source._build(task, spoken, piece, np.random.default_rng(0))
        assert len(built) == plan.lengths[number] <= 64


def test_one_codebook_has_no_codes(make_corpus: Callable[..., AlignedCorpus], space: IdSpace) -> None:
    source = rows(make_corpus(seed=1, count=9, words=(3, 9)), space, Task.SPEECH)
    assert source.row(0).codes is None and "codes" not in RowDataset(source, 2)[0]


def test_a_batch_trains_the_model(spoken: AlignedCorpus, frames_space: IdSpace, tokenizer) -> None:
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    torch.manual_seed(0)
    model = SmolTolkForCausalLM.from_text_model(
        LlamaForCausalLM(config), num_units=20, eos_text_id=0, num_codebooks=Q, codebook_delays=[0, 1, 3, 2]
    )
    space = model.config.id_space
    for task in (Task.INTERLEAVED, Task.SYNTHESIS):
        source = rows(spoken, space, task)
        batch = RowCollator(space)([RowDataset(source, 3)[i] for i in range(3)])
        assert batch["codes"].shape == (3, 64, Q - 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        losses = []
        for _ in range(6):
            output = model(**batch)
            output.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(output.codebook_losses)
        assert (losses[-1] < losses[0]).all()
