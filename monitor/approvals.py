"""Decides about findings with the approvals that the store has.

The store is asked only about damage to a key of ours that somebody else did. Without the store there
are no approvals, and damage is damage. What a key is called and tagged has to be known before an
approval is believed, where settings say for what it is never to be: nothing is waved through in the
first seconds after a start.
"""

from collections import Counter
from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from monitor.approval import Approval, State
from monitor.decision import Decision, Verdict
from monitor.finding import Finding, Kind
from monitor.knowledge import Knowledge
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.policy import Rules, decide, is_own, may_be_meant, not_ours
from monitor.standing import YOUNG, minded
from monitor.store_metrics import StoreCall


class Approvals:
    """The policy, with approvals; without a store the policy alone."""

    def __init__(
        self,
        store: Store | None = None,
        metrics: Metrics | None = None,
        knowledge: Knowledge | None = None,
    ) -> None:
        self.store = store
        self.metrics = metrics or Metrics()
        self.knowledge = knowledge or Knowledge()
        self.log = structlog.get_logger("approvals")

    async def decide(
        self, findings: Sequence[Finding], rules: Rules, received_at: float
    ) -> list[Decision]:
        """The decisions about all that was seen in one event."""
        findings = [await self.minded(one, rules) for one in findings]
        short = rules.never_approve.too_short(findings)
        decisions = []
        damaged = {one.aspect for one in findings if one.kind is Kind.DAMAGE}
        for finding in findings:
            if await self.waits(finding, rules):
                continue
            if finding.kind is Kind.CHANGE and finding.aspect in damaged:
                continue  # a change that another detector minds: that one's finding decides
            found = [] if short else await self.of(finding, rules)
            decision = decide(finding, rules, found, hurried=short)
            # Of what nobody repairs no responder will confirm and spend it: it is spent by being told.
            told = decision.approval is not None and decision.verdict is Verdict.TELL
            if told and not await self.spent(decision, received_at):
                decision = decide(finding, rules, hurried=short)
            decisions.append(replace(decision, received_at=received_at))
        return decisions

    async def minded(self, finding: Finding, rules: Rules) -> Finding:
        """The finding; as damage, if it is a label that weakens what is done for a key.

        Not where the key is new to us: whoever makes keys names and tags them, too.
        """
        key, seen = finding.key, minded(finding, rules)
        if seen is finding or key is None or self.store is None or is_own(finding.actor, rules):
            return finding
        try:
            known = await self.store.baseline(key)
        except StoreError as error:
            self.failed("baseline", error)
            return finding  # without the store it cannot be accepted, and comes again
        times = [one.as_of for one in known.registers.values() if one.as_of] if known else []
        young = not times or finding.event_time - min(times) < YOUNG
        return finding if young else seen

    async def of(self, finding: Finding, rules: Rules) -> list[Approval]:
        """The approvals that may cover a finding."""
        key = finding.key
        if self.store is None or finding.kind is not Kind.DAMAGE or key is None:
            return []
        if is_own(finding.actor, rules) or not_ours(finding, rules) is not None:
            return []
        known = self.knowledge.key(key)
        aliases, tags = (known.aliases, known.tags) if known else (None, None)
        if rules.never_approve.holds(key, aliases, tags):
            return []
        try:
            return await self.store.approvals(key)
        except StoreError as error:
            self.failed("approvals", error)
            return []

    async def waits(self, finding: Finding, rules: Rules) -> bool:
        """Whether AWS Config tells of what may be approved: it does not say who did it.

        CloudTrail does, and the sweep looks at the key with the patience that this takes.
        """
        key = finding.key
        if not finding.source or finding.kind is not Kind.DAMAGE or key is None:
            return False
        known, at = self.knowledge.key(key), finding.event_time
        aliases, tags = (known.aliases, known.tags) if known else (None, None)
        meant = may_be_meant(key, aliases, tags, rules, at=at, before=0.0) or any(
            not one.revoked_at and one.made_at <= at <= one.until
            for one in await self.of(finding, rules)
        )
        if meant:
            self.log.info("left to CloudTrail and the sweep", key=key.arn, title=finding.title)
        return meant

    async def spent(self, decision: Decision, at: float) -> bool:
        """Whether the approval is spent for this change, now or before."""
        approval, finding = decision.approval, decision.finding
        assert self.store is not None
        assert approval is not None
        try:
            return await self.store.use(approval.id, finding.event_id, at)
        except StoreError as error:
            self.failed("use", error)
            return False

    async def measure(self, now: float) -> None:
        """Show how many approvals there are. Raises `StoreError`."""
        if self.store is not None:
            counts = Counter(one.state(now) for one in await self.store.approvals())
            for state in State:
                self.metrics.approvals.labels(state.value).set(counts[state])

    def failed(self, call: StoreCall, error: StoreError) -> None:
        self.metrics.store.failed(call)
        self.log.error("store cannot be used", call=call, error=str(error))
