"""The commands `kms-monitor dlq show` and `kms-monitor dlq redrive`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from monitor.errors import MonitorError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.dlq.run import Looked, Stopping
    from monitor.plugins import Loaded
    from monitor.settings import Settings

T = TypeVar("T")
dlq = typer.Typer(help="Explain dead messages, and send them back.", no_args_is_help=True)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file.")
]
QueueOption = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="NAME-or-URL",
        help="Only this queue's dead-letter queue, or a dead-letter queue itself.",
    ),
]
DEFAULT_CONFIG = Path("kms-monitor.yaml")


@dlq.command(epilog="Example: kms-monitor dlq show --config kms-monitor.yaml --json")
def show(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    queue: QueueOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Messages of each queue at most.")] = 100,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each message.")
    ] = False,
) -> None:
    """Say why each dead message is dead, and what would become of it now.

    Looking counts as a receipt for each message; all are given back at the end.

    Exit codes: 0 there are no dead messages; 1 there are some; 2 the settings or the command line are
    wrong, or AWS refuses.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor.dlq.run import look  # noqa: PLC0415

    settings, loaded = read(config)

    async def work(stopping: "Stopping") -> "list[Looked]":
        return await look(settings, loaded, queue, limit=limit, stopping=stopping, say=say)

    looked = run(work)
    if as_json:
        import msgspec  # noqa: PLC0415

        for one in looked:
            for explanation in one.explained:
                typer.echo(msgspec.json.encode(explanation))
    else:
        from rich.console import Console  # noqa: PLC0415

        from monitor.dlq.show import print_table  # noqa: PLC0415

        for one in looked:
            print_table(Console(), one.dlq, one.explained, one.more)
    some = any(one.explained or one.more for one in looked)
    if any(one.explained for one in looked):
        say("Looking counts as a receipt for each message; all were given back.")
    raise typer.Exit(1 if some else 0)


@dlq.command(epilog="Example: kms-monitor dlq redrive --reason undelivered --reason retried")
def redrive(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    queue: QueueOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every message.")] = False,
    message_id: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This message. Repeatable.")
    ] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(metavar="REASON", help="Those of this reason (see dlq show). Repeatable."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="NAME", help="The queue of the settings to send them to.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent back.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    rate: Annotated[
        int | None, typer.Option(min=1, max=500, help="Messages a second at most.")
    ] = None,
) -> None:
    """Send dead messages back to their queue.

    Nothing is lost: a message is deleted only after SQS has confirmed its copy. Ctrl-C finishes what
    is being sent and gives the rest back.

    Exit codes: 0 all were sent back; 1 some stayed; 2 the settings or the command line are wrong, or
    AWS refuses.
    """
    from monitor.dlq.run import Asked, send_back  # noqa: PLC0415

    if everything == bool(message_id or reason):
        fail("say which messages: either --all, or --message-id or --reason")
    if not (yes or dry_run or sys.stdin.isatty()):
        fail("there is no terminal to ask on: say --yes")
    settings, loaded = read(config)
    asked = Asked(
        queue=queue,
        to=to,
        message_ids=frozenset(message_id or ()),
        reasons=frozenset(reason or ()),
        everything=everything,
        dry_run=dry_run,
        sure=yes,
        rate=rate,
    )

    async def work(stopping: "Stopping") -> bool:
        return await send_back(settings, loaded, asked, stopping=stopping, say=say)

    raise typer.Exit(0 if run(work) else 1)


def run(work: "Callable[[Stopping], Awaitable[T]]") -> T:
    """Run a command's work; the first signal asks it to stop in good order, a second one ends it."""
    from monitor import logs  # noqa: PLC0415
    from monitor.dlq.run import stopped_by_signals  # noqa: PLC0415
    from monitor.sources.sqs import advice  # noqa: PLC0415

    logs.set_up("critical")  # what is wrong is said in the daemon's words, but by the command
    try:
        return asyncio.run(stopped_by_signals(work))
    except SettingsError as error:
        fail(*error.faults)
    except MonitorError as error:
        fail(advice(getattr(error, "code", ""), error))


def read(config: Path) -> "tuple[Settings, Loaded]":
    from monitor.assembly import load  # noqa: PLC0415
    from monitor.guarded import known_now  # noqa: PLC0415
    from monitor.settings_file import read_settings  # noqa: PLC0415

    try:
        settings = known_now(read_settings(config, os.environ))
        return settings, load(settings, config)
    except SettingsError as error:
        fail(*error.faults)


def say(text: str) -> None:
    typer.echo(text, err=True)


def fail(*faults: str) -> NoReturn:
    for fault in faults:
        say(f"kms-monitor: {fault}")
    raise typer.Exit(2)
