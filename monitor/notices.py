"""What other services than CloudTrail tell, made into events and log objects.

KMS's native events (KMS developer guide, "Monitor KMS keys with Amazon EventBridge"), what EBS and
RDS tell of volumes and databases (Amazon EBS user guide, "Amazon EventBridge events for Amazon EBS";
Amazon RDS user guide, "Creating a rule that triggers on an Amazon RDS event"), AWS Config's
notifications (AWS Config developer guide, "Example notifications") and S3's. Nothing here is believed
more than a CloudTrail record: an event is a hint, the key's live state is the truth.
"""

from hashlib import sha256
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec

from monitor.decoding import part, pieces
from monitor.errors import Unreadable
from monitor.event import Event, Resource, Wanted, checked
from monitor.finding import CONFIG_EVENTS
from monitor.key import KeyRef
from monitor.shapes import Damage, LogObject, NewLogs, Opened, Place, S3Record

KMS = "aws.kms"
CONFIG = "config.amazonaws.com"
NATIVE = frozenset({"KMS CMK Deletion", "KMS Imported Key Material Expiration", "KMS CMK Rotation"})
CONFIG_DETAILS = frozenset({"Config Configuration Item Change", "Config Rules Compliance Change"})
OBJECT_CREATED = "Object Created"
HURT = {
    "aws.ec2": frozenset({"EBS Volume Notification"}),
    "aws.rds": frozenset({"RDS DB Instance Event", "RDS DB Cluster Event"}),
}
"""What services tell, by source, that may have been hurt by the loss of a key."""
TOLD_BY_BRIDGE = NATIVE.union(CONFIG_DETAILS, {OBJECT_CREATED}, *HURT.values())
"""The `detail-type`s that are more than an EventBridge event about something else."""
ALL_TOLD = Wanted(
    frozenset(
        [(KMS, name) for name in NATIVE]
        + [(CONFIG, name) for name in CONFIG_EVENTS]
        + [(source, name) for source, names in HURT.items() for name in names]
    )
)
"""For whoever wants to read all of them, and choose later."""
MOST_KEYS = 10_000
"""In one notification of CloudTrail; 256 KiB, all that SNS carries, hold fewer than 2,000."""

BORING = Opened(others=1)
texts: msgspec.json.Decoder[str | int | None] = msgspec.json.Decoder(str | int | None)
Members = dict[str, msgspec.Raw]
NOTHING = msgspec.Raw(b"null")


def from_bridge(detail_type: str, members: Members, wanted: Wanted) -> Opened:
    """An EventBridge event of one of the types in `TOLD_BY_BRIDGE`. Raises `Unreadable`.

    Sources that begin with `aws.` are AWS's own; anybody can send an event of the same type with
    another.
    """
    source = text(members, "source")
    detail = members["detail"]
    match source:
        case "aws.kms" if detail_type in NATIVE:
            return native(source, detail_type, members, wanted)
        case "aws.ec2" | "aws.rds" if detail_type in HURT[source]:
            return native(source, detail_type, members, wanted)
        case "aws.config" if detail_type in CONFIG_DETAILS:
            return config(inside(detail), detail, wanted)
        case "aws.s3" if detail_type == OBJECT_CREATED:
            return created(detail, text(members, "region"))
        case _:
            return BORING


def native(source: str, detail_type: str, members: Members, wanted: Wanted) -> Opened:
    """A service's own event; whom it is about stands in the envelope, else in the text."""
    if not wanted.asks_for(source, detail_type):
        return BORING
    detail = members["detail"]
    _ = inside(detail)  # an object, or it is damaged
    account = text(members, "account")
    about = part(members.get("resources", NOTHING), list[str], [])
    key = None if source == KMS else KeyRef.search(bytes(detail).decode("utf-8", "replace"))
    event = Event(
        event_source=source,
        event_name=detail_type,
        event_id=text(members, "id"),
        event_time=text(members, "time"),
        aws_region=text(members, "region"),
        recipient_account_id=account,
        resources=resources_of(account, *about, key.arn if key else ""),
        request_parameters=detail,
    )
    return Opened(events=(checked(event),))


def config(notification: Members, whole: msgspec.Raw, wanted: Wanted) -> Opened:
    """AWS Config's notification, as SNS and EventBridge both carry it. Raises `Unreadable`.

    Names differ by path: `ARN` or `arn`, `awsAccountId` or `accountId`.
    """
    kind = text(notification, "messageType")
    if not kind:
        raise Unreadable("missing_field", "a notification of AWS Config without messageType")
    if kind not in CONFIG_EVENTS or not wanted.asks_for(CONFIG, kind):
        return BORING
    item: Members = {}
    for name in ("configurationItem", "configurationItemSummary"):
        item |= part(notification.get(name, NOTHING), Members, {})
    result = part(notification.get("newEvaluationResult", NOTHING), Members, {})
    known = notification | item
    account, region = text(known, "awsAccountId", "accountId"), text(known, "awsRegion", "region")
    arn = text(known, "ARN", "arn")
    name = text(known, "resourceId")
    if name and not arn and text(known, "resourceType") == "AWS::KMS::Key":
        # A compliance change names the key by its id, and its rule by an ARN.
        rule = text(known, "configRuleARN", "configRuleArn")
        partition = rule.split(":")[1] if rule.startswith("arn:") else "aws"
        arn = f"arn:{partition}:kms:{region}:{account}:key/{name}"
    time = (
        text(item, "configurationItemCaptureTime")
        or text(result, "resultRecordedTime")
        or text(notification, "notificationCreationTime")
    )
    about = arn or name
    moment = text(item, "configurationStateId", "configurationStateID") or time
    if not (about and moment):
        raise Unreadable("missing_field", "a notification of AWS Config about no resource or time")
    event = Event(
        event_source=CONFIG,
        event_name=kind,
        event_id=lasting_id(kind, about, moment, text(notification, "configRuleName")),
        event_time=time,
        aws_region=region,
        recipient_account_id=account,
        resources=resources_of(account, arn),
        request_parameters=whole,
    )
    return Opened(events=(checked(event),))


def lasting_id(*parts: str) -> str:
    """An id in the form of a GUID: the same for every copy of a notification, on every path."""
    return str(UUID(bytes=sha256("\n".join(parts).encode("utf-8", "replace")).digest()[:16]))


def created(detail: msgspec.Raw, region: str) -> Opened:
    """S3's "Object Created" on EventBridge: the key stands as it is."""
    place = part(detail, Place, Place())
    return Opened(objects=(log_object(place, place.object.key, region),))


def s3_record(raw: msgspec.Raw) -> LogObject:
    """One record of S3's own notification; its key is encoded like a form. Raises `Unreadable`."""
    record = part(raw, S3Record, S3Record())
    return log_object(record.s3, unquote_plus(record.s3.object.key), record.region)


def log_object(place: Place, key: str, region: str) -> LogObject:
    found = place.object
    if not (place.bucket.name and key):
        raise Unreadable("missing_field", "a notification of S3 without bucket or key")
    version = found.version_id or found.version_id_kebab
    return LogObject(place.bucket.name, key, region, found.size, version)


def new_logs(notice: NewLogs) -> Opened:
    """CloudTrail's own notification. One bad key does not block the rest."""
    if len(notice.keys) > MOST_KEYS:
        raise Unreadable("too_large", f"more than {MOST_KEYS} keys in one notification")
    objects: list[LogObject] = []
    damaged: list[Damage] = []
    for raw in notice.keys:
        key = part(raw, str, "")
        if key and notice.bucket:
            objects.append(LogObject(notice.bucket, key))
        elif not damaged:  # what is wrong with the first says enough
            damaged.append(Damage("wrong_type", "s3ObjectKey holds what is no key"))
    return Opened(objects=tuple(objects), damaged=tuple(damaged))


def inside(raw: msgspec.Raw) -> Members:
    """The members of an object. Raises `Unreadable` if it is none."""
    try:
        return pieces.decode(raw)
    except (ValueError, RecursionError) as error:
        raise Unreadable("wrong_type", "an object is expected") from error


def text(members: Members, *names: str) -> str:
    """The first of these members that is a text or a whole number, as a text; else nothing."""
    for name in names:
        try:
            found = texts.decode(members.get(name, NOTHING))
        except (ValueError, RecursionError):
            continue
        if found:
            return str(found)
    return ""


def resources_of(account: str, *arns: str) -> msgspec.Raw:
    """ARNs as CloudTrail would list them, so that an event knows its key."""
    return msgspec.Raw(msgspec.json.encode([Resource(arn, account or None) for arn in arns if arn]))
