"""The command `kms-monitor check`."""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from monitor.errors import SettingsError
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.checking.rows import Row
    from monitor.errors import PluginError
    from monitor.plugins import Loaded
    from monitor.settings import Settings

DEFAULT_CONFIG = Path("kms-monitor.yaml")
STYLES = {"allowed": "green", "denied": "bold red", "unknown": "yellow"}


def check(
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file.")
    ] = DEFAULT_CONFIG,
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="The settings only; nothing is asked of AWS.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show what is allowed, too, where there are many rows.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check the settings, and whether AWS permits every call that they need.

    For each account and Region: IAM's policy simulation, or harmless tries where it may not be asked,
    and the policy of every key. What cannot be known is said so. Nothing is changed.

    Exit codes: 0 all is well; 1 the settings are good, but something needed is denied, cannot be
    reached, the DynamoDB table cannot be used, or a plugin of others is broken; 2 the settings are wrong.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor.assembly import know, load  # noqa: PLC0415
    from monitor.plugins import make_all  # noqa: PLC0415
    from monitor.serverless.settings import read_either  # noqa: PLC0415

    try:
        settings = read_either(config, os.environ)
        loaded = load(settings, config)
    except SettingsError as error:
        fail(error)
    broken = list(loaded.broken)
    make_all(loaded.detectors, know(settings), broken)
    say_settings(config, settings, broken, quiet=as_json)
    say_response(settings, loaded, quiet=as_json)
    rows: list[Row] = []
    if not offline:
        try:
            rows = asyncio.run(prove(settings, loaded))
        except SettingsError as error:
            for fault in error.faults:
                typer.echo(f"kms-monitor: {printable(fault)}", err=True)
            raise typer.Exit(1) from error
    if as_json:
        print_json(rows, broken)
    elif not offline:
        print_table(rows, everything=everything)
    if broken or any(row.fails for row in rows):
        raise typer.Exit(1)


def say_settings(
    config: Path, settings: "Settings", broken: "list[PluginError]", *, quiet: bool
) -> None:
    for problem in broken:
        typer.echo(f"kms-monitor: {printable(str(problem))}", err=True)
    places = [f"{account} {region}" for account, region in sorted(settings.places)]
    places += [f"the accounts below {one.path}" for one in settings.organizations]
    text = (
        f"{config}: the settings are good: mode {settings.mode.value}, guarding {', '.join(places)}"
    )
    typer.echo(text, err=quiet)


def say_response(settings: "Settings", loaded: "Loaded", *, quiet: bool) -> None:
    """What every rule for response would do, and which can never decide anything."""
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.kill_switch import KillSwitch  # noqa: PLC0415
    from monitor.response_check import described, idle  # noqa: PLC0415

    for line in described(settings, loaded, SystemClock().now()):
        typer.echo(printable(line), err=quiet)
    switch = KillSwitch(on=settings.kill_switch, file=settings.kill_switch_file)
    if (stopped := switch.may_write()) is not None:
        typer.echo(f"nothing would be written: {printable(stopped)}", err=quiet)
    for sentence in idle(settings, loaded):
        typer.echo(f"kms-monitor: {printable(sentence)}", err=True)


async def prove(settings: "Settings", loaded: "Loaded") -> "list[Row]":
    """All rows, with a progress bar on a terminal. Raises `SettingsError` for an organization."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from monitor.assembly import make_aws  # noqa: PLC0415
    from monitor.checking.proof import Proof  # noqa: PLC0415
    from monitor.guarded import with_members  # noqa: PLC0415
    from monitor.metrics import Metrics  # noqa: PLC0415
    from monitor.rights.enabled import Needs  # noqa: PLC0415

    # Refused credentials are a row of the table, not a traceback.
    for name in ("aiobotocore", "botocore"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    settings = await with_members(settings)
    found: list[Row] = []
    console = Console(stderr=True)
    async with make_aws(settings, Metrics()) as aws:
        proof = Proof(Needs(settings, loaded), aws)
        with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
            task = bar.add_task("accounts, Regions and queues", total=proof.steps)
            async for batch in proof.rows():
                found += batch
                bar.advance(task)
    return sorted(found, key=lambda row: (row.account, row.region))


def print_json(rows: "list[Row]", broken: "list[PluginError]") -> None:
    import msgspec  # noqa: PLC0415

    document = {
        "well": not broken and not any(row.fails for row in rows),
        "broken_plugins": [printable(str(one)) for one in broken],
        "rows": [msgspec.to_builtins(row) for row in rows],
    }
    typer.echo(json.dumps(document, indent=2))


def print_table(rows: "list[Row]", *, everything: bool) -> None:
    """What is denied or unknown, and, of few rows or if asked for, what is allowed."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from monitor.checking.rows import Answer, counted  # noqa: PLC0415

    shown = [
        row for row in rows if everything or len(rows) <= 100 or row.answer is not Answer.ALLOWED
    ]
    table = Table("account", "Region", "call", "on", "answer", "why", box=None, pad_edge=False)
    for column in table.columns[:5]:
        column.no_wrap = True
    table.columns[5].overflow = "fold"
    for row in shown:
        answer = row.answer.value + (
            "" if row.needed or row.answer is Answer.ALLOWED else " (not needed)"
        )
        # Text, not markup: brackets in it mean nothing.
        cells = [Text(printable(text)) for text in (row.account, row.region, row.call, row.on)]
        why = Text(printable(row.why))
        table.add_row(*cells, Text(answer, style=STYLES[row.answer.value]), why)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if shown:
        console.print(table)
    typer.echo(f"{len(rows)} checked: {counted(rows)}")


def fail(error: SettingsError) -> NoReturn:
    for fault in error.faults:
        typer.echo(f"kms-monitor: {fault}", err=True)
    raise typer.Exit(2)
