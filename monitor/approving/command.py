"""The commands `kms-monitor approve` and `kms-monitor approvals {list,revoke}`."""

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from monitor.command_store import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    settings_now,
    write_down,
)
from monitor.errors import MonitorError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.approval import Approval
    from monitor.ledger import Store
    from monitor.settings import Settings

T = TypeVar("T")
approvals = typer.Typer(help="List approvals, and take them back.", no_args_is_help=True)

MOST_USES = 100


def approve(
    *,
    key: Annotated[str, typer.Option(metavar="ARN", help="The key's ARN.")],
    action: Annotated[
        str, typer.Option(metavar="CALL", help="What may be done to it, such as DisableKey.")
    ],
    actor: Annotated[
        str,
        typer.Option(
            metavar="ARN",
            help="Who may do it: the own ARN of an IAM user or role, path included. Its name may "
            "be a pattern (*, ?).",
        ),
    ],
    until: Annotated[
        str,
        typer.Option(metavar="WHEN", help="2h, 30m, 7d, or a time with its zone; 14 days at most."),
    ],
    ticket: Annotated[str, typer.Option(help="The change that it belongs to.")],
    approver: Annotated[
        str, typer.Option(metavar="NAME", help="Who approves. Default: as whom AWS knows you.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, for whoever reads of it.")] = "",
    uses: Annotated[int, typer.Option(min=1, max=MOST_USES, help="For so many changes.")] = 1,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let one actor make one kind of change to one key, once, for a while.

    The change is left as it is, told and counted. Anything else is undone as ever: another actor,
    key or call, a second time, after the end. Keys of `never_approve` cannot be approved for.

    Exit codes: 0 it is approved; 2 the settings or the command line are wrong, or it may not be
    approved.
    """
    # Here and not above, so that --help and the other commands start fast.
    import msgspec  # noqa: PLC0415

    from monitor import deeds  # noqa: PLC0415
    from monitor.approval import Approval  # noqa: PLC0415
    from monitor.approving import asked  # noqa: PLC0415
    from monitor.clock import SystemClock, iso  # noqa: PLC0415
    from monitor.logs import printable  # noqa: PLC0415

    now = time.time()
    settings = settings_now(config)
    try:
        wanted = Approval(
            id=secrets.token_hex(6),
            key=asked.key_of(key, settings),
            action=asked.action_of(action),
            actor=asked.actor_of(actor),
            ticket=asked.line_of(ticket, "--ticket", needed=True),
            approver=asked.line_of(approver, "--approver"),
            reason=asked.line_of(reason, "--reason"),
            made_at=now,
            until=asked.until_of(until, now),
            uses=uses,
        )
    except SettingsError as error:
        fail(*error.faults)

    async def work(store: "Store") -> Approval:
        made = await asked.approved(wanted, settings, SystemClock())
        # Before: an approval that nobody could write down is not given.
        await write_down(store, deeds.approval_given(made))
        await store.approve(made)
        return made

    made = run(settings, work)
    if as_json:
        typer.echo(msgspec.json.encode(shown(made, now)))
    else:
        times = "once" if uses == 1 else f"{uses} times"
        typer.echo(
            f"approval {made.id}: {made.actor} may {made.action} {made.key} {times} until"
            f" {iso(made.until)}, for {printable(made.ticket)}, approved by"
            f" {printable(made.approver)}"
        )


@approvals.command("list", epilog="Example: kms-monitor approvals list --all --json")
def list_approvals(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that are spent, run out or revoked, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the approvals that are open, newest first.

    Exit codes: 0 all is well; 2 the settings or the command line are wrong.
    """
    import msgspec  # noqa: PLC0415

    from monitor.approval import State  # noqa: PLC0415

    now = time.time()

    async def work(store: "Store") -> "list[Approval]":
        return await store.approvals()

    settings = settings_now(config)
    found = [one for one in run(settings, work) if everything or one.state(now) is State.OPEN]
    if as_json:
        for one in found:
            typer.echo(msgspec.json.encode(shown(one, now)))
    elif found:
        print_table(found, now)
    else:
        typer.echo("no approvals" if everything else "no open approvals", err=True)


@approvals.command(epilog="Example: kms-monitor approvals revoke 9f2c1a0b7d3e")
def revoke(
    approval_id: Annotated[str, typer.Argument(metavar="ID", help="As list shows it.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Take an approval back. What it was used for already stays as it is.

    Exit codes: 0 it is revoked; 1 there is no such approval; 2 the settings or the command line are
    wrong.
    """

    async def work(store: "Store") -> bool:
        from monitor import deeds  # noqa: PLC0415

        there = await store.revoke(approval_id)
        if there:
            await write_down(store, deeds.approval_revoked(approval_id))
        return there

    if not run(settings_now(config), work):
        from monitor.logs import printable  # noqa: PLC0415

        say(f"there is no approval {printable(approval_id)}")
        raise typer.Exit(1)
    typer.echo(f"approval {approval_id}: revoked")


def shown(one: "Approval", now: float) -> "dict[str, object]":
    """An approval for machines; times are ISO-8601 UTC."""
    from monitor.clock import iso  # noqa: PLC0415

    return {
        "id": one.id,
        "state": one.state(now).value,
        "key": one.key.arn,
        "action": one.action,
        "actor": one.actor,
        "ticket": one.ticket,
        "approver": one.approver,
        "reason": one.reason,
        "made_at": iso(one.made_at),
        "until": iso(one.until),
        "uses": one.uses,
        "used": [{"event_id": use.event_id, "at": iso(use.at)} for use in one.used],
        "revoked_at": iso(one.revoked_at) if one.revoked_at else None,
    }


def print_table(found: "list[Approval]", now: float) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from monitor.clock import iso  # noqa: PLC0415
    from monitor.logs import printable  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in ("id", "state", "used", "until", "ticket"):
        table.add_column(title, no_wrap=True)
    table.add_column("what", overflow="fold")
    for one in found:
        what = f"{one.action} {one.key} by {one.actor}, approved by {one.approver}"
        cells = [
            one.id,
            one.state(now).value,
            f"{len(one.used)}/{one.uses}",
            iso(one.until),
            one.ticket,
            what,
        ]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table)


def run(settings: "Settings", work: "Callable[[Store], Awaitable[T]]") -> T:
    """Do the work with the store of the settings, beside the daemon that uses it."""
    from monitor import logs  # noqa: PLC0415
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.ledger import StoreError  # noqa: PLC0415
    from monitor.opening import beside_the_daemon  # noqa: PLC0415

    async def use() -> T:
        async with beside_the_daemon(settings, SystemClock()) as store:
            return await work(store)

    logs.set_up("critical")  # what is wrong is said here
    try:
        return asyncio.run(use())
    except SettingsError as error:
        fail(*error.faults)
    except (MonitorError, StoreError) as error:
        fail(str(error))


def say(text: str) -> None:
    typer.echo(f"kms-monitor: {text}", err=True)


def fail(*faults: str) -> NoReturn:
    for fault in faults:
        say(fault)
    raise typer.Exit(2)
