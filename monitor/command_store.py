"""The store of the settings, for commands that work beside the daemon."""

import asyncio
import getpass
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

from monitor.errors import SettingsError
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.deeds import What
    from monitor.ledger import Store
    from monitor.stores.sqlite import SqliteStore

T = TypeVar("T")


def with_store(config: Path, work: "Callable[[SqliteStore], Awaitable[T]]") -> T:
    """Do the work with the store that the settings name. Ends the program where it cannot be used."""
    from monitor.ledger import StoreError  # noqa: PLC0415

    path = store_of(config)
    try:
        return asyncio.run(use(path, work))
    except StoreError as error:
        fail(str(error), 1)


async def use(path: Path, work: "Callable[[SqliteStore], Awaitable[T]]") -> T:
    """Do the work with the store of that file. Raises `StoreError`."""
    # Here and not above, so that --help and the other commands start fast.
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.stores.sqlite import SqliteStore  # noqa: PLC0415

    store = await SqliteStore.open(path, SystemClock())
    try:
        return await work(store)
    finally:
        await store.close()


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


async def write_down(store: "Store", what: "What") -> None:
    """Add what a person did to the action log. Raises `StoreError`."""
    from monitor.chain import Chain, signed  # noqa: PLC0415

    await Chain(store).add(time.time(), signed(what, person()))


def write_down_if_there(path: Path, whats: "list[What]") -> None:
    """The same for what needs no store; where there is none, say that it is not logged."""
    from monitor.ledger import StoreError  # noqa: PLC0415

    async def work(store: "Store") -> None:
        for what in whats:
            await write_down(store, what)

    problem = "the store is not here"
    if path.exists():
        try:
            return asyncio.run(use(path, work))
        except StoreError as error:
            problem = str(error)
    return typer.echo(f"kms-monitor: not in the action log: {printable(problem)}", err=True)


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
