"""Documents on standard output: tables by rich on a terminal, plain ones elsewhere, JSON when asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Document = Mapping[str, Any]
Column = tuple[str, Callable[[Document], str]]
_NOTHING: Final = "-"


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


def column(heading: str, key: str = "") -> Column:
    """The field `key` as it is; by its heading unless told otherwise."""
    name = key or heading
    return heading, lambda document: shown(document.get(name))


def shown(value: Any) -> str:
    """For a person; nothing that a terminal would act on."""
    if value is None or value in ("", [], {}):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={shown(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(shown(one) for one in value)
    return "".join(_visible(str(value)))


def counted(number: int, noun: str) -> str:
    """1 tag, 2 tags."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def moment(value: str | None) -> str:
    """Of RFC 3339: the minute in UTC, which is what one wants to see."""
    return shown(value).replace("T", " ")[:16] + "Z" if value else _NOTHING


def table(columns: Sequence[Column], documents: Iterable[Document]) -> None:
    rows = [[show(document) for _, show in columns] for document in documents]
    headings = [heading.upper() for heading, _ in columns]
    if not sys.stdout.isatty():
        _print_plain([headings, *rows])
        return
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)


def record(entries: Mapping[str, str]) -> None:
    """One thing, a line for each of its fields."""
    if not sys.stdout.isatty():
        _print_plain([list(entry) for entry in entries.items()])
        return
    drawn = Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in entries.items():
        drawn.add_row(Text(name), Text(value))
    Console().print(drawn)


def as_json(document: Any) -> None:
    print(json.dumps(document, indent=2))


def as_json_lines(documents: Iterable[Document]) -> None:
    for document in documents:
        print(json.dumps(document))


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    """Aligned, never cut: for grep, awk and files."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _visible(text: str) -> Iterator[str]:
    for character in text:
        yield character if character.isprintable() else character.encode("unicode_escape").decode()
