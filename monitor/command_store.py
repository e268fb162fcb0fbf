"""The settings and their store, for commands that work beside the daemon."""

import asyncio
import getpass
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from monitor.errors import SettingsError
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.deeds import What
    from monitor.ledger import Store
    from monitor.settings import Settings

T = TypeVar("T")
ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object for each line.")]
DEFAULT_CONFIG = Path("kms-monitor.yaml")


def settings_now(config: Path) -> "Settings":
    """The settings, with the members of organizations among the accounts.

    Ends the program where they are wrong.
    """
    from monitor.guarded import known_now  # noqa: PLC0415
    from monitor.serverless.settings import read_either  # noqa: PLC0415

    try:
        return known_now(read_either(config, os.environ))
    except SettingsError as error:
        fail("\n".join(error.faults), 2)


def with_store(config: Path, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Do the work with the store that the settings name. Ends the program where it cannot be used."""
    from monitor.ledger import StoreError  # noqa: PLC0415
    from monitor.serverless.settings import read_either  # noqa: PLC0415

    try:
        return asyncio.run(use(read_either(config, os.environ), work))
    except SettingsError as error:
        fail("\n".join(error.faults), 2)
    except StoreError as error:
        fail(str(error), 1)


async def use(settings: "Settings", work: "Callable[[Store], Awaitable[T]]") -> T:
    """Do the work with the store of the settings. Raises `StoreError`, or `SettingsError`."""
    # Here and not above, so that --help and the other commands start fast.
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.opening import beside_the_daemon  # noqa: PLC0415

    async with beside_the_daemon(settings, SystemClock()) as store:
        return await work(store)


async def write_down(store: "Store", what: "What") -> None:
    """Add what a person did to the action log. Raises `StoreError`."""
    from monitor.chain import Chain, signed  # noqa: PLC0415

    await Chain(store).add(time.time(), signed(what, person()))


def write_down_if_there(settings: "Settings", whats: "list[What]") -> None:
    """The same for what needs no store; where there is none, say that it is not logged."""
    from monitor.ledger import StoreError  # noqa: PLC0415

    async def work(store: "Store") -> None:
        for what in whats:
            await write_down(store, what)

    try:
        asyncio.run(use(settings, work))
    except (SettingsError, StoreError) as error:
        typer.echo(f"kms-monitor: not in the action log: {printable(str(error))}", err=True)


def person() -> str:
    """As whom the operating system knows whoever runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return f"user {os.getuid()}"


def fail(fault: str, code: int) -> NoReturn:
    for line in fault.split("\n"):
        typer.echo(f"kms-monitor: {printable(line)}", err=True)
    raise typer.Exit(code)
