"""The journey of one delivery, on one screen."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from msgspec.structs import replace

from monitor.approvals import Approvals
from monitor.books import Books
from monitor.decision import Verdict
from monitor.delivery import Delivery, Disposition, worst
from monitor.detection import Detection
from monitor.duplicates import Duplicates
from monitor.envelope import open_body
from monitor.errors import NotWorthRetrying, Unreadable, WorthRetrying
from monitor.event import Event
from monitor.finding import Kind
from monitor.ledger import Claim
from monitor.policy import Rules
from monitor.remembrance import Remembrance
from monitor.response import Response
from monitor.shapes import Damage, LogObject
from monitor.trust import Trust


class Archive(Protocol):
    """Reads the wanted events of a log file; raises what `monitor.errors` names."""

    def events(self, where: LogObject) -> AsyncGenerator[Event]: ...


class NoArchive:
    """Where no log files are read, a message about them must not be lost: it is REJECTed."""

    async def events(self, where: LogObject) -> AsyncGenerator[Event]:
        raise Unreadable("no_archive", f"s3://{where.bucket}/{where.key} is not read here")
        yield  # makes it a generator


class Pipeline:
    """envelope -> detection -> policy -> response. `rules` may be replaced while it runs."""

    def __init__(
        self,
        detection: Detection,
        rules: Rules,
        response: Response,
        duplicates: Duplicates,
        books: Books,
        *,
        remembrance: Remembrance | None = None,
        approvals: Approvals | None = None,
        trust: Trust | None = None,
        archive: Archive | None = None,
    ) -> None:
        self.detection = detection
        self.rules = rules
        self.response = response
        self.duplicates = duplicates
        self.books = books
        self.remembrance = remembrance
        self.approvals = approvals or Approvals()
        self.trust = trust or Trust()
        self.archive = archive or NoArchive()

    async def process(
        self, delivery: Delivery, make_room: Callable[[], None] = lambda: None
    ) -> Disposition:
        """Take one delivery all the way, and say what is to become of it."""
        try:
            self.trust.check_sender(delivery)
            opened = open_body(delivery.body, self.detection.wanted)
            if opened.wrapped:
                await self.trust.check_wrapping(opened.wrapped)
        except Unreadable as error:
            return worst(self.books.unreadable(delivery, [Damage(error.reason, str(error))]))
        except WorthRetrying as error:
            return self.books.not_now(delivery, error)
        self.books.ignored(delivery, opened)
        dispositions = self.books.unreadable(delivery, opened.damaged)
        dispositions += [await self.judge(event, delivery) for event in opened.events]
        if opened.objects:
            make_room()
            dispositions += [await self.read(where, delivery) for where in opened.objects]
        return worst(dispositions)

    async def read(self, where: LogObject, delivery: Delivery) -> Disposition:
        """Every wanted event of one log file. One bad file does not hold up the others."""
        dispositions: list[Disposition] = []
        try:
            async with aclosing(self.archive.events(where)) as events:
                async for event in events:
                    dispositions.append(await self.judge(event, delivery))  # noqa: PERF401
        except Unreadable as error:
            dispositions += self.books.unreadable(delivery, [Damage(error.reason, str(error))])
        except (WorthRetrying, NotWorthRetrying) as error:
            dispositions.append(self.books.not_now(delivery, error))
        return worst(dispositions)

    async def judge(self, event: Event, delivery: Delivery) -> Disposition:
        """One event that somebody looks at, unless it was judged before."""
        async with self.duplicates.turn(event) as turn:
            if turn.claim is not Claim.GRANTED:
                self.books.duplicate(event, delivery)
                return Disposition.DONE if turn.claim is Claim.DONE else Disposition.RETRY
            self.books.inspected(event, delivery, self.rules)
            disposition = await self.act_on(event, delivery)
            turn.settled = disposition is Disposition.DONE
            return disposition

    async def act_on(self, event: Event, delivery: Delivery) -> Disposition:
        """detection -> policy -> response."""
        seen = self.detection.inspect(event)
        dispositions = [Disposition.RETRY] if seen.broken else []
        # Whether nobody minds a change is not known while a detector breaks on it.
        findings = [one for one in seen.findings if not (seen.broken and one.kind is Kind.CHANGE)]
        decisions = await self.approvals.decide(findings, self.rules, delivery.received_at)
        # Repair first, then tell: people are not told of many keys while this one waits for it.
        for judged in sorted(decisions, key=lambda one: one.verdict is Verdict.TELL):
            decision = await self.response.carry_out(judged)
            self.books.carried_out(decision)
            settled = all(action.outcome.settled for action in decision.done)
            dispositions.append(Disposition.DONE if settled else Disposition.RETRY)
        if self.remembrance is not None:
            await self.remembrance.keep()
        return worst(dispositions)

    def know_as_own(self, arn: str) -> None:
        """Recognise one more ARN as ours (see `monitor.policy.own_form`)."""
        self.rules = replace(self.rules, own_arns=self.rules.own_arns | {arn})
