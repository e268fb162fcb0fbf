"""What all responders that tell by a service have in common: least severity, storms, retries, words.

A channel says DONE only after its service confirmed the message. What may pass is tried again within the
action; then the delivery comes again, or the settings name a fallback (`monitor.response`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

import msgspec
import stamina
from pydantic import BaseModel, Field

from monitor.decision import Action, Decision, Outcome
from monitor.errors import Denied, MonitorError, NotWorthRetrying, WorthRetrying
from monitor.finding import Aspect, Severity
from monitor.http_door import Answer, Door, host_of
from monitor.plugins import Services
from monitor.setting_types import SeverityWord
from monitor.storm import Storm
from monitor.telling import headline

PATIENCE: Final = 15.0
"""Seconds for all tries of one message: a responder that tells has 30, gathering a digest included."""
PASSING: Final = frozenset({408, 425, 429})
"""Statuses that pass, beside those of 500 and more (RFC 9110; RFC 8470; RFC 6585)."""
REFUSED: Final = frozenset({401, 403})


class ChannelOptions(BaseModel, extra="forbid"):
    """Options of every channel."""

    min_severity: SeverityWord = Field(
        default="info",
        description="Findings less severe than this are not told; one that ends an incident counts "
        "as its incident.",
    )
    per_minute: int = Field(
        default=30,
        ge=1,
        le=6000,
        description="Messages a minute that go out one by one; what comes faster is told in digests.",
    )
    digest_seconds: float = Field(
        default=5.0, gt=0, le=10, description="How long a digest is gathered."
    )


class HttpOptions(ChannelOptions):
    """Options of every channel that speaks HTTP."""

    ca_file: Path | None = Field(
        default=None, description="CA certificates (PEM). Default: those of the system."
    )
    timeout_seconds: float = Field(
        default=5.0, gt=0, le=10, description="For one request, its connection included."
    )


class Later(WorthRetrying):
    """The service asks for patience."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Channel(ABC):
    """Tells each decision, alone or with others."""

    name: ClassVar[str]
    Options: ClassVar[type[BaseModel]]
    repairs: ClassVar[bool] = False
    aspects: ClassVar[frozenset[Aspect]] = frozenset()

    def __init__(self, options: ChannelOptions, services: Services) -> None:
        self.services = services
        self.lowest = Severity[options.min_severity.upper()]
        self.storm: Storm[Decision] = Storm(
            services.clock, per_minute=options.per_minute, seconds=options.digest_seconds
        )
        self.metrics = services.metrics.channels
        self.metrics.born(self.name)
        self._problem: str | None = None

    async def respond(self, decision: Decision) -> Action:
        """Tell it. Raises `WorthRetrying` and `NotWorthRetrying`."""
        now = self.services.clock.now
        if decision.weight < self.lowest:
            detail = f"nothing to tell: below {self.lowest.word}"
            return Action(self.name, Outcome.ALREADY, detail, finished_at=now())
        try:
            words = await self.told(decision)
        except NotWorthRetrying as error:
            self._problem = headline.clean(str(error), 300)
            raise
        self._problem = None
        return Action(self.name, Outcome.DONE, words, finished_at=now())

    async def told(self, decision: Decision) -> str:
        return await self.storm.send(decision, self.alone, self.together)

    async def alone(self, decision: Decision) -> str:
        words = await self.tell(decision)
        self.metrics.messages.labels(self.name, "single").inc()
        return words

    async def together(self, decisions: list[Decision]) -> str:
        words = await self.tell_many(decisions)
        self.metrics.messages.labels(self.name, "digest").inc()
        self.metrics.digested.labels(self.name).inc(len(decisions))
        return f"in a digest of {len(decisions)}: {words}"

    @abstractmethod
    async def tell(self, decision: Decision) -> str:
        """Send one message; what confirms it, in words. Raises like `respond`."""

    @abstractmethod
    async def tell_many(self, decisions: list[Decision]) -> str:
        """Send one message about all of them, likewise."""

    async def serve(self) -> None:
        """No connection is kept."""
        return

    def problem(self) -> str | None:
        """What was refused for good last, until a message gets through."""
        return self._problem


class HttpChannel(Channel):
    """A channel that posts JSON."""

    def __init__(self, options: HttpOptions, services: Services) -> None:
        super().__init__(options, services)
        self.door = Door(services.clock, seconds=options.timeout_seconds, ca_file=options.ca_file)

    async def post(
        self,
        address: str,
        body: bytes,
        headers: dict[str, str],
        secrets: Iterable[str] = (),
    ) -> Answer:
        """The service's yes; what may pass is tried again. Errors quote none of the `secrets`."""
        hidden = (address, *secrets)
        async for attempt in self.patiently():
            with attempt:
                answer = await self.door.post(address, body, headers)
                if (no := self.refusal(answer, host_of(address), hidden)) is not None:
                    raise no
                return answer
        raise AssertionError("stamina raises the last error")

    def patiently(self) -> AsyncIterator[stamina.Attempt]:
        """A few tries, as far apart as the service asks, if that is soon enough."""
        loop = asyncio.get_running_loop()
        end, tries = loop.time() + PATIENCE, 0

        def again(error: Exception) -> bool | timedelta:
            nonlocal tries
            tries += 1
            if not isinstance(error, WorthRetrying) or tries > 3:
                return False
            wait = max(error.seconds if isinstance(error, Later) else 0.0, 0.25 * 2.0**tries)
            if loop.time() + wait >= end:
                return False
            self.metrics.retries.labels(self.name).inc()
            return timedelta(seconds=wait)

        return aiter(stamina.retry_context(on=again, attempts=4, timeout=None))

    def refusal(self, answer: Answer, where: str, secrets: Iterable[str]) -> MonitorError | None:
        """Why the answer is no yes; None where it is one."""
        status = answer.status
        if 200 <= status < 300:
            return self.second_look(answer, where)
        # Hidden before it is cut: the half of a secret is a secret, too.
        words = headline.clean(hide(self.words_of(answer), secrets), 200)
        text = f"{where}: HTTP {status}" + (words and f": {words}")
        if status in PASSING or status >= 500:
            return Later(text, answer.retry_after)
        if status in REFUSED:
            return Denied(text)
        if 300 <= status < 400:
            text = f"{where}: HTTP {status}: a redirect, which is not followed"
        return NotWorthRetrying(text)

    def second_look(self, answer: Answer, where: str) -> MonitorError | None:
        """For services that say no with a status that says yes."""
        del answer, where
        return None

    def words_of(self, answer: Answer) -> str:
        """What of an answer tells people why it is no yes. Untrusted; nothing by default."""
        del answer
        return ""


def hide(text: str, secrets: Iterable[str]) -> str:
    for one in secrets:
        if one:
            text = text.replace(one, "***")
    return text


def encoded(document: object) -> bytes:
    """As JSON. A text that is not even valid Unicode was cleaned before: see `monitor.telling`."""
    return msgspec.json.encode(document)


def parsed(answer: Answer) -> dict[str, object]:
    """The JSON object of an answer; empty where it is none."""
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
