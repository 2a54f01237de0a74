"""Whether a built site needs nothing but itself: every link leads somewhere, and nothing is fetched from elsewhere.

    python docs/building/check.py site

mkdocs looks at links in Markdown; this looks at what it wrote, raw HTML and generated pages included.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose target a browser fetches by itself.
FETCHED = dict.fromkeys(("script", "img", "audio", "video", "source", "iframe"), "src") | {"link": "href"}
IN_STYLES = re.compile(r"(?:url\(\s*|@import\s+)[\"']?(https?:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page names.

    Attributes:
        anchors: ids of its elements.
        links: targets of its links.
        fetched: what a browser loads to show it.
    """

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.outside_styles = bool(IN_STYLES.search(text))
        self.draws_mermaid = False  # Material fetches the library from a CDN where it meets such a drawing
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.draws_mermaid |= "mermaid" in found.get("class", "").split()
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in FETCHED and FETCHED[tag] in found and found.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(found[FETCHED[tag]])


def problems(site: Path) -> list[str]:
    """A line for each thing that is wrong with a built site; none if it is whole.

    Args:
        site: its directory.
    """
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: no pages"]
    for path, page in pages.items():
        where = path.relative_to(site.resolve())
        found += [f"{where}: fetches {one}" for one in page.fetched if _is_outside(one)]
        if page.outside_styles or page.draws_mermaid:
            found.append(f"{where}: fetches a style or a script from elsewhere")
        if where.name == "404.html":  # its links begin at the root of a server
            continue
        for target in [*page.links, *page.fetched]:
            found += [] if _is_outside(target) else _missing(target, path, pages, where)
    for path in sorted(site.rglob("*.css")):
        if IN_STYLES.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)}: fetches something from elsewhere")
    return found


def _is_outside(target: str) -> bool:
    return urlsplit(target).scheme not in ("", "data") or target.startswith("//")


def _missing(target: str, path: Path, pages: dict[Path, Page], where: Path) -> list[str]:
    parts = urlsplit(target)
    if parts.scheme == "data":
        return []
    named = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if named.is_dir():
        named /= "index.html"
    if not named.is_file():
        return [f"{where}: {target} leads nowhere"]
    if parts.fragment and named in pages and unquote(parts.fragment) not in pages[named].anchors:
        return [f"{where}: {target} has no such place"]
    return []


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(wrong) or f"{sys.argv[1]}: every link leads somewhere, nothing is fetched from elsewhere")
    sys.exit(bool(wrong))
