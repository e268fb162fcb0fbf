"""The commands `kms-monitor contain {list,release}`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.command_store import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    fail,
    settings_now,
    write_down_if_there,
)
from monitor.errors import MonitorError
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.contained import Contained
    from monitor.settings import Settings

contain = typer.Typer(
    help="Show whom the responder `contain` has kept from going on, and let go of them.",
    no_args_is_help=True,
)


@contain.command("list", epilog="Example: kms-monitor contain list --json")
def list_contained(config: ConfigOption = DEFAULT_CONFIG, *, as_json: JsonOption = False) -> None:
    """List the users and roles that are contained in the accounts of the settings, as IAM shows them.

    Exit codes: 0 it is listed; 1 an account could not be asked; 2 the settings are wrong.
    """
    settings = settings_now(config)
    found, faults = asyncio.run(look(settings))
    show(found, as_json=as_json, otherwise="" if faults else "nobody is contained")
    if faults:
        fail("\n".join(faults), 1)


@contain.command(
    epilog="Example: kms-monitor contain release arn:aws:iam::111122223333:role/deployer"
)
def release(
    principals: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARN...", help="The own ARNs of users or roles, paths included."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody who is contained.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take our inline policies from users and roles, so that their own rights hold again.

    Exit codes: 0 it is done; 1 somebody could not be released, or was not contained; 2 the settings
    or the command line are wrong.
    """
    if bool(principals) is everybody:
        fail("name the users and roles to release, or say --all", 2)
    settings = settings_now(config)
    found, faults = asyncio.run(let_go(settings, principals or []))
    if found:
        from monitor.deeds import containment_released  # noqa: PLC0415

        told = [containment_released(one.arn, one.policies) for one in found]
        write_down_if_there(settings, told)
    show(found, as_json=as_json, otherwise="" if faults else "nobody is contained", word="released")
    if faults:
        fail("\n".join(faults), 1)


async def look(settings: "Settings") -> "tuple[list[Contained], list[str]]":
    """Who is contained, and which accounts could not be asked, and why."""
    from monitor.assembly import make_aws  # noqa: PLC0415
    from monitor.contained import contained_in  # noqa: PLC0415
    from monitor.metrics import Metrics  # noqa: PLC0415

    found: list[Contained] = []
    faults: list[str] = []
    async with make_aws(settings, Metrics()) as aws:
        for account in settings.accounts:
            try:
                found += await contained_in(aws, account.id, account.regions[0])
            except MonitorError as error:
                faults.append(f"account {account.id}: {error}")
    return found, faults


async def let_go(
    settings: "Settings", principals: list[str]
) -> "tuple[list[Contained], list[str]]":
    """Release these, or everybody if none is named: who was, and what went wrong."""
    from monitor.assembly import make_aws  # noqa: PLC0415
    from monitor.contained import release as let  # noqa: PLC0415
    from monitor.containment import identity_of  # noqa: PLC0415
    from monitor.metrics import Metrics  # noqa: PLC0415

    faults: list[str] = []
    if not principals:
        everybody, faults = await look(settings)
        principals = [one.arn for one in everybody]
    regions = {one.id: one.regions[0] for one in settings.accounts}
    found: list[Contained] = []
    async with make_aws(settings, Metrics()) as aws:
        for arn in principals:
            one = identity_of(arn)
            if one is None or one.account not in regions:
                faults.append(f"{arn} is no IAM user or role of an account of the settings")
                continue
            try:
                released = await let(aws, arn, regions[one.account])
            except MonitorError as error:
                faults.append(f"{arn}: {error}")
                continue
            if released.policies:
                found.append(released)
            else:
                faults.append(f"{arn} is not contained")
    return found, faults


def show(
    found: "list[Contained]", *, as_json: bool, otherwise: str, word: str = "contained"
) -> None:
    import msgspec  # noqa: PLC0415

    for one in found:
        if as_json:
            typer.echo(msgspec.json.encode(one))
        else:
            typer.echo(f"{printable(one.arn)} {word}: {', '.join(map(printable, one.policies))}")
    if not found and otherwise and not as_json:
        typer.echo(otherwise)
