"""What the daemon finds out about its own sight: places that nothing can come from, or comes from.

From events of our own: see `inventory`, `canary` and `silence` in `monitor.loops`.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import OWN, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity

CALLS_ARE_LOGGED = (
    "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html"
)
MISSING = {
    "trail": "no trail logs its KMS calls",
    "rule": "no rule sends its KMS events to our queues",
}


class PlaceUnwatched(Base[NoOptions]):
    name: ClassVar = "place_unwatched"
    title: ClassVar = "Account and Region that we cannot see"
    about: ClassVar = About(
        description="In an account and Region whose keys are guarded, no trail logs KMS's writing "
        "calls, or no EventBridge rule leads to a queue of ours. Whatever is done to a key there, "
        "no message will tell of it; only the sweep will find it.",
        severity="high, once a day for as long as it lasts",
        techniques=("T1562.008",),
        false_positives=(
            "The events come by a way that the daemon cannot see, such as a bus in between.",
        ),
        advice=(
            "If there was a trail or a rule, find out who took it away or changed it.",
            "Make a trail that logs management events, those of KMS included.",
            "Make a rule on the default bus with the queue as its target.",
        ),
        references=(
            CALLS_ARE_LOGGED,
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-management-events-with-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset({(OWN, "Unwatched")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        given = event.request().get("missing")
        missing = [one for one in given if one in MISSING] if isinstance(given, list) else []
        if not missing:
            return []
        day = str(event.request().get("day", ""))[:10]
        place = f"{event.recipient_account_id} {event.aws_region}"
        return [
            self.finding(
                event,
                f"{self.title}: {' and '.join(MISSING[one] for one in missing)}",
                Severity.HIGH,
                kind=Kind.NOTICE,
                details={"missing": ", ".join(missing)},
                occasion=f"{place} {','.join(missing)} {day}",
            )
        ]


class SightDependsOnKey(Base[NoOptions]):
    name: ClassVar = "sight_depends_on_key"
    title: ClassVar = "A guarded key encrypts what it is guarded by"
    about: ClassVar = About(
        description="A queue, topic or trail that the daemon rests on is encrypted under one of the "
        "keys that it guards. Whoever disables that key blinds the daemon in the same moment, so "
        "that nobody learns of it but by the sweep.",
        severity="medium",
        techniques=("T1562.008",),
        false_positives=(),
        advice=(
            "Encrypt the queue with SSE-SQS, which needs no key of yours.",
            "Where a key is a must, choose one that only the daemon and its producers can use.",
        ),
        references=(
            "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html",
            "https://docs.aws.amazon.com/sns/latest/dg/sns-server-side-encryption.html",
        ),
    )
    events: ClassVar = frozenset({(OWN, "KeyGuardsSight")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.key is None:
            return []
        encrypts = str(event.request().get("encrypts", ""))[:300]
        return [
            self.finding(
                event,
                self.title,
                Severity.MEDIUM,
                kind=Kind.NOTICE,
                details={"encrypts": encrypts},
                occasion="sight",
            )
        ]


class CanaryLost(Base[NoOptions]):
    name: ClassVar = "canary_lost"
    title: ClassVar = "Canary lost: CloudTrail events do not reach us"
    about: ClassVar = About(
        description="A harmless call of our own was made, and its event has not come back in time. "
        "Something between CloudTrail and the daemon is broken, or was broken on purpose; attacks "
        "on keys would not be seen either.",
        severity="critical, once for each outage; info when canaries come back",
        techniques=("T1562.008",),
        false_positives=(
            "CloudTrail or EventBridge is late, which AWS's health dashboard may know.",
            "The canary's own key cannot be enabled any more, so that no canary sets out.",
        ),
        advice=(
            "Look whether the trail logs, and its selectors include KMS.",
            "Look whether the rule is enabled and has the queue as its target.",
            "Look at the queue's policy, its encryption key and its age metrics.",
            "Look into CloudTrail's event history for who changed any of these.",
            "When it is mended, go through what was missed: kms-monitor replay.",
        ),
        references=(
            CALLS_ARE_LOGGED,
            "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html",
        ),
    )
    events: ClassVar = frozenset({(OWN, "CanaryLost"), (OWN, "CanaryBack")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        about = event.request()
        back = event.event_name == "CanaryBack"
        details = {"late_seconds": str(about.get("lateSeconds", ""))[:20]}
        if isinstance(obstacle := about.get("obstacle"), str) and obstacle:
            details["obstacle"] = obstacle[:300]
        return [
            self.finding(
                event,
                "Canaries come back again" if back else self.title,
                Severity.INFO if back else Severity.CRITICAL,
                kind=Kind.RECOVERY if back else Kind.NOTICE,
                details=details,
                occasion=f"{event.event_name} {str(about.get('since', ''))[:20]}",
            )
        ]


class PlaceSilent(Base[NoOptions]):
    name: ClassVar = "place_silent"
    title: ClassVar = "Nothing comes from an account and Region"
    about: ClassVar = About(
        description="From an account and Region whose keys are guarded no event at all has come for "
        "longer than `silence_minutes`. It may be quiet there; it may also be that its events do "
        "not reach us.",
        severity="medium; high after four times as long",
        techniques=("T1562.008",),
        false_positives=("Nothing happens there at night or at weekends.",),
        advice=(
            "Make a harmless change to a key there, such as a tag, and see whether its event comes.",
            "If it does not, look at the trail, the rule and the queue's policy.",
            "A canary in that place would tell the one from the other.",
        ),
        references=(CALLS_ARE_LOGGED,),
    )
    events: ClassVar = frozenset({(OWN, "Silent")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        about = event.request()
        since, times = about.get("since"), about.get("times")
        quiet = str(about.get("quietSeconds", ""))[:20]
        place = f"{event.recipient_account_id} {event.aws_region}"
        return [
            self.finding(
                event,
                self.title,
                Severity.MEDIUM if times == 1 else Severity.HIGH,
                kind=Kind.NOTICE,
                details={"quiet_seconds": quiet},
                occasion=f"{place} {str(since)[:20]} {str(times)[:20]}",
            )
        ]
