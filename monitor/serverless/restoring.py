"""One key put back as it should be, because somebody asked for it: a person, or AWS Config's remediation.

`{"kms-monitor": "restore", "key": ARN}`. Whoever may call the function may ask, and nobody need be
believed: the live key is held against its baseline, as the sweep does it, and what is worse becomes events of
our own, which the same detectors, policy and responders judge as if the sweep had found them. So the
mode, the rules for response and the budgets hold, and a key that is as it should be is left alone. Of a key
that nobody saw before only a deletion is undone: how else it should be nobody knows.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import structlog

from monitor.baselines import Baselines
from monitor.changes import SEEN_OTHERWISE
from monitor.clock import Clock
from monitor.delivery import Delivery, Disposition
from monitor.errors import NotWorthRetrying, Unreadable
from monitor.event import Event
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge
from monitor.loops.drift import otherwise
from monitor.loops.sweep import WORSE, is_worse
from monitor.own_event import own_event
from monitor.pipeline import Pipeline
from monitor.repair.live import LiveKeys
from monitor.repair.wishes import ASK
from monitor.serverless.answering import NotDone
from monitor.serverless.triggers import Trigger

RESTORE: Final = "restore"


class Restoring:
    """Puts back one key after another."""

    def __init__(
        self,
        pipeline: Pipeline,
        keys: LiveKeys,
        baselines: Baselines,
        knowledge: Knowledge,
        clock: Clock,
    ) -> None:
        self.pipeline = pipeline
        self.keys = keys
        self.baselines = baselines
        self.knowledge = knowledge
        self.clock = clock
        self.log = structlog.get_logger("function")

    async def restore(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """How the key was found, how it is now, and whether that is as it should be.

        Raises `Unreadable` where no key is named, `NotDone` where it may be done later, and
        `NotWorthRetrying` where the key is not guarded, or nobody knows how it should be.
        """
        key = key_of(asked)
        if self.knowledge.places is not None and key.place not in self.knowledge.places:
            raise NotWorthRetrying(f"{key.arn} is not among the guarded ones of the settings")
        live, events = await self.look(key)
        now = self.clock.now()
        for event in events:
            delivery = Delivery(event.event_id, "", Trigger.COMMAND.value, received_at=now)
            if await self.pipeline.judge(event, delivery) is not Disposition.DONE:
                raise NotDone(f"{key.arn} is not put back yet: the log says why")
        after, left = await self.look(key) if events else (live, [])
        self.log.info(
            "restore", key=key.arn, found=live.state.value, state=after.state.value, right=not left
        )
        return {
            "key": key.arn,
            "found": live.state.value,
            "state": after.state.value,
            "right": not left,
        }

    async def look(self, key: KeyRef) -> tuple[KeySnapshot, list[Event]]:
        """The key as it is, and an event for each way in which it is not as it should be."""
        live, _ = await self.keys.read_whole(await self.keys.read(key))
        known = await self.baselines.known(key)
        expected = known.state if known else None
        now, place = self.clock.now(), key.place
        found: list[Event] = []
        wanted = expected or KeyState.ENABLED
        about: dict[str, Any]
        if is_worse(live, wanted):
            if expected is None and not live.state.pending_deletion:
                # CloudTrail's history would have the very call that did it as the last one.
                raise NotWorthRetrying(f"{key.arn} is {live.state}: {ASK}")
            about = {
                "keyId": key.arn,
                "state": live.state.value,
                "expected": wanted.value,
                "deletionDate": live.deletion_date,
                "validTo": live.valid_to,
                "worseSince": math.floor(now),
                "firstLook": False,
            }
            found.append(own_event(WORSE, place, now, about, same=(key.arn, RESTORE, now)))
        changes = otherwise(live, known) if known else {}
        if changes:
            about = {
                "keyId": key.arn,
                "changes": {name: does for name, (_, does) in changes.items()},
                "seenSince": now,
            }
            found.append(own_event(SEEN_OTHERWISE, place, now, about, same=(key.arn, RESTORE, now)))
        return live, found


def key_of(asked: Mapping[str, Any]) -> KeyRef:
    """The key that is meant. Raises `Unreadable`."""
    named = asked.get("key")
    key = KeyRef.parse(named) if isinstance(named, str) else None
    if key is None:
        raise Unreadable("missing_field", 'restore needs "key", the ARN of a key')
    return key
