"""A store in memory, for tests and for `--once` work. It forgets everything when it goes."""

from collections.abc import Sequence

from msgspec.structs import replace

from monitor.action_log import LogEntry
from monitor.approval import Approval, Use
from monitor.baseline import Baseline
from monitor.clock import Clock
from monitor.decision import Action
from monitor.incident import Incident
from monitor.key import KeyRef
from monitor.ledger import Claim, Grant, SightBaseline
from monitor.windows import Entry


class MemoryStore:
    """See `monitor.ledger.Store`. One event loop only."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.leases: dict[str, tuple[str, float]] = {}
        self.done: dict[str, tuple[Action, float]] = {}
        self.right: dict[KeyRef, Baseline] = {}
        self.moved: dict[KeyRef, float] = {}
        """When a baseline was written last."""
        self.spendings: dict[str, dict[str, tuple[float, float]]] = {}
        """By budget and use: when, and until when it counts."""
        self.log: list[LogEntry] = []
        self.sights: dict[str, SightBaseline] = {}
        self.cases: dict[str, Incident] = {}
        self.noted: dict[tuple[str, str], Entry] = {}
        self.changed: dict[tuple[str, str], float] = {}
        """When an entry was noted, or last grew, by window and event."""
        self.approved: dict[str, Approval] = {}

    async def claim(self, name: str, *, owner: str, seconds: float) -> Grant:
        if name in self.done:
            return Grant(Claim.DONE, action=self.done[name][0])
        now = self.clock.now()
        _, until = self.leases.get(name, ("", 0.0))
        if until > now:
            return Grant(Claim.BUSY, until=until)
        self.leases[name] = (owner, now + seconds)
        return Grant(Claim.GRANTED)

    async def finish(self, name: str, *, owner: str, action: Action) -> None:
        self.leases.pop(name, None)
        self.done[name] = (action, self.clock.now())

    async def renew(self, name: str, *, owner: str, seconds: float) -> bool:
        now = self.clock.now()
        holder, until = self.leases.get(name, ("", 0.0))
        if holder != owner or until <= now:
            return False
        self.leases[name] = (owner, now + seconds)
        return True

    async def release(self, name: str, *, owner: str) -> None:
        if name in self.leases and self.leases[name][0] == owner:
            del self.leases[name]

    async def baseline(self, key: KeyRef) -> Baseline | None:
        return self.right.get(key)

    async def baselines(self, *, since: float = 0.0) -> list[Baseline]:
        found = [one for one in self.right.values() if self.moved[one.key] >= since]
        return sorted(found, key=lambda one: one.key.arn)

    async def put_baseline(self, baseline: Baseline, *, expected_version: int) -> bool:
        there = self.right.get(baseline.key)
        if (there.version if there else 0) != expected_version:
            return False
        self.right[baseline.key] = replace(baseline, version=expected_version + 1)
        self.moved[baseline.key] = self.clock.now()
        return True

    async def spend(self, budget: str, use: str, *, most: int, seconds: float) -> bool:
        now, uses = self.clock.now(), self.spendings.setdefault(budget, {})
        counted = {one for one, (at, _) in uses.items() if at > now - seconds}
        if use in counted or len(counted) >= most:
            return use in counted
        uses[use] = (now, now + seconds)
        return True

    async def spent(self, budget: str, *, seconds: float) -> int:
        since = self.clock.now() - seconds
        return sum(at > since for at, _ in self.spendings.get(budget, {}).values())

    async def append(self, entry: LogEntry) -> bool:
        if any(one.number == entry.number for one in self.log):
            return False
        self.log.append(entry)
        return True

    async def logged(self, *, after: int = 0, most: int = 1000) -> list[LogEntry]:
        found = sorted(self.log, key=lambda one: one.number)
        return [one for one in found if one.number > after][:most]

    async def last_logged(self) -> LogEntry | None:
        return max(self.log, key=lambda one: one.number, default=None)

    async def sight_baseline(self, arn: str) -> SightBaseline | None:
        return self.sights.get(arn)

    async def sight_baselines(self) -> list[SightBaseline]:
        return [one for _, one in sorted(self.sights.items())]

    async def put_sight_baseline(self, baseline: SightBaseline, *, expected_version: int) -> bool:
        there = self.sights.get(baseline.arn)
        if (there.version if there else 0) != expected_version:
            return False
        self.sights[baseline.arn] = replace(baseline, version=expected_version + 1)
        return True

    async def incident(self, key: KeyRef) -> Incident | None:
        of_key = [one for one in self.cases.values() if one.key == key]
        return max(of_key, key=lambda one: (one.open, one.closed_at), default=None)

    async def incidents(self, *, open_only: bool = False) -> list[Incident]:
        found = [one for one in self.cases.values() if one.open or not open_only]
        return sorted(found, key=lambda one: (one.opened_at, one.id), reverse=True)

    async def put_incident(self, incident: Incident, *, expected_version: int) -> bool:
        there = self.cases.get(incident.id)
        if (there.version if there else 0) != expected_version:
            return False
        others = (one for one in self.cases.values() if one.id != incident.id)
        if incident.open and any(one.open and one.key == incident.key for one in others):
            return False
        self.cases[incident.id] = replace(incident, version=expected_version + 1)
        return True

    async def keep(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            name = (entry.window, entry.event_id)
            known = self.noted.get(name)
            level = max(entry.level, known.level) if known else entry.level
            until = max(entry.until, known.until) if known else entry.until
            new = replace(known or entry, level=level, until=until)
            if new != known:
                self.noted[name] = new
                self.changed[name] = self.clock.now()

    async def entries(self, *, since: float = 0.0) -> list[Entry]:
        now = self.clock.now()
        return sorted(
            entry
            for name, entry in self.noted.items()
            if entry.until >= now and self.changed[name] >= since
        )

    async def approve(self, approval: Approval) -> None:
        self.approved.setdefault(approval.id, approval)

    async def approvals(self, key: KeyRef | None = None) -> list[Approval]:
        found = [one for one in self.approved.values() if key in {None, one.key}]
        return sorted(found, key=lambda one: (-one.made_at, one.id))

    async def revoke(self, approval_id: str) -> bool:
        known = self.approved.get(approval_id)
        if known is not None and not known.revoked_at:
            self.approved[approval_id] = replace(known, revoked_at=self.clock.now())
        return known is not None

    async def use(self, approval_id: str, event_id: str, at: float) -> bool:
        known = self.approved.get(approval_id)
        if known is None or known.used_by(event_id):
            return known is not None
        if known.revoked_at or len(known.used) >= known.uses:
            return False
        self.approved[approval_id] = replace(known, used=(*known.used, Use(event_id, at)))
        return True

    async def check(self) -> None:
        return

    async def prune(self, before: float) -> int:
        closed = [one.id for one in self.cases.values() if not one.open and one.closed_at < before]
        for case in closed:
            del self.cases[case]
        old = [name for name, (_, at) in self.done.items() if at < before]
        for name in old:
            del self.done[name]
        old += closed
        left = [name for name, (_, until) in self.leases.items() if until < before]
        for name in left:
            del self.leases[name]
        out = [name for name, entry in self.noted.items() if entry.until < self.clock.now()]
        for one in out:
            del self.noted[one]
            del self.changed[one]
        past = [name for name, one in self.approved.items() if one.until < before]
        for name in past:
            del self.approved[name]
        now, spent = self.clock.now(), 0
        for uses in self.spendings.values():
            over = [use for use, (_, until) in uses.items() if until < now]
            for use in over:
                del uses[use]
            spent += len(over)
        self.spendings = {budget: uses for budget, uses in self.spendings.items() if uses}
        return len(old) + len(left) + len(out) + len(past) + spent

    async def close(self) -> None:
        return
