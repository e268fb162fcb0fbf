"""The command `kms-monitor generate iam`."""

import json
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer

from monitor.errors import SettingsError

if TYPE_CHECKING:
    from monitor.rights.enabled import Needs
    from monitor.rights.policies import Document
    from monitor.settings import QueueSettings

PRINCIPAL = re.compile(r"arn:aws[a-z-]{0,20}:iam::[0-9]{12}:(?:user|role)/[!-~]{1,1000}")
DEFAULT_CONFIG = Path("kms-monitor.yaml")


class Kind(StrEnum):
    """Which policy."""

    POLICY = "policy"
    TRUST = "trust"
    QUEUE = "queue"
    DLQ = "dlq"
    TOPIC = "topic"
    ORGANIZATION = "organization"


def iam(
    kind: Annotated[
        Kind,
        typer.Option(
            help="policy: what the daemon may do, or, with --account, its role in that account, or, "
            "with --queue, its role for a queue of another account. organization: what the role "
            "may do that asks AWS Organizations. "
            "trust: who may assume that role. queue: who may send into the queue. topic: who may "
            "publish to the topic that people are told by. dlq: for people who redrive."
        ),
    ] = Kind.POLICY,
    *,
    account: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The guarded account; '*' for all of an organization's path. For trust and policy.",
        ),
    ] = None,
    daemon: Annotated[
        str | None,
        typer.Option(
            metavar="ARN",
            help="The role or user that the daemon runs as. Default, for trust and topic: the role "
            "kms-monitor of its account.",
        ),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The queue; for queue and dlq if there are several."),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARN",
            help="A rule that sends into the queue, * allowed. Repeatable. Default: those under "
            "watched.rules, or all of the queue's account and Region whose name begins with the "
            "queue's.",
        ),
    ] = None,
    dead_letters: Annotated[
        list[str] | None,
        typer.Option(metavar="ARN", help="A dead-letter queue; for dlq. Default: QUEUE-dlq."),
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file.")
    ] = DEFAULT_CONFIG,
) -> None:
    """Print an IAM policy with the least rights that the settings need.

    Exit codes: 0 all is well; 2 the settings or the command line are wrong.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor.rights.enabled import MOST  # noqa: PLC0415
    from monitor.rights.policies import size  # noqa: PLC0415

    try:
        needs = needs_of(config, daemon)
        made = make(needs, Asked(kind, account, queue, rule or [], dead_letters or []))
    except SettingsError as error:
        fail(error)
    typer.echo(json.dumps(made, indent=2))
    if kind is Kind.POLICY and size(made) > MOST:
        typer.echo(
            f"kms-monitor: {size(made)} characters, but a managed policy may have {MOST}: split it, or "
            "name fewer accounts and Regions",
            err=True,
        )
    if kind is Kind.POLICY and (others := outsiders(needs)):
        typer.echo(
            f"kms-monitor: what these responders call is not known here: {', '.join(others)}",
            err=True,
        )


def needs_of(config: Path, daemon: str | None) -> "Needs":
    """What the settings need. Raises `SettingsError`. Nobody is asked but the file."""
    from monitor.assembly import load  # noqa: PLC0415
    from monitor.rights.enabled import Needs  # noqa: PLC0415
    from monitor.settings_file import read_settings  # noqa: PLC0415

    settings = read_settings(config, os.environ)
    if daemon is not None and PRINCIPAL.fullmatch(daemon) is None:
        fault = "must be the own ARN of a role or user: arn:aws:iam::111122223333:role/kms-monitor"
        raise SettingsError([f"--daemon: {fault}"])
    return Needs(settings, load(settings, config), daemon or "")


def outsiders(needs: "Needs") -> list[str]:
    """Responders of others."""
    return sorted(name for name, one in needs.loaded.responders.items() if not one.source.built_in)


class Asked(msgspec.Struct, frozen=True):
    """Which document of a kind, as the command line says it."""

    kind: Kind
    account: str | None
    queue: str | None
    rules: list[str]
    dead_letters: list[str]


def make(needs: "Needs", asked: Asked) -> "Document":
    """The document. Raises `SettingsError` where the command line leaves it open which one."""
    from monitor.rights import policies  # noqa: PLC0415
    from monitor.rights.table import On  # noqa: PLC0415

    match asked.kind:
        case Kind.POLICY if asked.queue is not None:
            one = chosen(needs, asked.queue)
            if one.role_arn is None:
                raise SettingsError([f"--queue {one.label}: is read with the daemon's own rights"])
            return policies.reader_policy(one)
        case Kind.ORGANIZATION:
            return policies.organization_policy()
        case Kind.POLICY:
            known = None if asked.account is None else guarded(needs, asked.account)
            if known is None or known in own_accounts(needs):
                return policies.home_policy(needs)
            return policies.member_policy(needs, known)
        case Kind.TRUST:
            return policies.trust_policy(needs, guarded(needs, asked.account), principal(needs))
        case Kind.QUEUE:
            one = chosen(needs, asked.queue)
            return policies.queue_policy(needs, one, asked.rules or rules_of(needs, one))
        case Kind.TOPIC:
            topics = needs.topics(On.TOLD_BY)
            if not topics:
                raise SettingsError(["--kind topic: the responder sns is not in the settings"])
            return policies.topic_policy(topics[0], principal(needs))
        case Kind.DLQ:
            queues = [chosen(needs, asked.queue)] if asked.queue else needs.settings.queues
            arns = [one.arn for one in queues]
            return policies.redrive_policy(
                arns, asked.dead_letters or [f"{arn}-dlq" for arn in arns]
            )


def own_accounts(needs: "Needs") -> set[str]:
    """Those without a role: what is needed there is in the daemon's own policy."""
    return {one.id for one in needs.settings.accounts if one.role_arn is None}


def guarded(needs: "Needs", account: str | None) -> str:
    """The account meant. Raises `SettingsError`."""
    members = [one.id for one in needs.members]
    if account is None and len(members) == 1:
        return members[0]
    there = ", ".join(members) or "none"
    if account is None:
        raise SettingsError([f"--account: say which; with a role there are: {there}"])
    if not re.fullmatch(r"\d{12}|\*", account) or needs.account(account) is None:
        raise SettingsError(
            [f"--account {account}: is not guarded; with a role there are: {there}"]
        )
    return account


def principal(needs: "Needs") -> str:
    """The daemon's own ARN, or what it would be by its usual name."""
    return needs.daemon or f"arn:{needs.partition}:iam::{needs.home}:role/kms-monitor"


def chosen(needs: "Needs", name: str | None) -> "QueueSettings":
    """The queue meant. Raises `SettingsError`."""
    queues = needs.settings.queues
    if name is None and len(queues) == 1:
        return queues[0]
    for one in queues:
        if one.label == name:
            return one
    there = ", ".join(one.label for one in queues)
    raise SettingsError([f"--queue: say which; there are: {there}"])


def rules_of(needs: "Needs", queue: "QueueSettings") -> list[str]:
    """The rules that the settings name, or those called like the queue."""
    partition, _, region, account, name = queue.arn.split(":")[1:]
    return list(needs.settings.watched.rules) or [
        f"arn:{partition}:events:{region}:{account}:rule/{name}-*"
    ]


def fail(error: SettingsError) -> NoReturn:
    for fault in error.faults:
        typer.echo(f"kms-monitor: {fault}", err=True)
    raise typer.Exit(2)
