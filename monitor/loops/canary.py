"""A harmless call of our own whose event must come back to us.

It proves the whole way: trail, EventBridge, rule, queue, daemon. The call is EnableKey on a key
that nothing else uses: a key that is enabled stays enabled (aws-facts 3.1), CloudTrail has it as a
writing call, and the daemon needs the right anyway.

Whoever may write into the queue could forge the event. That is what the queue's policy, and
`senders` in the settings, are for.
"""

import asyncio
import math
from collections.abc import Callable

import msgspec
import structlog

from monitor.aws import Aws
from monitor.clock import Clock
from monitor.delivery import Delivery
from monitor.errors import MonitorError
from monitor.event import Event
from monitor.key import KeyRef
from monitor.metrics import Metrics
from monitor.own_event import own_event
from monitor.policy import Rules, is_own
from monitor.replicas import Shared
from monitor.windows import Window

CALL = ("kms.amazonaws.com", "EnableKey")
MOST_SENT = 50
"""Canaries under way that are remembered, beside the oldest."""


class Pace(msgspec.Struct, frozen=True):
    """Seconds; see `CanarySettings`."""

    every: float = 300.0
    late: float = 900.0


class Canary:
    """The canaries of one key. `tell` takes the events."""

    def __init__(
        self,
        key: KeyRef,
        aws: Aws,
        clock: Clock,
        metrics: Metrics,
        *,
        tell: Callable[[Event], bool],
        pace: Pace | None = None,
        shared: Shared | None = None,
    ) -> None:
        self.shared = shared or Shared()
        self.key = key
        self.place = (key.account, key.region)
        self.aws = aws
        self.clock = clock
        self.metrics = metrics
        self.tell = tell
        self.pace = pace or Pace()
        self.sent: list[float] = []
        """When those set out that have not come back (epoch seconds), the oldest first.

        One that could not even set out counts: it does not come back either.
        """
        self.lost_since: float | None = None
        self.obstacle = ""
        """Why the last one could not set out."""
        self.log = structlog.get_logger("canary").bind(key=key.arn)

    def problem(self) -> str | None:
        if self.lost_since is not None:
            return f"no canary has come back for {self.clock.now() - self.lost_since:.0f} s"
        return self.obstacle or None

    async def run(self) -> None:
        """Send one at a time, and notice if it stays away; for ever, while this replica leads.

        Its event comes back to any replica, which makes a note of it for the one that waits.
        """
        while True:
            await self.shared.leading.wait()
            await self.send()
            until = self.clock.monotonic() + self.pace.every
            while (left := until - self.clock.monotonic()) > 0:
                await asyncio.sleep(min(left, self.wait()))
                if not self.shared.leading.is_set():
                    self.leave_off()
                    break
                if self.late():
                    await self.shared.refresh()
                self.learn()
                self.check()

    def leave_off(self) -> None:
        """Another replica leads: what comes back to whom is none of our business any more."""
        self.sent.clear()
        self.lost_since = None
        self.obstacle = ""

    def wait(self) -> float:
        """Seconds until the oldest is late."""
        if not self.sent or self.lost_since is not None:
            return self.pace.every
        return max(1.0, self.sent[0] + self.pace.late - self.clock.now())

    async def send(self) -> None:
        self.sent.append(self.clock.now())
        del self.sent[1:-MOST_SENT]
        try:
            client = await self.aws.kms(self.key.account, self.key.region)
            async with self.aws.calling("kms", "EnableKey"):
                await client.enable_key(KeyId=self.key.arn)
        except MonitorError as error:
            if not self.obstacle:
                self.log.error("canary cannot set out", problem=str(error))
            self.obstacle = str(error)
        else:
            self.obstacle = ""

    def heard(self, event: Event, delivery: Delivery, rules: Rules) -> None:
        """Is shown every event that anybody looks at."""
        if (event.event_source, event.event_name) != CALL or event.key != self.key:
            return
        if event.failed or not is_own(event.actor, rules):
            return
        # Never of the future: it would answer canaries that have not set out.
        at = min(event.time, delivery.received_at)
        signs = self.signs()
        new = signs.find(event.event_id) is None
        signs.note(event.event_id, at, "heard", keep=4 * self.pace.late)
        self.metrics.last_canary.labels(*self.place).set(delivery.received_at)
        sent = self.back(at) or at
        if new:
            self.metrics.canary_seconds.observe(max(0.0, delivery.received_at - sent))

    def signs(self) -> Window:
        return self.shared.signs("canary", self.key.arn)

    def learn(self) -> None:
        """What another replica heard answers ours as well."""
        if heard := self.signs().entries:
            self.back(heard[-1].at)

    def back(self, time: float) -> float | None:
        """An event of that time came to a replica. When the last one set out that it answers."""
        # Events have whole seconds. What was called before it is answered too: another replica's
        # canary proves the same way.
        back = [at for at in self.sent if math.floor(at) <= time]
        if not back:
            return None
        self.sent = self.sent[len(back) :]
        if self.lost_since is not None:
            self.log.info("canary is back")
            self.say("CanaryBack", self.lost_since)
            self.lost_since = None
        return back[-1]

    def late(self) -> bool:
        overdue = self.clock.now() - self.pace.late
        return self.lost_since is None and bool(self.sent) and self.sent[0] <= overdue

    def check(self) -> None:
        """Notice that the oldest one is late."""
        if self.late():
            self.lost_since = self.sent[0]
            self.log.error("canary is lost", since=self.lost_since)
            self.say("CanaryLost", self.lost_since)

    def say(self, name: str, since: float) -> None:
        now, start = self.clock.now(), math.floor(since)
        about = {
            "keyId": self.key.arn,
            "since": start,
            "lateSeconds": math.floor(now - since),
            "obstacle": self.obstacle[:300],
        }
        self.tell(own_event(name, self.place, now, about, same=(self.key.arn, start)))
