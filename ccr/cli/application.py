"""The command line as a whole: which commands there are, and how `ccr --help` groups them."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from typer.core import TyperGroup

from ccr.cli import VERSION, environment, exits
from ccr.cli.commands import (
    accounts,
    audit,
    cost,
    credentials,
    deletion,
    doctor,
    event_bus,
    fsck,
    gc,
    images,
    kubernetes,
    lifecycle,
    login,
    migrate,
    policies,
    projects,
    pull,
    push,
    quota,
    registries,
    serving,
    undo,
    webhooks,
)
from ccr.cli.session import command

IDENTITY: Final = "Who you are"
TENANCY: Final = "Who may do what"
IMAGES: Final = "Images"
USING: Final = "Use and watch it"
ORDER: Final = (
    *("login", "logout", "whoami", "profile"),
    *("account", "project", "registry", "credential"),
    *("push", "pull", "repository", "tag", "image", "promote", "restore", "trash", "policy", "lifecycle"),
    *("quota", "webhooks", "event-bus", "gc", "pull-secret", "audit", "fsck", "doctor", "migrate", "cost"),
    *("run", "gateway", "capability-key"),
)


def _epilog() -> str:
    variables = "  \n".join(f"{one.name}: {one.meaning}" for one in environment.VARIABLES)
    return f"{exits.listing()}\n\nEnvironment:\n\n{variables}"


class _InOrder(TyperGroup):
    """Groups and single commands as one list, in the order in which a newcomer needs them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="ccr",
    cls=_InOrder,
    help="A private container registry with no servers in it.\n\n"
    "Begin with `ccr login https://registry.example.id -u ID`. "
    "Options stand after the command: `ccr project list --output json --profile work`. All but run, gateway "
    "and capability-key take these two.",
    epilog=_epilog(),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        print(f"ccr {VERSION}")
        raise typer.Exit


@app.callback()
def ccr(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end."),
    ] = False,
) -> None:
    """What stands before any command; the help is that of the whole."""


login.register(app, IDENTITY)
app.add_typer(login.app, name="profile", rich_help_panel=IDENTITY)
app.add_typer(accounts.app, name="account", rich_help_panel=TENANCY)
app.add_typer(projects.app, name="project", rich_help_panel=TENANCY)
app.add_typer(registries.app, name="registry", rich_help_panel=TENANCY)
command(projects.app, "limit")(quota.project_limit)
command(registries.app, "limit")(quota.registry_limit)
app.add_typer(credentials.app, name="credential", rich_help_panel=TENANCY)
command(app, "push", panel=IMAGES)(push.push)
command(app, "pull", panel=IMAGES)(pull.pull)
app.add_typer(images.app, name="repository", rich_help_panel=IMAGES)
app.add_typer(images.tags, name="tag", rich_help_panel=IMAGES)
app.add_typer(deletion.app, name="image", rich_help_panel=IMAGES)
command(app, "promote", panel=IMAGES)(images.promote)
app.add_typer(quota.app, name="quota", rich_help_panel=USING)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=USING)
app.add_typer(event_bus.app, name="event-bus", rich_help_panel=USING)
app.add_typer(lifecycle.app, name="lifecycle", rich_help_panel=IMAGES)
command(app, "restore", panel=IMAGES)(undo.restore)
app.add_typer(undo.trash, name="trash", rich_help_panel=IMAGES)
app.add_typer(policies.app, name="policy", rich_help_panel=IMAGES)
app.add_typer(gc.app, name="gc", rich_help_panel=USING)
command(app, "pull-secret", panel=USING)(kubernetes.pull_secret)
command(app, "audit", panel=USING, outputs=audit.AuditOutput)(audit.audit)
app.add_typer(fsck.app, name="fsck", rich_help_panel=USING)
app.add_typer(migrate.app, name="migrate", rich_help_panel=USING)
command(app, "cost", panel=USING)(cost.cost)
command(app, "doctor", panel=USING)(doctor.doctor)
app.command("run", rich_help_panel=USING)(serving.run)
app.command("gateway", rich_help_panel=USING)(serving.gateway)
app.command("capability-key", rich_help_panel=USING)(serving.capability_key)


def main() -> None:
    app(prog_name="ccr")
