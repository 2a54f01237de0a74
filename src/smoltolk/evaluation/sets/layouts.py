"""Small sets written as the originals are: names of files, columns and values."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from smoltolk.common.files import write_jsonl, write_text
from smoltolk.evaluation.sets.speaking import Speaking
from smoltolk.evaluation.sets.texts import Asked, Choice, Pair
from smoltolk.speech.phones import SILENCE

_SOUND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_lexical(folder: Path, pairs: Sequence[Pair], speaking: Speaking, voices: int) -> None:
    """``lexical/dev`` of sLM21: every pair in so many voices, and ``gold.csv``.

    Args:
        folder: of the recordings.
        pairs: words and nonwords, with their ``frequency``.
        speaking: by whom.
        voices: of each pair.
    """
    rows = []
    for number, pair in enumerate(pairs):
        for voice in (speaking.voice(number + k) for k in range(voices)):
            for correct, word in ((1, pair.right), (0, pair.wrong)):
                name = f"{pair.id.zfill(4)}-{voice.variant}-{correct}"
                spoken = speaking.spoken(word, voice)
                phones = [phone.text for phone in spoken.phones if phone.text != SILENCE]
                speaking.write(folder / f"{name}.wav", spoken.waveform)
                rows.append(
                    {"filename": name, "id": pair.id, "voice": voice.variant, "frequency": pair.strata["frequency"],
                     "word": word, "phones": " ".join(phones), "length": len(phones), "correct": correct}
                )  # fmt: skip
    _write_csv(folder / "gold.csv", rows)


def write_syntactic(folder: Path, pairs: Sequence[Pair], speaking: Speaking, voices: int) -> None:
    """``syntactic/dev`` of sLM21: as :func:`write_lexical`, with ``type`` and ``subtype``."""
    rows = []
    for number, pair in enumerate(pairs):
        for voice in (speaking.voice(number + k) for k in range(voices)):
            for correct, text in ((1, pair.right), (0, pair.wrong)):
                name = f"{pair.strata['type'][:3]}{pair.id.zfill(4)}-{voice.variant}-{correct}"
                speaking.write(folder / f"{name}.wav", speaking.say(text, voice))
                rows.append(
                    {"filename": name, "id": pair.id, "voice": voice.variant, **pair.strata, "transcription": text,
                     "correct": correct}
                )  # fmt: skip
    _write_csv(folder / "gold.csv", rows)


def write_parts(folder: Path, choices: Sequence[Choice], speaking: Speaking) -> None:
    """StoryCloze: ``{id}_{mutual,correct,incorrect}.{wav,txt}``, each spoken by itself."""
    for number, choice in enumerate(choices):
        right, wrong = choice.endings
        for part, text in (("mutual", choice.prompt), ("correct", right), ("incorrect", wrong)):
            write_text(folder / f"{choice.id}_{part}.txt", text + "\n")
            speaking.write(folder / f"{choice.id}_{part}.wav", speaking.say(text, speaking.voice(number)))


def write_flat(folder: Path, choices: Sequence[Choice], speaking: Speaking) -> None:
    """StoryCloze: whole stories, ``{2k}_{id}_correct.wav`` and ``{2k+1}_{id}_incorrect.wav``."""
    for number, choice in enumerate(choices):
        for which, (name, ending) in enumerate(zip(("correct", "incorrect"), choice.endings, strict=True)):
            waveform = speaking.say(f"{choice.prompt} {ending}", speaking.voice(number))
            speaking.write(folder / f"{2 * number + which}_{choice.id}_{name}.wav", waveform)


def write_table(path: Path, choices: Sequence[Choice]) -> None:
    """StoryCloze without recordings: a csv of ``pair_id, text, type, correctness``."""
    rows = []
    for choice in choices:
        rows.append({"pair_id": choice.id, "text": choice.prompt, "type": "prompt", "correctness": ""})
        for name, ending in zip(("correct", "incorrect"), choice.endings, strict=True):
            rows.append({"pair_id": choice.id, "text": ending, "type": "continuation", "correctness": name})
    _write_csv(path, rows)


def write_hellaswag(folder: Path, choices: Sequence[Choice], speaking: Speaking) -> None:
    """sHellaSwag: the rows of HellaSwag, prompt and endings spoken apart."""
    rows = []
    for number, choice in enumerate(choices):
        voice = speaking.voice(number)
        speaking.write(folder / f"{choice.id}_ctx.wav", speaking.say(choice.prompt, voice))
        for k, ending in enumerate(choice.endings):
            speaking.write(folder / f"{choice.id}_ending{k}.wav", speaking.say(ending, voice))
        rows.append(
            {"ind": int(choice.id), "ctx": choice.prompt, "endings": list(choice.endings), "label": str(choice.right)}
        )
    write_jsonl(folder / "hellaswag_val.jsonl", rows)


def write_choices(folder: Path, choices: Sequence[Choice], speaking: Speaking) -> None:
    """Choices of one's own: read, and answered by speaking (T->S) and by writing (T->T), with mirror images."""
    rows: list[dict[str, Any]] = []
    for number, choice in enumerate(choices):
        voice = speaking.voice(number // 2)  # one voice for both images
        spoken = []
        for k, ending in enumerate(choice.endings):
            name = f"{choice.id}-{k}.wav"
            speaking.write(folder / name, speaking.say(ending, voice))
            spoken.append([{"audio": name, "text": ending}])
        prompt, written = [{"text": choice.prompt}], [[{"text": ending}] for ending in choice.endings]
        for way, options in (("T->S", spoken), ("T->T", written)):
            rows.append(
                {"id": f"{choice.id} {way}", "cell": way, "prompt": prompt, "options": options, "right": choice.right,
                 "mirror": f"{choice.mirror} {way}", "cluster": choice.cluster}
            )  # fmt: skip
    write_jsonl(folder / "choices.jsonl", rows)


def write_pairs(
    path: Path, columns: tuple[str, str], pairs: Sequence[tuple[str, str]], speaking: Speaking,
    texts: tuple[str, str] | None = None,
) -> None:  # fmt: skip
    """Copies on the hub: Parquet with two columns of recordings, and of what they say where it has names."""
    each: list[list[bytes]] = [[], []]
    for number, pair in enumerate(pairs):
        for place, text in enumerate(pair):
            each[place].append(speaking.file(speaking.say(text, speaking.voice(number))))
    table: dict[str, Any] = {name: _sounds(cells) for name, cells in zip(columns, each, strict=True)}
    if texts is not None:
        table |= {name: [pair[place] for pair in pairs] for place, name in enumerate(texts)}
    write_parquet(path, table)


def write_questions(path: Path, column: str, asked: Sequence[Asked], speaking: Speaking, *, lists: bool) -> None:
    """Spoken questions: Parquet of ``audio`` and of the references, one or a list of them."""
    heard = [speaking.file(speaking.say(one.prompt, speaking.voice(number))) for number, one in enumerate(asked)]
    references = [[one.answer] if lists else one.answer for one in asked]
    write_parquet(path, {"audio": _sounds(heard), column: references})


def write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    """A table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)


def _sounds(cells: Sequence[bytes]) -> pa.Array:
    return pa.array([{"bytes": cell, "path": f"{number}.wav"} for number, cell in enumerate(cells)], _SOUND)


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with io.StringIO(newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(path, file.getvalue())
