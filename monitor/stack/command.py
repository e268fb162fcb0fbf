"""The command `kms-monitor generate stack`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.errors import SettingsError
from monitor.pattern_command import fail, wanted_by
from monitor.rights.command import DEFAULT_CONFIG, needs_of, outsiders

if TYPE_CHECKING:
    from monitor.stack.words import Value


class Kind(StrEnum):
    """Which template."""

    HOME = "home"
    MEMBER = "member"


def stack(
    kind: Annotated[
        Kind,
        typer.Option(
            help="home: for the account and Region that the daemon lives in. member: for every other "
            "account and Region."
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
    from monitor.stack.terraform import home_files, member_files  # noqa: PLC0415
    from monitor.stack.writing import as_text  # noqa: PLC0415

    try:
        needs = needs_of(config, None)
        wanted = wanted_by(config)
        made: Value = home(needs, wanted) if kind is Kind.HOME else member(needs, wanted)
    except SettingsError as error:
        fail(*error.faults)
    if terraform is None:
        typer.echo(as_text(made, as_json=as_json), nl=False)
    else:
        made_files = (home_files if kind is Kind.HOME else member_files)(needs, wanted)
        write(terraform, made_files)
    if others := outsiders(needs):
        typer.echo(
            f"kms-monitor: what these responders call is not known here: {', '.join(others)}",
            err=True,
        )


def write(directory: Path, made: dict[str, str]) -> None:
    for name, text in made.items():
        try:
            (directory / name).write_text(text, encoding="utf-8")
        except OSError as error:
            fail(f"{directory / name}: cannot be written: {error.strerror}")
        typer.echo(str(directory / name))
