"""The reference of the commands: docs/reference/commands.md."""

from collections.abc import Iterator
from enum import EnumType
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import typer

from manual import tables
from monitor.cli import app

HEAD: Final = f"""\
# Commands

{tables.MADE}

`kms-monitor COMMAND --help` says the same. `--config` is where the settings are; each command that reads them takes it from the
variable `KMS_MONITOR_CONFIG`, too, and else from `kms-monitor.yaml`. What can be read by programs is printed by `--json`.

Exit codes: 0 all is well; 1 it did not end as it should, or found what should not be; 2 the settings or the command line are wrong.
Where a command has others, it says so.

"""
TYPES: Final = {str: "text", int: "integer", float: "number", Path: "path"}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, with what typer knows of it, by its whole name."""
    for name, command in everything():
        if not getattr(command, "commands", {}) or command.invoke_without_command:
            yield name, command


def everything() -> Iterator[tuple[str, Any]]:
    """Groups of commands, too."""
    yield from inside("kms-monitor", typer.main.get_command(app))


def inside(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for one, inner in sorted(getattr(command, "commands", {}).items()):
        yield from inside(f"{name} {one}", inner)


def options(command: Any) -> list[Any]:
    hidden = {"help", "install_completion", "show_completion"}
    return [one for one in command.params if one.name not in hidden and not one.hidden]


def page() -> str:
    found = list(commands())
    rows = [(f"[`{name}`](#{anchor(name)})", first_line(command)) for name, command in found]
    parts = [tables.table(("command", "what"), rows)]
    for name, command in found:
        parts += section(name, command)
    return HEAD + "\n\n".join(parts) + "\n"


def section(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}"
    yield from (tables.plain(part) for part in help_of(command).split("\n\n"))
    yield f"```sh\n{example(command)}\n```"
    rows = [
        (spelling(one), type_of(one), default(one), tables.plain(one.help or ""))
        for one in options(command)
    ]
    if rows:
        yield tables.table(("option", "type", "default", "meaning"), rows)


def anchor(name: str) -> str:
    return name.replace(" ", "-")


def help_of(command: Any) -> str:
    return str(command.help or "").replace("\f", "").replace("\b", "").strip()


def first_line(command: Any) -> str:
    return tables.plain(help_of(command).split("\n\n")[0])


def example(command: Any) -> str:
    return str(command.epilog).removeprefix("Example: ")


def spelling(option: Any) -> str:
    """An argument by the word that stands for it, an option by its own."""
    if not option.opts[0].startswith("-"):
        return f"`{option.metavar or option.name.upper()}`"
    return ", ".join(f"`{one}`" for one in [*option.opts, *option.secondary_opts])


def type_of(option: Any) -> str:
    """What may stand behind it: its word in `--help`, or else of which type it is."""
    annotation = option.type_descriptor.annotation
    many = get_origin(annotation) is list
    kind = get_args(annotation)[0] if many else annotation
    if kind is bool:
        return ""
    words = f"`{option.metavar}`" if option.metavar else " or ".join(choices(kind)) or TYPES[kind]
    if option.min is not None and option.max is not None:
        words += f", {option.min:g} to {option.max:g}"
    elif option.min is not None:
        words += f", {option.min:g} or more"
    return f"{words}, repeatable" if option.multiple else words


def choices(kind: Any) -> list[str]:
    """The values of an enumeration or of a Literal."""
    if isinstance(kind, EnumType):
        members: list[Any] = list(kind)
        return [f"`{one.value}`" for one in members]
    return [f"`{one}`" for one in get_args(kind)]


def default(option: Any) -> str:
    if option.required:
        return "required"
    if option.default in (None, False, "", (), []) or callable(option.default):
        return ""
    return f"`{getattr(option.default, 'value', option.default)}`"
