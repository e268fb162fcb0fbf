"""`kms-monitor tell`: a trial notification through every channel of the settings.

Each gets what tells that nothing happened: an incident that is over as it begins, so that PagerDuty resolves
its alert at once and Security Hub archives its finding.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from monitor.command_store import fail
from monitor.errors import SettingsError
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor import plugins
    from monitor.decision import Action, Decision
    from monitor.settings import Settings

HAS_A_CONNECTION = frozenset({"mqtt"})
"""A second one of the same name would throw out that of the running daemon."""
PATIENCE = 40.0
"""Seconds for one channel."""


def tell(
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file.")
    ] = Path("kms-monitor.yaml"),
    only: Annotated[
        list[str] | None, typer.Option("--only", help="This responder; may stand there repeatedly.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Tell people that nothing happened: does every channel get through?

    Whoever is paged by one of them is paged. Exit code 1 if one did not confirm it.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor.assembly import load  # noqa: PLC0415
    from monitor.serverless.settings import read_either  # noqa: PLC0415

    try:
        settings = read_either(config, os.environ)
        loaded = load(settings, config)
    except SettingsError as error:
        fail("\n".join(error.faults), 2)
    tellers = {
        name: recipe
        for name, recipe in loaded.responders.items()
        if not recipe.plugin.repairs and not hasattr(recipe.plugin, "wants")
    }
    if unknown := [one for one in only or [] if one not in tellers]:
        fail(f"--only: the settings have no responder {unknown[0]} that tells", 2)
    chosen = {name: one for name, one in tellers.items() if not only or name in only}
    if not chosen:
        fail("the settings have no responder that tells", 2)
    done = asyncio.run(try_all(settings, chosen))
    for action in done:
        show(action, as_json=as_json)
    if any(one.outcome.value != "done" for one in done if one.responder not in HAS_A_CONNECTION):
        raise typer.Exit(1)


def show(action: "Action", *, as_json: bool) -> None:
    if as_json:
        members = {"responder": action.responder, "outcome": action.outcome.value}
        typer.echo(json.dumps(members | {"detail": printable(action.detail)}))
    else:
        words = f"{action.outcome.value:<8}  {printable(action.detail)}"
        typer.echo(f"{action.responder:<14}  {words}")


async def try_all(
    settings: "Settings", recipes: "dict[str, plugins.Recipe[plugins.Services, plugins.Responder]]"
) -> "list[Action]":
    """What became of it in each channel, in the order of the settings."""
    import structlog  # noqa: PLC0415

    from monitor import plugins  # noqa: PLC0415
    from monitor.assembly import make_aws, make_responders  # noqa: PLC0415
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.decision import Action, Outcome  # noqa: PLC0415
    from monitor.metrics import Metrics  # noqa: PLC0415
    from monitor.stores.memory import MemoryStore  # noqa: PLC0415

    clock, metrics = SystemClock(), Metrics()
    loaded = plugins.Loaded(
        responders={name: one for name, one in recipes.items() if name not in HAS_A_CONNECTION}
    )
    async with make_aws(settings, metrics) as aws:
        services = plugins.Services(
            aws=aws,
            clock=clock,
            store=MemoryStore(clock),
            metrics=metrics,
            log=structlog.get_logger("tell"),
            environment=settings.environment,
        )
        broken = list(loaded.broken)
        made = make_responders(loaded, services, broken)
        decision = trial(settings, tuple(recipes))
        tried = await asyncio.gather(*(try_one(one, decision) for one in made.values()))
    done = {action.responder: action for action in tried}
    why = {one.name: Action(one.name, Outcome.FAILED, one.problem) for one in broken}
    left = "not tried: it would take the connection of the running daemon"
    return [
        done.get(name) or why.get(name) or Action(name, Outcome.ALREADY, left) for name in recipes
    ]


async def try_one(responder: "plugins.Responder", decision: "Decision") -> "Action":
    from monitor.decision import Action, Outcome  # noqa: PLC0415
    from monitor.errors import Denied, NotWorthRetrying, WorthRetrying  # noqa: PLC0415

    try:
        async with asyncio.timeout(PATIENCE):
            return await responder.respond(decision)
    except Denied as error:
        return Action(responder.name, Outcome.DENIED, str(error))
    except NotWorthRetrying as error:
        return Action(responder.name, Outcome.REFUSED, str(error))
    except (WorthRetrying, TimeoutError) as error:
        words = str(error) or f"it took longer than {PATIENCE:g} s"
        return Action(responder.name, Outcome.RETRY, words)


def trial(settings: "Settings", names: tuple[str, ...]) -> "Decision":
    """Nothing happened: so severe that every channel tells it, and over already."""
    from uuid import uuid4  # noqa: PLC0415

    from monitor.decision import Decision, IncidentNote, Reason, Stage, Verdict  # noqa: PLC0415
    from monitor.finding import Finding, Kind, Severity  # noqa: PLC0415

    now = time.time()
    # Of an organization's accounts none is known here.
    home = settings.queues[0].url.split("/")[-2] if settings.queues else ""
    finding = Finding(
        detector="trial",
        title="A trial by kms-monitor tell: nothing happened, nobody has to do anything",
        kind=Kind.NOTICE,
        severity=Severity.CRITICAL,
        event_id=str(uuid4()),
        event_name="Trial",
        event_time=now,
        account=settings.accounts[0].id if settings.accounts else home,
        region=settings.accounts[0].regions[0] if settings.accounts else settings.home_region,
    )
    note = IncidentNote(uuid4().hex, Stage.CLOSED, now, Severity.CRITICAL, 1, now, now, "us")
    made = Decision(finding, Verdict.TELL, Reason.NOTICE, names, received_at=now)
    return msgspec.structs.replace(made, incident=note)
