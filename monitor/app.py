"""The daemon, put together from the settings: what lives long, and how it comes up and goes down."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from monitor import deeds, plugins, web
from monitor.approvals import Approvals
from monitor.assembly import Parts, assemble, make_aws, queues_of
from monitor.aws import Aws
from monitor.backoff import Backoff
from monitor.clock import Clock, SystemClock
from monitor.consumer import Consumer
from monitor.errors import SettingsError
from monitor.following import Following
from monitor.guarded import Guarded
from monitor.kill_switch import KillSwitch
from monitor.ledger import Store, StoreError
from monitor.lookouts import Lookouts
from monitor.metrics import Metrics
from monitor.opening import open_store, watched_of
from monitor.reload import Reload
from monitor.settings import Settings
from monitor.sources.sqs import SqsSource
from monitor.windows import Windows

STUCK = 300.0
"""Seconds without a receive, after which the process counts as stuck (`/healthz`)."""
PATIENCE = 60.0
"""Seconds that the first sight of the keys may hold up the queue."""
QUIET = 15.0
"""Seconds without a new key or place, after which the queue waits for the first sight no more."""


class App:
    """One daemon. `run` ends after `stop`, or raises if a part that should never end does."""

    def __init__(
        self,
        settings: Settings,
        loaded: plugins.Loaded,
        *,
        clock: Clock | None = None,
        file: Path | None = None,
    ) -> None:
        """`file` is looked at for changes of the settings; without one they stay as they are."""
        self.file = file
        self.asked = asyncio.Event()
        self.settings = settings
        self.loaded = loaded
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.log = structlog.get_logger("app")
        self.stopping = asyncio.Event()
        self.problems: dict[str, Callable[[], str | None]] = {}
        self.trouble: dict[str, str] = {"start": "not all parts are up yet"}
        self.sources: list[SqsSource] = []
        self.consumers: list[Consumer] = []
        self.closing = ExitStack()
        self.port = 0
        self.beat = self.clock.monotonic()

    def stop(self) -> None:
        """Finish what is in flight, then end."""
        self.log.info("stopping")
        self.stopping.set()

    def reload(self) -> None:
        """Read the settings file again, now."""
        self.asked.set()

    async def run(self, when_up: Callable[[], None] | None = None) -> None:
        """Live until `stop`. `when_up` is called once everything has been started."""
        settings = self.settings
        self.metrics.born(
            sources=[queue.label for queue in settings.queues],
            detectors=list(self.loaded.detectors),
            responders=list(settings.responders),
            escrows=list(settings.escrows),
        )
        at = settings.web
        try:
            runner, self.port = await web.serve(
                at.host, at.port, self.metrics, health=self.health, readiness=self.readiness
            )
        except OSError as error:
            raise SettingsError([f"web: cannot listen on {at.host}:{at.port}: {error}"]) from error
        self.log.info("listening", url=f"http://{at.host}:{self.port}/metrics")
        try:
            async with make_aws(settings, self.metrics) as aws:
                store = await self.open_store(aws)
                if store is not None:
                    try:
                        with self.closing:
                            await self.live(aws, store, when_up)
                    finally:
                        await store.close()
        finally:
            await runner.cleanup()
        self.log.info("stopped")

    async def live(self, aws: Aws, store: Store, when_up: Callable[[], None] | None) -> None:
        guarded = await self.find_accounts(aws)
        settings = guarded.as_settings
        kill_switch = KillSwitch(on=settings.kill_switch, file=settings.kill_switch_file)
        parts = assemble(
            settings,
            self.loaded,
            aws=aws,
            store=store,
            clock=self.clock,
            metrics=self.metrics,
            kill_switch=kill_switch,
        )
        self.closing.callback(parts.archive.close)
        self.report(parts)
        await parts.keeper.keep(
            deeds.started(
                version=version("kms-monitor"),
                mode=settings.mode.value,
                places=sorted(settings.places),
                responders=list(parts.responders),
            )
        )
        async with asyncio.TaskGroup() as tasks:
            long_lived: list[asyncio.Task[Any]] = []

            def start(name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
                task = tasks.create_task(work, name=name)
                long_lived.append(task)
                return task

            start("beat", self.keep_beating())
            await parts.replicas.begin()
            parts.knowledge.watched = parts.knowledge.watched.joined(watched_of(store))
            start("lead the replicas, or wait to", parts.replicas.lead())
            start("learn what other replicas know", parts.replicas.follow())
            start(
                "check the store",
                self.watch_store(store, parts.knowledge.windows, parts.pipeline.approvals),
            )
            start("keep the action log", parts.keeper.run())
            start("close clients that nobody calls", aws.keep_tidy())
            for name, responder in parts.responders.items():
                self.problems[f"responder {name}"] = responder.problem
                start(f"serve responder {name}", responder.serve())
            lookouts = Lookouts(
                settings,
                parts,
                aws=aws,
                store=store,
                clock=self.clock,
                metrics=self.metrics,
                shared=parts.replicas.shared(),
            )
            self.problems |= dict(lookouts.problems())
            reload = Reload(
                self.file,
                self.settings,
                self.loaded,
                parts,
                kill_switch=kill_switch,
                clock=self.clock,
                metrics=self.metrics,
                asked=self.asked,
                judge_again=lookouts.judge_again,
            )
            start("take changed settings", reload.run())
            following = Following(
                guarded,
                parts,
                lookouts,
                aws=aws,
                metrics=self.metrics,
                start=start,
                problems=self.problems,
                trouble=self.trouble,
            )
            following.begin()
            if settings.organizations:
                self.problems["organizations"] = guarded.problem
                start("follow the organizations", following.run())
            await self.first_sight(lookouts)
            for queue in queues_of(settings):
                source = SqsSource(queue, aws, self.clock, self.metrics)
                consumer = Consumer(source, parts.pipeline, self.clock, self.metrics)
                self.problems[f"queue {queue.name}"] = source.problem
                self.problems[f"consumer {queue.name}"] = consumer.problem
                start(f"send batches to {queue.name}", source.batches.run())
                start(f"keep messages of {queue.name} hidden", source.keep_hidden())
                start(f"watch queue {queue.name}", source.watch())
                self.sources.append(source)
                self.consumers.append(consumer)
            consuming = [
                tasks.create_task(consumer.run(), name=f"consume {consumer.source.name}")
                for consumer in self.consumers
            ]
            for name, work in lookouts.looking_out():
                start(name, work)
            self.trouble.pop("start")
            if when_up is not None:
                when_up()
            await self.stopping.wait()
            await self.wind_down(consuming)
            for task in reversed(long_lived):
                task.cancel()
        await parts.keeper.keep(deeds.stopped())

    async def find_accounts(self, aws: Aws) -> Guarded:
        """The accounts that are guarded; an organization that does not answer holds nobody up."""
        guarded = Guarded(self.settings, aws, self.metrics)
        if self.settings.organizations:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await guarded.refresh()
        return guarded

    def report(self, parts: Parts) -> None:
        """What the settings name and does not work: said at the start, and counted."""
        for broken in parts.broken:
            self.metrics.broken_plugins.labels(broken.kind, broken.name).set(1)
            self.log.error(
                "plugin is broken and left out",
                kind=broken.kind,
                name=broken.name,
                origin=broken.origin,
                problem=broken.problem,
            )
        for kind, names in parts.origins.items():
            for name, origin in names.items():
                self.metrics.plugin_info.labels(kind, name, origin).set(1)

    async def wind_down(self, consuming: list[asyncio.Task[None]]) -> None:
        """Take nothing more, finish within the grace period, give back the rest."""
        for consumer in self.consumers:
            consumer.stop()
        if consuming:
            _, late = await asyncio.wait(consuming, timeout=self.settings.grace_seconds)
            for task in late:
                self.log.warning("not finished in time, giving back", task=task.get_name())
                task.cancel()
        for source in self.sources:
            await source.give_back()

    async def open_store(self, aws: Aws) -> Store | None:
        """The store; tried for as long as it takes, for a daemon that exits cannot be asked why."""
        backoff = Backoff()
        while not self.stopping.is_set():
            try:
                store = await open_store(self.settings, aws, self.clock)
            except StoreError as error:
                self.log.error("store cannot be opened", problem=str(error))
                self.trouble["store"] = str(error)
                await self.stopped_within(backoff.next())
            else:
                self.trouble.pop("store", None)
                return store
        return None

    # -- long-lived tasks

    async def first_sight(self, lookouts: Lookouts) -> None:
        """Let all keys be looked at before the first event. Places that do not answer do not block."""
        clock, moved = self.clock, 0
        began = moved_at = clock.monotonic()
        while waiting := [one for one in lookouts.sweeps.values() if not one.answered.is_set()]:
            met = sum(len(one.met) for one in lookouts.sweeps.values()) - len(waiting)
            if met != moved:
                moved, moved_at = met, clock.monotonic()
            now = clock.monotonic()
            if now >= began + PATIENCE or now >= moved_at + QUIET:
                self.log.warning("not all keys are known yet", places=len(waiting))
                break
            if await self.stopped_within(0.02):
                break

    async def watch_store(self, store: Store, windows: Windows, approvals: Approvals) -> None:
        forget_at = prune_at = 0.0
        while True:
            moment = self.clock.monotonic()
            if moment >= forget_at:
                forget_at = moment + 3600
                windows.forget(self.clock.now())
            try:
                await store.check()
                await approvals.measure(self.clock.now())
                if moment >= prune_at:
                    prune_at = moment + 3600
                    await store.prune(self.clock.now() - self.settings.store.remember_days * 86400)
            except StoreError as error:
                self.trouble["store"] = str(error)
                self.metrics.store.failed("check")
            else:
                self.trouble.pop("store", None)
            await asyncio.sleep(min(10, self.settings.store.replica_seconds / 3))

    async def keep_beating(self) -> None:
        while True:
            self.beat = self.clock.monotonic()
            await asyncio.sleep(1)

    async def stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self.stopping.wait()
        except TimeoutError:
            return False

    # -- probes

    def health(self) -> dict[str, str]:
        """Whether the process moves, whatever the world around it does."""
        now = self.clock.monotonic()
        return {
            f"queue {source.name}": f"no receive for {now - source.polled_at:.0f} s"
            for source in self.sources
            if now - source.polled_at > STUCK and not self.stopping.is_set()
        }

    def readiness(self) -> dict[str, str]:
        """Why it cannot do its job, by part."""
        found = dict(self.trouble)
        for part, problem in self.problems.items():
            if (text := problem()) is not None:
                found[part] = text
        if self.stopping.is_set():
            found["stop"] = "stopping"
        return found
