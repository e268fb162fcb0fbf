"""What we see by is not as it should be, though no message told of it.

From events of our own: see `monitor.loops.sight_watch`.
"""

from collections.abc import Iterable
from typing import ClassVar

from msgspec.structs import replace

from monitor.arns import ARN
from monitor.detector import OWN, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import short


class SightDrifted(Base[NoOptions]):
    name: ClassVar = "sight_drifted"
    title: ClassVar = "What we see by is not as it should be"
    about: ClassVar = About(
        description="A look at a trail, rule, queue or topic of ours found it worse than its "
        "baseline, and no message has led to its repair. Whoever disables our only rule keeps the "
        "message about that from us as well. Found only where the responder restore_sight is on.",
        severity="critical; high for what was not in order when it was first seen, so that how it "
        "should be is not known",
        techniques=("T1562.001", "T1562.008"),
        false_positives=(
            "An approved change kept its own message from us: make such changes in mode observe.",
        ),
        advice=(
            "Look into CloudTrail's event history for who changed it, and what else they did.",
            "Sweep all keys: kms-monitor sweep.",
        ),
        references=(
            "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset({(OWN, "SightDrifted"), (OWN, "SightFoundBad")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        about = event.request()
        arn = about.get("resource")
        if not isinstance(arn, str) or not ARN.fullmatch(arn):
            return []
        first = event.event_name == "SightFoundBad"
        details = {
            label: short(about[member])
            for member, label in (("missing", "to_put_back"), ("problem", "problem"))
            if about.get(member)
        }
        title = "Not in order when first seen" if first else self.title
        found = self.finding(
            event,
            f"{title}: {arn.split(':', 5)[-1][:100]}",
            Severity.HIGH if first else Severity.CRITICAL,
            kind=Kind.NOTICE if first else Kind.DAMAGE,
            resource=arn,
            details=details,
        )
        return [replace(found, sight=not first)]
