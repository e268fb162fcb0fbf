"""What can come out of a body, and the outlines by which its shapes are told apart.

Sources: Amazon EventBridge user guide, "AWS service events delivered via AWS CloudTrail"; Amazon S3
user guide, "Event message structure"; Amazon SNS developer guide, "Parsing message formats".
"""

import msgspec

from monitor.errors import Flaw
from monitor.event import Event


class LogObject(msgspec.Struct, frozen=True):
    """An S3 object that a body points at; a CloudTrail log file, as far as its name tells."""

    bucket: str
    key: str
    """Decoded: as GetObject wants it."""
    region: str = ""
    """The bucket's Region, where the body says it."""
    size: int | None = None
    version_id: str = ""


class SnsWrapping(msgspec.Struct, frozen=True):
    """One level of SNS around a body: what `monitor.sns_trust` needs to believe it or not."""

    topic_arn: str = msgspec.field(name="TopicArn")
    message: str = msgspec.field(name="Message")
    type: str = msgspec.field(name="Type")
    message_id: str = msgspec.field(default="", name="MessageId")
    timestamp: str = msgspec.field(default="", name="Timestamp")
    subject: str | None = msgspec.field(default=None, name="Subject")
    """None where there is none: then it is not part of what was signed."""
    signature_version: str = msgspec.field(default="", name="SignatureVersion")
    signature: str = msgspec.field(default="", name="Signature")
    signing_cert_url: str = msgspec.field(default="", name="SigningCertURL")


class Damage(msgspec.Struct, frozen=True):
    """Why one record of several cannot be read, in the words of `Unreadable`."""

    reason: Flaw
    detail: str = ""


class Opened(msgspec.Struct, frozen=True):
    """What was in a body: the events that were asked for, how many others, and where more are.

    A record that is damaged costs only itself: it stands in `damaged`, which makes the delivery a
    REJECT (`monitor.delivery.worst`), while what else was in the body is handled.
    """

    events: tuple[Event, ...] = ()
    others: int = 0
    objects: tuple[LogObject, ...] = ()
    """Log files whose events are to be read; see `monitor.sources.archive`."""
    wrapped: tuple[SnsWrapping, ...] = ()
    """The SNS levels around it, the outermost first. Whoever acts on the rest checks them first."""
    skipped: str = ""
    """Why a body that was understood holds nothing at all to look at: a bounded word."""
    damaged: tuple[Damage, ...] = ()


class Envelope(msgspec.Struct, frozen=True, rename="kebab"):
    """An EventBridge event that carries a CloudTrail record."""

    detail_type: str
    detail: Event


class Names(msgspec.Struct, frozen=True, rename="camel"):
    """What must be text for a record to be one."""

    event_source: str = ""
    event_name: str = ""


class Bucket(msgspec.Struct, frozen=True):
    name: str = ""


class Object(msgspec.Struct, frozen=True):
    """`version-id` is EventBridge's name for what S3's own notification calls `versionId`."""

    key: str = ""
    size: int | None = None
    version_id: str = msgspec.field(default="", name="versionId")
    version_id_kebab: str = msgspec.field(default="", name="version-id")


class Place(msgspec.Struct, frozen=True):
    """Where an object lies: the member `s3` of S3's own records, the `detail` on EventBridge."""

    bucket: Bucket = Bucket()
    object: Object = Object()


class S3Record(msgspec.Struct, frozen=True):
    """One record of S3's own notification."""

    region: str = msgspec.field(default="", name="awsRegion")
    s3: Place = Place()


class NewLogs(msgspec.Struct, frozen=True):
    """CloudTrail's own notification of new log files; their keys are not URL-encoded."""

    bucket: str = msgspec.field(name="s3Bucket")
    keys: list[msgspec.Raw] = msgspec.field(name="s3ObjectKey")
