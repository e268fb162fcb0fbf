"""`kms-monitor plugins` and `kms-monitor generate detectors`."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from monitor.errors import PluginError, SettingsError
from monitor.finding import Severity
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.catalogue import Entry
    from monitor.shelf import Shelf


def list_plugins(
    name: Annotated[
        str | None, typer.Argument(help="A detector: show all about it.", show_default=False)
    ] = None,
    *,
    detectors: Annotated[
        bool, typer.Option("--detectors", help="Detectors only, with severity and ATT&CK ids.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all about the detectors, as JSON.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Those in its `plugin_folders` too."),
    ] = None,
) -> None:
    """List every detector and responder; exit code 1 if one cannot be loaded."""
    shelf = open_shelf(config)
    broken: list[PluginError | SettingsError] = list(shelf.broken)
    if name or detectors or as_json:
        show_detectors(shelf, broken, name, as_json=as_json)
    else:
        show_all(shelf, broken)
    for error in broken:
        typer.echo(f"kms-monitor: {printable(str(error))}", err=True)
    raise typer.Exit(1 if broken else 0)


def open_shelf(config: Path | None) -> "Shelf":
    from monitor.settings_file import read_settings  # noqa: PLC0415
    from monitor.shelf import Shelf  # noqa: PLC0415

    try:
        folders = read_settings(config, os.environ).plugin_folders if config else []
        return Shelf(folders)
    except SettingsError as error:
        fail(error.faults)
    except OSError as error:
        fail([f"plugin_folders: {error.filename}: cannot be read: {error.strerror}"])


def show_all(shelf: "Shelf", broken: list[PluginError | SettingsError]) -> None:
    table = Table("kind", "name", "from", "what", box=None, pad_edge=False)
    for kind, sources in shelf.sources.items():
        for name, source in sorted(sources.items()):
            try:
                plugin = shelf.load(kind, name)
            except (PluginError, SettingsError) as error:  # one broken plugin hides no others
                what = "BROKEN"
                broken.append(error)
            else:
                # What a detector calls itself; a responder's module says what it is for.
                doc = sys.modules[plugin.__module__].__doc__ or ""
                what = getattr(plugin, "title", "") or doc.strip().partition("\n")[0]
            table.add_row(kind.removesuffix("s"), name, source.origin, printable(what))
    Console().print(table)


def show_detectors(
    shelf: "Shelf",
    broken: list[PluginError | SettingsError],
    name: str | None,
    *,
    as_json: bool,
) -> None:
    import msgspec  # noqa: PLC0415

    from monitor import catalogue  # noqa: PLC0415

    sources = shelf.sources["detectors"]
    if name is not None and name not in sources:
        known = ", ".join(sorted(sources))
        fail([f"{name}: there is no such detector; there are: {known}"])
    entries = []
    for one in [name] if name else sorted(sources):
        try:
            plugin = shelf.load("detectors", one)
        except (PluginError, SettingsError) as error:
            broken.append(error)
        else:
            source = sources[one]
            entries.append(catalogue.entry(plugin, source.origin, built_in=source.built_in))
    if as_json:
        encoded = msgspec.json.encode(entries[0] if name and entries else entries)
        typer.echo(msgspec.json.format(encoded, indent=2).decode())
    elif name:
        for entry in entries:
            # Line by line, so that nothing in it can steer a terminal.
            typer.echo("\n".join(map(printable, catalogue.text(entry).split("\n"))))
    else:
        print_table(entries)


def print_table(entries: list["Entry"]) -> None:
    table = Table("name", "what", "severity", "ATT&CK", "runs", "from", box=None, pad_edge=False)
    for one in entries:
        cells = (one.name, one.title, span_of(one.severity), ", ".join(one.techniques))
        runs = "by default" if one.on else "if named"
        table.add_row(*map(printable, cells), runs, one.origin)
    console = Console()
    # Off a terminal rich would assume 80 columns.
    (console if console.is_terminal else Console(width=160)).print(table)


def span_of(severity: str) -> str:
    """From where to where; what raises and lowers it is shown with the detector itself."""
    words = [one.word for one in Severity if re.search(rf"\b{one.word}\b", severity)]
    return f"{words[0]} to {words[-1]}" if len(words) > 1 else severity


def generate_detectors(
    settings: Annotated[
        Path | None,
        typer.Option(
            help="Print this example of the settings instead, with every detector and option in it."
        ),
    ] = None,
) -> None:
    """Print the reference page of the built-in detectors, as Markdown."""
    from monitor.catalogue import built_in_entries, page, with_settings  # noqa: PLC0415

    try:
        entries = built_in_entries()
        if settings is None:
            typer.echo(page(entries), nl=False)
        else:
            typer.echo(with_settings(settings.read_text(encoding="utf-8"), entries), nl=False)
    except SettingsError as error:
        fail(error.faults)
    except (OSError, ValueError) as error:
        fail([f"{settings}: {error}"])


def fail(faults: list[str]) -> NoReturn:
    for fault in faults:
        typer.echo(f"kms-monitor: {printable(fault)}", err=True)
    raise typer.Exit(2)
