"""The one line that says it all, symptom first: subjects of messages, lines on small screens. Pure.

What came with the event is untrusted: see `monitor.telling.notification`.
"""

from typing import Final

from monitor.decision import Budget, Decision, Outcome, Reason, Verdict
from monitor.finding import Finding, Kind
from monitor.telling import advice

LIMIT: Final = 500
"""Characters of the longest text that is quoted from an event."""
NAME: Final = 128
SUBJECT: Final = 99
"""SNS wants less than 100 (aws-facts 6)."""
LONGEST_SHORT: Final = 48
"""Characters of what a subject line says it is about."""

SYMPTOMS: Final = {
    "DisableKey": "disabled",
    "ScheduleKeyDeletion": "scheduled for deletion",
    "DeleteKey": "deleted",
    "DeleteImportedKeyMaterial": "emptied of its key material",
    "EnableKey": "enabled",
    "CancelKeyDeletion": "taken back from deletion",
}
"""What happened to a key, in fewer words than a title has."""
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
HELD_BACK: Final = {
    Budget.KEY: "CONTESTED, put back no more for now",
    Budget.ACCOUNT: "TOO MANY REPAIRS, not put back for now",
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
    Reason.APPROVED_CHANGE: "approved, left as it is",
    Reason.ACCEPTED_CHANGE: "accepted",
    Reason.OWN_CALL: "our own call",
    Reason.NO_REPAIRER: "nobody here can undo it, NOT undone",
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


def result(decision: Decision) -> str:
    """How it ended, for the subject line; empty where there is nothing to say."""
    how = advice.stage(decision)
    if decision.contested and decision.budget in HELD_BACK:
        saved = "deletion cancelled, " if "CancelKeyDeletion" in advice.sent_calls(decision) else ""
        return saved + HELD_BACK[decision.budget]
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
    about, symptom = about_what(finding), SYMPTOMS.get(finding.event_name)
    call = f"{finding.event_name} {finding.error_code}"
    if finding.kind is Kind.ATTEMPT:
        what = f"failed attempt on {about}: {call}" if about else f"failed attempt: {call}"
    elif finding.kind is Kind.EVIDENCE:
        what = f"{about or 'KMS key (unknown)'} could not be used: {call}"
    elif symptom and finding.kind is not Kind.NOTICE:
        what = f"{about or 'KMS key (unknown)'} {symptom}"
    else:
        title = finding.title or finding.event_name
        what = f"{about}: {title}" if about else title
    tail = ascii_only(result(decision))
    tail = f": {tail}" if tail else ""
    # The outcome is never cut: it says whether somebody has to get up.
    line = head + ascii_only(what)[: SUBJECT - len(head) - len(tail)].rstrip() + tail
    where = f" ({ascii_only(environment)})" if environment else ""
    return line + where if len(line + where) <= SUBJECT else line


def about_what(finding: Finding) -> str:
    """The key, or the resource, in a few words; "" where the record names none."""
    if finding.key:
        return f"KMS key {finding.key.key_id[:12] or '(unknown)'}"
    parts = finding.resource.split(":", 5)
    # arn:PARTITION:SERVICE:REGION:ACCOUNT:WHAT
    if len(parts) == 6 and parts[0] == "arn":
        return clean(f"{parts[2]} {parts[5]}", LONGEST_SHORT)
    return clean(finding.resource, LONGEST_SHORT)


def ascii_only(text: str) -> str:
    return clean(text).encode("ascii", "replace").decode()
