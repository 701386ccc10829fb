"""Tables on a terminal, plain ones elsewhere, JSON when asked; and pages that nobody sees."""

from __future__ import annotations

import pytest

from ccr.cli import printing
from ccr.cli.sizes import size
from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image
from tests.support.process import RegistryProcess

LISTS = [
    "account list",
    "project list",
    "registry list",
    "credential list",
    "profile list",
    "project member list filled",
    "repository list filled",
    "tag list filled/app",
    "audit --limit 5",
]
ONES = [
    "whoami",
    "account describe default",
    "project describe filled",
    "registry describe filled",
    "credential describe filled",
    "repository describe filled/app",
]


@pytest.fixture(scope="module")
def filled(served: RegistryProcess, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A project with a registry with one image, for tests that only look."""
    terminal = Terminal(tmp_path_factory.mktemp("filled"), served)
    terminal.log_in()
    terminal.ccr("project", "create", "filled")
    terminal.ccr("registry", "create", "filled", "--project", "filled")
    client = Client(served.url, served.username, served.password, "filled/app")
    client.push(image(b"layer"), "1.0")
    return terminal


@pytest.mark.parametrize("command", LISTS)
def test_a_list_is_a_table_or_an_array(filled: Terminal, command: str) -> None:
    items = filled.ask(*command.split())
    assert isinstance(items, list)
    assert items
    lines = filled.ccr(*command.split()).out.splitlines()
    assert len(lines) >= 2
    assert lines[0] == lines[0].upper()


@pytest.mark.parametrize("command", ONES)
def test_one_thing_is_a_record_or_an_object(filled: Terminal, command: str) -> None:
    document = filled.ask(*command.split())
    shown = dict(line.split(maxsplit=1) for line in filled.ccr(*command.split()).out.splitlines())
    # Bytes have their unit in the name, which people read beside the number.
    in_bytes = {"limit", "used", "percent"}
    assert set(shown) - in_bytes <= set(document)


def test_columns_stand_below_each_other_and_nothing_is_cut(terminal: Terminal, project: str) -> None:
    title = "a title that is much longer than any terminal of eighty columns would have place for " * 2
    terminal.ccr("project", "change", project, "--title", title.strip())
    heading, *rows = terminal.ccr("project", "list").out.splitlines()
    assert any(title.strip() in row for row in rows)
    assert {row[heading.index("ACCOUNT") :].split()[0] for row in rows} == {"default"}


def test_a_terminal_gets_a_drawn_table(terminal: Terminal, project: str) -> None:
    said = terminal.on_screen("project", "list")
    assert "─" in said
    assert project in said
    assert project in terminal.on_screen("project", "describe", project)


def test_nothing_that_a_terminal_would_act_on_is_printed(terminal: Terminal, project: str) -> None:
    """The registry keeps no such title, and what else is no text a terminal shows is printed as its code."""
    assert terminal.try_ccr("project", "change", project, "--title", "\x1b[2Jgone\r\nnext").exit_code == 7
    assert printing.shown("\x1b[2Jgone\r\nnext") == "\\x1b[2Jgone\\r\\nnext"
    terminal.ccr("project", "change", project, "--title", "\ue000[2J[red]gone")
    said = terminal.ccr("project", "describe", project).out
    assert "\\ue000[2J[red]gone" in said
    assert "\\ue000[2J[red]gone" in terminal.on_screen("project", "describe", project)
    assert "\ue000" not in terminal.ccr("project", "describe", project, "-o", "json").out


def test_lists_go_on_over_all_pages(terminal: Terminal, dev: str, client: Client) -> None:
    about, pushed = client.about(f"{dev}/app"), image(b"layer")
    about.push(pushed, "t000")
    for number in range(1, 205):
        assert about.put_manifest(pushed, f"t{number:03}").status_code == 201
    everything = [f"t{number:03}" for number in range(205)]
    asked = ("tag", "list", f"{dev}/app")
    assert [one["tag"] for one in terminal.ask(*asked)] == everything
    assert [one["tag"] for one in terminal.ask(*asked, "--limit", "150")] == everything[:150]
    assert [one["tag"] for one in terminal.ask(*asked, "--limit", "3")] == everything[:3]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10 * 1024**3, "10 GiB"), (3 * 1024**5, "3072 TiB")],
)
def test_sizes_are_in_binary_units(count: int, text: str) -> None:
    assert size(count) == text


def test_values_are_shown_as_people_read_them() -> None:
    assert printing.shown(None) == printing.shown([]) == printing.shown("") == "-"
    assert printing.shown({"*": "owner", "shop": "viewer"}) == "*=owner, shop=viewer"
    assert printing.moment("2027-01-31T12:00:59Z") == "2027-01-31 12:00Z"
