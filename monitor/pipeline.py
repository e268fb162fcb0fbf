"""The journey of one delivery, on one screen."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import structlog
from msgspec.structs import replace

from monitor.decision import Decision, Reason, Verdict
from monitor.delivery import Delivery, Disposition, worst
from monitor.detection import Detection
from monitor.duplicates import Duplicates
from monitor.envelope import open_body
from monitor.errors import Unreadable
from monitor.event import Event
from monitor.ledger import Claim
from monitor.metrics import OTHER, Metrics
from monitor.policy import Rules, decide
from monitor.response import Response


class Pipeline:
    """envelope -> detection -> policy -> response. `rules` may be replaced while it runs."""

    def __init__(
        self,
        detection: Detection,
        rules: Rules,
        response: Response,
        duplicates: Duplicates,
        metrics: Metrics,
        *,
        senders: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`senders`: by source, patterns of the SenderIds that are believed; none: everybody."""
        self.detection = detection
        self.rules = rules
        self.response = response
        self.duplicates = duplicates
        self.metrics = metrics
        self.senders = senders or {}
        self.log = structlog.get_logger("pipeline")
        self.wanted = detection.wanted

    async def process(
        self, delivery: Delivery, make_room: Callable[[], None] = lambda: None
    ) -> Disposition:
        """Take one delivery all the way, and say what is to become of it."""
        try:
            self.check_sender(delivery)
            opened = open_body(delivery.body, self.wanted)
        except Unreadable as error:
            return self.unreadable(delivery, error)
        if opened.others:
            self.metrics.events.labels(delivery.source, OTHER, "ignored").inc(opened.others)
        return worst([await self.judge(event, delivery) for event in opened.events])

    async def judge(self, event: Event, delivery: Delivery) -> Disposition:
        """One event that somebody looks at, unless it was judged before."""
        self.note(event, delivery)
        async with self.duplicates.turn(event) as turn:
            if turn.claim is not Claim.GRANTED:
                self.metrics.events.labels(delivery.source, event.event_name, "duplicate").inc()
                return Disposition.DONE if turn.claim is Claim.DONE else Disposition.RETRY
            disposition = await self.act_on(event, delivery)
            turn.settled = disposition is Disposition.DONE
            return disposition

    async def act_on(self, event: Event, delivery: Delivery) -> Disposition:
        """detection -> policy -> response."""
        seen = self.detection.inspect(event)
        dispositions = [Disposition.RETRY] if seen.broken else []
        for finding in seen.findings:
            decision = replace(decide(finding, self.rules), received_at=delivery.received_at)
            decision = await self.response.carry_out(decision)
            self.report(decision)
            settled = all(action.outcome.settled for action in decision.done)
            dispositions.append(Disposition.DONE if settled else Disposition.RETRY)
        return worst(dispositions)

    def check_sender(self, delivery: Delivery) -> None:
        """Raise `Unreadable` for a message by somebody whom the settings do not name."""
        believed = self.senders.get(delivery.source)
        if believed and not any(fnmatchcase(delivery.sender_id, one) for one in believed):
            raise Unreadable("sender_not_allowed", f"SenderId {delivery.sender_id}")

    def know_as_own(self, arn: str) -> None:
        """Recognise one more ARN as ours (see `monitor.policy.own_form`)."""
        self.rules = replace(self.rules, own_arns=self.rules.own_arns | {arn})

    def note(self, event: Event, delivery: Delivery) -> None:
        """Measure and log an event that somebody looks at."""
        self.metrics.events.labels(delivery.source, event.event_name, "inspected").inc()
        self.metrics.event_age.labels(delivery.source).observe(
            max(0.0, delivery.received_at - event.time)
        )
        place = (event.recipient_account_id or "", event.aws_region or "")
        if place in self.rules.places:
            self.metrics.last_event.labels(*place).set(delivery.received_at)
        if (event.version or (1, 0))[0] != 1:
            # AWS promises that only a new major version breaks readers: read it, but say so.
            self.log.warning("unknown major version", version=event.event_version)

    def report(self, decision: Decision) -> None:
        """Count and log a decision once it is carried out."""
        finding = decision.finding
        self.metrics.decisions.labels(decision.reason.value).inc()
        foreign = decision.verdict is Verdict.DROP and decision.reason is not Reason.OWN_CALL
        write = self.log.warning if foreign else self.log.info
        write(
            "finding",
            finding=finding.finding_id,
            event_id=finding.event_id,
            title=finding.title,
            severity=finding.severity.word,
            key=str(finding.key or ""),
            actor=finding.actor.name,
            verdict=decision.verdict.value,
            reason=decision.reason.value,
            actions={action.responder: action.outcome.value for action in decision.done},
        )

    def unreadable(self, delivery: Delivery, error: Unreadable) -> Disposition:
        self.metrics.unreadable.labels(delivery.source, error.reason).inc()
        if delivery.receive_count == 1:  # it comes a few times more before it is a dead letter
            self.log.warning("unreadable", reason=error.reason, detail=str(error)[:300])
        return Disposition.REJECT
