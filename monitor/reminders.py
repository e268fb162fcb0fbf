"""Reminds people of an incident while the key can still be saved. Pure.

An event of our own says how much time there is; when it is time to tell decides the detector
`deletion_deadline_near`. What was told the incident remembers, so that a restart neither repeats a
reminder nor loses one: one that is late is told late, with the time that is left then.
"""

import math
from typing import Final

from msgspec.structs import replace

from monitor.decision import Decision
from monitor.event import Event
from monitor.finding import Finding
from monitor.incident import Incident, Reminder
from monitor.key import KeyState
from monitor.own_event import own_event

ENDING: Final = "KeySeenEnding"
SOON: Final = 31 * 86400.0
"""Seconds. What is farther off than the longest waiting period is no news yet."""
MOST: Final = 20
"""Reminders that an incident remembers; as many as there may be before one deadline."""
BEFORE: Final = "reminder_hours"
"""The detail of a finding that says which reminder it is."""


def deadline_event(incident: Incident, deadline: float, now: float) -> Event | None:
    """What there is to judge about the time that is left; None while there is plenty.

    Made anew within the same hour it is the same event.
    """
    left = deadline - now
    if left > SOON:
        return None
    key = incident.key
    about = {
        "keyId": key.arn,
        "state": KeyState.PENDING_DELETION.value,
        "deletionDate": deadline,
        "incident": incident.id,
        "reminded": [one.hours for one in incident.reminders if same_end(one.deadline, deadline)],
    }
    same = (key.arn, incident.id, deadline, math.floor(left / 3600))
    return own_event(ENDING, (key.account, key.region), now, about, same=same)


def same_end(one: float, other: float) -> bool:
    """A finding tells its deadline in whole seconds."""
    return math.floor(one) == math.floor(other)


def reminder_of(finding: Finding) -> int:
    """Which reminder a finding is: so many hours before the end; 0 where it is none."""
    text = finding.details.get(BEFORE, "") if finding.event_name == ENDING else ""
    return int(text) if text.isdecimal() else 0


def reminded(incident: Incident, decision: Decision, deadline: float, now: float) -> Incident:
    """The incident, once people were told; the same where they were not, or knew it."""
    hours = reminder_of(decision.finding)
    told = decision.done and all(action.outcome.settled for action in decision.done)
    known = any(
        one.hours == hours and same_end(one.deadline, deadline) for one in incident.reminders
    )
    if not hours or not told or known:
        return incident
    new = Reminder(hours, deadline, now)
    return replace(incident, reminders=(*incident.reminders, new)[-MOST:])
