"""The aligner finds what the synthesizer said, when it said it."""

import pickle
from itertools import pairwise

import numpy as np
import pytest

from smoltolk.common.errors import InputError
from smoltolk.data.world.stories import World
from smoltolk.speech.alignment.aligners import Alignment
from smoltolk.speech.alignment.sphinx_alignment import PocketsphinxAligner
from smoltolk.speech.alignment.sphinx_search import counts_of
from smoltolk.speech.audio import resample
from smoltolk.speech.phones import PHONES
from smoltolk.speech.synthesis.espeak_synthesis import EspeakSynthesizer, Spoken, Voice, espeak_available, voices
from smoltolk.speech.units.phone_encoder import phone_frames

pytest.importorskip("pocketsphinx")
TEXTS = [World(seed=0, num_people=48).story(i, heard_only=False).text for i in range(8)]

NOISE = np.random.default_rng(0).normal(0, 0.1, 200 * 16_000).astype(np.float32)
NOISE[: len(NOISE) // 2] *= 0.1


@pytest.fixture(scope="module")
def aligner() -> PocketsphinxAligner:
    return PocketsphinxAligner()


@pytest.fixture(scope="module")
def spoken() -> list[Spoken]:
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    speakers = voices(4, 0, "seen") + voices(4, 0, "unseen")
    return [EspeakSynthesizer().speak(text, voice) for text, voice in zip(TEXTS, speakers, strict=True)]


@pytest.fixture(scope="module")
def alignments(aligner: PocketsphinxAligner, spoken: list[Spoken]) -> list[Alignment]:
    return [aligner.align(one.waveform, text) for one, text in zip(spoken, TEXTS, strict=True)]


def say(text: str) -> np.ndarray:
    return EspeakSynthesizer().speak(text, Voice("en-us", "m3", 160, 45)).waveform


def test_words_begin_and_end_where_the_synthesizer_says(alignments: list[Alignment], spoken: list[Spoken]) -> None:
    pairs = [pair for a, s in zip(alignments, spoken, strict=True) for pair in zip(a.words, s.words, strict=True)]
    starts = np.array([abs(found.start - true.start) for found, true in pairs])
    ends = np.array([abs(found.end - true.end) for found, true in pairs])
    assert starts.mean() <= 0.020 and (starts <= 0.05).mean() >= 0.94
    assert ends.mean() <= 0.020 and (ends <= 0.05).mean() >= 0.94


def test_every_token_has_its_segment_in_order(alignments: list[Alignment]) -> None:
    for alignment, text in zip(alignments, TEXTS, strict=True):
        assert [word.text for word in alignment.words] == text.split()
        assert all(a.start <= a.end <= b.start for a, b in pairwise(alignment.words))
        assert len(alignment.scores) == len(alignment.words)
        assert alignment.coverage > 0.9 and -5 < alignment.score < 0


def test_phones_tile_the_recording_and_agree_with_the_synthesizer(
    alignments: list[Alignment], spoken: list[Spoken]
) -> None:
    same = []
    for alignment, one in zip(alignments, spoken, strict=True):
        end = len(one.waveform) / one.sample_rate
        assert alignment.phones[0].start == 0 and alignment.phones[-1].end == end
        assert all(a.end == b.start for a, b in pairwise(alignment.phones))
        assert {phone.text for phone in alignment.phones} <= set(PHONES)
        found, true = (phone_frames(x.phones, PHONES, int(100 * end), 100) for x in (alignment, one))
        schwa, open_vowel = PHONES.index("AX"), PHONES.index("AH")  # the dictionary has one name for both
        same += list(found == np.where(true == schwa, open_vowel, true))
    assert np.mean(same) > 0.7


def test_words_alone_are_the_same_words(alignments: list[Alignment], spoken: list[Spoken]) -> None:
    words_only = PocketsphinxAligner(phones=False)
    for alignment, one, text in zip(alignments, spoken, TEXTS, strict=True):
        found = words_only.align(one.waveform, text)
        assert found.phones == ()
        assert (found.scores, found.confidences) == (alignment.scores, alignment.confidences)
        apart = [abs(a.start - b.start) + abs(a.end - b.end) for a, b in zip(found.words, alignment.words, strict=True)]
        assert np.mean(apart) < 0.005


def test_right_texts_are_told_from_wrong_ones(
    aligner: PocketsphinxAligner, alignments: list[Alignment], spoken: list[Spoken]
) -> None:
    assert min(alignment.confidence for alignment in alignments) > aligner.lowest_confidence + 0.05
    assert all(0 <= one <= 1 for alignment in alignments for one in alignment.confidences)
    wrong = PocketsphinxAligner(phones=False).align_batch([one.waveform for one in spoken], TEXTS[3:] + TEXTS[:3])
    refused = [one for one in wrong if isinstance(one, InputError)]
    assert all("must say its text" in str(one) for one in refused)
    doubted = [one.confidence for one in wrong if not isinstance(one, InputError)]
    assert all(one < aligner.lowest_confidence for one in doubted)
    half = " ".join(TEXTS[0].split()[: len(TEXTS[0].split()) // 2])
    assert aligner.align(spoken[0].waveform, half).coverage < 0.85


def test_short_texts_are_told_from_others_of_as_many_words(aligner: PocketsphinxAligner) -> None:
    texts = ["seventeen", "password", "Thursday", "hello", "thank you", "call waiting", "press the star key now"]
    sounds = [say(text) for text in texts]
    own = [one for one in aligner.align_batch(sounds, texts) if not isinstance(one, InputError)]
    assert len(own) == len(texts) and min(one.confidence for one in own) >= aligner.lowest_confidence
    assert min(one.coverage for one in own) > 0.9
    others = [
        *aligner.align_batch(sounds[:4], [*texts[1:4], texts[0]]),
        *aligner.align_batch(sounds[4:6], texts[5:3:-1]),
    ]
    doubted = [isinstance(one, InputError) or one.confidence < aligner.lowest_confidence for one in others]
    assert sum(doubted) >= len(others) - 1


def test_a_telephone_changes_little_of_what_short_texts_are_believed(aligner: PocketsphinxAligner) -> None:
    texts = ["seventeen", "password", "Thursday", "call waiting"]
    narrow = [resample(resample(say(text), 16_000, 8_000), 8_000, 16_000) for text in texts]
    found = [one for one in aligner.align_batch(narrow, texts) if not isinstance(one, InputError)]
    assert len(found) == len(texts) and np.mean([one.confidence for one in found]) > aligner.lowest_confidence


def test_result_depends_on_recording_and_text_alone(spoken: list[Spoken], alignments: list[Alignment]) -> None:
    fresh = pickle.loads(pickle.dumps(PocketsphinxAligner()))  # noqa: S301 - our own bytes
    assert fresh.align(spoken[2].waveform, TEXTS[2]) == alignments[2]


def test_numbers_unknown_words_and_dashes_keep_their_tokens(aligner: PocketsphinxAligner) -> None:
    spoken = "Zyxgorp's 1984 — café\u2019s 21st rock'n'roll fox $5.20!"
    text = spoken.replace("fox", "\uff46\uff4f\uff58")  # wide letters
    found = aligner.align(say(spoken), text)
    assert [word.text for word in found.words] == text.split()
    assert found.words[2].start == found.words[2].end and np.isnan(found.scores[2])
    assert all(word.end - word.start > 0.1 for number, word in enumerate(found.words) if number != 2)


def test_words_do_not_swallow_pauses(aligner: PocketsphinxAligner) -> None:
    first, second = say("Oslo"), say("the dog")
    gap = np.zeros(16_000, np.float32)
    found = aligner.align(np.concatenate([gap, first, gap, second]), "Oslo the dog")
    assert abs(found.words[0].start - 1.0) < 0.05
    assert abs(found.words[1].start - (2 + len(first) / 16_000)) < 0.1


def test_a_long_recording_is_searched_in_windows(aligner: PocketsphinxAligner) -> None:
    if not espeak_available():
        pytest.skip("needs the extra 'tts'")
    voice, gap = voices(4, 0, "seen")[1], np.zeros(9_600, np.float32)
    parts = [EspeakSynthesizer().speak(text, voice) for text in TEXTS[:6]]
    starts = np.cumsum([0, *(len(part.waveform) + len(gap) for part in parts)]) / 16_000
    true = [word.start + at for part, at in zip(parts, starts, strict=False) for word in part.words]
    waveform = np.concatenate([piece for part in parts for piece in (part.waveform, gap)])
    assert len(waveform) > 40 * 16_000  # two windows
    found = aligner.align(waveform, " ".join(TEXTS[:6]))
    apart = np.abs(np.array([word.start for word in found.words]) - true)
    assert apart.mean() <= 0.020 and (apart <= 0.05).mean() >= 0.94
    assert found.confidence > aligner.lowest_confidence + 0.1
    assert found.phones[-1].end == len(waveform) / 16_000
    assert all(a.end == b.start for a, b in pairwise(found.phones))
    assert [phone.text for phone in found.phones if phone.text != "sil"][:3] == [
        phone.text for phone in aligner.align(parts[0].waveform, TEXTS[0]).phones if phone.text != "sil"
    ][:3]


def test_another_sample_rate(aligner: PocketsphinxAligner, spoken: list[Spoken], alignments: list[Alignment]) -> None:
    halved = spoken[1].waveform[::2]
    found = aligner.align(halved, TEXTS[1], sample_rate=8_000)
    starts = [abs(a.start - b.start) for a, b in zip(found.words, alignments[1].words, strict=True)]
    assert np.median(starts) < 0.03


@pytest.mark.parametrize(
    ("waveform", "text", "message"),
    [
        (np.zeros(16_000, np.float32), "hello", "must say its text"),
        (np.zeros(0, np.float32), "hello", "mono"),
        (np.zeros((16_000, 2), np.float32), "hello", "mono"),
        (np.full(16_000, np.nan, np.float32), "hello", "finite"),
        (np.sin(np.arange(16_000)).astype(np.float32), "a " * 21, "21 words in 1.0 s"),
        (NOISE, "only three words", "s of sound and 3 words"),
        (np.zeros(16_000, np.float32), "", "must have a word"),
        (np.zeros(16_000, np.float32), "— ...", "must have a word"),
        (np.zeros(16_000, np.float32), "Привет", "Latin letters"),
    ],
)
def test_bad_input(aligner: PocketsphinxAligner, waveform: np.ndarray, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        aligner.align(waveform, text)


# A token, and ways in which somebody may read it.
READ = [
    ("1234", "twelve thirty four"),
    ("1234", "one two three four"),
    ("8500", "eighty five hundred"),
    ("8500", "eight five zero zero"),
    ("101", "a hundred and one"),
    ("H.323", "h three twenty three"),
    ("$5", "five dollars"),
    ("7:05", "seven oh five"),
    ("3-4", "three four"),
    ("St.", "street"),
    ("St.", "saint"),
    ("10\u00b2", "ten squared"),
    ("1\u00bd", "one and a half"),
    ("555-1234", "five five five one two three four"),
]


@pytest.mark.parametrize(("token", "way"), READ)
def test_a_token_is_found_in_the_way_it_is_said(aligner: PocketsphinxAligner, token: str, way: str) -> None:
    waveform = say(f"the old train {way} left the station")
    found = aligner.align(waveform, f"the old train {token} left the station")
    assert found.said[3] == tuple(way.split()) and found.said[4] == ("left",)
    assert found.confidence > aligner.lowest_confidence + 0.1
    spelled = aligner.align(waveform, f"the old train {way.replace(' ', '-')} left the station")
    assert [word.start for word in found.words] == [word.start for word in spelled.words]
    assert found.phones == spelled.phones


def test_tokens_side_by_side_are_chosen_together(aligner: PocketsphinxAligner) -> None:
    waveform = say("call nine one one or twelve thirty four at a quarter past seven")
    found = aligner.align(waveform, "call 911 or 1234 at 7:15")
    said = ["call", "nine one one", "or", "twelve thirty four", "at", "a quarter past seven"]
    assert [" ".join(words) for words in found.said] == said
    assert all(a.end <= b.start for a, b in pairwise(found.words))
    found = aligner.align(say("one two three four"), "12 34")
    assert [word for own in found.said for word in own] == ["one", "two", "three", "four"]
    assert 0 < found.words[0].end <= found.words[1].start


def test_words_found_belong_to_what_was_asked_for() -> None:
    one, two = (("a",),), (("b", "c"), ("b",), ("b", "c", "a"))
    assert counts_of(["a", "b", "c", "a"], [one, two, one]) == [1, 2, 1]
    assert counts_of(["a", "b", "a"], [one, two, one]) == [1, 1, 1]
    assert counts_of(["a", "b", "c", "a", "a"], [one, two, one]) == [1, 3, 1]
    assert counts_of(["a", "b"], [one, two, one]) == [1, 1]  # a recording may end after any of them
    assert counts_of(["a", "c"], [one, two, one]) == counts_of(["b"], [one]) == []
    assert counts_of([], [one]) == []
