"""Questions joined with the recordings of their options."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.shards.parquet import ShardMetadata, ShardWriter, read_shards
from smoltolk.evaluation.questions import find_mirrors, option_texts, option_voices, spoken_clozes

FRAME_RATE, FRAMES_PER_WORD = 25.0, 10  # of the utterances that the tests make


def test_cut_lies_at_the_option(items, clozes, tokenizer):
    for item, cloze in zip(items, clozes, strict=False):
        prompt = " ".join(cloze.prompt)
        assert tokenizer.decode(item.prompt_tokens) == prompt
        assert tokenizer.decode(item.right_tokens) == " " + cloze.right
        assert tokenizer.decode(item.wrong_tokens) == " " + cloze.wrong
        assert len(item.prompt_units) == 2 * len(prompt.split())
        assert item.wrong_units[:-1].tolist() == [2, 3] * len(cloze.wrong.split()) and item.wrong_units[-1] == 11
        assert item.prompt_seconds == pytest.approx(0.4 * len(prompt.split()))


def test_facts_are_asked_by_the_answer_alone_too(items, clozes, world, tokenizer):
    facts = [cloze for cloze in clozes if cloze.kind != "story"]
    answers = items[len(clozes) :]
    assert [item.id for item in answers] == [f"{cloze.id}_answer" for cloze in facts]
    assert {item.kind for item in answers} == {"fact_heard_answer", "fact_read_answer"}
    for item, cloze in zip(answers, facts, strict=True):
        assert item.right_text == world.fact(cloze.fact).answer and item.wrong_text == world.fact(item.rival).answer
        # Neither the full stop nor the silence behind it has a part in the score.
        assert tokenizer.decode(item.right_tokens) == " " + item.right_text
        assert tokenizer.decode(item.wrong_tokens) == " " + item.wrong_text
        assert item.right_units.tolist() == [0, 1] and item.wrong_units.tolist() == [2, 3]
        sentence = " ".join(cloze.right.split()[:-1])
        assert item.prompt_text == " ".join((*cloze.prompt, sentence)) == tokenizer.decode(item.prompt_tokens)
        assert len(item.prompt_units) == 2 * len(item.prompt_text.split())


def test_a_prompt_is_there_as_both_options_were_recorded(items):
    for item in items:
        right, wrong = item.spoken_prompts
        assert set(right.tolist()) == {0, 1} and set(wrong.tolist()) == {2, 3}
    assert len(replace(items[0], rival_prompt_units=None).spoken_prompts) == 1


def test_mirror_images_are_found(clozes, items):
    mirrors = find_mirrors(clozes)
    assert mirrors == [k ^ 1 for k in range(len(clozes))]
    assert find_mirrors(clozes[:3]) == [1, 0, None]
    assert find_mirrors(clozes[1:4]) == [None, 2, 1]
    by_id = {item.id: item for item in items}
    for item in items:
        mirror = by_id[item.mirror]
        assert mirror.mirror == item.id and mirror.fact == item.rival != item.fact == mirror.rival
        assert mirror.kind == item.kind
        if item.kind != "story":
            assert (mirror.right_text.split()[-1], mirror.wrong_text.split()[-1]) == (
                item.wrong_text.split()[-1],
                item.right_text.split()[-1],
            )


def test_a_question_alone_has_itself_for_a_rival(clozes, corpus, tokenizer):
    (item, _) = spoken_clozes(clozes[12:13], corpus, tokenizer)
    assert item.mirror is None and item.rival == item.fact


def test_one_voice_says_a_question_and_its_mirror_image(clozes):
    assert option_voices(clozes[:4]) == [0] * 4 + [1] * 4
    assert option_voices([clozes[0], *clozes[2:4]]) == [0, 0, 1, 1, 1, 1]
    assert len(option_voices(clozes)) == len(option_texts(clozes))


def test_missing_or_other_utterance(clozes, corpus, tokenizer):
    with pytest.raises(InputError, match="no such utterance"):
        spoken_clozes([replace(clozes[0], id="story-99999")], corpus, tokenizer)
    with pytest.raises(InputError, match="must say"):
        spoken_clozes([replace(clozes[0], right="Nobody said this.")], corpus, tokenizer)


def test_frames_of_a_codec_are_cut_at_the_option(clozes, tokenizer, utterance, tmp_path):
    """Two codebooks, a frame each 40 ms; the second one says the number of the frame."""
    asked = clozes[12:14]
    metadata = ShardMetadata(frame_rate=FRAME_RATE, fingerprint="abc", num_units=400, num_codebooks=2)
    with ShardWriter(tmp_path / "frames.parquet", metadata) as writer:
        for name, text in option_texts(asked):
            plain = utterance(name, text, silence=7)
            first = np.repeat(plain.units, plain.durations)
            frames = np.stack([first, np.arange(len(first))], axis=1).astype(np.uint16)
            writer.add(replace(plain, units=frames, durations=np.ones(len(frames), np.uint16)))
    found = spoken_clozes(asked, read_shards(tmp_path), tokenizer)
    for whole, answer, cloze in zip(found[:2], found[2:], asked, strict=True):
        num_words = len(" ".join((*cloze.prompt, cloze.right)).split())
        cut = FRAMES_PER_WORD * len(" ".join(cloze.prompt).split())
        assert whole.prompt_units.shape == (cut, 2) and whole.prompt_seconds == pytest.approx(cut / FRAME_RATE)
        assert whole.right_units[:, 1].tolist() == list(range(cut, FRAMES_PER_WORD * num_words + 7))
        last = FRAMES_PER_WORD * (num_words - 1)
        assert answer.wrong_units[:, 1].tolist() == list(range(last, last + FRAMES_PER_WORD))
