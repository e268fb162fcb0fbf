"""From the events of all inputs to what is reported. Pure but for the log of a broken detector."""

from collections.abc import Iterable

import msgspec

from monitor.clock import iso
from monitor.decision import Decision, Verdict
from monitor.detection import Detection
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.policy import Rules, agrees, decide
from monitor.replay.model import Keys


class EventClock:
    """A clock that stands at the time of the event that is being judged."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One finding as it is reported; see docs/replay.md. Texts come from events: untrusted."""

    detector: str
    severity: str
    event_id: str
    event_name: str
    event_time: str
    account: str
    region: str
    key_arn: str
    actor: str
    decision: str
    reason: str
    source: str
    title: str
    kind: str
    would: str
    error_code: str
    source_ip: str
    tool: str = ""
    """What the call was made with, as it says itself."""
    suppressed: str = ""
    """Why nobody would have been told, where the settings say so."""
    rule: str = ""
    """The rule for response that decided."""
    window: str = ""
    """The maintenance window in which the change was meant."""
    tiers: tuple[str, ...] = ()
    """Those that the key is known to belong to."""

    @property
    def counts(self) -> bool:
        """Whether it makes the exit code say that something was found.

        What the settings want nobody to be told of does not, unless a key had to be put back.
        """
        silent = bool(self.suppressed) and self.decision != Verdict.REPAIR
        return self.severity != Severity.INFO.word and not silent


class Judged(msgspec.Struct, frozen=True):
    """The whole of history, judged."""

    rows: tuple[Row, ...] = ()
    duplicates: int = 0
    broken: int = 0
    """Events on which a detector broke."""


decoder = msgspec.json.Decoder(Event)


def judge(
    records: Iterable[tuple[str, bytes]], detection: Detection, rules: Rules | None, plain: Rules
) -> Judged:
    """Judge records, each with the name of its source, in order of event time.

    Without `rules` every place that is met is allowed, and the rest is as in `plain`.
    """
    clock = EventClock()
    seen: list[tuple[Finding, bool, str]] = []
    events, duplicates = in_order(records)
    broken = 0
    for event, source in events:
        clock.at = event.time
        saw = detection.inspect(event)
        broken += bool(saw.broken)
        hurried = plain.never_approve.too_short(saw.findings)
        seen += [(finding, hurried, source) for finding in saw.findings]
    if rules is None:
        rules = msgspec.structs.replace(plain, places=places(finding for finding, *_ in seen))
    keys = Keys(clock, repairs=bool(rules.repairers))
    rows = []
    for finding, hurried, source in seen:
        clock.at = finding.event_time
        decision = decide(finding, rules, hurried=hurried)
        rows.append(row(decision, keys.would(decision), source))
    return Judged(tuple(rows), duplicates, broken)


def in_order(records: Iterable[tuple[str, bytes]]) -> tuple[list[tuple[Event, str]], int]:
    """Every event once, by time; how many were there before.

    Of a call across accounts both accounts have a record (`sharedEventID`): the one of the key's
    owner stands for both. Within a second, CloudTrail's resolution, the id decides, so that a
    second run says the same.
    """
    decoded = [(decoder.decode(record), source) for source, record in records]
    decoded.sort(key=lambda one: (one[0].time, not at_home(one[0]), one[0].event_id, one[1]))
    known: set[str] = set()
    kept = []
    for event, source in decoded:
        names = {event.event_id, event.shared_event_id or event.event_id}
        if known.isdisjoint(names):
            kept.append((event, source))
        known |= names
    return kept, len(decoded) - len(kept)


def at_home(event: Event) -> bool:
    """Whether the record is of the account that owns the key."""
    if event.shared_event_id is None:
        return True
    key = event.key
    return key is not None and key.account == event.recipient_account_id


def places(findings: Iterable[Finding]) -> frozenset[tuple[str, str]]:
    """Every account and Region that history tells of."""
    return frozenset(
        (one.key.account, one.key.region) if one.key else (one.account, one.region)
        for one in findings
    )


def row(decision: Decision, would: str, source: str) -> Row:
    finding = decision.finding
    if finding.key is not None and not agrees(finding):
        would = f"{would} ({finding.account} {finding.region})"
    if decision.rule:
        would = f"{would}; by rule {decision.rule}"
    if decision.window:
        would = f"{would}; meant, in maintenance window {decision.window}"
    if decision.suppressed:
        would = f"{would}; nobody would be told, suppressed: {decision.suppressed}"
    return Row(
        detector=finding.detector,
        severity=finding.severity.word,
        event_id=finding.event_id,
        event_name=finding.event_name,
        event_time=iso(finding.event_time),
        account=finding.account,
        region=finding.region,
        key_arn=finding.key.arn if finding.key else "",
        actor=finding.actor.name,
        decision=decision.verdict.value,
        reason=decision.reason.value,
        source=source,
        title=finding.title,
        kind=finding.kind.value,
        would=would,
        error_code=finding.error_code,
        source_ip=finding.actor.source_ip,
        tool=finding.actor.tool,
        suppressed=decision.suppressed,
        rule=decision.rule,
        window=decision.window,
        tiers=decision.tiers,
    )
