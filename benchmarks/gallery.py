"""Sounds of a finished quick start for the gallery of the documentation, with what the judge hears in them.

    python benchmarks/gallery.py quickstart docs/gallery

The first questions of their kinds are taken, not the best ones. Every system goes on with the likeliest id.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from smoltolk.common.files import write_json
from smoltolk.data.corpora.corpus import read_corpus
from smoltolk.evaluation.questions import SpokenCloze, option_id
from smoltolk.inference.parts import load_model
from smoltolk.inference.samples import make_samples
from smoltolk.quickstart.evaluation_steps import questions
from smoltolk.quickstart.settings import Settings
from smoltolk.quickstart.speech_steps import judge_texts
from smoltolk.speech.audio import load
from smoltolk.speech.vocoders.kinds import load_vocoder

SYSTEMS = ("late", "early", "early_plus")
WAYS = {"late": ("S->S", "S->T", "T->S"), "early": ("S->S", "S->T"), "early_plus": ("S->S", "S->T")}
KINDS = {"story": 1, "fact_heard_answer": 1, "fact_read_answer": 3}


def chosen_questions(items: list[SpokenCloze]) -> list[SpokenCloze]:
    """The first of each kind about different facts."""
    chosen: dict[str, SpokenCloze] = {}
    for kind, count in KINDS.items():
        of_kind: dict[str, SpokenCloze] = {}
        for item in items:
            if item.kind == kind and len(of_kind) < count:
                of_kind.setdefault(item.fact, item)
        chosen |= {item.id: item for item in of_kind.values()}
    return list(chosen.values())


def recordings(settings: Settings, items: list[SpokenCloze]) -> dict[str, np.ndarray]:
    """Waveform at 16 kHz of the right option of each question, by its id."""
    wanted = {option_id(item.id.replace("_answer", ""), "right"): item.id for item in items}
    return {wanted[u.id]: load(u.audio) for u in read_corpus(settings.corpus("cloze")) if u.id in wanted and u.audio}


def make_smaller(path: Path) -> None:
    """Speech at 16 kHz in a quarter of the bytes; a repository keeps them for ever."""
    waveform, rate = soundfile.read(path, dtype="float32")
    soundfile.write(path, waveform, rate, compression_level=0.9, bitrate_mode="VARIABLE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a finished quick start")
    parser.add_argument("out", type=Path, help="directory of sounds and gallery.json")
    paths = parser.parse_args()
    started = json.loads((paths.run / "run.json").read_text(encoding="utf-8"))
    settings = Settings(paths.run, started["scale"], started["seed"])
    sounds = paths.out / "sounds"
    shutil.rmtree(sounds, ignore_errors=True)
    records: list[dict[str, Any]] = []
    for system in SYSTEMS:
        model, tokenizer = load_model(settings.model(system))
        items = chosen_questions(questions(settings, tokenizer))
        heard = recordings(settings, items)
        made = make_samples(
            model, items, tokenizer, model.config.id_space, load_vocoder(settings.vocoder), out_dir=sounds,
            seed=settings.seed, system=system, recordings=heard, judge_texts=judge_texts(settings), sampling=None,
            directions=WAYS[system], max_units=24, max_tokens=12,
        )  # fmt: skip
        records += made
    for path in sounds.iterdir():
        make_smaller(path)
    write_json(paths.out / "gallery.json", {"run": started, "samples": records})
    for record in records:
        found, right = record["text"], record["right_text"]
        print(f"{record['system']} {record['direction']}: {record['prompt_text']} -> {found} (right: {right})")


if __name__ == "__main__":
    main()
