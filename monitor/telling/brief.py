"""The notification in its parts, for small screens: Slack, Teams, a pager. Pure.

Every text is on one line, printable and cut, as in `monitor.telling.notification`; none is escaped for
any markup: whoever renders puts it where no markup is read, or escapes it.
"""

from typing import Final

import msgspec

from monitor.decision import Decision, Stage
from monitor.finding import Severity
from monitor.telling import advice
from monitor.telling.headline import NAME, clean, subject
from monitor.telling.notification import identity, used_tool, what_to_do
from monitor.telling.times import ago, moment
from monitor.telling.unsafe import unsafe_seconds

LONGEST: Final = 200
"""Characters of a quoted text."""
MOST_LISTED: Final = 20
"""Findings that a digest names."""


class Brief(msgspec.Struct, frozen=True):
    subject: str
    """ASCII, at most 99 characters."""
    impact: str
    facts: dict[str, str]
    done: list[str]
    steps: list[str]
    """Several lines each, where they hold a command."""
    links: dict[str, str]
    foot: str
    """Where to find it again."""


def brief(decision: Decision, environment: str) -> Brief:
    finding, actor = decision.finding, decision.finding.actor
    facts = {"What": clean(finding.title, LONGEST)}
    if finding.key or not finding.resource:
        facts["Key"] = clean(finding.key.arn, LONGEST) if finding.key else "not named"
    else:
        facts["On"] = clean(finding.resource, LONGEST)
    failed = f", failed with {clean(finding.error_code, NAME)}" if finding.error_code else ""
    facts["Call"] = f"{clean(finding.event_name, NAME)}{failed}"
    facts["Who"] = clean(actor.name, LONGEST)
    agent = clean(actor.user_agent, LONGEST) or "no user agent"
    facts["From"] = f"{clean(actor.source_ip, NAME) or 'unknown'}, {agent}{used_tool(actor)}"
    facts["When"] = moment(finding.event_time) or "unknown"
    place = f"account {clean(finding.account, NAME)}, {clean(finding.region, NAME)}"
    facts["Where"] = f"{place}, environment {clean(environment, NAME)}"
    if (incident := decision.incident) is not None:
        state = "closed" if incident.closed_at else "open"
        stage = incident.stage.value.replace("_", " ")
        facts["Incident"] = f"{incident.id[:8]}: {stage}, {state}, {incident.findings} findings"
    if (seconds := unsafe_seconds(decision)) is not None:
        facts["Unsafe for"] = ago(seconds)
    done = [
        f"{clean(one.responder, NAME)}: {one.outcome.name}"
        + (f": {clean(one.detail, LONGEST)}" if one.detail else "")
        for one in decision.done[-5:]
    ]
    return Brief(
        subject=subject(decision, environment),
        impact=advice.impact(decision),
        facts=facts,
        done=done or ["nothing yet"],
        steps=what_to_do(decision)[:5],
        links=advice.links(finding),
        foot=f"finding {identity(finding)}, event {clean(finding.event_id, NAME)}",
    )


def is_over(decision: Decision) -> bool:
    """Whether the incident is closed, so that nobody has to do anything about it now."""
    incident = decision.incident
    return incident is not None and incident.stage is Stage.CLOSED


class Digest(msgspec.Struct, frozen=True):
    """Many findings in one message."""

    subject: str
    lines: list[str]
    """The worst first; no more than `MOST_LISTED`, and one that counts the rest."""
    severity: Severity


def digest(decisions: list[Decision], environment: str) -> Digest:
    worst = sorted(decisions, key=lambda one: -one.weight)
    severity = worst[0].weight
    keys = {one.finding.key for one in decisions if one.finding.key}
    about = f" about {len(keys)} keys" if keys else ""
    line = f"[{severity.name}] {len(decisions)} findings{about} within seconds"
    lines = [subject(one, environment) for one in worst[:MOST_LISTED]]
    if len(worst) > MOST_LISTED:
        lines.append(f"... and {len(worst) - MOST_LISTED} more: kms-monitor incidents")
    return Digest(f"{line} ({clean(environment, 40)})", lines, severity)
