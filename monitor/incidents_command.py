"""`kms-monitor incidents`: what the store knows of them, and the end of one by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.command_store import (
    DEFAULT_CONFIG,
    ConfigOption,
    fail,
    person,
    with_store,
    write_down,
)
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.incident import Incident
    from monitor.ledger import Store

incidents = typer.Typer(
    invoke_without_command=True,
    help="List the incidents: everything about a key until it is as it should be again.",
)


@incidents.callback(epilog="Example: kms-monitor incidents --open")
def list_incidents(
    context: typer.Context,
    *,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with every finding.")
    ] = False,
    close: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Close this one by hand (its first 8 characters do): the key is as it is meant to be.",
        ),
    ] = "",
    resume: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Put the contested key of this one back within a minute: the fight is over.",
        ),
    ] = "",
    reason: Annotated[str, typer.Option(help="Why it is closed or resumed by hand.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """List the incidents: everything about a key until it is as it should be again.

    Exit code 1 if the store cannot be read, or there is no such incident to close or to resume.
    """
    context.obj = config
    if context.invoked_subcommand is not None:
        return
    if close and resume:
        fail("either --close or --resume", 2)
    if bool(close or resume) != bool(reason):
        fail("--close ID, or --resume ID, and --reason TEXT belong together", 2)

    async def work(store: "Store") -> "list[Incident]":
        if close or resume:
            return [await changed(store, close, resume, reason)]
        return await store.incidents(open_only=open_only)

    found = with_store(config, work)
    if as_json:
        import msgspec  # noqa: PLC0415

        for one in found:
            typer.echo(msgspec.json.encode(one))
    elif found:
        print_table(found)
    else:
        typer.echo("no incident is open" if open_only else "there are no incidents")


@incidents.command(epilog="Example: kms-monitor incidents show 1a2b3c4d")
def show(
    context: typer.Context,
    incident_id: Annotated[
        str, typer.Argument(metavar="ID", help="Of the incident; its first 8 characters do.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The settings file, as above.")
    ] = None,
) -> None:
    """Show all about one incident: findings, evidence, and what people were reminded of.

    Exit code 1 if the store cannot be read, or there is no such incident.
    """
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from monitor.telling.incident_page import page  # noqa: PLC0415

    async def work(store: "Store") -> "Incident":
        return only(await store.incidents(), incident_id, "incidents")

    found = with_store(config or context.obj, work)
    typer.echo(msgspec.json.encode(found) if as_json else page(found, time.time()))


async def changed(store: "Store", close: str, resume: str, reason: str) -> "Incident":
    """Close one by hand, or resume it. Ends the program where that cannot be done."""
    import time  # noqa: PLC0415

    from monitor import by_hand, deeds  # noqa: PLC0415

    chosen = only(await store.incidents(open_only=True), close or resume, "open incidents")
    if resume and not chosen.held_at:
        fail("nothing is held back there: the key may be put back as it is", 1)
    change = by_hand.resumed if resume else by_hand.closed
    after = change(chosen, person(), reason, time.time())
    if not await store.put_incident(after, expected_version=after.version):
        fail("the incident has just changed: look at it again", 1)
    tell = deeds.incident_resumed if resume else deeds.incident_closed
    await write_down(store, tell(chosen.id, chosen.key, reason))
    return after


def only(found: "list[Incident]", incident_id: str, of_what: str) -> "Incident":
    """The one that is meant. Ends the program where none is, or several are."""
    chosen = [one for one in found if one.id.startswith(incident_id)]
    if len(chosen) != 1:
        fail(f"{len(chosen)} {of_what} have an id that begins with {incident_id}", 1)
    return chosen[0]


def print_table(found: "list[Incident]") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from monitor.clock import iso  # noqa: PLC0415

    table = Table(
        "id", "key", "opened", "severity", "findings", "status", "closed by", box=None,
        pad_edge=False,
    )  # fmt: skip
    for one in found:
        status = "contested" if one.contested_at else "held back" if one.held_at else "open"
        status = status if one.open else f"closed {iso(one.closed_at)}"
        # What came with events is not to steer a terminal.
        cells = (one.id[:8], one.key.arn, iso(one.opened_at), one.severity.word, str(one.count))
        table.add_row(*map(printable, (*cells, status, one.closed_by)))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(width=200, highlight=False, markup=False)
    console.print(table)
