"""What people and machines are told about a decision. Pure; each transport cuts it to its shape.

Everything that came with the event (names, user agents, details) is untrusted: control, format and
direction-changing characters become `?`, white space becomes a blank, and every text is cut, so
that the whole stays far below the 256 KiB that SNS and SQS carry (aws-facts 6) whatever the event
held. Nothing here reads settings, so no secret can get in.

Members of the JSON message, `schema` = `kms-monitor.notification/1` (a new number only when a member
goes away or changes its meaning; new members may come at any time):

    schema        the line above
    id            finding id: 32 hex digits, the same for every redelivery of the same event
    group_key     sha256(account|region|key|class)[:32]: findings about the same trouble with one key
    dedup_key     group_key:severity: the same, but an escalation is never taken for a repetition
    environment   free name of the installation
    subject       one line for people, ASCII, at most 99 characters
    impact        one sentence for people
    severity      info, low, medium, high or critical;  severity_number  1 to 5
    kind          damage, attempt or change;  class  availability, material, policy or a detector
    detector, title
    verdict       repair, tell, accept or drop;  reason  a closed list (`monitor.decision.Reason`)
    dry_run       true: nothing was written, however bad it is
    outcome       how the repair went: an outcome of `monitor.decision.Outcome`, or `unrepaired`
                  (due, and nobody did it), or `told` (none was due)
    account, region, caused   `caused` is the key state that the event leads to, or null
    key           null, or {arn, partition, account, region, id}
    event         {id, name, time, error_code}; times are ISO-8601 UTC, or null where unknown
    received_at   when the event reached us
    actor         {name, type, arn, account, issuer_arn, session, invoked_by, source_ip, user_agent, mfa}
    details       object of texts
    actions       [{responder, outcome, detail, calls, finished_at}], those carried out so far
    next_steps    texts for people; lines that begin with `$ ` are commands
    links         {key, event}: console pages, each only where it can be built safely
"""

import hashlib
from typing import Final

from monitor import advice
from monitor.clock import iso
from monitor.decision import Action, Decision, Outcome, Reason, Verdict
from monitor.finding import Finding, Kind

SCHEMA: Final = "kms-monitor.notification/1"
LIMIT: Final = 500
"""Characters of the longest text that is quoted from an event."""
NAME: Final = 128
SUBJECT: Final = 99
"""SNS wants less than 100 (aws-facts 6)."""
MOST_DETAILS: Final = 20
MOST_ACTIONS: Final = 10
MOST_CALLS: Final = 12

SYMPTOMS: Final = {
    "DisableKey": "disabled",
    "ScheduleKeyDeletion": "scheduled for deletion",
    "DeleteKey": "deleted",
    "DeleteImportedKeyMaterial": "emptied of its key material",
    "EnableKey": "enabled",
    "CancelKeyDeletion": "taken back from deletion",
}
RESULTS: Final = {
    Outcome.ALREADY.value: "already as it should be",
    Outcome.WOULD.value: "would be undone, NOT undone",
    Outcome.UNCONFIRMED.value: "not confirmed by AWS, nothing written",
    Outcome.REFUSED.value: "CANNOT BE UNDONE",
    Outcome.DENIED.value: "REPAIR DENIED, act now",
    Outcome.RETRY.value: "NOT UNDONE YET, retrying",
    Outcome.FAILED.value: "REPAIR FAILED, retrying",
    advice.UNREPAIRED: "NOT UNDONE",
}
ACCEPTING: Final = RESULTS | {
    Outcome.WOULD.value: "not confirmed, would be undone, NOT undone",
    Outcome.REFUSED.value: "not confirmed, CANNOT BE UNDONE",
    Outcome.DENIED.value: "CHECK DENIED, act now",
    Outcome.RETRY.value: "not confirmed yet, retrying",
    Outcome.FAILED.value: "CHECK FAILED, retrying",
}
"""The same where the change was to be accepted: first of all it had to be confirmed."""
REASONS: Final = {
    Reason.APPROVED_ACTOR: "approved, left as it is",
    Reason.ACCEPTED_CHANGE: "accepted",
    Reason.OWN_CALL: "our own call",
    Reason.NO_KEY: "the record names no key, nothing written",
    Reason.RECORD_DISAGREES: "the record contradicts itself, nothing written",
    Reason.ACCOUNT_NOT_ALLOWED: "account not in the settings, nothing written",
    Reason.REGION_NOT_ALLOWED: "Region not in the settings, nothing written",
}


def clean(text: str, limit: int = LIMIT) -> str:
    """`text` on one line, printable, at most `limit` characters; cut text ends in `...`."""
    cut = text[:limit]
    if len(text) > limit:
        cut = cut[: max(0, limit - 3)] + "..."
    # isprintable: neither control, format (bidi, zero-width), surrogate nor unassigned.
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "?" for char in cut
    ).strip()


def moment(epoch: float) -> str | None:
    """ISO-8601, or None where there is no such moment."""
    try:
        return iso(epoch) if epoch else None
    except (ValueError, OverflowError, OSError):
        return None


def identity(finding: Finding) -> str:
    """The finding's id; of its own making where the event's text is not even valid Unicode."""
    try:
        return finding.finding_id
    except UnicodeEncodeError:
        return digest(finding.detector, finding.event_id, finding.key.arn if finding.key else "")


def digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def group_key(finding: Finding) -> str:
    """The same for all findings about the same trouble with the same key."""
    key = finding.key
    where = (key.account, key.region, key.key_id) if key else (finding.account, finding.region, "")
    return digest(*where, advice.category(finding))


def result(decision: Decision) -> str:
    """How it ended, for the subject line; empty where there is nothing to say."""
    how = advice.stage(decision)
    if how == Outcome.DONE:
        calls = set(advice.sent_calls(decision))
        if {"CancelKeyDeletion", "EnableKey"} <= calls:
            return "cancelled and enabled again"
        if "CancelKeyDeletion" in calls:
            return "cancelled, left disabled as before"
        return "enabled again" if "EnableKey" in calls else "put back"
    if how != advice.TOLD:
        return (ACCEPTING if decision.verdict is Verdict.ACCEPT else RESULTS)[how]
    if decision.dry_run and decision.verdict is Verdict.REPAIR:
        return "NOT undone, watching only"
    return REASONS.get(decision.reason, "")


def subject(decision: Decision, environment: str) -> str:
    """One line, symptom first: ASCII, printable, 1 to 99 characters."""
    finding = decision.finding
    head = ("[DRY RUN] " if decision.dry_run else "") + f"[{finding.severity.name}] "
    short = (finding.key.key_id[:12] if finding.key else "") or "(unknown)"
    symptom = SYMPTOMS.get(finding.event_name)
    if finding.kind is Kind.ATTEMPT:
        what = f"failed attempt on KMS key {short}: {finding.event_name} {finding.error_code}"
    elif symptom:
        what = f"KMS key {short} {symptom}"
    else:
        what = f"KMS key {short}: {finding.title or finding.event_name}"
    tail = ascii_only(result(decision))
    tail = f": {tail}" if tail else ""
    # The outcome is never cut: it says whether somebody has to get up.
    line = head + ascii_only(what)[: SUBJECT - len(head) - len(tail)].rstrip() + tail
    where = f" ({ascii_only(environment)})" if environment else ""
    return line + where if len(line + where) <= SUBJECT else line


def ascii_only(text: str) -> str:
    return clean(text).encode("ascii", "replace").decode()


def action_members(action: Action, limit: int) -> dict[str, object]:
    return {
        "responder": clean(action.responder, NAME),
        "outcome": action.outcome.value,
        "detail": clean(action.detail, limit),
        "calls": [clean(call, 64) for call in action.calls[:MOST_CALLS]],
        "finished_at": moment(action.finished_at),
    }


def message(decision: Decision, environment: str, limit: int = LIMIT) -> dict[str, object]:
    """The message for machines, ready for JSON; its members stand in the module's docstring.

    `limit`: characters of the longest quoted text, for a transport that has to shrink it.
    """
    finding, key, actor = decision.finding, decision.finding.key, decision.finding.actor
    name = min(NAME, limit)
    group = group_key(finding)
    return {
        "schema": SCHEMA,
        "id": identity(finding),
        "group_key": group,
        "dedup_key": f"{group}:{finding.severity.word}",
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
        "dry_run": decision.dry_run,
        "outcome": advice.stage(decision),
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
        "event": {
            "id": clean(finding.event_id, name),
            "name": clean(finding.event_name, name),
            "time": moment(finding.event_time),
            "error_code": clean(finding.error_code, name),
        },
        "received_at": moment(decision.received_at),
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
            "mfa": actor.mfa,
        },
        "details": {
            clean(label, 64): clean(value, limit)
            for label, value in list(finding.details.items())[:MOST_DETAILS]
        },
        "actions": [action_members(action, limit) for action in decision.done[-MOST_ACTIONS:]],
        "next_steps": advice.steps(decision),
        "links": advice.links(finding),
    }


def text(decision: Decision, environment: str, limit: int = LIMIT) -> str:
    """The message for people: plain text, fit for e-mail."""
    finding, actor = decision.finding, decision.finding.actor
    name = min(NAME, limit)
    lines = [subject(decision, environment), ""]
    if decision.dry_run:
        lines += ["DRY RUN: kms-monitor only watches here. Nothing was written to KMS.", ""]
    lines += [advice.impact(decision), ""]
    failed = f", failed with {clean(finding.error_code, name)}" if finding.error_code else ""
    lines.append(f"What    {clean(finding.title, limit)}")
    lines.append(f"Call    {clean(finding.event_name, name)}{failed}")
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
    lines.append(f"From    {source}, {clean(actor.user_agent, limit) or 'no user agent'}")
    received = moment(decision.received_at)
    came = f", received {received}" if received else ""
    lines.append(f"When    {moment(finding.event_time) or 'unknown'}{came}")
    place = f"account {clean(finding.account, name)}, Region {clean(finding.region, name)}"
    lines.append(f"Where   {place}, environment {clean(environment, name)}")
    lines += [
        f"        {clean(label, 64)}: {clean(value, limit)}"
        for label, value in list(finding.details.items())[:MOST_DETAILS]
    ]
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
    for number, step in enumerate(advice.steps(decision), 1):
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
