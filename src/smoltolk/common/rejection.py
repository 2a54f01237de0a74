"""One bad item does not end a command: it is rejected by name, with the reason, and the rest is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from smoltolk.common.errors import InputError, NotFoundError

Item = TypeVar("Item")
Result = TypeVar("Result")

# What one item can be guilty of. Anything else (a full disk, a worker's death, a mistake of ours) ends the command.
BAD_ITEM = (InputError, NotFoundError, PermissionError, IsADirectoryError)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that could not be used.

    Attributes:
        id: its name, as the user knows it.
        reason: the rule that it breaks, what was found, and the fix.
    """

    id: str
    reason: str

    @classmethod
    def because(cls, name: str, error: Exception) -> Rejected:
        """Of what was raised about it."""
        return cls(name, str(error) or type(error).__name__)

    def line(self) -> str:
        """For a terminal."""
        return f"rejected {self.id}: {' '.join(self.reason.split())}"

    def row(self) -> dict[str, str]:
        """For ``rejected.jsonl``."""
        return asdict(self)


def do_each(
    items: Iterable[Item], do: Callable[[Item], Result], name: Callable[[Item], str], rejected: list[Rejected]
) -> Iterator[tuple[Item, Result]]:
    """Do something with each item.

    Args:
        items: consumed lazily.
        do: raises one of :data:`BAD_ITEM` about an item that cannot be used.
        name: of an item.
        rejected: gets those.

    Yields:
        The other items with their results, in order.
    """
    for item in items:
        try:
            result = do(item)
        except BAD_ITEM as error:
            rejected.append(Rejected.because(name(item), error))
        else:
            yield item, result


def do_together(
    items: Sequence[Item],
    do: Callable[[Sequence[Item]], Sequence[Result]],
    name: Callable[[Item], str],
    rejected: list[Rejected],
) -> list[tuple[Item, Result]]:
    """The same for what does many items at once, and refuses all where one is bad: then each is done alone."""
    if not items:
        return []
    try:
        return list(zip(items, do(items), strict=True))
    except BAD_ITEM:
        return list(do_each(items, lambda item: do([item])[0], name, rejected))
