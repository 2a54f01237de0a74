"""The whole way in another language: a CTC model of one's own listens, and everything behind it knows no language.

espeak-ng speaks German; the model learns to write it from the times of its words, letter by letter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertForCTC, Wav2Vec2CTCTokenizer

from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.speech import espeak
from smoltolk.speech.audio import SAMPLE_RATE, resample, save

pytest.importorskip("espeakng_loader")

NOUNS = ["hund", "katze", "baum", "haus", "straße", "fluss", "garten", "vogel", "zug", "schule", "brücke", "kirche"]
VERBS = ["sieht", "findet", "kauft", "malt", "liebt", "sucht"]
NUMBERS = {"2": "zwei", "3": "drei", "4": "vier", "5": "fünf", "6": "sechs", "7": "sieben", "8": "acht", "12": "zwölf"}
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß"
FRAME_RATE, STEPS, ROWS, ROW_FRAMES = 50, 250, 5, 110


class Spoken(NamedTuple):
    waveform: np.ndarray
    words: list[str]
    starts: list[float]  # of each word, and the end of the last


def sentence(random: np.random.Generator) -> str:
    first, second, third, place = random.choice(NOUNS, 4)
    one, two = random.choice(list(NUMBERS), 2)
    subject, verb = first.title(), random.choice(VERBS)
    return f"Der {subject} {verb} {one} {second.title()} und {two} {third.title()} im {place.title()}."


def speak(text: str) -> Spoken:
    words = [NUMBERS.get(word, word.strip(".").lower()) for word in text.split()]
    samples, rate, events = espeak.say(" \u00a0".join(words), "de", 160, 50)
    starts = [event.sample / rate for event in events if event.type == espeak.WORD]
    assert len(starts) == len(words)
    waveform = resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE)
    return Spoken(waveform, words, [*starts, len(samples) / rate - 0.1])


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CTC model of German in letters, trained in ten seconds."""
    folder, random = tmp_path_factory.mktemp("german") / "ctc", np.random.default_rng(0)
    folder.mkdir()
    vocabulary = {letter: number for number, letter in enumerate(["<pad>", "<unk>", "|", *LETTERS])}
    (folder / "letters.json").write_text(json.dumps(vocabulary))
    Wav2Vec2CTCTokenizer(str(folder / "letters.json")).save_pretrained(folder)
    extractor = SeamlessM4TFeatureExtractor()
    extractor.save_pretrained(folder)
    spoken = [speak(sentence(random)) for _ in range(60)]
    features = [
        extractor(one.waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_features"][0] for one in spoken
    ]
    labels = []
    for one, frames in zip(spoken, features, strict=True):
        said = torch.zeros(len(frames), dtype=torch.long)  # blank between the middles of letters
        for word, (start, end) in zip(one.words, pairwise(one.starts), strict=True):
            quarters = np.linspace(start, end, 4 * len(word) + 1) * FRAME_RATE
            for place, letter in enumerate(word):
                first = round(quarters[4 * place + 1])
                said[first : max(first + 1, round(quarters[4 * place + 3]))] = vocabulary[letter]
        labels.append(said)
    torch.manual_seed(0)
    sizes = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 192}
    rates = ("hidden", "activation", "attention", "feat_proj", "final", "conformer_conv")
    config = Wav2Vec2BertConfig(
        vocab_size=len(vocabulary), feature_projection_input_dim=160, conv_depthwise_kernel_size=15, pad_token_id=0,
        apply_spec_augment=False, layerdrop=0.0, **sizes, **{f"{name}_dropout": 0.0 for name in rates},
    )  # fmt: skip
    model = Wav2Vec2BertForCTC(config).train()
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS)
    for _ in range(STEPS):
        rows = []
        for number in random.choice(len(spoken), ROWS):
            first = int(random.integers(len(features[number]) - ROW_FRAMES + 1))
            rows.append((features[number][first : first + ROW_FRAMES], labels[number][first : first + ROW_FRAMES]))
        logits = model(torch.stack([heard for heard, _ in rows])).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.cat([said for _, said in rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval().save_pretrained(folder)
    return folder


def test_german_walks_the_whole_way(listener: Path, tmp_path: Path, smoltolk: Callable) -> None:
    random = np.random.default_rng(1)
    texts = [sentence(random) for _ in range(8)]
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    spoken = [speak(text) for text in texts]
    for number, (one, text) in enumerate(zip(spoken, texts, strict=True)):
        save(recordings / f"{number}.wav", one.waveform, SAMPLE_RATE)
        (recordings / f"{number}.txt").write_text(text, encoding="utf-8")
    save(recordings / "wrong.wav", spoken[0].waveform[: 2 * SAMPLE_RATE], SAMPLE_RATE)
    (recordings / "wrong.txt").write_text("Zwölf Vögel und sieben Züge suchen lange vergeblich ihre Kirche.")
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")

    def run(*command: object) -> str:
        result = smoltolk(*command)
        assert result.code == 0, result.err
        return result.out

    place = {name: tmp_path / name for name in ("corpus", "units", "shards", "backbone", "model", "texts.txt")}
    run("corpus", "folder", recordings, place["corpus"], "--aligner", listener, "--language", "de", "--workers", 0)
    found = list(read_corpus(place["corpus"]))
    assert [one.id for one in found] == [str(number) for number in range(8)]
    for utterance, text, true in zip(found, texts, spoken, strict=True):
        assert [word.text for word in utterance.words] == text.split() and utterance.language == "de"
        away = [abs(word.start - start) for word, start in zip(utterance.words, true.starts, strict=False)]
        assert np.mean(away) < 0.03 and max(away) < 0.1
    run("units", "fit", place["corpus"], place["units"], "--encoder", "mfcc", "--clusters", 8)
    run("prepare", place["corpus"], place["units"], place["shards"], "--workers", 0)
    small = "--steps 2 --layers 1 --hidden-size 32 --heads 2 --vocab-size 300 --row-length 64 --rows-per-step 2"
    run("backbone", place["texts.txt"], place["backbone"], *small.split())
    run("train", place["backbone"], place["shards"], place["model"], "--text", place["texts.txt"], "--units",
        place["units"], "--steps", 2, "--rows-per-step", 2)  # fmt: skip
    run("hear", place["model"], recordings / "0.wav", "--units", place["units"])
