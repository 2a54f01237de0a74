"""The card of a bundle: its README.md, which the hub shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import ModelCardData

from smoltolk.model.configuration import SmolTolkConfig
from smoltolk.model.interop.card import describe
from smoltolk.report.wording import percent

_TAGS = ["smoltolk", "speech", "spoken-language-modelling", "arxiv:2503.06211", "smoltolk-bundle"]
_UNSAID = "not stated by whoever made this bundle"

_TEXT = """\
# {title}

A text language model that also hears and speaks (late fusion and multi-level fission, arXiv 2503.06211), with its unit
tokenizer and {speaks}: all that talking takes.

## Use

```python
from smoltolk import SpeechText

talker = SpeechText.from_pretrained({quoted})
print(talker.hear("question.wav"))
talker.say("Hello.").save("hello.wav")
talker.generate("Once upon a time", to="speech").speech.save("more.wav")
```

In the shell: `smoltolk talk {shell}`.

{sample}## Where data and voices come from

| | |
|---|---|
| data | {data} |
| voices | {voices} |
| licence | {license} |
| consent of the speakers | {consent} |

A voice can be taken for a person's: say where speech is a machine's, and imitate nobody who has not agreed.

## How it was built

| setting | value |
|---|---|
{rows}

## Figures

{figures}
"""


def bundle_card(config: SmolTolkConfig, record: Mapping[str, Any], place: str) -> str:
    """The text of the card.

    Args:
        config: the model's.
        record: what ``bundle.json`` holds.
        place: what ``from_pretrained`` is to be given: a hub id or a directory.
    """
    origin, name = record["origin"], config.text_model_name
    rows = {**describe(config), "unit tokenizer": f"{record['units']}, {record['frame_rate']:g} frames a second"}
    voices = f", voices {', '.join(record['speakers'])}" if record["speakers"] else ""
    rows["vocoder"] = f"{record['vocoder']}, {record['speaking_rate']:,} Hz{voices}"
    data = ModelCardData(
        base_model=name, library_name="smoltolk", pipeline_tag="any-to-any", tags=list(_TAGS),
        license=origin["license"], language=list(origin["languages"]) or None,
    )  # fmt: skip
    text = _TEXT.format(
        title=f"SmolTolk on {name}, to talk with" if name else "A SmolTolk model to talk with",
        speaks="its codec" if record["vocoder"] == record["units"] else "a vocoder",
        quoted=json.dumps(place, ensure_ascii=False),
        shell=quote(place),
        sample=_sample(record["sample"]),
        rows="\n".join(f"| {what} | {_cell(value)} |" for what, value in rows.items()),
        figures=_figures(record["figures"], record.get("verdicts", ())),
        **{key: _cell(origin[key] or _UNSAID) for key in ("data", "voices", "license", "consent")},
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def _sample(sample: Mapping[str, Any] | None) -> str:
    if sample is None:
        return ""
    prompt = " ".join(sample["prompt"].split())
    return f"`{sample['file']}` is how it goes on, aloud, from “{prompt}” (seed {sample['seed']}).\n\n"


def _figures(figures: Sequence[Mapping[str, Any]], verdicts: Sequence[str]) -> str:
    if not figures:
        return "None were given."
    rows = ["| what | % | 95% interval | chance | of |", "|---|---|---|---|---|"]
    for one in figures:
        interval = f"{percent(one['low'])} to {percent(one['high'])}" if "low" in one and "high" in one else ""
        chance = percent(one["chance"], 0) if "chance" in one else ""
        count = f"{one['n']} {one.get('of', 'items')}" if "n" in one else ""
        rows.append(f"| {_cell(one['what'])} | {percent(one['value'])} | {interval} | {chance} | {count} |")
    told = ["An interval that holds chance tells nothing apart from it."] if any("chance" in o for o in figures) else []
    return "\n\n".join([*(" ".join(one.split()) for one in verdicts), *told, "\n".join(rows)])


def _cell(text: str) -> str:
    """A text that stays in its cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")
