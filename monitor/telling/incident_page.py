"""All about one incident, for a person who looks at it. Pure.

What came with events is untrusted: see `monitor.telling.notification`.
"""

from monitor.incident import Incident
from monitor.telling import exhibit
from monitor.telling.headline import clean
from monitor.telling.times import ago, moment


def page(incident: Incident, now: float) -> str:
    """Plain text; ages are told as seen at `now` (epoch seconds)."""
    status = "open" if incident.open else f"closed {moment(incident.closed_at)}"
    if incident.closed_by:
        status += f" by {clean(incident.closed_by)}"
    opened = f"{moment(incident.opened_at)}, {ago(now - incident.opened_at)} ago"
    lines = [
        f"Incident  {incident.id}",
        f"Key       {clean(incident.key.arn)}",
        f"Status    {status}",
        f"Opened    {opened}",
        f"Severity  {incident.severity.word}",
    ]
    if incident.wrong:
        lines.append(f"Wrong     {', '.join(sorted(incident.wrong))}")
    if incident.outcome:
        lines.append(f"Repair    {clean(incident.outcome)}")
    if incident.evidence is not None:
        lines += exhibit.lines(incident.evidence, now)
        lines.append(f"  Gathered  {moment(incident.evidence.gathered_at)}")
    if incident.reminders:
        lines += ["", "Reminders"]
        lines += [
            f"  {moment(one.at)}  {one.hours} h before {moment(one.deadline)}"
            for one in incident.reminders
        ]
    lines += ["", f"Findings ({incident.count})"]
    lines += [
        f"  {moment(one.event_time)}  {one.severity.word:8}  {clean(one.event_name)}"
        f" by {clean(one.actor)}: {clean(one.title)} ({one.stage.value})"
        for one in incident.findings
    ]
    return "\n".join(lines)
