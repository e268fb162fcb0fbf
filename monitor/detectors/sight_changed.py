"""Somebody changed a trail, a rule, a queue or a topic of ours, for better or worse.

Whether it is harm is for other detectors to say. This one is how a change by an approved actor
comes to be right: see `monitor.responders.restore_sight`.
"""

from collections.abc import Iterable
from typing import ClassVar

from msgspec.structs import replace

from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.sight.touching import CHANGES, touched
from monitor.whose import OnOurs


class SightChanged(OnOurs[NoOptions]):
    name: ClassVar = "sight_changed"
    title: ClassVar = "Something that we see by was changed"
    about: ClassVar = About(
        description="Somebody changed one of the trails, rules, queues or topics that the daemon "
        "sees by. Nobody is told of it: whether it is harm is for other detectors to say. Where "
        "restore_sight is on and an approved actor made the change, it is right from now on.",
        severity="info, counted and logged only",
        techniques=(),
        false_positives=(),
        advice=("Name who may do so under `approved_actors`.",),
        references=(),
    )
    events: ClassVar = frozenset(CHANGES)

    def inspect(self, event: Event) -> Iterable[Finding]:
        kind, arn = touched(event)
        if event.failed or not kind or not self.whose(kind, arn):
            return []
        title = f"{self.title}: {arn.split(':', 5)[-1][:100]}"
        found = self.finding(event, title, Severity.INFO, kind=Kind.CHANGE, resource=arn)
        return [replace(found, sight=True)]
