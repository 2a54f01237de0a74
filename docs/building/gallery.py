"""The page of sounds and figures: docs/gallery holds them, `python benchmarks/gallery.py` makes the sounds."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"late": "late", "early": "early", "early_plus": "early+"}
KINDS = {
    "story": "A story to its end",
    "fact_heard_answer": "A fact that was heard in training",
    "fact_read_answer": "A fact that was only ever read",
}
# A quick start of one's own; its page goes into the site where there is one.
OWN_REPORT = ROOT / "quickstart" / "report.html"


def gallery_page() -> str:
    """Markdown of the page."""
    found = json.loads((ROOT / "docs" / "gallery" / "gallery.json").read_text(encoding="utf-8"))
    blocks = [
        "# Sounds and figures",
        f"From one quick start (`smoltolk quickstart`, seed {found['run']['seed']}, scale {found['run']['scale']}): "
        "the first questions of their kinds, not the best ones. Each system hears the beginning and goes on with the "
        "likeliest unit, two seconds at most. Voices are synthetic (espeak-ng), the model's own comes out of a vocoder "
        "that was trained in a minute. Below each sound stands what the judge, a recogniser, heard in it.",
    ]
    if OWN_REPORT.is_file():
        blocks.append("The page of the quick start in this clone: [report](own-report.html).")
    number_of: dict[str, int] = {}
    for records in _questions(found["samples"]):
        kind = records[0]["kind"]
        if kind not in number_of:
            blocks.append(f"## {KINDS[kind]}")
        number_of[kind] = number_of.get(kind, 0) + 1
        blocks += _question(records)
    blocks += [
        "## Inside",
        "The text head on each layer at the end of every word (`smoltolk analyse late early --parts lens,selector`): "
        "while it listens, late fusion knows the next word a layer earlier than early fusion does. Bands are 95% "
        "intervals over utterances.",
        "![Share of words among the top 1 and top 10 of the text head, by layer](gallery/lens.svg)",
        "The selector of the same late-fusion model: which layers speech is read from, and where in a word.",
        "![Weights of the selector by layer and by place in the word](gallery/selector.svg)",
    ]
    return "\n\n".join(blocks) + "\n"


def _questions(samples: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for name in dict.fromkeys(sample["id"] for sample in samples):
        yield [sample for sample in samples if sample["id"] == name]


def _question(records: list[dict[str, Any]]) -> Iterator[str]:
    first = next(record for record in records if record["prompt_audio"])
    yield f"> {_player(first['prompt_audio'])}<br>“{first['prompt_text']}” … *{first['right_text']}*"
    rows = ["| | hears, speaks | hears, writes | reads, speaks |", "|---|---|---|---|"]
    for system, name in NAMES.items():
        own = {record["direction"]: record for record in records if record["system"] == system}
        cells = [_cell(own.get(way)) for way in ("S->S", "S->T", "T->S")]
        rows.append(f"| **{name}** | {' | '.join(cells)} |")
    yield "\n".join(rows)


def _cell(record: dict[str, Any] | None) -> str:
    if record is None:
        return ""
    text = html.escape(record["text"] or "(nothing)")
    return f"{_player(record['audio'])}<br>{text}" if record["audio"] else text


def _player(name: str) -> str:
    return f'<audio controls preload="none" src="gallery/{name}"></audio>'
