"""Somebody changed a bucket into which a trail of ours puts its log files.

The daemon reads log files where a queue tells it of them, and where time is missing. S3's calls:
aws-facts 7.4, and S3 user guide, "Amazon S3 CloudTrail events". CloudTrail spells some of them
without the API's `Configuration`, or with a `Bucket` that the API has not; both are asked for. What
came out of XML is an object where it was one element, a list where it was several.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import bucket_arn
from monitor.detector import About
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.iam_policy.plain import allows, denied, is_public, read
from monitor.parameters import member, named_resource, number, several, short, switched_off, text
from monitor.whose import OnOurs

S3 = "s3.amazonaws.com"
CLOUDTRAIL = "cloudtrail.amazonaws.com"
WRITES = ("s3:PutObject", "s3:GetBucketAcl")
"""What CloudTrail does with the bucket (CloudTrail user guide, "S3 bucket policy for CloudTrail")."""
READS = ("s3:GetObject", "s3:ListBucket")
"""What the daemon does with it."""
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
LISTENERS = (
    "QueueConfiguration",
    "TopicConfiguration",
    "CloudFunctionConfiguration",
    "LambdaFunctionConfiguration",
    "EventBridgeConfiguration",
)
"""Who hears of new log files."""
CALLS = {
    "DeleteBucket": "bucket",
    "PutBucketPolicy": "policy",
    "DeleteBucketPolicy": "policy",
    "PutBucketAcl": "acl",
    "PutBucketLifecycle": "lifecycle",
    "PutBucketLifecycleConfiguration": "lifecycle",
    "DeleteBucketLifecycle": "lifecycle",
    "PutBucketNotification": "notification",
    "PutBucketNotificationConfiguration": "notification",
    "PutBucketPublicAccessBlock": "block",
    "PutPublicAccessBlock": "block",
    "DeleteBucketPublicAccessBlock": "block",
    "DeletePublicAccessBlock": "block",
    "PutBucketEncryption": "encryption",
    "DeleteBucketEncryption": "encryption",
    "PutBucketVersioning": "versioning",
    "PutBucketLogging": "logging",
    "PutBucketObjectLockConfiguration": "lock",
    "PutObjectLockConfiguration": "lock",
}
"""By the name of the call: what of the bucket it changes."""

Judgement = tuple[Severity | None, str]
"""How severe, None where it does not matter; and what was done to the bucket, in words."""
HARMLESS: Judgement = (None, "")


class LogBucketOptions(BaseModel, extra="forbid"):
    short_days: int = Field(
        90,
        ge=1,
        description="A lifecycle rule that deletes log files within so many days is severe.",
    )


class LogBucketChanged(OnOurs[LogBucketOptions]):
    name: ClassVar = "log_bucket_changed"
    title: ClassVar = "Bucket of log files changed"
    about: ClassVar = About(
        description="Somebody deleted or changed a bucket that trails put their log files into: "
        "its policy, lifecycle, notifications, encryption, versions or locks. Then CloudTrail may "
        "be unable to write, the daemon unable to read, or what was done to a key be forgotten.",
        severity="critical where CloudTrail can no longer write or the bucket is gone; high where "
        "log files vanish soon, nobody hears of new ones, they become public or unreadable; "
        "medium and low for other changes; silent for other buckets",
        techniques=("T1562.008", "T1485", "T1070"),
        false_positives=(
            "The bucket is looked after as code, and its settings are written again unchanged.",
            "Old log files are moved to a cheaper class by a lifecycle rule.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            (
                "Put the bucket's settings back, and see that its trail delivers: "
                "aws cloudtrail get-trail-status."
            ),
            "Read the time that is missing from the event history: kms-monitor replay.",
        ),
        references=(
            "https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html",
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset((S3, name) for name in CALLS)
    Options: ClassVar[type[BaseModel]] = LogBucketOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        name = text(request, "bucketName")
        bucket = bucket_arn(event.aws_region, name)
        if event.failed:
            told = bucket or named_resource(event.error_message)
            return self.attempt_on(event, "buckets", [told])
        if not self.mine("buckets", [bucket]):
            return []
        severity, what = self.judge(event, request)
        if severity is None:
            return []
        return [
            self.finding(
                event,
                f"Bucket of log files {short(name)} {what}",
                severity,
                kind=Kind.NOTICE,
                resource=bucket,
                details={"bucket": short(name)},
            )
        ]

    def judge(self, event: Event, request: dict[str, Any]) -> Judgement:
        deleted = event.event_name.startswith("Delete")
        match CALLS[event.event_name]:
            case "bucket":
                return Severity.CRITICAL, "was deleted"
            case "policy":
                document = member(request, "bucketPolicy", "policy")
                return self.policy(None if deleted else document)
            case "acl":
                return Severity.MEDIUM, "got another access list"
            case "lifecycle":
                return self.lifecycle(request, deleted=deleted)
            case "notification":
                return judge_notification(member(request, "NotificationConfiguration"))
            case "block":
                given = member(request, "PublicAccessBlockConfiguration")
                off = [one for one in BLOCKS if not is_on(member(given, one))]
                public = deleted or bool(off)
                return (Severity.HIGH, "may be made public") if public else HARMLESS
            case "encryption":
                return self.encryption(event, request, deleted=deleted)
            case "versioning":
                status = text(member(request, "VersioningConfiguration"), "Status")
                suspended = status == "Suspended"
                return (Severity.HIGH, "no longer keeps versions") if suspended else HARMLESS
            case "logging":
                on = member(member(request, "BucketLoggingStatus"), "LoggingEnabled")
                return HARMLESS if on else (Severity.LOW, "no longer logs who reads it")
            case _:
                kept = member(member(request, "ObjectLockConfiguration"), "Rule")
                if kept:
                    return Severity.LOW, "got another default lock"
                return Severity.HIGH, "no longer locks its objects by default"

    def policy(self, document: object) -> Judgement:
        """Whether CloudTrail may still write and the daemon read. None: there is no policy at all.

        A denial under a condition, such as for calls without TLS, is everyday practice.
        """
        if document is None:
            return Severity.CRITICAL, "lost its policy: CloudTrail cannot write to it"
        policy = read(document)
        if denied(policy, WRITES, [CLOUDTRAIL]).outright:
            return Severity.CRITICAL, "denies CloudTrail to write to it"
        if not all(allows(policy, one) for one in WRITES):
            return Severity.CRITICAL, "does not allow CloudTrail to write to it"
        if is_public(policy):
            return Severity.HIGH, "is open to everybody"
        roles = self.knowledge.watched.roles
        if roles and denied(policy, READS, roles).outright:
            return Severity.HIGH, "denies the daemon to read it"
        return Severity.MEDIUM, "got another policy"

    def lifecycle(self, request: dict[str, Any], *, deleted: bool) -> Judgement:
        if deleted:
            return Severity.LOW, "has no lifecycle rules any more"
        rules = several(member(member(request, "LifecycleConfiguration"), "Rule", "Rules"))
        for rule in rules:
            if text(rule, "Status") == "Disabled":
                continue
            for member_name, days_name in (
                ("Expiration", "Days"),
                ("NoncurrentVersionExpiration", "NoncurrentDays"),
            ):
                days = number(member(member(rule, member_name), days_name))
                if days is not None and days <= self.options.short_days:
                    return Severity.HIGH, f"deletes log files after {days:.0f} days"
            if text(member(rule, "Expiration"), "Date"):
                return Severity.HIGH, "deletes log files on a date"
        return Severity.LOW, "got other lifecycle rules"

    def encryption(self, event: Event, request: dict[str, Any], *, deleted: bool) -> Judgement:
        if deleted:
            return Severity.LOW, "lost its default encryption"
        rules = several(
            member(member(request, "ServerSideEncryptionConfiguration"), "Rule", "Rules")
        )
        for rule in rules:
            default = member(rule, "ApplyServerSideEncryptionByDefault")
            key = text(default, "KMSMasterKeyID")
            if self.foreign(event, key):
                return Severity.HIGH, "encrypts under a key of a foreign account"
            if key:
                return Severity.MEDIUM, "encrypts under another key"
        return Severity.LOW, "got another default encryption"


def judge_notification(given: object) -> Judgement:
    """Without a listener nobody hears of new log files. An empty element of XML is text, or null."""
    if not isinstance(given, dict) or not any(name in given for name in LISTENERS):
        return Severity.HIGH, "no longer tells anybody of new log files"
    return Severity.MEDIUM, "tells others of new log files"


def is_on(value: object) -> bool:
    """Whether one of the blocks is on: it must be said."""
    return value is not None and not switched_off(value)
