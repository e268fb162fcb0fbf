"""The commands `kms-monitor log {show,verify,head,export}`."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.command_store import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    fail,
    with_store,
)
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.action_log import LogEntry, Verification
    from monitor.ledger import Store

log = typer.Typer(
    help="The action log: everything that was done, chained by hashes.", no_args_is_help=True
)

MOST_FAULTS = 20
"""Faults that `verify` prints; all are counted."""
TIMES = frozenset({"finished_at", "until"})
"""Members of an entry that are moments."""


@log.command(epilog="Example: kms-monitor log show --last 50")
def show(
    *,
    last: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="So many entries, the newest.")
    ] = 20,
    key: Annotated[str, typer.Option(metavar="ARN", help="Only those about this key.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show what was done, the newest last.

    Exit codes: 0 all is well; 1 the store cannot be read; 2 the settings or the command line are
    wrong.
    """
    import msgspec  # noqa: PLC0415

    from monitor.chain import entries  # noqa: PLC0415

    async def work(store: "Store") -> "deque[LogEntry]":
        found: deque[LogEntry] = deque(maxlen=last)
        async for one in entries(store):
            if not key or one.what.get("key") == key:
                found.append(one)
        return found

    found = with_store(config, work)
    for one in found:
        typer.echo(msgspec.json.encode(one) if as_json else line(one))
    if not found and not as_json:
        typer.echo("no entries", err=True)


@log.command(epilog="Example: kms-monitor log verify --head 1234:9f86d081...")
def verify(
    *,
    head: Annotated[
        str,
        typer.Option(
            metavar="NUMBER:HASH",
            help="An entry that is known from elsewhere: a log line, the MQTT status, log head.",
        ),
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="Verify what log export wrote, not the store.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """See that nobody changed, dropped, added or reordered an entry.

    Without --head nobody can see that the newest entries were cut off, or all were written anew.

    Exit codes: 0 the chain is whole; 1 it is broken, or cannot be read: it says where; 2 the settings
    or the command line are wrong.
    """
    import json  # noqa: PLC0415

    from monitor.action_log import Verification  # noqa: PLC0415

    found = Verification(*parse_head(head))
    if file is not None:
        for one in from_file(file, found):
            found.take(one)
    else:

        async def work(store: "Store") -> None:
            from monitor.chain import entries  # noqa: PLC0415
            from monitor.ledger import StoreError  # noqa: PLC0415

            try:
                async for one in entries(store):
                    found.take(one)
            except StoreError as error:
                after = found.last.number if found.last else 0
                found.faults.append(f"what stands after entry {after} cannot be read: {error}")

        with_store(config, work)
    broken = found.end()
    last = found.last
    if as_json:
        summary = {
            "whole": not broken,
            "entries": found.count,
            "head": f"{last.number}:{last.hash}" if last else None,
            "faults": broken,
        }
        typer.echo(json.dumps(summary))
    elif not broken:
        where = f", up to {last.number}:{last.hash}" if last else ""
        typer.echo(f"the action log is whole: {found.count} entries{where}")
    else:
        for fault in broken[:MOST_FAULTS]:
            typer.echo(f"kms-monitor: {printable(fault)}", err=True)
        typer.echo(f"kms-monitor: the action log is broken: {len(broken)} faults", err=True)
    if broken:
        raise typer.Exit(1)


@log.command("head", epilog="Example: kms-monitor log head >> /elsewhere/heads")
def newest(*, as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Print the newest entry as NUMBER:HASH, to be kept elsewhere and given to log verify --head.

    Exit codes: 0 all is well; 1 there is no entry, or the store cannot be read; 2 the settings or
    the command line are wrong.
    """
    import json  # noqa: PLC0415

    async def work(store: "Store") -> "LogEntry | None":
        return await store.last_logged()

    last = with_store(config, work)
    if last is None:
        fail("the action log is empty", 1)
    if as_json:
        typer.echo(json.dumps({"number": last.number, "hash": last.hash, "at": last.at}))
    else:
        typer.echo(f"{last.number}:{last.hash}")


@log.command(epilog="Example: kms-monitor log export > action-log.jsonl")
def export(
    *,
    after: Annotated[int, typer.Option(min=0, help="Only what follows on this number.")] = 0,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Print the whole log as JSON, one entry for each line; log verify --file reads it.

    Exit codes: 0 all is well; 1 the store cannot be read; 2 the settings or the command line are
    wrong.
    """
    import msgspec  # noqa: PLC0415

    from monitor.chain import entries  # noqa: PLC0415

    async def work(store: "Store") -> None:
        async for one in entries(store, after):
            typer.echo(msgspec.json.encode(one))

    with_store(config, work)


def from_file(file: Path, found: "Verification") -> "Iterator[LogEntry]":
    """The entries of an export; a line that is none is a fault."""
    import msgspec  # noqa: PLC0415

    from monitor.action_log import LogEntry  # noqa: PLC0415

    try:
        with file.open("rb") as lines:
            for number, text in enumerate(lines, 1):
                try:
                    yield msgspec.json.decode(text, type=LogEntry)
                except ValueError as error:
                    found.faults.append(f"line {number} is no entry: {error}")
    except OSError as error:
        fail(f"--file: {file}: {error.strerror}", 2)


def parse_head(text: str) -> tuple[int, str]:
    """The number and the hash; 0 and nothing where none are given."""
    number, _, digest = text.partition(":")
    if not text:
        return 0, ""
    if not (number.isdecimal() and int(number) and len(digest) == 64):
        fail(f"--head: is {text}, but: must be NUMBER:HASH, as log head prints it", 2)
    return int(number), digest


def line(entry: "LogEntry") -> str:
    """An entry for people: when, what, by whom, and all that there is to it."""
    what = dict(entry.what)
    what.pop("id", None)
    told = [str(entry.number), when(entry.at), str(what.pop("deed", "?")), str(what.pop("by", "?"))]
    for name, value in what.items():
        if name in TIMES:
            told.append(f"{name}={when(value)}")
        elif isinstance(value, list) and value:
            told.append(f"{name}={', '.join(map(str, value))}")
        elif value:
            told.append(f"{name}={value}")
    # What came with events is not to steer a terminal.
    return printable("  ".join(told))


def when(at: object) -> str:
    """A moment for people; as it stands where it is none, for somebody may have changed it."""
    from monitor.clock import iso  # noqa: PLC0415

    try:
        return iso(at) if isinstance(at, int | float) else str(at)
    except (ValueError, OverflowError, OSError):
        return str(at)
