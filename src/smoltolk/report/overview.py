"""A page about several runs, one file that needs nothing else, and the same as markdown for an appendix."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from smoltolk.common.files import atomic_directory, write_text
from smoltolk.report.embedding import data_address
from smoltolk.report.markdown import as_html, deeper, escaped
from smoltolk.report.plot_style import on_paper, with_ids_of_its_own
from smoltolk.report.sections import Picture, Section, Sound

MEGABYTE = 1_000_000
_SIZE = re.compile(r'<svg[^>]*\sviewBox="\S+ \S+ ([0-9.]+) ')
_USUAL = 960  # pixels of a figure that does not tell


def write_page(sections: Sequence[Section], path: Path, embed: float) -> int:
    """Write the page.

    Args:
        sections: in order.
        path: of the page.
        embed: megabytes of sound that lie inside the page, in all; the sounds behind them are links to their files.

    Returns:
        How many sounds are links.
    """
    room = embed * MEGABYTE
    shown, linked = [], 0
    for number, section in enumerate(sections, 1):
        sounds = []
        for sound in section.sounds:
            inside = sound.path.stat().st_size <= room
            room -= sound.path.stat().st_size if inside else 0
            linked += not inside
            sounds.append({"sound": sound, "source": _source(sound, path.parent, inside), "inside": inside})
        figures = [_figure(picture, f"s{number}-{place}") for place, picture in enumerate(section.pictures)]
        lead, text = (Markup(as_html(deeper(each))) for each in (section.lead, section.text))
        shown.append({"it": section, "lead": lead, "text": text, "figures": figures, "sounds": sounds})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("smoltolk.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("overview.html.j2").render(sections=shown, linked=linked, embed=embed)
    write_text(path, page)
    return linked


def write_markdown(sections: Sequence[Section], path: Path) -> None:
    """Write the tables as markdown, and the figures beside it in a folder of its own name (``NAME-figures``)."""
    folder = path.with_name(f"{path.stem}-figures")
    parts = ["# Report"]
    with atomic_directory(folder) as place:
        for number, section in enumerate(sections, 1):
            parts += [f"## {escaped(section.title)}"]
            parts += [f"Directory: {escaped(section.place)}"] if section.place else []
            parts.append(deeper(section.lead))
            for picture in section.pictures:
                name = f"{number:02}-{picture.name}.svg"
                (place / name).write_text(on_paper(picture.svg) if picture.of_page else picture.svg, encoding="utf-8")
                parts.append(f"![{escaped(picture.title)}]({quote(folder.name)}/{name})")
            parts.append(deeper(section.text))
            parts += _sound_lines(section.sounds)
        empty = not any(place.iterdir())
    if empty:
        folder.rmdir()
    write_text(path, "\n\n".join(part for part in parts if part) + "\n")


def _figure(picture: Picture, name: str) -> dict[str, Any]:
    figure = {"title": picture.title, "svg": None, "narrow": None, "source": None, "width": _width(picture.svg)}
    if picture.of_page:
        figure["svg"] = Markup(with_ids_of_its_own(picture.svg, name))
        figure["narrow"] = Markup(with_ids_of_its_own(picture.narrow, name)) if picture.narrow else None
        return figure
    # As an image a figure keeps ids and styles, and whatever else its file may hold, to itself.
    return figure | {"source": data_address(picture.svg.encode(), ".svg")}


def _width(svg: str) -> int:
    """Pixels at which its letters have their size: a figure's own size is in points."""
    found = _SIZE.search(svg)
    return round(float(found[1]) * 96 / 72) if found else _USUAL


def _source(sound: Sound, folder: Path, inside: bool) -> str:
    if inside:
        return data_address(sound.path.read_bytes(), sound.path.suffix)
    return quote(os.path.relpath(sound.path, folder))


def _sound_lines(sounds: Sequence[Sound]) -> Iterator[str]:
    lines = [f"- {escaped(one.title)}" + (f": {escaped(one.words)}" if one.words else "") for one in sounds]
    if lines:
        yield "### Samples"
        yield "\n".join(lines)
