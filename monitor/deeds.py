"""What the action log says: one entry for everything that we or people did. Pure.

Members that every entry has:

    id      known again by it, should the store's answer have been lost; 32 hex digits
    deed    a closed list: `Deed`
    by      who did it: the daemon as `kms-monitor HOST PID`, or a person's name
    late    only where the store could not be written at once: true

What else it has stands at the function that makes it. Texts may come from events: they are cut and
made valid Unicode, and are still untrusted. No secret gets in: options of plugins and material of
keys are never looked at.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from monitor.approval import Approval
from monitor.decision import Action, Decision, Outcome, Verdict
from monitor.key import KeyRef
from monitor.signs import WELL

LONGEST: Final = 500
"""Characters of one text."""
MOST: Final = 100
"""Members of one list."""
TOLD_OF: Final = frozenset({Outcome.WOULD, Outcome.DENIED, Outcome.REFUSED, Outcome.FAILED})
"""Outcomes that are logged even if no call was sent. The others write nothing, and whoever sends
forged messages could fill the log with them."""

What = dict[str, Any]


class Deed(StrEnum):
    """A closed list, fit for a metric label."""

    STARTED = "started"
    STOPPED = "stopped"
    """In good order: a crash leaves none."""
    SETTINGS_LOADED = "settings_loaded"
    """Anew, while it runs."""
    ACTION = "action"
    """What wrote to a guarded account, was to write and could not, or would have (`observe`)."""
    CHANGE_ACCEPTED = "change_accepted"
    """Somebody's change counts as right from now on; with `approval`: that was used for it."""
    APPROVAL_GIVEN = "approval_given"
    APPROVAL_REVOKED = "approval_revoked"
    BASELINE_ACCEPTED = "baseline_accepted"
    """A person said that a key is right as it is."""
    CONTAINMENT_RELEASED = "containment_released"
    """A person let go of whom we had kept from going on."""
    INCIDENT_CLOSED = "incident_closed"
    """By hand."""
    INCIDENT_RESUMED = "incident_resumed"
    """By hand: a contested key is to be put back again."""
    LOST = "lost"
    """So many entries could not be kept until the store was back."""


def started(
    *, version: str, mode: str, places: list[tuple[str, str]], responders: list[str]
) -> What:
    """`version`, `mode`, `places` (`ACCOUNT REGION`), `responders`: names."""
    return {
        "deed": Deed.STARTED.value,
        "version": plain(version),
        "mode": plain(mode),
        "places": [f"{account} {region}" for account, region in places[:MOST]],
        "responders": [plain(one) for one in responders[:MOST]],
    }


def settings_loaded(*, mode: str, places: list[tuple[str, str]], responders: list[str]) -> What:
    """As `started`, without the version."""
    told = started(version="", mode=mode, places=places, responders=responders)
    del told["version"]
    return told | {"deed": Deed.SETTINGS_LOADED.value}


def stopped() -> What:
    return {"deed": Deed.STOPPED.value}


def lost(entries: int) -> What:
    return {"deed": Deed.LOST.value, "entries": entries}


def action(done: Action, decision: Decision, *, repairs: bool) -> What | None:
    """What one action wrote, was to write or would have written; None where it only told or looked.

    `responder`, `outcome`, `detail`, `calls`, `finished_at`, `key`, `finding`, `detector`,
    `event_id`, `event_name`, `actor`, `reason`, `dry_run`, and `approval` where one covers the change.
    """
    accepted = decision.verdict is Verdict.ACCEPT and done.outcome in WELL and not done.calls
    if accepted and repairs:
        deed = Deed.CHANGE_ACCEPTED
    elif done.calls or (repairs and done.outcome in TOLD_OF):
        deed = Deed.ACTION
    else:
        return None
    told = {
        "deed": deed.value,
        "responder": plain(done.responder),
        "outcome": done.outcome.value,
        "detail": plain(done.detail),
        "calls": [plain(call) for call in done.calls[:MOST]],
        "finished_at": done.finished_at,
        "dry_run": decision.dry_run,
    }
    return told | about(decision)


def approved(decision: Decision) -> What | None:
    """An approval was used for a change that nobody here could undo; None where it was used before.

    `key`, `finding`, `detector`, `event_id`, `event_name`, `actor`, `reason`, `approval`.
    """
    approval, verdict = decision.approval, decision.verdict
    if approval is None or verdict is not Verdict.TELL:
        return None
    if approval.used_by(decision.finding.event_id):
        return None
    return {"deed": Deed.CHANGE_ACCEPTED.value} | about(decision)


def about(decision: Decision) -> What:
    """What a decision is about."""
    finding = decision.finding
    told: What = {
        "key": finding.key.arn if finding.key else "",
        "finding": finding.finding_id,
        "detector": plain(finding.detector),
        "event_id": plain(finding.event_id),
        "event_name": plain(finding.event_name),
        "actor": plain(finding.actor.name),
        "reason": decision.reason.value,
    }
    if decision.approval is not None:
        told["approval"] = plain(decision.approval.id)
    return told


def approval_given(approval: Approval) -> What:
    """`approval`: its id; `key`, `call`, `actor`, `approver`, `ticket`, `until`, `uses`."""
    return {
        "deed": Deed.APPROVAL_GIVEN.value,
        "approval": plain(approval.id),
        "key": approval.key.arn,
        "call": plain(approval.action),
        "actor": plain(approval.actor),
        "approver": plain(approval.approver),
        "ticket": plain(approval.ticket),
        "until": approval.until,
        "uses": approval.uses,
    }


def approval_revoked(approval_id: str) -> What:
    return {"deed": Deed.APPROVAL_REVOKED.value, "approval": plain(approval_id)}


def baseline_accepted(key: KeyRef, detail: str) -> What:
    """`key`, and in `detail` what of it counts as right now."""
    return {
        "deed": Deed.BASELINE_ACCEPTED.value,
        "key": key.arn,
        "detail": plain(detail),
    }


def incident_resumed(incident_id: str, key: KeyRef, reason: str) -> What:
    return incident_closed(incident_id, key, reason) | {"deed": Deed.INCIDENT_RESUMED.value}


def incident_closed(incident_id: str, key: KeyRef, reason: str) -> What:
    return {
        "deed": Deed.INCIDENT_CLOSED.value,
        "incident": plain(incident_id),
        "key": key.arn,
        "detail": plain(reason),
    }


def containment_released(principal: str, policies: Iterable[str]) -> What:
    """`principal`: the user's or role's ARN; `policies`: the names of those that were taken away."""
    return {
        "deed": Deed.CONTAINMENT_RELEASED.value,
        "principal": plain(principal),
        "policies": [plain(one) for one in policies][:MOST],
    }


def plain(text: str) -> str:
    """Cut, and valid Unicode: JSON of an event may hold half of a pair of surrogates."""
    return text[:LONGEST].encode("utf-8", "replace").decode()
