"""Pages of the site that are no files of docs/, and links of docs/ as they are in the site (a hook of mkdocs).

Markdown in the repository links to files of the repository. In the site, README and CHANGELOG are pages, and so is
every source file that a page names.
"""

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands import commands_page
from gallery import OWN_REPORT, gallery_page
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from public_names import names_page

ROOT = Path(__file__).resolve().parents[2]
# Files of the repository that are pages, by the name that they have in the site.
WHOLE = {"CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md", "README.md": "index.md"}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s]+)(?=\))")
# The line below such a mark is for readers of the repository, where the mark is all that they would see.
SECTION = re.compile(r"^<!-- README: (.+) -->\n.+$", re.MULTILINE)
IN_A_CLONE = re.compile(r"^<!-- In a clone -->\n.+\n+", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):<code>~?([\w.]+)</code>")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here."""
    made = {
        "reference/commands.md": commands_page(),
        "reference/python.md": names_page(),
        "gallery.md": gallery_page(),
        "changes.md": in_site((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "", "changes.md"),
        "contributing.md": in_site((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "", "contributing.md"),
    }
    named = {target for path in repository_pages() for target in sources_of(path)}
    made |= {source_page(target): shown_source(target) for target in sorted(named)}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    if OWN_REPORT.is_file():
        files.append(File.generated(config, "own-report.html", abs_src_path=str(OWN_REPORT)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put sections of the README in their places, and mend the links."""
    path = page.file.src_uri
    if page.file.generated_by is not None:
        return markdown
    mended = IN_A_CLONE.sub("", in_site(markdown, "docs", path))
    return SECTION.sub(lambda found: in_site(section(found[1]), "", path), mended)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name things as Sphinx does."""
    return ROLE.sub(lambda found: f"<code>{found[1].rpartition('.')[2]}</code>", html)


def repository_pages() -> list[Path]:
    """README and docs, which link to files."""
    return [*(ROOT / name for name in WHOLE), *sorted((ROOT / "docs").glob("*.md"))]


def section(title: str) -> str:
    """What stands under a heading of the README, the heading left out.

    Raises:
        PluginError: no such heading.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    if found is None:
        raise PluginError(f"README.md has no heading {title!r}, which a page of the site shows")
    return found[1].replace("](#", "](docs/quick-start.md#")  # its sections stand in that page


def in_site(markdown: str, folder: str, page: str) -> str:
    """A text of the repository as a page of the site: links lead to pages.

    Args:
        markdown: the text.
        folder: of the repository, where it stands.
        page: of the site, where it will stand.
    """

    def mended(found: re.Match[str]) -> str:
        target, hash_sign, anchor = found[1].partition("#")
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif path in WHOLE:
            path = WHOLE[path]
        elif is_source(path):
            path = source_page(path)
        return posixpath.relpath(path, posixpath.dirname(page) or ".") + hash_sign + anchor

    return "".join(part if code else LINK.sub(mended, part) for code, part in parts_of(markdown))


def parts_of(markdown: str) -> Iterator[tuple[bool, str]]:
    """Whether it is code, and the text, of each part of a page."""
    end = 0
    for found in FENCED.finditer(markdown):
        yield False, markdown[end : found.start()]
        yield True, found[0]
        end = found.end()
    yield False, markdown[end:]


def sources_of(path: Path) -> set[str]:
    """Files and directories of the repository that a page links to, as paths from its root."""
    folder = path.parent.relative_to(ROOT).as_posix()
    text = "".join(part for code, part in parts_of(path.read_text(encoding="utf-8")) if not code)
    targets = {posixpath.normpath(posixpath.join(folder, found.partition("#")[0])) for found in LINK.findall(text)}
    return {target for target in targets if is_source(target)}


def is_source(path: str) -> bool:
    """Whether a path of the repository becomes a page only because another one links to it."""
    return not path.startswith(("docs/", "..")) and path not in WHOLE


def source_page(target: str) -> str:
    """Where a source file stands in the site."""
    return f"source/{target.removesuffix('.py').removesuffix('/__init__')}.md"


def shown_source(target: str) -> str:
    """A source file as a page; a directory as a list of its files, its README in front.

    Raises:
        PluginError: nothing there.
    """
    path = ROOT / target
    head = f"---\ntitle: {path.name}\nsearch:\n  exclude: true\n---\n\n# `{target}`\n\n"
    if path.is_dir():
        readme = path / "README.md"
        about = readme.read_text(encoding="utf-8").partition("\n")[2] if readme.is_file() else ""
        files = [f"- `{one.name}`" for one in sorted(path.iterdir()) if one.is_file() and one != readme]
        return head + LINK.sub("#", about) + "\n\n" + "\n".join(files) + "\n"
    if not path.is_file():
        raise PluginError(f"a page links to {target}, which is not there")
    code = html.escape(path.read_text(encoding="utf-8"), quote=False)
    return f'{head}<pre class="source"><code>{code}</code></pre>\n'
