"""The loops that find things out by themselves, put together from the settings.

Sweep, canaries, silence, inventory, escrows, incidents, and keys that have to wait. What they find
becomes events of our own, which the pipeline judges as it does those from the queues. Nothing here
waits or runs.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any

from monitor.assembly import Parts, queues_of
from monitor.aws import Aws
from monitor.clock import Clock
from monitor.key import KeyRef
from monitor.knowledge import Watched
from monitor.ledger import Store
from monitor.loops import canary, sweep
from monitor.loops.canary import Canary
from monitor.loops.escrow_watch import EscrowWatch
from monitor.loops.held import Held
from monitor.loops.inventory import Inventory
from monitor.loops.looking import End, OurQueue
from monitor.loops.own_road import OwnRoad
from monitor.loops.sight_watch import SightWatch
from monitor.loops.silence import Silence
from monitor.loops.sweep import Sweep
from monitor.loops.turns import Turns
from monitor.metrics import Metrics
from monitor.policy import may_be_meant
from monitor.replicas import Shared
from monitor.responders.restore_sight import RestoreSight
from monitor.settings import Settings

CHANGES = "key_changed"
"""The detector that brings accepted changes to the baselines."""
Tasks = Iterator[tuple[str, Coroutine[Any, Any, Any]]]
"""What is to be run, and a name for each that reads as a sentence."""


class Lookouts:
    """All of them. Sweeps run before the queues, `looking_out` beside them."""

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        *,
        aws: Aws,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        shared: Shared,
        ends: Iterable[End] = (),
    ) -> None:
        """`ends`: where events come to us, beside the queues of the settings."""
        self.settings = settings
        self.parts = parts
        self.roads = {
            name: OwnRoad(parts.pipeline, clock, name)
            for name in ("sweep", "canary", "silence", "inventory", "incidents", "sight", "budgets")
        }
        pace = settings.sweep
        self.make_sweep = partial(
            Sweep,
            aws=aws,
            store=store,
            clock=clock,
            metrics=metrics,
            knowledge=parts.knowledge,
            tell=self.roads["sweep"].take,
            pace=sweep.Pace(
                pace.every_minutes * 60, pace.grace_minutes * 60, pace.calls_per_second
            ),
            may_be_meant=self.may_be_meant,
            turns=Turns(),
            shared=shared,
        )
        self.sweeps: dict[tuple[str, str], Sweep] = {}
        self.canaries = [
            Canary(
                key,
                aws,
                clock,
                metrics,
                tell=self.roads["canary"].take,
                pace=canary.Pace(settings.canary.every_seconds, settings.canary.late_seconds),
                shared=shared,
            )
            for key in settings.canary.refs
        ]
        self.silence = Silence(
            settings.places,
            clock,
            seconds=settings.silence_minutes * 60,
            tell=self.roads["silence"].take,
            shared=shared,
        )
        self.inventory = Inventory(
            aws,
            clock,
            parts.knowledge,
            places=settings.places,
            queues=our_queues(settings),
            topics=settings.sns_topics,
            told_by=told_by(settings),
            tell=self.roads["inventory"].take,
            shared=shared,
            ends=ends,
        )
        if not settings.watched.discover:
            self.inventory.looked.set()
        self.sight = None
        mender = parts.responders.get(RestoreSight.name)
        if isinstance(mender, RestoreSight):
            self.sight = SightWatch(
                mender.options,
                mender.sights,
                store,
                clock,
                metrics,
                knowledge=parts.knowledge,
                ready=self.inventory.looked,
                tell=self.roads["sight"].take,
            )
        self.escrows = parts.reimport and EscrowWatch(
            parts.reimport,
            parts.knowledge,
            seconds=settings.material.check_hours * 3600,
        )
        self.incidents = parts.incidents
        self.incidents.leading = shared.leading
        self.incidents.tell = self.roads["incidents"].take
        self.held = Held(
            store,
            parts.incidents.keys,
            parts.budgets,
            clock,
            metrics,
            tell=self.roads["budgets"].take,
        )
        listeners = parts.pipeline.books.listeners
        listeners += [one.heard for one in self.canaries]
        if settings.silence_minutes:
            listeners.append(self.silence.heard)
        for key in settings.canary.refs:
            metrics.last_canary.labels(key.account, key.region)

    def sweep_of(self, place: tuple[str, str]) -> Sweep:
        """The sweep of a guarded place, made when it is first asked for."""
        if place not in self.sweeps:
            judges = CHANGES in self.parts.pipeline.detection.names
            self.sweeps[place] = self.make_sweep(place, judges_changes=judges)
        return self.sweeps[place]

    def follow(self, places: frozenset[tuple[str, str]], ours: Watched) -> None:
        """From now on these places are guarded, and these resources are ours as well."""
        self.sweeps = {place: one for place, one in self.sweeps.items() if place in places}
        self.silence.follow(places)
        self.inventory.follow(places, ours)

    def may_be_meant(self, key: KeyRef, at: float, before: float) -> bool:
        """Whether a change to the key, in so many seconds before a moment, may be one of a window."""
        known = self.parts.knowledge.key(key)
        aliases, tags = (known.aliases, known.tags) if known else (None, None)
        rules = self.parts.pipeline.rules
        return may_be_meant(key, aliases, tags, rules, at=at, before=before)

    def judge_again(self) -> None:
        """Everything that is still wrong is to be judged once more, by the detectors that there are."""
        for one in self.sweeps.values():
            one.drift.judge = CHANGES in self.parts.pipeline.detection.names
            one.judge_again()

    def looking_out(self) -> Tasks:
        for name, road in self.roads.items():
            yield f"judge what the {name} finds", road.run()
        for one in self.canaries:
            yield f"send canaries with {one.key}", one.run()
        if self.settings.silence_minutes:
            yield "notice where nothing comes from", self.silence.run()
        yield "see whether incidents are over", self.incidents.run()
        if self.escrows and self.settings.material.check_hours:
            yield "see whether escrows have what they should", self.escrows.run()
        yield "let keys be put back that had to wait", self.held.run()
        if self.settings.watched.discover:
            yield "find out what our sight rests on", self.inventory.run()
        if self.sight is not None:
            yield "look at what we see by", self.sight.run()

    def problems(self) -> Iterator[tuple[str, Callable[[], str | None]]]:
        """For `/readyz`; those of the sweeps come and go with the accounts."""
        for bird in self.canaries:
            yield f"canary {bird.key}", bird.problem


def our_queues(settings: Settings) -> list[OurQueue]:
    return [
        OurQueue(given.arn, queue.url, queue.region, queue.name, queue.entry, queue.bulk)
        for given, queue in zip(settings.queues, queues_of(settings), strict=True)
    ]


def told_by(settings: Settings) -> list[str]:
    """The topic that people are told by. Options of plugins are only known to the plugins."""
    topic = settings.responders.get("sns", {}).get("topic_arn")
    return [topic] if isinstance(topic, str) else []
