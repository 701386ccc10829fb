"""Reads table.txt: who may do what, as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ALLOWED, HIDDEN, FORBIDDEN, NOBODY = "+", ".", "x", "!"
_CELLS = {ALLOWED, HIDDEN, FORBIDDEN, NOBODY}


@dataclass(frozen=True)
class Section:
    """`rows`: for each row its label, what its cells say by column, as the file has it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, str]], ...]

    def by_member(self, name: str) -> Mapping[str, str]:
        """Where a row is for members, named by patterns: the cells of the one row that `name` is in."""
        found = [cells for label, cells in self.rows if _is_in(name, label)]
        if not found:
            found = [cells for label, cells in self.rows if label == "everybody else"]
        assert len(found) == 1, f"{name} is in {len(found)} rows of [{self.title}]"
        return found[0]

    def by_operation(self, name: str, groups: Mapping[str, str]) -> Mapping[str, str]:
        """Where a column is for a group of members: the cells of `name` by operation."""
        found = [group for group in self.columns if _is_in(name, groups[group])]
        assert len(found) == 1, f"{name} is in the groups {found} of [{self.title}]"
        return {label: cells[found[0]] for label, cells in self.rows}


@dataclass(frozen=True)
class Table:
    sections: Mapping[str, Section]
    groups: Mapping[str, str]


def _is_in(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name, one.strip()) for one in patterns.split(","))


def read() -> Table:
    sections: dict[str, Section] = {}
    groups: dict[str, str] = {}
    title, columns = "", ()
    for line in Path(__file__).with_name("table.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            title, columns = line.strip("[] "), ()
        elif title == "groups":
            name, _, patterns = line.partition("=")
            groups[name.strip()] = patterns.strip()
        elif not columns:
            columns = tuple(line.partition("|")[0].split())
            sections[title] = Section(title, columns, ())
        else:
            sections[title] = _with_row(sections[title], line)
    return Table(sections, groups)


def _with_row(section: Section, line: str) -> Section:
    text, _, label = line.partition("|")
    cells = text.split()
    assert len(cells) == len(section.columns), f"[{section.title}] {line!r} has {len(cells)} cells"
    assert set(cells) <= _CELLS, f"[{section.title}] {line!r}"
    row = (label.strip(), dict(zip(section.columns, cells, strict=True)))
    return Section(section.title, section.columns, (*section.rows, row))
