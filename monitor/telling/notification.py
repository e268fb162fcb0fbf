"""What people and machines are told about a decision. Pure; each transport cuts it to its shape.

Everything that came with the event (names, user agents, details) is untrusted: control, format and
direction-changing characters become `?`, white space becomes a blank, and every text is cut, so
that the whole stays far below the 256 KiB that SNS and SQS carry (aws-facts 6) whatever the event
held. Nothing here reads settings, so no secret can get in.

Members of the JSON message, `schema` = `kms-monitor.notification/1` (a new number only when a member
goes away or changes its meaning; new members may come at any time):

    schema        the line above
    id            finding id: 32 hex digits, the same for every redelivery of the same event
    group_key     the incident's id where there is one; else
                  sha256(account|region|key or resource|class)[:32]: the same trouble with the same
    dedup_key     group_key:severity: the same, but an escalation is never taken for a repetition
    environment   free name of the installation
    subject       one line for people, ASCII, at most 99 characters
    impact        one sentence for people
    severity      info, low, medium, high or critical;  severity_number  1 to 5
    kind          damage, attempt, change, notice, recovery or evidence
    class         availability, material, policy, names, replication, use, sight (what we see by),
                  rights (what we may) or a detector
    aspect        what of the key it is about (`monitor.finding.Aspect`)
    techniques    ATT&CK technique ids
    detector, title
    verdict       repair, tell, accept or drop;  reason  a closed list (`monitor.decision.Reason`)
    incident      null, or {id, stage, severity, opened_at, findings, status, closed_at, closed_by,
                  evidence, contested, actors}: everything about the key until it is right again. stage
                  is what this finding did to it: opened, escalated, repeated, repaired, repair_failed,
                  contested, closed or unchanged; status is open or closed; closed_by is us, who called,
                  or nobody knows; evidence is null, or what stands in `monitor.telling.exhibit`; actors
                  are those who take a contested key away again and again
    budget        null, or `key` or `account`: the budget of repairs that is used up, so that nothing but
                  a deletion is taken back
    dry_run       true: nothing was written, however bad it is (mode observe, or the kill switch)
    unsafe_seconds  from the first bad event until all was right; null while it is not, or never was wrong
    outcome       how the repair went: an outcome of `monitor.decision.Outcome`, or `unrepaired`
                  (due, and nobody did it), or `told` (none was due)
    account, region, caused   `caused` is the key state that the event leads to, or null
    key           null, or {arn, partition, account, region, id}
    resource      the ARN of what it is about, where that is no key; else ""
    source        `config` where AWS Config told of it; else ""
    tags          object of texts: the key's, as they should be and as far as they are known
    event         {id, name, time, error_code}; times are ISO-8601 UTC, or null where unknown
    received_at   when the event reached us
    approval      null, or {id, ticket, approver, reason, until, seconds_left} of the approval that covers
                  it; seconds_left counts from received_at
    rule          the rule for response that decided, by its name in the settings; "" where none did
    tiers         names of the tiers that the key is known to belong to
    window        the maintenance window in which the change is meant; else ""
    stopped       why nothing may be written, though it was to be: the kill switch, in words; else ""
    actor         {name, type, arn, account, issuer_arn, session, invoked_by, source_ip, user_agent, tool,
                  mfa}; tool is what the call was made with, as the caller says
    details       object of texts
    actions       [{responder, outcome, detail, calls, finished_at}], those carried out so far
    next_steps    texts for people, the detector's own last; lines that begin with `$ ` are commands
    links         {key, event}: console pages, each only where it can be built safely
"""

import hashlib
from typing import Final

from monitor.decision import Action, Decision, IncidentNote, Verdict
from monitor.finding import Actor, Finding
from monitor.telling import advice, exhibit, grounds
from monitor.telling.headline import LIMIT, NAME, clean, subject
from monitor.telling.times import ago, moment
from monitor.telling.unsafe import unsafe_lines, unsafe_seconds

SCHEMA: Final = "kms-monitor.notification/1"
MOST_DETAILS: Final = 20
MOST_ACTIONS: Final = 10
MOST_CALLS: Final = 12
MOST_TAGS: Final = 20
MOST_ADVICE: Final = 10


def identity(finding: Finding) -> str:
    """The finding's id; of its own making where the event's text is not even valid Unicode."""
    try:
        return finding.finding_id
    except UnicodeEncodeError:
        subject = finding.key.arn if finding.key else finding.resource
        return digest(finding.detector, finding.occasion or finding.event_id, subject)


def digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def group_key(finding: Finding) -> str:
    """The same for all findings about the same trouble with the same key or resource."""
    key = finding.key
    where = (finding.account, finding.region, finding.resource)
    if key:
        where = (key.account, key.region, key.key_id)
    return digest(*where, advice.category(finding))


def group(decision: Decision) -> str:
    """What belongs together: the incident's id, or the same trouble with the same thing."""
    return decision.incident.id if decision.incident else group_key(decision.finding)


def incident_members(incident: IncidentNote, limit: int) -> dict[str, object]:
    return {
        "id": incident.id,
        "stage": incident.stage.value,
        "severity": incident.severity.word,
        "opened_at": moment(incident.opened_at),
        "findings": incident.findings,
        "status": "closed" if incident.closed_at else "open",
        "closed_at": moment(incident.closed_at),
        "closed_by": clean(incident.closed_by, limit),
        "evidence": exhibit.members(incident.evidence, limit) if incident.evidence else None,
        "contested": incident.contested,
        "actors": [clean(one, limit) for one in incident.actors],
    }


def incident_lines(incident: IncidentNote, limit: int) -> list[str]:
    """Which incident, how old, how large, and whether it is over; and who fights for the key."""
    count = f"{incident.findings} finding{'s' * (incident.findings != 1)}"
    opened = f"opened {ago(incident.at - incident.opened_at)} ago"
    end = incident.stage.value.replace("_", " ")
    if not incident.closed_at:
        end += ", still open"
    elif incident.closed_by == "nobody knows":
        end = "closed, nobody knows by whom"
    else:
        end = f"closed by {clean(incident.closed_by, limit)}"
    names = ", ".join(clean(one, limit) for one in incident.actors)
    fight = [f"Taken away again and again by {names}"] if names else []
    return [f"Incident {incident.id[:8]}, {opened}, {count}; {end}", *fight]


def used_tool(actor: Actor) -> str:
    """What the call was made with. A user agent is the caller's own word, and may be a lie."""
    if not actor.tool:
        return ""
    if actor.tool_is_vouched_for:
        return f", through {actor.tool}"
    return f", with {actor.tool} (as it says itself)"


def action_members(action: Action, limit: int) -> dict[str, object]:
    return {
        "responder": clean(action.responder, NAME),
        "outcome": action.outcome.value,
        "detail": clean(action.detail, limit),
        "calls": [clean(call, 64) for call in action.calls[:MOST_CALLS]],
        "finished_at": moment(action.finished_at),
    }


def approval_members(decision: Decision, limit: int) -> dict[str, object] | None:
    approval = decision.approval
    if approval is None:
        return None
    return {
        "id": clean(approval.id, NAME),
        "ticket": clean(approval.ticket, limit),
        "approver": clean(approval.approver, limit),
        "reason": clean(approval.reason, limit),
        "until": moment(approval.until),
        "seconds_left": round(max(0.0, approval.until - decision.received_at)),
    }


def approval_lines(decision: Decision, limit: int) -> list[str]:
    """Who approved it, for people; nothing where nobody did."""
    approval = decision.approval
    if approval is None:
        return []
    left = max(0.0, approval.until - decision.received_at) // 60
    reason = f" ({clean(approval.reason, limit)})" if approval.reason else ""
    who = f"approved by {clean(approval.approver, limit)}, approval {clean(approval.id, NAME)}"
    return [
        f"Meant   {clean(approval.ticket, limit)}{reason}, {who}",
        f"        until {moment(approval.until)}, {left:.0f} min left",
    ]


def message(decision: Decision, environment: str, limit: int = LIMIT) -> dict[str, object]:
    """The message for machines, ready for JSON; its members stand in the module's docstring.

    `limit`: characters of the longest quoted text, for a transport that has to shrink it.
    """
    finding, key, actor = decision.finding, decision.finding.key, decision.finding.actor
    name = min(NAME, limit)
    incident = decision.incident
    return {
        "schema": SCHEMA,
        "id": identity(finding),
        "group_key": group(decision),
        "dedup_key": f"{group(decision)}:{finding.severity.word}",
        "environment": clean(environment, name),
        "subject": subject(decision, environment),
        "impact": advice.impact(decision),
        "severity": finding.severity.word,
        "severity_number": int(finding.severity),
        "kind": finding.kind.value,
        "class": clean(advice.category(finding), name),
        "detector": clean(finding.detector, name),
        "title": clean(finding.title, limit),
        "verdict": decision.verdict.value,
        "reason": decision.reason.value,
        "incident": incident_members(incident, limit) if incident else None,
        "dry_run": decision.dry_run,
        "budget": decision.budget.value if decision.budget else None,
        "outcome": advice.stage(decision),
        "unsafe_seconds": unsafe_seconds(decision),
        "account": clean(finding.account, name),
        "region": clean(finding.region, name),
        "caused": finding.caused.value if finding.caused else None,
        "key": {
            "arn": clean(key.arn, limit),
            "partition": clean(key.partition, name),
            "account": clean(key.account, name),
            "region": clean(key.region, name),
            "id": clean(key.key_id, name),
        }
        if key
        else None,
        "resource": clean(finding.resource, limit),
        "source": finding.source,
        "aspect": finding.aspect.value,
        "techniques": [clean(one, 16) for one in finding.techniques[:MOST_TAGS]],
        "tags": {
            clean(label, NAME): clean(value, limit)
            for label, value in list(finding.tags.items())[:MOST_TAGS]
        },
        "event": {
            "id": clean(finding.event_id, name),
            "name": clean(finding.event_name, name),
            "time": moment(finding.event_time),
            "error_code": clean(finding.error_code, name),
        },
        "received_at": moment(decision.received_at),
        "approval": approval_members(decision, limit),
        **grounds.members(decision, limit),
        "actor": {
            "name": clean(actor.name, limit),
            "type": clean(actor.type, name),
            "arn": clean(actor.arn, limit),
            "account": clean(actor.account, name),
            "issuer_arn": clean(actor.issuer_arn, limit),
            "session": clean(actor.session, name),
            "invoked_by": clean(actor.invoked_by, name),
            "source_ip": clean(actor.source_ip, name),
            "user_agent": clean(actor.user_agent, limit),
            "tool": actor.tool,
            "mfa": actor.mfa,
        },
        "details": {
            clean(label, 64): clean(value, limit)
            for label, value in list(finding.details.items())[:MOST_DETAILS]
        },
        "actions": [action_members(action, limit) for action in decision.done[-MOST_ACTIONS:]],
        "next_steps": what_to_do(decision),
        "links": advice.links(finding),
    }


def what_to_do(decision: Decision) -> list[str]:
    """What a person should do now: what this decision asks for, then what the detector advises."""
    advised = [clean(one) for one in decision.finding.advice[:MOST_ADVICE]]
    return list(dict.fromkeys([*advice.steps(decision), *filter(None, advised)]))


def text(decision: Decision, environment: str, limit: int = LIMIT) -> str:
    """The message for people: plain text, fit for e-mail."""
    finding, actor = decision.finding, decision.finding.actor
    name = min(NAME, limit)
    lines = [subject(decision, environment), ""]
    if decision.dry_run:
        lines += [grounds.dry_run_line(decision), ""]
    lines += [advice.impact(decision), ""]
    if decision.incident:
        lines += [*incident_lines(decision.incident, limit), ""]
    failed = f", failed with {clean(finding.error_code, name)}" if finding.error_code else ""
    lines.append(f"What    {clean(finding.title, limit)}")
    lines.append(f"Call    {clean(finding.event_name, name)}{failed}")
    if finding.resource and not finding.key:
        lines.append(f"On      {clean(finding.resource, limit)}")
    else:
        lines.append(f"Key     {clean(finding.key.arn, limit) if finding.key else 'not named'}")
    traits = [
        clean(actor.type, name),
        f"session {clean(actor.session, name)}" if actor.session else "",
        f"role {clean(actor.issuer_arn, limit)}" if actor.issuer_arn else "",
        f"for {clean(actor.invoked_by, name)}" if actor.invoked_by else "",
        "with MFA" if actor.mfa else "without MFA",
    ]
    lines.append(f"Who     {clean(actor.name, limit)} ({', '.join(t for t in traits if t)})")
    source = clean(actor.source_ip, name) or "unknown"
    agent = clean(actor.user_agent, limit) or "no user agent"
    lines.append(f"From    {source}, {agent}{used_tool(actor)}")
    received = moment(decision.received_at)
    came = f", received {received}" if received else ""
    lines.append(f"When    {moment(finding.event_time) or 'unknown'}{came}")
    place = f"account {clean(finding.account, name)}, Region {clean(finding.region, name)}"
    lines.append(f"Where   {place}, environment {clean(environment, name)}")
    lines += [
        f"        {clean(label, 64)}: {clean(value, limit)}"
        for label, value in list(finding.details.items())[:MOST_DETAILS]
    ]
    lines += [
        *unsafe_lines(decision),
        *approval_lines(decision, limit),
        *grounds.lines(decision, limit),
    ]
    if finding.techniques:
        names = ", ".join(clean(one, 16) for one in finding.techniques[:MOST_TAGS])
        lines.append(f"ATT&CK  {names}")
    if decision.incident and decision.incident.evidence:
        lines += exhibit.lines(decision.incident.evidence, decision.incident.at, limit)
    lines += ["", "What was done"]
    for action in decision.done[-MOST_ACTIONS:]:
        at = moment(action.finished_at)
        detail = clean(action.detail, limit) or "no further word"
        lines.append(
            f"  - {clean(action.responder, NAME)}: {action.outcome.name}"
            + (f" at {at}" if at else "")
            + f": {detail}"
        )
        if action.calls:
            sent = ", ".join(clean(call, 64) for call in action.calls[:MOST_CALLS])
            lines.append(f"    calls sent: {sent}")
    if not decision.done:
        due = decision.verdict is Verdict.REPAIR and not decision.dry_run
        lines.append("  - nothing yet" if due else "  - nothing but this message")
    lines += ["", "What to do now"]
    for number, step in enumerate(what_to_do(decision), 1):
        lines.append(f"  {number}. " + step.replace("\n", "\n     "))
    pages = advice.links(finding)
    if pages:
        lines += ["", "Links"]
        lines += [f"  {label}: {address}" for label, address in pages.items()]
    lines.append(
        f"\nFinding {identity(finding)} by {clean(finding.detector, name)},"
        f" event {clean(finding.event_id, name)}, verdict {decision.verdict.value}"
        f" ({decision.reason.value}). Names and details above are quoted from the event: do not"
        " trust them."
    )
    return "\n".join(lines) + "\n"
