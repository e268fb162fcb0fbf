"""Every shape of body, interesting, boring and damaged: what becomes of it, and what is in it.

Replaced: the detectors, by one that wants everything in `WANTED` and keeps what it gets, as a
detector of somebody else's would. Bodies that point at log files are only opened here.
"""

import json
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import pytest
from structlog.testing import capture_logs

from monitor.books import Books
from monitor.clock import SystemClock
from monitor.delivery import Delivery, Disposition
from monitor.detection import Detection
from monitor.detector import Base, NoOptions
from monitor.duplicates import Duplicates
from monitor.envelope import LogObject, Opened, open_body
from monitor.errors import Unreadable, WorthRetrying
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.metrics import Metrics
from monitor.notices import MOST_KEYS
from monitor.pipeline import Pipeline
from monitor.policy import Mode, Rules
from monitor.response import Response
from monitor.sns_trust import SnsTrust
from monitor.stores.memory import MemoryStore
from monitor.trust import Trust
from tests.samples import ACCOUNT, ARN, NOBODY, REGION
from tests.unit.bodies import (
    BUCKET,
    LOG,
    TOPIC,
    WANTED,
    bridge,
    config_compliance,
    config_item,
    config_lambda,
    config_on_bridge,
    config_oversized,
    confirmation,
    database_failing,
    insight,
    native,
    new_logs,
    object_created,
    record,
    records,
    s3_record,
    s3_test,
    service_record,
    sns,
    volume_failed,
)

DONE, REJECT = Disposition.DONE, Disposition.REJECT


class Row(NamedTuple):
    """What one body becomes: its disposition, events for detectors, and why it is damaged."""

    shape: str
    kind: str
    body: Any
    disposition: Disposition
    events: int = 0
    others: int = 0
    reason: str = ""
    skipped: str = ""


def rows(shape: str, interesting: Any, boring: Any, *damaged: tuple[Any, str]) -> Iterable[Row]:
    """The usual three: one event; one that nobody wants; and what cannot be read, with its reason."""
    yield Row(shape, "interesting", interesting, DONE, events=1)
    yield Row(shape, "boring", boring, DONE, others=1)
    for number, (body, reason) in enumerate(damaged, 1):
        yield Row(shape, f"damaged {number}", body, REJECT, reason=reason)


def wrapped(each: Iterable[Row]) -> Iterable[Row]:
    """The same bodies through SNS: they become the same."""
    for row in each:
        yield row._replace(shape=f"sns: {row.shape}", body=sns(row.body))
        if row.kind == "interesting":
            yield row._replace(shape=f"sns twice: {row.shape}", body=sns(sns(row.body)))


SERVICE = "AWS Service Event via CloudTrail"
BORING_RECORD = record(eventName="Decrypt")
OTHER_CONFIG = {"messageType": "ConfigurationHistoryDeliveryCompleted", "recordVersion": "1.1"}
DAMAGED_RECORD = record(eventID=...)

RAW: list[Row] = [
    *rows(
        "eventbridge: API call",
        bridge(record()),
        bridge(BORING_RECORD),
        (bridge(DAMAGED_RECORD), "missing_field"),
        (bridge(record(eventName=...)), "missing_field"),
        (bridge(record(eventName=5)), "wrong_type"),
        (bridge(record(eventTime="noon")), "bad_time"),
        (bridge("text"), "wrong_type"),
        (bridge(...), "unknown_shape"),
    ),
    *rows(
        "eventbridge: service event",
        bridge(service_record(), SERVICE),
        bridge(service_record(eventName="RotateKey"), SERVICE),
        (bridge(service_record(eventSource=...), SERVICE), "missing_field"),
        (bridge(service_record(eventSource=None), SERVICE), "wrong_type"),
    ),
    *rows(
        "eventbridge: from another bus",
        bridge(record(), account="444455556666", region="us-east-1"),
        bridge(BORING_RECORD, account="444455556666", region="us-east-1"),
        (bridge(DAMAGED_RECORD, account="444455556666"), "missing_field"),
    ),
    *rows(
        "eventbridge: native, deletion",
        native(),
        native(source="my.app"),
        (native(id=...), "missing_field"),
        (native(time=...), "bad_time"),
        (native(detail=[]), "wrong_type"),
    ),
    *rows(
        "eventbridge: native, expiration",
        native("KMS Imported Key Material Expiration"),
        native("KMS Something New"),
        (native("KMS Imported Key Material Expiration", time="noon"), "bad_time"),
    ),
    *rows(
        "eventbridge: native, rotation",
        native("KMS CMK Rotation"),
        native("KMS CMK Rotation", source="aws.other"),
        (native("KMS CMK Rotation", id=None), "missing_field"),
    ),
    *rows(
        "eventbridge: native, volume",
        volume_failed(),
        volume_failed(source="aws.kms"),
        (volume_failed(id=...), "missing_field"),
        (volume_failed(detail="text"), "wrong_type"),
    ),
    *rows(
        "eventbridge: native, database",
        database_failing(),
        database_failing(**{"detail-type": "RDS DB Cluster Event"}),
        (database_failing(time="noon"), "bad_time"),
    ),
    *rows(
        "input transformer: detail and nothing else",
        {"detail": record()},
        {"detail": BORING_RECORD},
        ({"detail": {"key-id": "x"}}, "unknown_shape"),
        ({"detail": 5}, "wrong_type"),
    ),
    *rows(
        "input transformer: detail-type and detail",
        {"detail-type": SERVICE, "detail": service_record()},
        {"detail-type": SERVICE, "detail": BORING_RECORD},
        ({"detail-type": 5, "detail": record()}, "wrong_type"),
    ),
    *rows(
        "bare record",
        record(),
        BORING_RECORD,
        (DAMAGED_RECORD, "missing_field"),
        (record(eventSource=...), "missing_field"),
        (record(eventSource=["x"]), "wrong_type"),
        (record(eventTime=None), "bad_time"),
    ),
    *rows(
        "records",
        records(record()),
        records(BORING_RECORD),
        (records(DAMAGED_RECORD), "missing_field"),
        (records(5), "wrong_type"),
        ({"Records": "text"}, "wrong_type"),
        (records({"eventSource": "aws:dynamodb", "eventName": "INSERT"}), "unknown_shape"),
        (records({"EventSource": "aws:sns", "Sns": {}}), "missing_field"),
    ),
    *rows(
        "config item",
        config_item(),
        OTHER_CONFIG,
        (config_item(ARN=..., resourceId=...), "missing_field"),
        (config_item(configurationItemCaptureTime="noon"), "bad_time"),
        ({"messageType": None}, "missing_field"),
    ),
    *rows(
        "config compliance",
        config_compliance(),
        {"messageType": "ConfigRulesEvaluationStarted"},
        (config_compliance(resourceId=..., resourceType=...), "missing_field"),
    ),
    *rows(
        "config oversized",
        config_oversized(),
        {"messageType": "OversizedConfigurationItemChangeDeliveryFailed"},
        (config_oversized(ARN=5.5, resourceId=None, resourceType=None), "missing_field"),
    ),
    *rows(
        "eventbridge: config item",
        config_on_bridge(config_item()),
        bridge({"messageType": "x"}, "Config Snapshot Delivery Status", source="aws.config"),
        (config_on_bridge({"messageType": 5.5}), "missing_field"),
        (bridge([], "Config Configuration Item Change", source="aws.config"), "wrong_type"),
    ),
    *rows(
        "eventbridge: config compliance",
        config_on_bridge(config_compliance()),
        config_on_bridge(config_compliance()) | {"source": "my.app"},
        (config_on_bridge(config_compliance(messageType=...)), "missing_field"),
    ),
    *rows(
        "config's lambda event",
        config_lambda(config_item()),
        config_lambda(OTHER_CONFIG),
        (config_lambda(config_item()) | {"invokingEvent": "{"}, "wrong_type"),
    ),
    Row(
        "eventbridge: insight",
        "boring",
        bridge(insight(), "AWS Insight via CloudTrail"),
        DONE,
        0,
        1,
    ),
    Row("bare insight", "boring", insight(), DONE, others=1),
    Row("records: insight", "boring", records(insight()), DONE, others=1),
    Row(
        "eventbridge: another type", "boring", bridge({}, "Order Placed", source="shop"), DONE, 0, 1
    ),
    Row("records: none", "boring", records(), DONE, skipped="no_records"),
    Row("s3 test", "boring", s3_test(), DONE, skipped="s3_test_event"),
    *(
        Row("no shape at all", f"damaged {number}", body, REJECT, reason=reason)
        for number, (body, reason) in enumerate(
            [
                ({}, "unknown_shape"),
                ([], "unknown_shape"),
                ("text", "not_json"),
                ('"text"', "unknown_shape"),
                ([record()], "unknown_shape"),
                ({"key-id": "x"}, "unknown_shape"),
                ({"Event": "s3:OtherEvent"}, "unknown_shape"),
                ({"s3Bucket": BUCKET}, "unknown_shape"),
            ],
            1,
        )
    ),
]
TABLE: list[Row] = [
    *RAW,
    # Wrapped, a text is a text: `text` is no JSON, as it is not in a queue without its quotes.
    *(row for row in wrapped(RAW) if row.body["Message"] != "text"),
    Row(
        "sns",
        "boring",
        sns("CloudTrail validation message."),
        DONE,
        0,
        0,
        "",
        "cloudtrail_validation",
    ),
    Row("sns confirmation", "boring", confirmation(), DONE, skipped="sns_confirmation"),
    *(
        Row("sns", f"damaged {number}", body, REJECT, reason=reason)
        for number, (body, reason) in enumerate(
            [
                (sns("plain words"), "not_json"),
                (sns("{}"), "unknown_shape"),
                (sns(record(), TopicArn=...), "missing_field"),
                (sns(record(), Message=...), "missing_field"),
                (sns(record(), Message={"eventName": "DisableKey"}), "wrong_type"),
                (sns(record(), TopicArn=5), "wrong_type"),
                (sns(record(), Type="Rumour"), "unknown_shape"),
                (sns(sns(sns(record()))), "too_deep"),
                (sns(record(), TopicArn=f"{TOPIC}x"), "topic_not_allowed"),
                (sns(sns(record(), TopicArn=f"{TOPIC}x")), "topic_not_allowed"),
                (sns(sns(record()), TopicArn=f"{TOPIC}x"), "topic_not_allowed"),
                (sns(s3_test(), TopicArn=f"{TOPIC}x"), "topic_not_allowed"),
            ],
            1,
        )
    ),
]


class Watcher(Base[NoOptions]):
    """Wants everything that these tests want, and keeps it."""

    name: ClassVar[str] = "watcher"
    title: ClassVar[str] = "watcher"
    about: ClassVar = NOBODY
    events: ClassVar[frozenset[tuple[str, str]]] = WANTED.calls

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.seen: list[Event] = []

    def inspect(self, event: Event) -> Iterable[Finding]:
        self.seen.append(event)
        return ()


class Bench:
    """The pipeline around a watcher, with one topic allowed."""

    def __init__(self, *, trust: bool = True) -> None:
        self.metrics, clock = Metrics(), SystemClock()
        self.watcher = Watcher()
        self.pipeline = Pipeline(
            Detection([self.watcher], self.metrics),
            Rules(Mode.OBSERVE, frozenset({(ACCOUNT, REGION)})),
            Response({}, MemoryStore(clock), clock, self.metrics),
            Duplicates(MemoryStore(clock), clock, self.metrics),
            Books(self.metrics),
            trust=Trust(sns=SnsTrust([TOPIC], verify=False, clock=clock, metrics=self.metrics))
            if trust
            else None,
        )

    async def process(self, body: Any) -> Disposition:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return await self.pipeline.process(Delivery("1", text, "queue", received_at=0.0))

    def count(self, metric: str) -> dict[str, float]:
        """Samples of a counter of the queue, by the label that tells them apart."""
        (family,) = [one for one in self.metrics.registry.collect() if one.name == metric]
        return {
            sample.labels.get("reason") or sample.labels["fate"]: sample.value
            for sample in family.samples
            if sample.name == f"{metric}_total"
        }


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.shape}, {row.kind}")
async def test_every_shape_becomes_what_it_should(row: Row) -> None:
    bench = Bench()
    assert await bench.process(row.body) is row.disposition
    assert len(bench.watcher.seen) == row.events
    assert bench.count("kms_monitor_unreadable") == ({row.reason: 1} if row.reason else {})
    assert bench.count("kms_monitor_events").get("ignored", 0) == row.others
    if not row.reason:
        assert open_body(json.dumps(row.body), WANTED).skipped == row.skipped


def test_there_are_all_three_kinds_of_every_shape_that_holds_events() -> None:
    kinds: dict[str, set[str]] = {}
    for row in TABLE:
        kinds.setdefault(row.shape, set()).add(row.kind.split(" ")[0])
    whole = {
        shape for shape, found in kinds.items() if found == {"interesting", "boring", "damaged"}
    }
    assert len(whole) >= 32
    assert whole >= {row.shape for row in RAW if row.kind == "interesting"}


LOGS = [
    (
        "cloudtrail's notification",
        new_logs(),
        [LogObject(BUCKET, LOG), LogObject(BUCKET, f"a+b/{LOG}")],
    ),
    (
        "s3",
        records(s3_record(), s3_record(LOG)),
        [
            LogObject(BUCKET, f"my prefix/a+b/{LOG}", REGION, 4096, "EXAMPLE"),
            LogObject(BUCKET, LOG, REGION, 4096, "EXAMPLE"),
        ],
    ),
    (
        "eventbridge: s3",
        object_created(),
        [LogObject(BUCKET, f"my prefix/a+b/{LOG}", REGION, 4096, "EXAMPLE")],
    ),
    (
        "input transformer: s3",
        object_created()["detail"],
        [LogObject(BUCKET, f"my prefix/a+b/{LOG}", "", 4096, "EXAMPLE")],
    ),
]


@pytest.mark.parametrize(
    ("body", "objects"), [row[1:] for row in LOGS], ids=[row[0] for row in LOGS]
)
def test_bodies_that_point_at_log_files(body: Any, objects: list[LogObject]) -> None:
    """Keys are decoded where they are encoded: in S3's own notification, and once."""
    found = open_body(json.dumps(body), WANTED)
    assert found == Opened(objects=tuple(objects))
    through_sns = open_body(json.dumps(sns(body)), WANTED)
    assert through_sns.objects == tuple(objects)
    assert [one.topic_arn for one in through_sns.wrapped] == [TOPIC]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (new_logs(s3ObjectKey=LOG), "wrong_type"),
        (new_logs(s3Bucket=None), "wrong_type"),
        (new_logs(s3ObjectKey=["k"] * (MOST_KEYS + 1)), "too_large"),
        (object_created(bucket={}), "missing_field"),
        (object_created(object={"key": ""}), "missing_field"),
        (object_created(object=[]), "missing_field"),
    ],
)
def test_pointers_that_are_damaged(body: Any, reason: str) -> None:
    for one in (body, sns(body)):
        with pytest.raises(Unreadable) as caught:
            open_body(json.dumps(one), WANTED)
        assert caught.value.reason == reason


def test_only_what_was_created_in_s3_is_there_to_be_read() -> None:
    removed = s3_record(eventName="ObjectRemoved:Delete")
    assert open_body(json.dumps(records(removed)), WANTED) == Opened(others=1)
    custom = object_created() | {"source": "my.app"}
    assert open_body(json.dumps(custom), WANTED) == Opened(others=1)


def test_a_bad_key_among_good_ones_costs_only_itself() -> None:
    found = open_body(json.dumps(new_logs(s3ObjectKey=[5, LOG, None])), WANTED)
    assert found.objects == (LogObject(BUCKET, LOG),)
    assert [one.reason for one in found.damaged] == ["wrong_type"]
    found = open_body(
        json.dumps(
            records({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}, s3_record(LOG))
        ),
        WANTED,
    )
    assert [one.key for one in found.objects] == [LOG]
    assert [one.reason for one in found.damaged] == ["missing_field"]


async def test_a_damaged_record_among_good_ones_costs_only_itself() -> None:
    """The good ones are handled; the whole is kept for people to see."""
    bench = Bench()
    mixed = records(record(), DAMAGED_RECORD, 5, BORING_RECORD, service_record())
    assert await bench.process(mixed) is REJECT
    assert [event.event_name for event in bench.watcher.seen] == ["DisableKey", "DeleteKey"]
    assert bench.count("kms_monitor_unreadable") == {"missing_field": 1, "wrong_type": 1}
    assert bench.count("kms_monitor_events")["ignored"] == 1


async def test_without_topics_nothing_that_sns_wrapped_is_believed() -> None:
    bench = Bench(trust=False)
    assert await bench.process(sns(bridge(record()))) is REJECT
    assert bench.watcher.seen == []
    assert await bench.process(bridge(record())) is DONE


@pytest.mark.parametrize(
    ("error", "disposition"),
    [(WorthRetrying("HTTP 503"), Disposition.RETRY), (Unreadable("bad_signature"), REJECT)],
)
async def test_what_cannot_be_verified_is_not_judged(
    error: Exception, disposition: Disposition
) -> None:
    """A certificate that cannot be fetched just now lets the message come again."""

    async def fetch(_: str) -> bytes:
        raise error

    bench = Bench()
    bench.pipeline.trust = Trust(
        sns=SnsTrust([TOPIC], verify=True, clock=SystemClock(), metrics=bench.metrics, fetch=fetch)
    )
    assert await bench.process(sns(bridge(record()))) is disposition
    assert bench.watcher.seen == []


class Teller(Watcher):
    """A detector of somebody else's that makes findings of what it gets."""

    def inspect(self, event: Event) -> Iterable[Finding]:
        yield self.finding(event, "Told by another service", Severity.HIGH)


@pytest.mark.parametrize("body", [native(), config_item(), sns(config_on_bridge(config_item()))])
async def test_a_detector_of_others_gets_native_events_and_those_of_config(body: Any) -> None:
    bench = Bench()
    bench.pipeline.detection = Detection([Teller()], bench.metrics)
    with capture_logs() as logs:
        assert await bench.process(body) is DONE
    (told,) = [line for line in logs if line["event"] == "finding"]
    assert told["key"] == ARN
    assert (told["verdict"], told["reason"]) == ("repair", "observe")


def only(body: Any) -> Event:
    (event,) = open_body(json.dumps(body), WANTED).events
    return event


@pytest.mark.parametrize("kind", ["KMS CMK Deletion", "KMS CMK Rotation"])
def test_a_native_event_names_key_time_and_place(kind: str) -> None:
    event = only(native(kind))
    assert (event.event_source, event.event_name) == ("aws.kms", kind)
    assert str(event.key) == ARN
    assert event.event_id == "33333333-cccc-4ccc-8ccc-000000000002"
    assert (event.recipient_account_id, event.aws_region) == (ACCOUNT, REGION)
    assert event.time == 1795166043.0
    assert event.request() == {"key-id": ARN.rpartition("/")[2]}
    assert not event.failed


def test_what_a_service_tells_names_the_key_of_its_envelope_or_its_text() -> None:
    told = only(volume_failed())
    assert (told.event_source, told.event_name) == ("aws.ec2", "EBS Volume Notification")
    assert str(told.key) == ARN
    assert told.request()["event"] == "attachVolume"
    other = ARN[:-1] + "2"
    assert str(only(volume_failed(resources=[other])).key) == other
    assert only(database_failing()).key is None


@pytest.mark.parametrize(
    "notification",
    [config_item(), config_compliance(), config_oversized()],
    ids=["item", "rule", "large"],
)
def test_a_notification_of_config_is_the_same_event_on_every_path(notification: Any) -> None:
    paths = [
        notification,
        sns(notification),
        config_on_bridge(notification),
        sns(config_on_bridge(notification), MessageId="another"),
        config_lambda(notification),
        config_on_bridge(notification)["detail"],
    ]
    events = [only(one) for one in paths]
    assert len({event.event_id for event in events}) == 1
    for event in events:
        assert event.event_source == "config.amazonaws.com"
        assert event.event_name == notification["messageType"]
        assert str(event.key) == ARN
        assert event.time == 1795166400.0
        assert (event.recipient_account_id, event.aws_region) == (ACCOUNT, REGION)
        assert event.request() == notification


def test_other_changes_are_other_events() -> None:
    ids = {
        only(one).event_id
        for one in (
            config_item(),
            config_item(configurationStateId=1700000000001),
            config_item(ARN=ARN[:-1] + "2"),
            config_oversized(),
            config_compliance(),
            config_compliance(configRuleName="another"),
        )
    }
    assert len(ids) == 6


def test_config_names_members_in_two_ways() -> None:
    event = only(config_item(ARN=..., arn=ARN, awsAccountId=..., accountId=ACCOUNT))
    assert (str(event.key), event.recipient_account_id) == (ARN, ACCOUNT)
    assert event.event_id == only(config_item()).event_id
