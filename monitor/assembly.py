"""Puts the parts of the daemon together from the settings. Nothing here waits or runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import BaseModel

from monitor import plugins
from monitor.approvals import Approvals
from monitor.aws import Aws
from monitor.baselines import Baselines
from monitor.books import Books
from monitor.budgets import Budgets
from monitor.clock import Clock
from monitor.detection import Detection
from monitor.duplicates import Duplicates
from monitor.entry import Entry
from monitor.errors import PluginError, SettingsError
from monitor.escrow import Escrow
from monitor.evidence_gathering import Gathering
from monitor.guarded import entry_of
from monitor.incidents import Incidents
from monitor.judgement import rules_of, sight_repairers
from monitor.kill_switch import KillSwitch
from monitor.knowledge import Knowledge
from monitor.ledger import Store
from monitor.log_keeper import LogKeeper
from monitor.loops import canary
from monitor.metrics import Metrics
from monitor.pipeline import Pipeline
from monitor.remembrance import Remembrance
from monitor.repair.live import LiveKeys
from monitor.replicas import Replicas
from monitor.response import Response
from monitor.response_check import faults_of_response
from monitor.settings import QueueSettings, Settings
from monitor.settings_file import lines_of, place, plugin_options
from monitor.settings_store import TABLE_ENTRY
from monitor.sources.archive import Archive
from monitor.sources.records import Limits
from monitor.sources.sqs import Queue
from monitor.trust import Trust

if TYPE_CHECKING:
    from monitor.reimport.bring_back import Reimport
    from monitor.sns_trust import SnsTrust


@dataclass(frozen=True, slots=True)
class Parts:
    """What the app runs. `archive` is to be closed at the end."""

    broken: list[PluginError]
    """Plugins of others that were to run and cannot."""
    origins: dict[str, dict[str, str]]
    """Whose those are that run, by the kind (`detector`, `responder`, `escrow`) and the name."""

    pipeline: Pipeline
    responders: dict[str, plugins.Responder]
    archive: Archive
    knowledge: Knowledge
    remembrance: Remembrance
    replicas: Replicas
    incidents: Incidents
    keeper: LogKeeper
    reimport: "Reimport | None"
    """None where the settings name no escrow."""
    budgets: Budgets


def assemble(
    settings: Settings,
    loaded: plugins.Loaded,
    *,
    aws: Aws,
    store: Store,
    clock: Clock,
    metrics: Metrics,
    kill_switch: KillSwitch | None = None,
) -> Parts:
    broken = list(loaded.broken)
    knowledge = know(settings)
    kill_switch = kill_switch or KillSwitch()
    services = plugins.Services(
        aws=aws,
        clock=clock,
        store=store,
        metrics=metrics,
        log=structlog.get_logger("responder"),
        environment=settings.environment,
        knowledge=knowledge,
        may_write=kill_switch.may_write,
    )
    escrows = make_escrows(loaded, services, broken)
    # Bringing material back is a repair, too.
    door = aws.guarded(kill_switch.may_write)
    reimport = reimport_of(settings, escrows, door, clock, metrics)
    responders = make_responders(loaded, replace(services, reimport=reimport), broken)
    rules = rules_of(
        settings,
        loaded,
        repairers={name: one.aspects for name, one in responders.items() if one.repairs},
        sight=sight_repairers(responders),
        tellers=tuple(name for name, one in responders.items() if not one.repairs),
    )
    detection = detection_of(settings, loaded, knowledge, metrics, broken)
    trust = Trust(
        {queue.label: tuple(queue.senders) for queue in settings.queues},
        sns_trust_of(settings, clock, metrics),
    )
    archive = Archive(
        aws,
        detection.wanted,
        metrics,
        at_once=settings.log_files.at_once,
        limits=Limits(unpacked_bytes=settings.log_files.largest_unpacked_mb * 1024**2),
        home_region=settings.home_region,
        verify_digests=settings.verify_digests,
    )
    remembrance = Remembrance(knowledge.windows, store, metrics)
    replicas = Replicas(store, remembrance, Baselines(store, knowledge), clock, metrics)
    approvals = Approvals(store, metrics, knowledge)
    incidents = Incidents(
        store,
        LiveKeys(aws, clock),
        knowledge,
        clock,
        metrics,
        gathering=Gathering(aws, knowledge, clock, metrics),
    )
    keeper = LogKeeper(store, clock, metrics)
    budgets = Budgets(store, clock, metrics, settings.limits.limits)
    pipeline = Pipeline(
        detection,
        rules,
        Response(
            responders,
            store,
            clock,
            metrics,
            origins=plugins.origins(loaded.responders),
            incidents=incidents,
            keeper=keeper,
            budgets=budgets,
            may_write=kill_switch.may_write,
            fallbacks=settings.fallbacks,
        ),
        Duplicates(store, clock, metrics),
        Books(metrics),
        remembrance=remembrance,
        approvals=approvals,
        trust=trust,
        archive=archive,
    )
    origins = {
        "detector": {name: loaded.detectors[name].source.origin for name in detection.names},
        "responder": {name: loaded.responders[name].source.origin for name in responders},
        "escrow": {name: loaded.escrows[name].source.origin for name in escrows},
    }
    return Parts(
        broken,
        origins,
        pipeline,
        responders,
        archive,
        knowledge,
        remembrance,
        replicas,
        incidents,
        keeper,
        reimport,
        budgets,
    )


def detection_of(
    settings: Settings,
    loaded: plugins.Loaded,
    knowledge: Knowledge,
    metrics: Metrics,
    broken: list[PluginError],
) -> Detection:
    """The detectors, made. What throws while it is made is added to `broken` and left out."""
    detectors = plugins.make_all(loaded.detectors, knowledge, broken)
    return Detection(
        detectors.values(),
        metrics,
        knowledge,
        origins=plugins.origins(loaded.detectors),
        # Canaries must be heard even if no detector asks for their call.
        also=[canary.CALL] if settings.canary.keys else [],
    )


# What few settings name is imported only where they do: each brings a library that a start would pay for.


def reimport_of(
    settings: Settings, escrows: dict[str, Escrow], aws: Aws, clock: Clock, metrics: Metrics
) -> "Reimport | None":
    """None where there is no escrow: then only people can bring material back."""
    if not escrows:
        return None
    from monitor.reimport.asking import Escrows  # noqa: PLC0415
    from monitor.reimport.bring_back import Reimport  # noqa: PLC0415

    asked = Escrows(escrows, metrics.material)
    return Reimport(asked, settings.material, aws=aws, clock=clock, metrics=metrics.material)


def sns_trust_of(settings: Settings, clock: Clock, metrics: Metrics) -> "SnsTrust | None":
    """None where no topic is named: then nothing that SNS wrapped is believed."""
    if not settings.sns_topics:
        return None
    from monitor.sns_trust import SnsTrust  # noqa: PLC0415

    return SnsTrust(
        settings.sns_topics, verify=settings.verify_sns_signatures, clock=clock, metrics=metrics
    )


def know(settings: Settings) -> Knowledge:
    """What the settings say that detectors may know."""
    knowledge = Knowledge(settings.known_to_be_watched)
    knowledge.accounts = settings.our_accounts
    knowledge.places = settings.places
    return knowledge


def make_responders(
    loaded: plugins.Loaded, services: plugins.Services, broken: list[PluginError]
) -> dict[str, plugins.Responder]:
    """Each with a log of its own name. Who repairs or contains gets a door that the kill switch shuts."""
    made: dict[str, plugins.Responder] = {}
    for name, recipe in loaded.responders.items():
        door = services.aws
        writes = recipe.plugin.repairs or hasattr(recipe.plugin, "wants")
        aws = door.guarded(services.may_write) if writes else door
        own = replace(services, aws=aws, log=structlog.get_logger(name))
        made |= plugins.make_all({name: recipe}, own, broken)
    return made


def make_escrows(
    loaded: plugins.Loaded, services: plugins.Services, broken: list[PluginError]
) -> dict[str, Escrow]:
    """In the order of the settings, each with a log of its own name."""
    made: dict[str, Escrow] = {}
    for name, recipe in loaded.escrows.items():
        own = replace(services, log=structlog.get_logger(name))
        made |= plugins.make_all({name: recipe}, own, broken)
    return made


def make_aws(settings: Settings, metrics: Metrics) -> Aws:
    """The door to AWS, with every account and every queue of another account as an entry."""
    accounts = [entry_of(one) for one in settings.accounts]
    queues = [
        Entry(entry_name(queue), queue.role_arn, queue.external_id or "")
        for queue in settings.queues
        if queue.role_arn
    ]
    store = settings.store
    table = [Entry(TABLE_ENTRY, store.role_arn, store.external_id or "")] if store.role_arn else []
    return Aws(
        metrics,
        entries=accounts + queues + table,
        pool=sum(queue.in_flight + queue.pollers for queue in settings.queues) + 20,
        home_region=settings.home_region,
    )


def queues_of(settings: Settings) -> list[Queue]:
    return [
        Queue(
            name=queue.label,
            url=queue.url,
            region=queue.region,
            entry=entry_name(queue) if queue.role_arn else "",
            in_flight=queue.in_flight,
            bulk=queue.priority == "bulk",
            bulk_in_flight=queue.bulk_in_flight,
            pollers=queue.pollers,
            visibility=queue.visibility_seconds,
            wait=queue.wait_seconds,
        )
        for queue in settings.queues
    ]


def entry_name(queue: QueueSettings) -> str:
    """Under which name the role of a queue is kept; no account has such a name."""
    return f"queue {queue.label}"


def load(settings: Settings, file: Path) -> plugins.Loaded:
    """Load and validate every plugin that the settings name. Raises `SettingsError`."""

    def validate(
        model: type[BaseModel], options: Mapping[str, Any], path: tuple[str, str]
    ) -> BaseModel:
        return plugin_options(model, options, path, file)

    def where(path: tuple[str | int, ...]) -> str:
        return place(path, str(file), lines_of(file))

    detectors = plugins.chosen(settings.detectors, defaults=settings.default_detectors)
    try:
        loaded = plugins.load_all(
            detectors,
            settings.responders,
            validate,
            where,
            settings.plugin_folders,
            escrows=settings.escrows,
        )
    except OSError as error:
        fault = f"plugin_folders: {error.filename}: cannot be read: {error.strerror}"
        raise SettingsError([f"{where(('plugin_folders',))}: {fault}"]) from error
    if faults := faults_of_response(settings, loaded, where):
        raise SettingsError(faults)
    return loaded
