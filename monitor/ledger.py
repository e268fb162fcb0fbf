"""The memory of actions done, and the right to do one, which runs out.

At most one effect of each action, across redeliveries, crashes and replicas: whoever wants to act
takes a lease on the action first. A lease that is neither finished nor released runs out, so that
a crash between the lease and the action costs time but never the action.

`Store` is what `monitor.stores` implement; the ledger is a part of it.
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from monitor.action_log import LogEntry
from monitor.approval import Approval
from monitor.baseline import Baseline, Origin
from monitor.decision import Action
from monitor.incident import Incident
from monitor.key import KeyRef
from monitor.windows import Entry


class Claim(StrEnum):
    """The answer to somebody who wants to act."""

    GRANTED = "granted"
    DONE = "done"
    """It was done before; what became of it is in the answer."""
    BUSY = "busy"
    """Another task or replica holds the lease."""


class Grant(msgspec.Struct, frozen=True):
    """What `Store.claim` answers. `action` only with DONE; `until` (epoch seconds) only with BUSY."""

    claim: Claim
    action: Action | None = None
    until: float = 0.0


class SightBaseline(msgspec.Struct, frozen=True):
    """How a watched resource, such as a trail, was when it was last accepted as right."""

    arn: str
    settings: str
    """By part, as AWS returns them: see `monitor.sight_repair.resource`. Canonical JSON."""
    origin: Origin
    as_of: dict[str, float] = {}
    """By part, the event time of the change that was accepted last (epoch seconds)."""
    pending_until: float = 0.0
    """Until then (epoch seconds) CloudTrail's history may still confirm an approved change to it."""
    worse_since: float = 0.0
    """When a look found it worse, since the last repair (epoch seconds); 0 while none did."""
    version: int = 0
    """As `Store.put_sight_baseline` counts them."""


class Store(Protocol):
    """What is remembered. Every method may raise `StoreError`."""

    async def claim(self, name: str, *, owner: str, seconds: float) -> Grant:
        """Take the lease of this name for so many seconds. A lease that ran out is free.

        An owner that asks again for a lease which it holds is BUSY too: two tasks of one process
        must not both have it.
        """
        ...

    async def finish(self, name: str, *, owner: str, action: Action) -> None:
        """It is done: nobody will be granted it again while the memory lasts."""
        ...

    async def renew(self, name: str, *, owner: str, seconds: float) -> bool:
        """Hold a lease for so many seconds from now on. False: it is ours no more."""
        ...

    async def release(self, name: str, *, owner: str) -> None:
        """Give the lease back unfinished. Not ours any more: nothing happens."""
        ...

    async def baseline(self, key: KeyRef) -> Baseline | None: ...

    async def baselines(self, *, since: float = 0.0) -> list[Baseline]:
        """Of all keys, by ARN. `since`, in epoch seconds: no more need be told than what changed."""
        ...

    async def put_baseline(self, baseline: Baseline, *, expected_version: int) -> bool:
        """Write a baseline with the next version, if the one that is there has the expected one.

        0 stands for none there. False, and nothing is written, where another was faster.
        """
        ...

    async def spend(self, budget: str, use: str, *, most: int, seconds: float) -> bool:
        """Use a budget once more. False: it was used `most` times within the last `seconds`.

        The same use is granted again, and not counted twice.
        """
        ...

    async def spent(self, budget: str, *, seconds: float) -> int:
        """How often a budget was used within the last so many seconds."""
        ...

    async def append(self, entry: LogEntry) -> bool:
        """Write one entry of the action log. False, and nothing is written, if its number is taken."""
        ...

    async def logged(self, *, after: int = 0, most: int = 1000) -> list[LogEntry]:
        """Entries of the action log, oldest first, from the one after that number on."""
        ...

    async def last_logged(self) -> LogEntry | None: ...

    async def sight_baseline(self, arn: str) -> SightBaseline | None: ...

    async def sight_baselines(self) -> list[SightBaseline]:
        """All of them, by their ARNs."""
        ...

    async def put_sight_baseline(self, baseline: SightBaseline, *, expected_version: int) -> bool:
        """Write it with the next version, if the one that is there has the expected one.

        0 stands for none there. False, and nothing is written, where another was faster.
        """
        ...

    async def incident(self, key: KeyRef) -> Incident | None:
        """The key's open incident; else the one that was closed last."""
        ...

    async def incidents(self, *, open_only: bool = False) -> list[Incident]:
        """The newest first."""
        ...

    async def put_incident(self, incident: Incident, *, expected_version: int) -> bool:
        """Write an incident with the next version, if the one that is there has the expected one.

        0 stands for none there. False, and nothing is written, where another was faster: the
        version is another by now, or another incident of the same key is open.
        """
        ...

    async def keep(self, entries: Sequence[Entry]) -> None:
        """Remember what detectors noted. Known by window and event.

        Of one that is known the higher level and the later `until` stay, and all else as it was.
        """
        ...

    async def entries(self, *, since: float = 0.0) -> list[Entry]:
        """All that `keep` was given and that has not run out, oldest first.

        `since`, in epoch seconds: no more need be told than what was new, or grew, since then.
        """
        ...

    async def approve(self, approval: Approval) -> None:
        """Remember an approval. One of the same id stays as it is."""
        ...

    async def approvals(self, key: KeyRef | None = None) -> list[Approval]:
        """Those for one key, or all of them, newest first: spent, run out and revoked ones as well."""
        ...

    async def revoke(self, approval_id: str) -> bool:
        """Take it back, for every change that it has not been used for. False: there is none."""
        ...

    async def use(self, approval_id: str, event_id: str, at: float) -> bool:
        """Spend it for one change. True if it is spent for this very event, now or before.

        False where it is spent for others, revoked or unknown. Of many who ask at once no more
        than `uses` different events are told True. When it runs out is not looked at: that is
        judged by the event's time.
        """
        ...

    async def check(self) -> None:
        """Raise `StoreError` if the store cannot be used now.

        To be called every 10 s: a store of several replicas knows by it that this one lives.
        """
        ...

    async def prune(self, before: float) -> int:
        """Forget what was finished, and leases that ran out, before that moment (epoch seconds).

        And the entries of windows whose `until` has come, approvals that ran out before that moment,
        incidents closed before it, and uses of budgets that count no more. How many it was; what a store
        lets run out by itself is not counted.
        """
        ...

    async def close(self) -> None: ...


class StoreError(Exception):
    """The store cannot be reached or used."""


def action_id(responder: str, occasion: str) -> str:
    """The name of an action: one responder on one occasion (a finding, or a finding's stage)."""
    return hashlib.sha256(f"{responder}|{occasion}".encode()).hexdigest()


def sight_lease(arn: str) -> str:
    """The lease under which a watched resource is worked on, likewise."""
    return f"sight|{arn}"


def key_lease(key: KeyRef) -> str:
    """The lease under which a key is worked on: by one task at a time, across replicas."""
    return f"key|{key.arn}"
