"""What the journey of a delivery leaves behind: counts, measures and log lines."""

from collections.abc import Callable, Sequence

import structlog

from monitor.decision import Decision, Reason, Verdict
from monitor.delivery import Delivery, Disposition
from monitor.detector import OWN
from monitor.envelope import Opened
from monitor.event import Event
from monitor.metrics import OTHER, Metrics
from monitor.policy import Rules
from monitor.shapes import Damage


class Books:
    """Kept by the pipeline, so that its own lines are about the journey alone."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.listeners: list[Callable[[Event, Delivery, Rules], None]] = []
        """Are shown every event that somebody looks at: they wait for signs of life."""
        self.log = structlog.get_logger("pipeline")

    def ignored(self, delivery: Delivery, opened: Opened) -> None:
        """Events that no detector looks at, and bodies that have none."""
        if opened.others:
            self.metrics.events.labels(delivery.source, OTHER, "ignored").inc(opened.others)
        if opened.skipped:
            self.log.info("nothing to look at", reason=opened.skipped)

    def inspected(self, event: Event, delivery: Delivery, rules: Rules) -> None:
        """An event that somebody looks at."""
        self.metrics.events.labels(delivery.source, event.event_name, "inspected").inc()
        self.metrics.event_age.labels(delivery.source).observe(
            max(0.0, delivery.received_at - event.time)
        )
        place = (event.recipient_account_id or "", event.aws_region or "")
        if place in rules.places and event.event_source != OWN:
            self.metrics.last_event.labels(*place).set(delivery.received_at)
        if (event.version or (1, 0))[0] != 1:
            # AWS promises that only a new major version breaks readers: read it, but say so.
            self.log.warning("unknown major version", version=event.event_version)
        for listen in self.listeners:
            listen(event, delivery, rules)

    def duplicate(self, event: Event, delivery: Delivery) -> None:
        """An event that was judged before, or is being judged just now."""
        self.metrics.events.labels(delivery.source, event.event_name, "duplicate").inc()

    def carried_out(self, decision: Decision) -> None:
        """A decision, with what became of it."""
        finding = decision.finding
        self.metrics.decisions.labels(decision.reason.value).inc()
        if decision.suppressed:
            self.metrics.suppressed.labels(finding.detector).inc()
        self.metrics.settings.decided(decision.rules)
        if decision.window and all(action.outcome.settled for action in decision.done):
            self.metrics.settings.maintenance_changes.labels(decision.window).inc()
        foreign = decision.verdict is Verdict.DROP and decision.reason is not Reason.OWN_CALL
        # Where a finding does not say whom it came from, the line says by what way its delivery came.
        log = self.log.bind(source=finding.source) if finding.source else self.log
        write = log.warning if foreign else log.info
        write(
            "finding",
            finding=finding.finding_id,
            event_id=finding.event_id,
            title=finding.title,
            severity=finding.severity.word,
            key=str(finding.key or ""),
            actor=finding.actor.name,
            tool=finding.actor.tool,
            verdict=decision.verdict.value,
            reason=decision.reason.value,
            suppressed=decision.suppressed,
            rule=decision.rule,
            window=decision.window,
            stopped=decision.stopped,
            incident=decision.incident.id if decision.incident else "",
            stage=decision.incident.stage.value if decision.incident else "",
            actions={action.responder: action.outcome.value for action in decision.done},
        )

    def unreadable(self, delivery: Delivery, damaged: Sequence[Damage]) -> list[Disposition]:
        """A body, or those of its records, that cannot be read: REJECT, or nothing if none."""
        for one in damaged:
            self.metrics.unreadable.labels(delivery.source, one.reason).inc()
        if damaged and delivery.receive_count == 1:
            # Once: it comes a few times more before it is a dead letter.
            first = damaged[0]
            self.log.warning(
                "unreadable", reason=first.reason, detail=first.detail[:300], records=len(damaged)
            )
        return [Disposition.REJECT] * bool(damaged)

    def not_now(self, delivery: Delivery, error: Exception) -> Disposition:
        """Something that the journey needs is not to be had just now: RETRY."""
        self.log.warning("not now", problem=str(error), receive_count=delivery.receive_count)
        return Disposition.RETRY
