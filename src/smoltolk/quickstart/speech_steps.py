"""Steps before any language model: the world, its speech, units, vocoder, shards."""

from __future__ import annotations

from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from smoltolk.common.progress import ReportBar
from smoltolk.data.corpora.corpus import Counts, Utterance, read_corpus, read_info
from smoltolk.data.corpora.speak import speak
from smoltolk.data.fitting.speech_models import judge_vocoder, waveform_of
from smoltolk.data.rows.plain_tokens import plain_ids
from smoltolk.data.shards.prepare import prepare
from smoltolk.data.world.stories import Cloze
from smoltolk.data.world.world_files import ask_all, write_world
from smoltolk.evaluation.questions import option_texts, option_voices
from smoltolk.quickstart.settings import Settings
from smoltolk.speech.synthesis.espeak_synthesis import Voice, voices
from smoltolk.speech.units.kinds import load_unit_tokenizer
from smoltolk.speech.units.phone_encoder import LabelledSpeech, fit_phone_units
from smoltolk.speech.units.quality import measure_units
from smoltolk.speech.vocoders.kinds import fit_vocoder
from smoltolk.training.trainer import Report

_PARALLEL_SENTENCES = 10  # said in four seen and four unseen voices, to see how much units depend on the voice
_PARALLEL_VOICES = 4


def clozes(settings: Settings) -> list[Cloze]:
    """All questions of the run."""
    return ask_all(settings.world, settings.scale.num_story_clozes, settings.scale.num_fact_clozes)


def test_sentences(settings: Settings) -> list[str]:
    """One sentence of each held-out story; their places in the story take turns."""
    stories = (settings.test_story(i) for i in range(settings.scale.num_test_stories))
    return [story.sentences[i % len(story.sentences)] for i, story in enumerate(stories)]


def judge_texts(settings: Settings) -> list[str]:
    """What the judge's language model is made of: sentences of the world, but none of the test."""
    stories = (settings.world.story(i, heard_only=False) for i in range(2000))
    return [sentence for story in stories for sentence in story.sentences]


def text_documents(settings: Settings, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Held-out stories about all facts as ids behind an end of sequence."""
    stories = (settings.world.test_story(i, heard_only=False) for i in range(2 * settings.scale.num_test_stories))
    return [[tokenizer.eos_token_id, *plain_ids(tokenizer, s.text)] for s in stories]


def make_world(settings: Settings) -> dict[str, Any]:
    """Write down the world: its facts, its questions and some of its stories."""
    folder, world = settings.out / "world", settings.world
    folder.mkdir(parents=True, exist_ok=True)
    write_world(folder, world, 1000, clozes(settings))
    return {
        "people": len(world.people),
        "facts": len(world.facts),
        "heard": len(world.facts_where(heard=True)),
        "times_heard": round(world.times_heard(settings.scale.num_stories), 2),
        "words": len(world.vocabulary),
    }


def make_speech(settings: Settings) -> dict[str, Any]:
    """Speak all that will be heard: stories for training, for the vocoder, and for every question."""
    scale, voice = settings.scale, settings.voice_of
    stories = ((f"train-{i:06d}", settings.spoken_story(i).text, voice(i)) for i in range(scale.num_stories))
    # The vocoder learns one voice; its stories come from beyond the training stories.
    beyond = range(scale.num_stories, scale.num_stories + scale.num_vocoder_stories)
    clear = settings.vocoder_voice
    one_voice = ((f"vocoder-{i:06d}", settings.spoken_story(i).text, clear) for i in beyond)
    judged = ((f"judged-{i:05d}", sentence, clear) for i, sentence in enumerate(test_sentences(settings)))
    tests = ((f"test-{i:05d}", settings.test_story(i).text, voice(i)) for i in range(scale.num_test_stories))
    # Both options of a question, and of its mirror image, are spoken by one voice.
    asked = clozes(settings)
    options = (
        (name, text, voice(k)) for (name, text), k in zip(option_texts(asked), option_voices(asked), strict=True)
    )
    sentences = (
        (f"{n:02d}-{k}", sentence, each)
        for n, sentence in enumerate(_parallel_sentences(settings))
        for k, each in enumerate(_parallel(settings))
    )
    counts = {
        "train": speak(list(stories), settings.corpus("train"), source="stories"),
        "vocoder": speak(list(one_voice), settings.corpus("vocoder"), source="stories"),
        "cloze": speak(list(options), settings.corpus("cloze"), source="questions"),
        "test": speak(list(tests), settings.corpus("test"), source="held-out stories"),
        "judged": speak(list(judged), settings.corpus("judged"), source="held-out sentences"),
        "voices": speak(list(sentences), settings.corpus("voices"), source="parallel sentences"),
    }
    hours = {f"{name}_hours": round(count.seconds / 3600, 2) for name, count in counts.items()}
    return {**hours, "rejected": sum(count.num_rejected for count in counts.values())}


def _parallel_sentences(settings: Settings) -> list[str]:
    offset = settings.scale.num_test_stories
    stories = [settings.test_story(offset + i) for i in range(_PARALLEL_SENTENCES)]
    return [story.sentences[i % len(story.sentences)] for i, story in enumerate(stories)]


def _parallel(settings: Settings) -> list[Voice]:
    return settings.seen_voices[:_PARALLEL_VOICES] + voices(_PARALLEL_VOICES, settings.seed, "unseen")


def _labelled(utterance: Utterance) -> LabelledSpeech:
    return LabelledSpeech(waveform_of(utterance), utterance.phones)


def fit_units(settings: Settings, report: Report) -> dict[str, Any]:
    """Train the phone encoder on the first training stories and measure it on held-out speech."""
    scale = settings.scale
    training = [_labelled(u) for u in islice(read_corpus(settings.corpus("train")), scale.num_encoder_stories)]
    tokenizer = fit_phone_units(training, steps=scale.encoder_steps, seed=settings.seed, progress=ReportBar(report))
    held_out = [_labelled(utterance) for utterance in read_corpus(settings.corpus("test"))]
    tokenizer.measure_doubt([one.waveform for one in held_out])
    tokenizer.save(settings.units)
    spoken = [waveform_of(utterance) for utterance in read_corpus(settings.corpus("voices"))]
    each = 2 * _PARALLEL_VOICES
    sentences = [spoken[i : i + each] for i in range(0, len(spoken), each)]
    quality = measure_units(
        tokenizer,
        held_out,
        seen=[voices[:_PARALLEL_VOICES] for voices in sentences],
        unseen=[voices[_PARALLEL_VOICES:] for voices in sentences],
    )
    return quality.as_dict()


def fit_the_vocoder(settings: Settings, report: Report) -> dict[str, Any]:
    """Train the vocoder on one voice and let the judge hear natural, copied and spoken-from-units speech."""
    scale = settings.scale
    tokenizer = load_unit_tokenizer(settings.units)
    waveforms = [waveform_of(utterance) for utterance in read_corpus(settings.corpus("vocoder"))]
    units = tokenizer.encode(waveforms)
    vocoder = fit_vocoder(
        waveforms, units, tokenizer, steps=scale.vocoder_steps, seed=settings.seed, progress=ReportBar(report)
    )
    vocoder.save(settings.vocoder)
    judged = list(read_corpus(settings.corpus("judged")))  # in the vocoder's own voice
    errors = judge_vocoder(vocoder, tokenizer, judged, judge_texts(settings), settings.seed)
    figures: dict[str, Any] = {}
    for name, error in errors.items():
        figures |= {f"wer_{name}": error.wer, f"wer_{name}_low": error.low, f"wer_{name}_high": error.high}
    return {**figures, "judged_sentences": len(judged)}


def make_shards(settings: Settings) -> dict[str, Any]:
    """Encode what was spoken."""
    counts: dict[str, Counts] = {}
    for name in ("train", "cloze", "test"):
        # Starting processes takes longer than encoding a few parts.
        workers = None if read_info(settings.corpus(name)).num_parts > 8 else 0
        counts[name] = prepare(settings.corpus(name), settings.units, settings.shards(name), workers=workers)
    return {f"{name}_utterances": count.num_utterances for name, count in counts.items()}
