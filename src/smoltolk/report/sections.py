"""What a page about several runs is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure.

    Attributes:
        name: part of a file's name.
        title: what is shown.
        svg: a whole file, or the element that :func:`~smoltolk.report.plot_style.page_svg` makes.
        of_page: it takes its colours from the page.
        narrow: the same for a phone, of the same kind; empty: there it is the same, to be pushed to and fro.
    """

    name: str
    title: str
    svg: str
    of_page: bool = False
    narrow: str = ""


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording to listen to.

    Attributes:
        path: the file.
        title: who says what kind of thing.
        words: what is said, where it is known.
    """

    path: Path
    title: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """What is told of one run, or of several together.

    Attributes:
        title: names it.
        place: the directory; empty of several.
        text: markdown; its first heading is left out.
        pictures, sounds: in the order in which they are shown.
        folded: its tables are long, and opened by a click.
        lead: markdown that stands above the pictures.
    """

    title: str
    place: str
    text: str
    pictures: tuple[Picture, ...] = ()
    sounds: tuple[Sound, ...] = ()
    folded: bool = False
    lead: str = ""
