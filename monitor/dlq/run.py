"""What the commands do, put together: find the queues, go through them, tell."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from monitor.assembly import know
from monitor.aws import Aws
from monitor.detection import Detection
from monitor.dlq import redrive
from monitor.dlq.explain import Dead, Explainer, Explanation
from monitor.dlq.queues import Dlq, Found, Source, find, fullness
from monitor.dlq.walk import Walk
from monitor.errors import SettingsError
from monitor.judgement import rules_by_name
from monitor.logs import printable
from monitor.metrics import Metrics
from monitor.plugins import Loaded, make_all
from monitor.settings import Settings

LOOK_SECONDS = 30
"""How long a message is hidden while it is looked at; it is given back much earlier."""

T = TypeVar("T")
Say = Callable[[str], None]


class Looked(msgspec.Struct):
    """One dead-letter queue as it was found."""

    dlq: Dlq
    explained: list[Explanation]
    more: int = 0
    """About how many messages were not looked at."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `dlq redrive`."""

    queue: str | None
    to: str | None
    message_ids: frozenset[str]
    reasons: frozenset[str]
    everything: bool
    dry_run: bool
    sure: bool
    rate: int | None


class Stopping(asyncio.Event):
    """Set by the first SIGINT or SIGTERM; the second one ends the process at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asking = False
        """While people are asked nothing has been done yet, and the first one ends it, too."""

    def signal(self) -> None:
        if self.asking or self.is_set():
            os._exit(1)
        self.set()


async def stopped_by_signals(work: Callable[[Stopping], Awaitable[T]]) -> T:
    """Do the work, and let it know when it is to stop in good order."""
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.signal)
    return await work(stopping)


def explainer(settings: Settings, loaded: Loaded) -> Explainer:
    """The daemon's own judgement, with the responders' names but without the responders."""
    knowledge = know(settings)
    detectors = make_all(loaded.detectors, knowledge, [])
    detection = Detection(detectors.values(), Metrics(), knowledge)
    return Explainer(detection, rules_by_name(settings, loaded))


async def look(
    settings: Settings,
    loaded: Loaded,
    queue: str | None,
    *,
    limit: int,
    stopping: Stopping,
    say: Say,
) -> list[Looked]:
    """Look at every message up to the limit, and explain it."""
    judge = explainer(settings, loaded)
    looked = []
    async with Aws(Metrics(), home_region=settings.home_region) as aws:
        found = await find(aws, settings, queue)
        for note in found.notes:
            say(note)
        for dlq in found.dlqs:
            visible, hidden = await fullness(aws, dlq)
            one = Looked(dlq, [])
            async with Walk(aws, dlq, stopping, hide_for=LOOK_SECONDS) as walk:
                async for messages in walk.messages(most=limit):
                    now = time.time()
                    one.explained += [
                        judge.explain(message.dead, now, dlq.max_receives) for message in messages
                    ]
            one.more = max(0, visible - len(one.explained))
            if hidden:
                say(f"{dlq.name}: about {hidden} more are hidden now: somebody else looks at them")
            looked.append(one)
    return looked


async def send_back(
    settings: Settings, loaded: Loaded, asked: Asked, *, stopping: Stopping, say: Say
) -> bool:
    """Send messages back; whether none stayed that should have gone."""
    judge = explainer(settings, loaded)
    well, seen = True, set[str]()
    async with Aws(Metrics(), home_region=settings.home_region) as aws:
        found = await find(aws, settings, asked.queue)
        to = named(found.sources, asked.to)
        for dlq in found.dlqs:
            if stopping.is_set():
                break
            visible, hidden = await fullness(aws, dlq)
            if not visible + hidden:
                say(f"{dlq.name}: nothing to send back")
                continue
            if not (asked.sure or asked.dry_run or await agreed(dlq, asked, to, visible, stopping)):
                return False
            job = Job(aws, dlq, found, asked, to, judge, stopping, say)
            result = await job.run(visible)
            seen |= result.seen
            for note in result.notes:
                say(f"{dlq.name}: {printable(note)}")
            if result.doubled:
                say(f"{dlq.name}: {result.doubled} could not be deleted: they are in both queues")
            if asked.everything and not result.seen and hidden:
                result.stayed += hidden
                say(f"{dlq.name}: about {hidden} were hidden, and stayed: somebody looks at them")
            done = "would be sent back" if asked.dry_run else "sent back"
            say(f"{dlq.name}: {result.sent} {done}, {result.stayed} stayed")
            well = well and not (result.stayed or result.doubled)
    for one in sorted(asked.message_ids - seen):
        say(f"message {printable(one)}: not found")
    return well and not (asked.message_ids - seen) and not stopping.is_set()


def named(sources: tuple[Source, ...], name: str | None) -> Source | None:
    """The queue of the settings that `--to` names. Raises `SettingsError`."""
    if name is None:
        return None
    for one in sources:
        if name in {one.name, one.url, one.arn.rpartition(":")[2]}:
            return one
    there = ", ".join(one.name for one in sources)
    raise SettingsError([f"--to {name}: the settings have no such queue; there are: {there}"])


async def agreed(
    dlq: Dlq, asked: Asked, to: Source | None, visible: int, stopping: Stopping
) -> bool:
    """Ask on the terminal; in a thread, so that signals are heard meanwhile."""
    target = to.name if to else ", ".join(one.name for one in dlq.sources) or "their queues"
    which = f"about {visible} messages" if asked.everything else f"the chosen of about {visible}"
    question = f"{dlq.name}: send {which} back to {target}?"
    stopping.asking = True
    try:
        return await asyncio.to_thread(typer.confirm, question, err=True)
    finally:
        stopping.asking = False


@dataclass(frozen=True, slots=True)
class Job:
    """One dead-letter queue's redrive."""

    aws: Aws
    dlq: Dlq
    found: Found
    asked: Asked
    to: Source | None
    judge: Explainer
    stopping: Stopping
    say: Say
    reasons: set[str] = field(default_factory=set)
    """Those that were met."""

    async def run(self, visible: int) -> redrive.Result:
        if self.asked.dry_run:
            return await self.rehearse(visible)
        moved = 0
        with bar(self.dlq.name, visible if self.asked.everything else None) as progress:
            if self.asked.everything and (self.dlq.sources or self.to):
                try:
                    return await redrive.by_service(
                        self.aws,
                        self.dlq,
                        to=self.to,
                        rate=self.asked.rate,
                        progress=progress,
                        stopping=self.stopping,
                    )
                except redrive.ByHand as reason:
                    moved = reason.moved
                    self.say(f"{self.dlq.name}: one by one, for {reason}")
            result = await redrive.by_hand(
                self.aws,
                self.dlq,
                chosen=self.chosen,
                destination=self.destination,
                rate=self.asked.rate,
                progress=progress,
                stopping=self.stopping,
            )
        result.sent += moved
        self.explain_if_none(result)
        return result

    async def rehearse(self, visible: int) -> redrive.Result:
        """Say what would be sent, and give everything back."""
        if self.asked.everything:
            return redrive.Result(sent=visible)
        result = redrive.Result()
        async with Walk(self.aws, self.dlq, self.stopping, hide_for=LOOK_SECONDS) as walk:
            async for messages in walk.messages():
                for one in messages:
                    result.seen.add(one.dead.message_id)
                    if self.chosen(one.dead):
                        target = self.destination(one.dead)
                        result.sent += target is not None
                        result.stayed += target is None
                        where = target.name if target else "nobody knows where: say --to NAME"
                        self.say(f"{one.dead.message_id} to {where}")
        self.explain_if_none(result)
        return result

    def chosen(self, dead: Dead) -> bool:
        if self.asked.everything or dead.message_id in self.asked.message_ids:
            return True
        if not self.asked.reasons:
            return False
        reason = self.judge.explain(dead, 0.0).reason
        self.reasons.add(reason)
        return reason in self.asked.reasons

    def destination(self, dead: Dead) -> Source | None:
        return redrive.destination_of(dead, self.dlq, self.found.sources, self.to)

    def explain_if_none(self, result: redrive.Result) -> None:
        missed = self.asked.reasons - self.reasons
        if missed and self.reasons:
            there = ", ".join(sorted(self.reasons))
            result.note(f"none is {', '.join(sorted(missed))}; there are: {there}")


class Speed(ProgressColumn):
    """Messages a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "")


@contextmanager
def bar(name: str, total: int | None) -> Iterator[redrive.Progress]:
    """A progress bar on the terminal; nothing where there is none."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Speed())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as shown:
        task = shown.add_task(name, total=total)

        def tell(moved: int, of: int | None) -> None:
            # Counts are approximate: a bar that is fuller than full helps nobody.
            known = total if of is None else of
            shown.update(task, completed=moved, total=None if known is None else max(known, moved))

        yield tell
