"""What events say about a key over time. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from monitor.event import Event
from monitor.finding import Aspect, Finding
from monitor.key import KeyState
from monitor.parameters import mapped, text
from monitor.register import EXPIRY, STATE, aspect_of

LEADS_TO: Final = {
    "EnableKey": KeyState.ENABLED,
    "DisableKey": KeyState.DISABLED,
    "CancelKeyDeletion": KeyState.DISABLED,
    "ImportKeyMaterial": KeyState.ENABLED,
    "CreateKey": KeyState.ENABLED,
}
"""By event name: the state in which the call leaves a key (aws-facts 3.1)."""


def state_before(events: Iterable[Event], at: float) -> KeyState | None:
    """The state that the latest of these events before that moment left; None if none tells it.

    Deletions that were scheduled are passed over: whoever wanted one is not known to have been right.
    """
    told = [
        event
        for event in events
        if event.event_name in LEADS_TO and not event.failed and event.time < at
    ]
    if not told:
        return None
    # CloudTrail tells whole seconds; nothing happens to a key before it is made.
    last = max(told, key=lambda event: (event.time, event.event_name != "CreateKey"))
    if last.event_name == "CreateKey":
        made = text(mapped(last.response().get("keyMetadata")), "keyState")
        return KeyState.ENABLED if made in {"", KeyState.ENABLED.value} else None
    return LEADS_TO[last.event_name]


def touched_by(finding: Finding) -> dict[str, Any]:
    """The values that the event gave to the part of the key that the finding is about."""
    if finding.aspect is not Aspect.STATE:
        elsewhere = finding.record_key not in {None, finding.key}
        return {
            # An alias that was pointed at another key: this one lost it.
            name: None if elsewhere else value
            for name, value in finding.changes.items()
            if aspect_of(name) is finding.aspect
        }
    changes = {STATE: finding.caused.value} if finding.caused else {}
    if EXPIRY in finding.changes:
        changes[EXPIRY] = finding.changes[EXPIRY]
    return changes
