"""The parts of the daemon, put together for a function: what one call does with them."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from monitor import deeds, logs
from monitor.assembly import Parts, assemble, load, make_aws
from monitor.aws import Aws
from monitor.baselines import Baselines
from monitor.clock import Clock
from monitor.errors import MonitorError, Unreadable
from monitor.guarded import Guarded
from monitor.kill_switch import KillSwitch
from monitor.knowledge import Watched
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.opening import open_store, watched_of
from monitor.policy import own_form
from monitor.repair.live import LiveKeys
from monitor.serverless.answering import Answering, NotDone
from monitor.serverless.given import Given
from monitor.serverless.settings import ServerlessSettings, read_text
from monitor.serverless.time_left import TimeLeft
from monitor.serverless.triggers import Batch, Command, RuleInvocation, Work
from monitor.serverless.working import Working

if TYPE_CHECKING:
    from pydantic import BaseModel

    from monitor.config_rule.rule import ConfigRule
    from monitor.serverless.passes import Passes
    from monitor.serverless.restoring import Restoring

REFRESH: Final = 30.0
"""Seconds after which a call first learns what others noted and accepted."""
POLICIES: Final = "key_policy_changed"
PATIENCE: Final = 10.0
"""Seconds that an organization may take to say which accounts it has."""


class Guard:
    """Made by `open`. Then for each call `wake`, and `do`."""

    def __init__(
        self,
        given: Given,
        settings: ServerlessSettings,
        parts: Parts,
        *,
        aws: Aws,
        store: Store,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.given = given
        self.settings = settings
        self.parts = parts
        self.aws = aws
        self.store = store
        self.clock = clock
        self.metrics = metrics
        self.answering = Answering(settings, aws)
        self.nameless = {account.id: account.regions[0] for account in settings.accounts}
        """Accounts of which it is not known what our own calls are called there, and a Region."""
        self.arns: set[str] = set()
        """What the function was called by, and its own ARN."""
        self.passes: Passes | None = None
        self.policy_options: BaseModel | None = None
        """How the settings have key policies judged; None where they leave that out."""
        self.shown_at = self.learnt_at = float("-inf")
        self.log = structlog.get_logger("function")

    @classmethod
    async def open(
        cls,
        given: Given,
        environment: Mapping[str, str],
        clock: Clock,
        metrics: Metrics,
        closing: AsyncExitStack,
    ) -> "Guard":
        """Set everything up; `closing` ends it. Raises `SettingsError`, `StoreError` or `NotDone`."""
        settings = read_text(given.text, given.name, environment)
        loaded = load(settings, Path(given.name))
        logs.set_level(settings.log.level)
        metrics.born(
            detectors=list(loaded.detectors),
            responders=list(settings.responders),
            escrows=list(settings.escrows),
        )
        aws = await closing.enter_async_context(make_aws(settings, metrics))
        settings = await with_members(settings, aws, metrics)
        store = await open_store(settings, aws, clock)
        closing.push_async_callback(store.close)
        kill_switch = KillSwitch(on=settings.kill_switch, file=settings.kill_switch_file)
        metrics.settings.writes_stopped.set_function(
            lambda: float(kill_switch.may_write() is not None)
        )
        parts = assemble(
            settings,
            loaded,
            aws=aws,
            store=store,
            clock=clock,
            metrics=metrics,
            kill_switch=kill_switch,
        )
        closing.callback(parts.archive.close)
        guard = cls(given, settings, parts, aws=aws, store=store, clock=clock, metrics=metrics)
        if (recipe := loaded.detectors.get(POLICIES)) is not None:
            guard.policy_options = recipe.options
        for broken in parts.broken:
            metrics.broken_plugins.labels(broken.kind, broken.name).set(1)
            guard.log.error("plugin is broken and left out", problem=str(broken))
        await parts.keeper.keep(
            deeds.started(
                version=version("kms-monitor"),
                mode=settings.mode.value,
                places=sorted(settings.places),
                responders=list(parts.responders),
            )
        )
        return guard

    @property
    def follows(self) -> bool:
        """Whether accounts may join or leave without a word in the settings."""
        return bool(self.settings.organizations)

    # -- each call

    async def wake(self, arn: str) -> None:
        """Catch up with what happened while everything stood still. `arn`: the function's own."""
        now = self.clock.monotonic()
        if now >= self.shown_at + self.settings.store.replica_seconds / 3:
            await self.show_life()
        if now >= self.learnt_at + REFRESH and await self.parts.replicas.refresh():
            self.learnt_at = now
            self.parts.knowledge.windows.forget(self.clock.now())
        await self.aws.clients.tidy()  # their connections are long closed at the other end
        ours = watched_of(self.store)
        if arn:
            self.arns |= {arn, unqualified(arn)}
            ours = ours.joined(Watched(deployments=frozenset({unqualified(arn)})))
        self.parts.knowledge.watched = self.parts.knowledge.watched.joined(ours)
        await asyncio.gather(*map(self.learn_own_name, dict(self.nameless).items()))

    async def show_life(self) -> None:
        """Else others would take over what this one is about to do."""
        try:
            await self.store.check()
        except StoreError as error:
            # Deletions have to be undone without the store, too.
            self.metrics.store.failed("check")
            self.log.error("store cannot be used", call="check", error=str(error))
        else:
            self.shown_at = self.clock.monotonic()

    async def learn_own_name(self, where: tuple[str, str]) -> None:
        """Ask what AWS calls us there, so that our own calls are recognised."""
        account, region = where
        try:
            arn = await self.aws.identity(account, region)
        except MonitorError as error:
            self.log.error("account cannot be entered", account=account, problem=str(error))
        else:
            self.parts.pipeline.know_as_own(own_form(arn))
            del self.nameless[account]

    async def do(self, work: Work, time: TimeLeft) -> dict[str, Any]:
        """The answer to one call. Raises `NotDone`, or `Unreadable` for what nobody knows."""
        async with self.at_work(time):
            match work:
                case Batch():
                    pipeline = self.parts.pipeline
                    working = Working(
                        work,
                        pipeline,
                        books=pipeline.books,
                        clock=self.clock,
                        metrics=self.metrics,
                        time=time,
                    )
                    return await self.answering.answer(work, await working.results())
                case RuleInvocation():
                    async with in_time(time):
                        return await self.judging().evaluate(work.event)
                case Command(name="restore"):
                    async with in_time(time):
                        return await self.restoring().restore(work.event)
                case Command(name="sweep"):
                    return await self.looking().once(time)
                case Command():
                    raise Unreadable("unknown_command", f"there is no command {work.name[:40]!r}")

    def looking(self) -> "Passes":
        """What looks by itself, made when it is first asked for."""
        if self.passes is None:
            # Here and not above: a cold start for one event does not wait for it.
            from monitor.serverless.passes import Passes  # noqa: PLC0415

            self.passes = Passes(
                self.settings,
                self.parts,
                aws=self.aws,
                store=self.store,
                clock=self.clock,
                metrics=self.metrics,
                arns=sorted(self.arns),
            )
        return self.passes

    def judging(self) -> "ConfigRule":
        """What judges for AWS Config, by the same options as the detector of policies."""
        from monitor.config_rule.rule import ConfigRule  # noqa: PLC0415 - as above

        return ConfigRule(
            self.aws,
            self.parts.knowledge,
            self.clock,
            self.metrics,
            baselines=Baselines(self.store, self.parts.knowledge),
            policy=self.policy_options,
        )

    def restoring(self) -> "Restoring":
        from monitor.serverless.restoring import Restoring  # noqa: PLC0415 - as above

        return Restoring(
            self.parts.pipeline,
            LiveKeys(self.aws, self.clock),
            Baselines(self.store, self.parts.knowledge),
            self.parts.knowledge,
            self.clock,
        )

    @asynccontextmanager
    async def at_work(self, time: TimeLeft) -> AsyncIterator[None]:
        """What goes on beside the work of a call, and is done at its end."""
        beside: dict[str, Coroutine[Any, Any, None]] = {"show that we live": self.keep_showing()}
        for name, responder in self.parts.responders.items():
            beside[f"serve responder {name}"] = responder.serve()
        tasks = [asyncio.create_task(work, name=name) for name, work in beside.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.parts.remembrance.keep()
            await self.parts.keeper.flush(time.margin / 2)

    async def keep_showing(self) -> None:
        while True:
            await asyncio.sleep(self.settings.store.replica_seconds / 3)
            await self.show_life()


@asynccontextmanager
async def in_time(time: TimeLeft) -> AsyncIterator[None]:
    """Raises `NotDone` once the call has no more time."""
    try:
        async with asyncio.timeout(time.left):
            yield
    except TimeoutError:
        raise NotDone("the time was too short") from None


async def with_members(
    settings: ServerlessSettings, aws: Aws, metrics: Metrics
) -> ServerlessSettings:
    """The settings, as if they named all members of their organizations.

    Raises `NotDone` where that cannot be said: events of an account that is not known to be guarded are
    dropped.
    """
    guarded = Guarded(settings, aws, metrics)
    if settings.organizations:
        try:
            async with asyncio.timeout(PATIENCE):
                await guarded.refresh()
        except TimeoutError:
            raise NotDone("organizations do not answer in time") from None
        if guarded.trouble:
            raise NotDone(f"organizations cannot be asked: {guarded.problem()}")
    return settings.model_copy(update={"accounts": list(guarded.accounts.values())})


def unqualified(arn: str) -> str:
    """The function's ARN without the version or alias that was called."""
    return ":".join(arn.split(":")[:7])
