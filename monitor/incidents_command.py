"""`kms-monitor incidents`: what the store knows of them, and the end of one by hand."""

import asyncio
import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from monitor.errors import SettingsError
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.incident import Incident


def incidents(
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
    config: Annotated[
        Path,
        typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file."),
    ] = Path("kms-monitor.yaml"),
) -> None:
    """List the incidents: everything about a key until it is as it should be again.

    Exit code 1 if the store cannot be read, or there is no such incident to close or to resume.
    """
    if close and resume:
        fail("either --close or --resume", 2)
    if bool(close or resume) != bool(reason):
        fail("--close ID, or --resume ID, and --reason TEXT belong together", 2)
    path = store_of(config)
    found = asyncio.run(work(path, close, resume, reason, open_only=open_only))
    if as_json:
        import msgspec  # noqa: PLC0415

        for one in found:
            typer.echo(msgspec.json.encode(one))
    elif found:
        print_table(found)
    else:
        typer.echo("no incident is open" if open_only else "there are no incidents")


def store_of(config: Path) -> Path:
    """The file of the store. Ends the program where there is none to be read."""
    from monitor.settings_file import read_settings  # noqa: PLC0415

    try:
        store = read_settings(config, os.environ).store
    except SettingsError as error:
        fail("\n".join(error.faults), 2)
    if store.kind == "memory":
        fail("store: kind: memory: only the daemon itself knows it; use sqlite", 2)
    if not store.path.exists():
        fail(f"the store {store.path} is not there: no daemon has run with these settings", 1)
    return store.path


async def work(
    path: Path, close: str, resume: str, reason: str, *, open_only: bool
) -> "list[Incident]":
    """The incidents to show: all that are asked for, or the one that was closed or resumed."""
    from monitor import by_hand  # noqa: PLC0415
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.ledger import StoreError  # noqa: PLC0415
    from monitor.stores.sqlite import SqliteStore  # noqa: PLC0415

    clock = SystemClock()
    try:
        store = await SqliteStore.open(path, clock)
        try:
            wanted = close or resume
            found = await store.incidents(open_only=open_only or bool(wanted))
            if not wanted:
                return found
            chosen = [one for one in found if one.id.startswith(wanted)]
            if len(chosen) != 1:
                fail(f"{len(chosen)} open incidents have an id that begins with {wanted}", 1)
            if resume and not chosen[0].held_at:
                fail("nothing is held back there: the key may be put back as it is", 1)
            change = by_hand.resumed if resume else by_hand.closed
            changed = change(chosen[0], getpass.getuser(), reason, clock.now())
            if not await store.put_incident(changed, expected_version=changed.version):
                fail("the incident has just changed: look at it again", 1)
            return [changed]
        finally:
            await store.close()
    except StoreError as error:
        fail(str(error), 1)


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


def fail(fault: str, code: int) -> NoReturn:
    for line in fault.split("\n"):
        typer.echo(f"kms-monitor: {printable(line)}", err=True)
    raise typer.Exit(code)
