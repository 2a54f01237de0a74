"""Who imports whom, counting imports inside functions and those for types alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"
# Circles that are still to be broken, each as its files; what is no longer true here fails too.
KNOWN: list[set[str]] = []


def modules_in(sources: Path) -> dict[str, Path]:
    """Every module below a directory, by its full name."""
    found = {}
    for path in sources.rglob("*.py"):
        parts = path.relative_to(sources).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path) -> Iterator[tuple[str, str | None]]:
    """What a file imports, wherever this stands in it: modules, and names with the module that they are taken from.

    A string that is the name of a module counts too: ``import_module("room.b")``.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((one.name, None) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            yield from ((source, one.name) for one in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            yield node.value, None


def graph_of(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> the modules that it imports. A package counts where something of its own is taken from it."""
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        taken = {
            f"{source}.{one}" if f"{source}.{one}" in modules else source
            for source, one in imported(name, path)
            if (source, one) != ("smoltolk", "__version__")
        }
        graph[name] = taken & modules.keys() - {name}
    return graph


def circles_in(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules each of which leads to all others of its set."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        reached[start], waiting = set(), list(graph[start])
        while waiting:
            if (one := waiting.pop()) not in reached[start]:
                reached[start].add(one)
                waiting += graph[one]
    circles = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return sorted(map(set, circles), key=sorted)


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = graph_of(modules_in(SOURCES))
    assert len(graph) > 200
    assert circles_in(graph) == KNOWN


def test_nothing_imports_the_public_names_but_users() -> None:
    modules = modules_in(SOURCES)
    taken = [
        (name, one)
        for name, path in modules.items()
        for source, one in imported(name, path)
        if source == "smoltolk" and f"smoltolk.{one}" not in modules and one != "__version__"
    ]
    assert taken == []


# What `os` and `signal` have on Unix alone.
UNIX = re.compile(
    r"signal\.(SIG(?!INT\b|TERM\b|ABRT\b|FPE\b|ILL\b|SEGV\b|BREAK\b|_DFL\b|_IGN\b)\w+|pthread_\w+|alarm|setitimer)"
    r"|os\.(O_(NOFOLLOW|DIRECTORY|NONBLOCK|CLOEXEC)|W(?!_OK)\w+|fork\w*|register_at_fork|killpg|setsid|getp?gid|gete?[ug]id|getpgrp"
    r"|nice|sched_\w+|sysconf|uname|mkfifo|chown|statvfs|posix_\w+|setxattr|getloadavg)"
)


def used_on_import(code: ast.AST) -> Iterator[str]:
    """Attributes that a file reads when it is imported, as written: whatever stands in no body of a function."""
    if isinstance(code, ast.Attribute):
        yield ast.unparse(code)
    lazy = code.body if isinstance(code, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else []
    for node in ast.iter_child_nodes(code):
        if node not in (lazy if isinstance(lazy, list) else [lazy]):
            yield from used_on_import(node)


def test_nothing_that_only_unix_has_is_used_on_import() -> None:
    found = [
        (name, used)
        for name, path in modules_in(SOURCES).items()
        for used in used_on_import(ast.parse(path.read_text(encoding="utf-8")))
        if UNIX.fullmatch(used)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("STOP = (signal.SIGINT, signal.SIGKILL)", ["signal.SIGKILL"]),
        ("class C:\n    def f(self, flags=os.O_NOFOLLOW): ...", ["os.O_NOFOLLOW"]),
        ("def f():\n    os.killpg(1, signal.SIGKILL)", []),
        ("g = lambda: os.getuid()", []),
        ("SIGNALS = signal.SIGINT, signal.SIGTERM, os.environ, os.O_RDONLY", []),
    ],
)
def test_use_on_import_is_told_from_use_in_functions(code: str, wrong: list[str]) -> None:
    assert [used for used in used_on_import(ast.parse(code)) if UNIX.fullmatch(used)] == wrong


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("import room.b", "from room.a import A"),
        ("def f():\n    from room.b import B", "import room.a"),
        ("if TYPE_CHECKING:\n    from room import b", "class C:\n    def f(self):\n        from room.a import A"),
        ("from .b import B", "from . import a"),
        ("from room import c", "from room import a"),
        ('b = import_module("room.b")', "import room.a"),
    ],
)
def test_a_circle_is_found_however_it_is_written(first: str, second: str, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    for name, text in (
        ("__init__", ""),
        ("a", first),
        ("b", second),
        ("c", "from room.b import B"),
        ("d", "import room.a"),
    ):
        (tmp_path / "room" / f"{name}.py").write_text(text)
    (circle,) = circles_in(graph_of(modules_in(tmp_path)))
    assert {"room.a", "room.b"} <= circle <= {"room.a", "room.b", "room.c"}
