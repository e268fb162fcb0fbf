"""The command `kms-monitor generate stack`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.errors import SettingsError
from monitor.pattern_command import fail, wanted_of
from monitor.rights.command import DEFAULT_CONFIG, needs_of, outsiders

if TYPE_CHECKING:
    from monitor.rights.enabled import Needs
    from monitor.stack.words import Value


class Kind(StrEnum):
    """Which template."""

    HOME = "home"
    MEMBER = "member"
    SERVERLESS = "serverless"


def stack(
    kind: Annotated[
        Kind,
        typer.Option(
            help="home: for the account and Region that the daemon lives in. member: for every other "
            "account and Region. serverless: a function of AWS Lambda instead of a daemon."
        ),
    ] = Kind.HOME,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of YAML.")] = False,
    terraform: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the data of the Terraform module of that kind there instead.",
        ),
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file.")
    ] = DEFAULT_CONFIG,
) -> None:
    """Print a CloudFormation template with the rules and rights that the settings need.

    It is made for the detectors and responders of the settings: make it again when those change.
    Accounts, Regions and names are parameters of it.

    Exit codes: 0 all is well; 2 the settings or the command line are wrong.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor.stack.home import home  # noqa: PLC0415
    from monitor.stack.member import member  # noqa: PLC0415
    from monitor.stack.serverless import serverless  # noqa: PLC0415
    from monitor.stack.terraform import home_files, member_files, serverless_files  # noqa: PLC0415
    from monitor.stack.writing import as_text  # noqa: PLC0415

    make = {Kind.HOME: home, Kind.MEMBER: member, Kind.SERVERLESS: serverless}[kind]
    make_files = {
        Kind.HOME: home_files,
        Kind.MEMBER: member_files,
        Kind.SERVERLESS: serverless_files,
    }[kind]
    try:
        needs = needs_of(config, None) if kind is not Kind.SERVERLESS else function_needs(config)
        wanted = wanted_of(needs.loaded)
        made: Value = make(needs, wanted)
    except SettingsError as error:
        fail(*error.faults)
    if terraform is None:
        typer.echo(as_text(made, as_json=as_json), nl=False)
    else:
        write(terraform, make_files(needs, wanted))
    if others := outsiders(needs):
        typer.echo(
            f"kms-monitor: what these responders call is not known here: {', '.join(others)}",
            err=True,
        )


def function_needs(config: Path) -> "Needs":
    """What the settings of a function need, or those of a daemon: its queues are left out.

    Raises `SettingsError`. In the place of the queue stands one that is never made: rights are told by it
    in which account and Region they are.
    """
    from monitor.assembly import load  # noqa: PLC0415
    from monitor.rights.enabled import Needs  # noqa: PLC0415
    from monitor.settings import Settings  # noqa: PLC0415
    from monitor.settings_file import read_yaml, validated  # noqa: PLC0415

    document, lines = read_yaml(config)
    function = document.pop("function", None)
    match document.get("accounts"):
        case [{"id": str(account), "regions": [str(first), *_]}, *_]:
            pass
        case _:
            account, first = "111122223333", "us-east-1"
    match function:
        case {"region": str(region)}:
            pass
        case _:
            region = first
    queue = {"url": f"https://sqs.{region}.amazonaws.com/{account}/kms-monitor", "region": region}
    document.setdefault("queues", [queue])
    settings = validated(Settings, str(config), document, lines, os.environ)
    return Needs(settings, load(settings, config))


def write(directory: Path, made: dict[str, str]) -> None:
    for name, text in made.items():
        try:
            (directory / name).write_text(text, encoding="utf-8")
        except OSError as error:
            fail(f"{directory / name}: cannot be written: {error.strerror}")
        typer.echo(str(directory / name))
