"""The SNS responder: what is asked of SNS, and what its refusals become.

Replaced: the SNS client (a recorder that can refuse). `Aws.calling` and its translation are real.
"""

import json
from typing import Any, cast

import pytest
import structlog
from botocore.exceptions import ClientError
from botocore.session import get_session
from botocore.validate import ParamValidator
from msgspec.structs import replace
from pydantic import ValidationError

from monitor.aws import Aws
from monitor.clock import SystemClock
from monitor.decision import Action, Decision, IncidentNote, Outcome, Reason, Stage, Verdict
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.finding import Actor, Finding, Kind, Severity
from monitor.key import KeyRef, KeyState
from monitor.ledger import Store
from monitor.metrics import Metrics
from monitor.plugins import Responder, Services
from monitor.responders.sns import Sns, SnsOptions, attribute_bytes, publish_request

TOPIC = "arn:aws:sns:eu-central-1:111122223333:alarms"
KEY = KeyRef("111122223333", "eu-west-1", "0a1b2c3d-1111-2222-3333-444455556666")
FINDING = Finding(
    detector="key_disabled",
    title="KMS key disabled",
    kind=Kind.DAMAGE,
    severity=Severity.HIGH,
    event_id="3f2b8a44-0000-4000-8000-123456789abc",
    event_name="DisableKey",
    event_time=1_763_976_843.0,
    account=KEY.account,
    region=KEY.region,
    key=KEY,
    caused=KeyState.DISABLED,
)
REPAIRED = Decision(
    FINDING,
    Verdict.REPAIR,
    Reason.ENFORCE,
    ("restore_key", "sns"),
    done=(Action("restore_key", Outcome.DONE, "verified Enabled", ("EnableKey",)),),
)

PUBLISH: Any = get_session().get_service_model("sns").operation_model("Publish").input_shape


class Recorder:
    """An SNS client that keeps what it was asked, or refuses with an error code."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.refuse: tuple[str, int] | None = None

    async def publish(self, **request: Any) -> dict[str, str]:
        # The real client would refuse what does not fit botocore's model.
        assert not ParamValidator().validate(request, PUBLISH).has_errors()
        if self.refuse:
            code, status = self.refuse
            raise ClientError(
                {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata(status)},
                "Publish",
            )
        self.requests.append(request)
        return {"MessageId": "m-1"}


def metadata(status: int) -> Any:
    return {"HTTPStatusCode": status}


class FakeAws(Aws):
    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics)
        self.recorder = Recorder()
        self.regions: list[str] = []

    async def sns(self, region: str) -> Any:
        self.regions.append(region)
        return self.recorder


def responder(**options: Any) -> tuple[Sns, FakeAws]:
    metrics = Metrics()
    aws = FakeAws(metrics)
    log = structlog.get_logger()
    services = Services(aws, SystemClock(), cast("Store", None), metrics, log, "prod")
    return Sns(SnsOptions(**({"topic_arn": TOPIC} | options)), services), aws


async def test_publishes_in_the_topics_region_for_people_and_machines() -> None:
    sns, aws = responder()
    assert isinstance(sns, Responder)
    action = await sns.respond(REPAIRED)
    assert (action.outcome, action.detail) == (Outcome.DONE, "MessageId m-1")
    assert aws.regions == ["eu-central-1"]
    (request,) = aws.recorder.requests
    texts = json.loads(request["Message"])
    assert all(isinstance(value, str) for value in texts.values())
    assert texts["default"] == texts["email"]
    assert "enabled again" in texts["sms"]
    assert len(texts["sms"]) <= 140
    for protocol in ("sqs", "lambda", "https"):
        assert json.loads(texts[protocol])["outcome"] == "done"
    assert request["Subject"].startswith("[HIGH] KMS key 0a1b2c3d-111 disabled: enabled again")
    assert "MessageGroupId" not in request
    words = {name: label["StringValue"] for name, label in request["MessageAttributes"].items()}
    assert words == {
        "severity": "high",
        "severity_number": "4",
        "account": "111122223333",
        "region": "eu-west-1",
        "detector": "key_disabled",
        "event_name": "DisableKey",
        "environment": "prod",
        "kind": "damage",
        "verdict": "repair",
        "outcome": "done",
    }


async def test_fifo_keeps_a_keys_order_and_each_stage_is_news() -> None:
    sns, aws = responder(topic_arn=TOPIC + ".fifo")
    retrying = replace(REPAIRED, done=(Action("restore_key", Outcome.RETRY),))
    for decision in (retrying, REPAIRED, REPAIRED):
        await sns.respond(decision)
    first, second, again = aws.recorder.requests
    assert first["MessageGroupId"] == second["MessageGroupId"]
    assert first["MessageDeduplicationId"] == f"{FINDING.finding_id}-retry"
    assert second["MessageDeduplicationId"] == again["MessageDeduplicationId"]
    assert len(second["MessageDeduplicationId"]) <= 128


async def test_below_min_severity_nothing_is_sent() -> None:
    sns, aws = responder(min_severity="critical")
    action = await sns.respond(REPAIRED)
    assert action.outcome is Outcome.ALREADY
    assert "below critical" in action.detail
    assert not aws.recorder.requests
    ended = IncidentNote("a", Stage.CLOSED, 1.0, Severity.CRITICAL, 2, 2.0, 2.0, "carol")
    action = await sns.respond(replace(REPAIRED, incident=ended))
    assert action.outcome is Outcome.DONE, "who heard of the incident hears of its end"


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (("AuthorizationError", 403), Denied),
        (("NotFound", 404), NotWorthRetrying),
        (("Throttled", 429), WorthRetrying),
        (("InternalError", 500), WorthRetrying),
        # The topic's own key was disabled: the repair may bring it back any moment.
        (("KMSDisabled", 400), WorthRetrying),
    ],
)
async def test_refusals_become_our_errors(refusal: tuple[str, int], error: type[Exception]) -> None:
    sns, aws = responder()
    aws.recorder.refuse = refusal
    with pytest.raises(error) as caught:
        await sns.respond(REPAIRED)
    assert type(caught.value) is error
    lasting = refusal[1] in {400, 403, 404}
    assert (refusal[0] in (sns.problem() or "")) is lasting
    aws.recorder.refuse = None
    await sns.respond(REPAIRED)
    assert sns.problem() is None
    await sns.serve()


@pytest.mark.parametrize(
    "text", ["x" * 100_000, '"' * 100_000, "\U0001f511" * 100_000, "\x00\u202e"]
)
def test_shrinks_rather_than_fails(text: str) -> None:
    actor = Actor(text, text, text, text, text, text, text, text)
    finding = replace(
        FINDING,
        title=text,
        event_name=text,
        detector=text,
        account=text,
        region=text,
        actor=actor,
        details={f"{number}{text}": text for number in range(40)},
    )
    done = tuple(Action(text, Outcome.RETRY, text, (text,) * 30) for _ in range(20))
    request = publish_request(
        replace(REPAIRED, finding=finding, done=done), text, SnsOptions(topic_arn=TOPIC)
    )
    labels = request["MessageAttributes"]
    size = len(request["Message"].encode()) + len(request["Subject"]) + attribute_bytes(labels)
    assert size <= 256 * 1024
    assert len(labels) <= 10
    assert all(label["StringValue"] for label in labels.values())
    assert "Finding" in json.loads(request["Message"])["default"]


@pytest.mark.parametrize(
    "options",
    [
        {"topic_arn": "alarms"},
        {"topic_arn": TOPIC + "\n"},
        {"topic_arn": TOPIC, "min_severity": "loud"},
        {"topic_arn": TOPIC, "topic": "x"},
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SnsOptions(**options)
