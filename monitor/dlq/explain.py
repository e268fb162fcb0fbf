"""Why a message is dead, and what would become of it now. Pure: no I/O, no clock.

A message may be anything at all: every text that leaves here is shortened and has no character that
could move a terminal's cursor. EventBridge names what it could not deliver in message attributes (user
guide, "Using dead-letter queues to process undelivered events").
"""

import re

import msgspec

from monitor.decision import Decision, Reason, Verdict
from monitor.decoding import part, pieces, with_whole_characters
from monitor.detection import Detection
from monitor.envelope import Opened, open_body
from monitor.errors import Unreadable
from monitor.event import Event
from monitor.key import KeyRef
from monitor.logs import printable
from monitor.policy import Rules, decide

UNDELIVERED, RETRIED, BROKEN, IGNORED = "undelivered", "retried", "broken", "ignored"
"""Reasons beside those of `Unreadable`. Closed, so that people can choose by them."""

EXCERPT = 160
"""Characters of the body that are shown."""
LONGEST = 500
"""Characters of any other text."""

FAULT_AT = re.compile(r"\(byte (\d+)\)$")
"""Where msgspec stopped reading."""
NAME = re.compile(r'"eventName"\s*:\s*"(\w{1,128})"')
EVENT_ID = re.compile(r'"eventID"\s*:\s*"([\w-]{1,128})"')
TIME = re.compile(r'"eventTime"\s*:\s*"([\w:.+-]{1,64})"')
ARN = re.compile(r'"userIdentity"\s*:\s*\{[^{}]{0,600}?"arn"\s*:\s*"([^"]{1,512})"')


class Dead(msgspec.Struct, frozen=True):
    """A message of a dead-letter queue, as far as it explains itself. Times: epoch seconds."""

    message_id: str
    body: str
    queue: str
    sent_at: float | None = None
    receive_count: int = 1
    attributes: dict[str, str] = {}
    """Message attributes that are texts."""
    source_arn: str = ""
    """The queue that it died in, where SQS says so (`DeadLetterQueueSourceArn`)."""


class Known(msgspec.Struct, frozen=True):
    """What of a CloudTrail record could be made out; empty texts where nothing could."""

    event_name: str = ""
    event_id: str = ""
    event_time: str = ""
    actor: str = ""
    key: str = ""


class Judged(msgspec.Struct, frozen=True):
    """A finding that the message would lead to, and what would be decided about it."""

    detector: str
    title: str
    severity: str
    key: str
    verdict: str
    because: str


class Undelivered(msgspec.Struct, frozen=True):
    """What EventBridge says about an event that it could not put into the queue."""

    error_code: str
    error_message: str
    rule_arn: str
    target_arn: str
    retry_attempts: str
    exhausted: str


class Explanation(msgspec.Struct, frozen=True):
    """One dead message, for people and for `--json`."""

    queue: str
    message_id: str
    reason: str
    why: str
    sent_at: float | None
    age_seconds: float | None
    receive_count: int
    event: Known
    findings: tuple[Judged, ...]
    undelivered: Undelivered | None
    body: str


class Explainer:
    """Judges as the daemon would, by the same detectors and the same policy."""

    def __init__(self, detection: Detection, rules: Rules) -> None:
        self.detection = detection
        self.rules = rules

    def explain(self, dead: Dead, now: float, most: int = 0) -> Explanation:
        """Never raises. `most`: maxReceiveCount of the queue that it came from, where known."""
        reason, why, findings, fault_at = self.judge(dead, most)
        undelivered = undelivered_by(dead)
        if undelivered is not None:
            reason, why = UNDELIVERED, not_delivered(undelivered, why if not findings else "")
        return Explanation(
            queue=dead.queue,
            message_id=clean(dead.message_id),
            reason=reason,
            why=why,
            sent_at=dead.sent_at,
            age_seconds=None if dead.sent_at is None else max(0.0, round(now - dead.sent_at, 1)),
            receive_count=dead.receive_count,
            event=known(dead.body),
            findings=findings,
            undelivered=undelivered,
            body=excerpt(dead.body, fault_at),
        )

    def judge(self, dead: Dead, most: int) -> tuple[str, str, tuple[Judged, ...], int]:
        """Reason, sentence, findings, and the byte of the body at which reading failed."""
        try:
            opened = open_body(dead.body, self.detection.wanted)
        except Unreadable as error:
            detail = str(error).removeprefix(f"{error.reason}: ")
            return error.reason, clean(detail), (), fault_in(dead.body, detail)
        seen = [self.detection.inspect(event) for event in opened.events]
        broken = {name for one in seen for name in one.broken}
        decisions = [
            decide(
                finding,
                self.rules,
                hurried=self.rules.never_approve.too_short(one.findings),
            )
            for one in seen
            for finding in one.findings
        ]
        findings = tuple(judged(decision) for decision in decisions)
        if broken:
            return BROKEN, f"detector {', '.join(sorted(broken))} breaks on it", findings, 0
        if opened.objects or any(one.verdict is not Verdict.DROP for one in decisions):
            return RETRIED, retried(opened, most), findings, 0
        return IGNORED, ignored(opened, decisions), findings, 0


def fault_in(body: str, detail: str) -> int:
    """The byte of the body at which reading failed, as far as msgspec says it."""
    if "truncated" in detail:
        return len(body.encode("utf-8", "replace"))
    place = FAULT_AT.search(detail)
    return int(place[1]) if place else 0


def judged(decision: Decision) -> Judged:
    finding = decision.finding
    return Judged(
        detector=finding.detector,
        title=clean(finding.title),
        severity=finding.severity.word,
        key=clean(str(finding.key or "")),
        verdict=decision.verdict.value,
        because=decision.reason.value,
    )


def retried(opened: Opened, most: int) -> str:
    """Readable, so what failed was an action; only the daemon's log knows which."""
    count = f" ({most})" if most else ""
    files = f"it points at {len(opened.objects)} log file(s); " if opened.objects else ""
    return (
        f"{files}can be read now; it was received until maxReceiveCount{count}: look in the daemon's "
        "log for actions that were denied, failed or retried"
    )


def ignored(opened: Opened, decisions: list[Decision]) -> str:
    if any(one.reason is Reason.ACCOUNT_NOT_ALLOWED for one in decisions):
        return "can be read; the settings do not name its account"
    if any(one.reason is Reason.REGION_NOT_ALLOWED for one in decisions):
        return "can be read; the settings do not name its Region"
    if decisions:
        return "can be read; it is about the daemon's own call"
    if opened.events:
        return "can be read; no detector finds anything in it"
    return "can be read; no enabled detector looks at such calls"


def undelivered_by(dead: Dead) -> Undelivered | None:
    """What EventBridge says; None for a message that did reach the queue, and died there."""
    said = dead.attributes
    if dead.source_arn or "ERROR_CODE" not in said or "RULE_ARN" not in said:
        return None
    return Undelivered(
        error_code=clean(said["ERROR_CODE"]),
        error_message=clean(said.get("ERROR_MESSAGE", "")),
        rule_arn=clean(said["RULE_ARN"]),
        target_arn=clean(said.get("TARGET_ARN", "")),
        retry_attempts=clean(said.get("RETRY_ATTEMPTS", "")),
        exhausted=clean(said.get("EXHAUSTED_RETRY_CONDITION", "")),
    )


def not_delivered(told: Undelivered, unreadable: str) -> str:
    tried = f" (tried again {told.retry_attempts} times)" if told.retry_attempts else ""
    parts = [f"EventBridge could not deliver it: {told.error_code}", told.error_message]
    text = ": ".join(filter(None, parts)) + tried
    return f"{text}; {unreadable}" if unreadable else text


def known(body: str) -> Known:
    """The record's most important members: decoded where it can be, else by what they look like."""
    event = record_in(body)
    if event.event_name:
        actor = event.actor.name
        return Known(
            event_name=clean(event.event_name),
            event_id=clean(event.event_id),
            event_time=clean(event.event_time),
            actor="" if actor == "unknown" else clean(actor),
            key=clean(str(event.key or "")),
        )
    # Cut off, or JSON as a text inside JSON, in which every quote has a backslash.
    text = body.replace("\\", "")
    key = KeyRef.search(text)
    if key and text.endswith(key.arn):  # the text was cut, and perhaps the key's id with it
        key = None
    name, event_id, time, actor = (clean(first(one, text)) for one in (NAME, EVENT_ID, TIME, ARN))
    return Known(name, event_id, time, actor, str(key or ""))


def record_in(body: str) -> Event:
    """The CloudTrail record in an EventBridge event or by itself; an empty one if there is none."""
    try:
        members = pieces.decode(with_whole_characters(body))
    except (ValueError, RecursionError, msgspec.DecodeError):
        return Event()
    if "detail" in members:
        return part(members["detail"], Event, Event())
    return part(msgspec.Raw(msgspec.json.encode(members)), Event, Event())


def first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def excerpt(body: str, fault_at: int = 0) -> str:
    """The body's beginning, or what is around the byte at which reading failed."""
    whole = body.encode("utf-8", "replace")
    start = 0 if fault_at < EXCERPT * 3 // 4 else fault_at - EXCERPT // 2
    text = whole[start : start + EXCERPT * 4].decode("utf-8", "replace")
    text = printable(" ".join(text.split()))
    cut = len(text) > EXCERPT or start + EXCERPT * 4 < len(whole)
    return ("…" if start else "") + text[:EXCERPT] + ("…" if cut else "")


def clean(text: str) -> str:
    """A text that a stranger wrote, fit for a terminal, a file and JSON."""
    whole = text[: LONGEST + 1].encode("utf-8", "replace").decode("utf-8")
    return printable(whole[:LONGEST]) + ("…" if len(whole) > LONGEST else "")
