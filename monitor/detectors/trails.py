"""Somebody stopped a CloudTrail trail, or took from it what makes it worth having.

A trail that does not log ends more than its log files: EventBridge gets the events of CloudTrail
only while a trail in the account and Region records them (aws-facts 4.1, 7.1).
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from monitor.arns import arn_of, bucket_arn, log_group_arn, trail_arn
from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import said, short
from monitor.whose import OnOurs, graded

CLOUDTRAIL = "cloudtrail.amazonaws.com"
USER_GUIDE = "https://docs.aws.amazon.com/awscloudtrail/latest/userguide"
REFERENCE = "https://docs.aws.amazon.com/awscloudtrail/latest/APIReference"


class TrailStopped(OnOurs[NoOptions]):
    name: ClassVar = "trail_stopped"
    title: ClassVar = "CloudTrail trail stopped"
    about: ClassVar = About(
        description="Somebody stopped a CloudTrail trail, or deleted it. Unless another trail "
        "records the same Region, neither log files nor EventBridge show from now on what is done "
        "to keys.",
        severity="critical if the trail is one of `watched.trails`; high if none is known there; "
        "medium for any other trail. Logging that starts again is info. An attempt is medium if AWS "
        "denied it, else low",
        techniques=("T1562.008",),
        false_positives=("A trail is replaced by an organization's trail and taken down.",),
        advice=(
            "Start the trail again: aws cloudtrail start-logging --name NAME.",
            "Find out what else the caller did: the event history has 90 days of it.",
            "Revoke the sessions of the role or the keys of the user if nobody knows of it.",
        ),
        references=(
            f"{REFERENCE}/API_StopLogging.html",
            f"{REFERENCE}/API_DeleteTrail.html",
            f"{USER_GUIDE}/cloudtrail-turning-off-logging.html",
        ),
    )
    events: ClassVar = frozenset(
        (CLOUDTRAIL, name) for name in ("DeleteTrail", "StartLogging", "StopLogging")
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        arn = trail_arn(event, event.request().get("name"))
        ours = self.whose("trails", arn)
        if event.event_name == "StartLogging":
            if event.failed or ours is False:
                return []
            title = "CloudTrail trail logs again"
            return [self.notice(event, title, Severity.INFO, arn, kind=Kind.RECOVERY)]
        deleted = event.event_name == "DeleteTrail"
        if event.failed:
            what = f"{'Deleting' if deleted else 'Stopping'} a CloudTrail trail"
            return self.refused(event, what, "trails", arn, "cloudtrail")
        severity = graded(ours, Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM)
        title = "CloudTrail trail deleted" if deleted else self.title
        return [self.damage(event, title, severity or Severity.MEDIUM, arn)]


class TrailChanged(OnOurs[NoOptions]):
    name: ClassVar = "trail_changed"
    title: ClassVar = "CloudTrail trail changed"
    about: ClassVar = About(
        description="Somebody changed a CloudTrail trail so that it records less, or sends what it "
        "records elsewhere: other Regions, global services, member accounts or log file validation "
        "dropped, another bucket, topic or log group.",
        severity="high for one of `watched.trails`, or medium where only validation, a prefix or a "
        "place that may be ours is concerned; low if no trail is known there; other trails are "
        "not told of",
        techniques=("T1562.008",),
        false_positives=(
            "Infrastructure as code repeats settings that the trail has had all along.",
            "The trail is moved to a new bucket.",
        ),
        advice=(
            "Compare the trail with what it should be: aws cloudtrail get-trail --name NAME.",
            "Put back what is missing with aws cloudtrail update-trail.",
            "See whether the bucket and the topic that it names are your own.",
        ),
        references=(
            f"{REFERENCE}/API_UpdateTrail.html",
            f"{USER_GUIDE}/cloudtrail-create-and-update-a-trail-by-using-the-aws-cli-update-trail.html",
        ),
    )
    events: ClassVar = frozenset({(CLOUDTRAIL, "UpdateTrail")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        arn = trail_arn(event, request.get("name") or event.response().get("trailARN"))
        if event.failed:
            return self.refused(event, "Changing a CloudTrail trail", "trails", arn, "cloudtrail")
        ours = self.whose("trails", arn)
        worst, details = self.worse(event, request)
        severity = graded(ours, worst, Severity.LOW)
        if not details or severity is None:
            return []
        return [self.damage(event, self.title, severity, arn, details)]

    def worse(self, event: Event, request: dict[str, Any]) -> tuple[Severity, dict[str, str]]:
        """What of the trail is worse now, each with a word; and how bad the worst of it is.

        Only what the caller asked for can be a change: the response repeats everything.
        """
        details = {name: text for name, text in SWITCHES.items() if said(request, name) is False}
        worst = Severity.MEDIUM if details.keys() <= {"enableLogFileValidation"} else Severity.HIGH
        for name, (kind, arn_by) in PLACES.items():
            value = request.get(name)
            if value is None:
                continue
            given = value if isinstance(value, str) else ""
            known = self.whose(kind, arn_by(event, given))
            if known:
                continue
            details[name] = short(given) or "removed"
            if known is False or not given:
                worst = Severity.HIGH
        if request.get("s3KeyPrefix"):
            details["s3KeyPrefix"] = short(request["s3KeyPrefix"])
        return worst, details


SWITCHES = {
    "isMultiRegionTrail": "other Regions are no longer recorded",
    "includeGlobalServiceEvents": "IAM, STS and other global services are no longer recorded",
    "isOrganizationTrail": "member accounts are no longer recorded",
    "enableLogFileValidation": "log files are no longer signed",
}
"""Parts of a trail that somebody may switch off, and what that means."""
PLACES: dict[str, tuple[str, Callable[[Event, str], str]]] = {
    "s3BucketName": ("buckets", lambda event, name: bucket_arn(event.aws_region, name)),
    "snsTopicName": ("topics", lambda event, name: arn_of(event, "sns", name)),
    "cloudWatchLogsLogGroupArn": ("log_groups", log_group_arn),
}
"""Where a trail sends what it records: field of `Watched`, and how its ARN is made."""
