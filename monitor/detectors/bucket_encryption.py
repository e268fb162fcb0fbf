"""Objects, or a bucket's default, encrypted under a key that is not one's own.

Whoever may write objects can lock their owner out without touching one of his keys: by writing them
again under a key of another account, or one that only the caller has (SSE-C). The members of S3's
data events are the names of HTTP headers; `additionalEventData.SSEApplied` tells what was done (S3
user guide, "Monitoring default encryption with AWS CloudTrail").
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import bucket_arn
from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import member, several, short, text
from monitor.whose import OnOurs

S3 = "s3.amazonaws.com"
KEY = "x-amz-server-side-encryption-aws-kms-key-id"
CUSTOMER = "x-amz-server-side-encryption-customer-algorithm"
HOUR = 3600.0


class ReencryptionOptions(BaseModel, extra="forbid"):
    allowed_buckets: list[str] = Field(
        [],
        description="Shell patterns of the names of buckets whose objects are encrypted so on "
        "purpose: with keys of the customer's own (SSE-C), or of another account.",
    )


class ObjectsReencrypted(OnOurs[ReencryptionOptions]):
    name: ClassVar = "objects_reencrypted"
    title: ClassVar = "Objects encrypted under a stranger's key"
    about: ClassVar = About(
        description="Somebody writes objects into a bucket under a KMS key of a foreign account, "
        "or under a key that only the caller has (SSE-C): ransomware without malware. Told once an "
        "hour for each bucket and caller. It needs a trail with S3 data events.",
        severity="high",
        techniques=("T1486",),
        false_positives=(
            "A partner delivers objects under his own key, on purpose.",
            "An old application uses SSE-C.",
        ),
        advice=(
            "Revoke the sessions of the role, or the keys of the user, that writes.",
            "Deny SSE-C and other accounts' keys in the bucket's policy.",
            "Look for versions of the objects from before, and keep them from being deleted.",
        ),
        references=(
            "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption-tracking.html",
            "https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html",
            "https://aws.amazon.com/blogs/security/preventing-unintended-encryption-of-amazon-s3-objects/",
        ),
        quiet=True,
    )
    events: ClassVar = frozenset(
        (S3, name) for name in ("CopyObject", "PutObject", "CreateMultipartUpload", "UploadPart")
    )
    Options: ClassVar[type[BaseModel]] = ReencryptionOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        # One of these events comes for every object that is written: look at little, first.
        if event.failed:
            return []
        request, response = event.request(), event.response()
        customer = CUSTOMER in request or event.additional().get("SSEApplied") == "SSE_C"
        key = text(response, KEY) or text(request, KEY)
        owner = self.foreign(event, key) if key else ""
        if not (customer or owner):
            return []
        bucket = text(request, "bucketName")
        if any(fnmatchcase(bucket, one) for one in self.options.allowed_buckets):
            return []
        whose = "a key that only the caller has" if customer else f"a key of account {owner}"
        details = {"bucket": short(bucket), "first_object": short(text(request, "key"))}
        if not customer:
            details |= {"foreign_account": owner, "foreign_key": short(key)}
        hour = int(event.time // HOUR)
        return [
            self.finding(
                event,
                f"Objects are encrypted under {whose}",
                Severity.HIGH,
                kind=Kind.NOTICE,
                resource=bucket_arn(event.aws_region, bucket),
                details=details,
                occasion=f"{event.actor.principal}|{'SSE-C' if customer else owner}|{hour}",
            )
        ]


class BucketEncryptionChanged(OnOurs[NoOptions]):
    name: ClassVar = "bucket_encryption_changed"
    title: ClassVar = "Default encryption of a bucket changed"
    about: ClassVar = About(
        description="Somebody made a bucket encrypt its new objects under a KMS key of a foreign "
        "account, who can then take them away, or deleted its default encryption, so that new "
        "objects are encrypted under S3's own keys.",
        severity="high for a key of a foreign account; low where the default is deleted",
        techniques=("T1486",),
        false_positives=(
            "The key is one of a central account that the settings do not name as trusted.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Set the bucket's default back: aws s3api put-bucket-encryption.",
            "Look for objects that were written since then.",
        ),
        references=(
            "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html",
            "https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html",
        ),
    )
    events: ClassVar = frozenset({(S3, "PutBucketEncryption"), (S3, "DeleteBucketEncryption")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []
        request = event.request()
        name = text(request, "bucketName")
        title, severity = "A bucket lost its default encryption", Severity.LOW
        details = {"bucket": short(name)}
        if event.event_name == "PutBucketEncryption":
            key = self.strangers_key(event, request)
            if not key:
                return []
            owner = self.foreign(event, key)
            title = f"A bucket encrypts under a key of account {owner}"
            severity = Severity.HIGH
            details |= {"foreign_account": owner, "foreign_key": short(key)}
        return [
            self.finding(
                event,
                title,
                severity,
                kind=Kind.NOTICE,
                resource=bucket_arn(event.aws_region, name),
                details=details,
            )
        ]

    def strangers_key(self, event: Event, request: dict[str, Any]) -> str:
        """The key of a foreign account among the rules; "" where there is none."""
        given = member(request, "ServerSideEncryptionConfiguration")
        keys = (
            text(member(rule, "ApplyServerSideEncryptionByDefault"), "KMSMasterKeyID")
            for rule in several(member(given, "Rule", "Rules"))
        )
        return next((key for key in keys if self.foreign(event, key)), "")
