"""Every dead message is explained, whatever it is."""

import json
import unicodedata
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.detection import Detection
from monitor.detector import Base, Detector, NoOptions
from monitor.detectors.key_deletion_scheduled import DeletionOptions, KeyDeletionScheduled
from monitor.detectors.key_disabled import KeyDisabled
from monitor.dlq.explain import EXCERPT, Dead, Explainer, excerpt, known
from monitor.event import Event
from monitor.finding import Finding
from monitor.metrics import Metrics
from monitor.policy import Mode, Rules
from tests.samples import NOBODY

ACCOUNT, REGION = "111122223333", "eu-west-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b2c3d-0000-4000-8000-000000000001"
MALLORY = f"arn:aws:iam::{ACCOUNT}:user/mallory"


class Broken(Base[NoOptions]):
    name: ClassVar[str] = "broken_one"
    title: ClassVar[str] = "breaks"
    events: ClassVar = frozenset({("kms.amazonaws.com", "EnableKey")})
    about: ClassVar = NOBODY

    def inspect(self, event: Event) -> Iterable[Finding]:
        raise RuntimeError(event.event_name)


def explainer(mode: Mode = Mode.ENFORCE) -> Explainer:
    detectors: list[Detector] = [
        KeyDisabled(NoOptions()),
        KeyDeletionScheduled(DeletionOptions()),
        Broken(NoOptions()),
    ]
    rules = Rules(mode, frozenset({(ACCOUNT, REGION)}))
    return Explainer(Detection(detectors, Metrics()), rules)


def body(**changes: Any) -> str:
    record = {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": MALLORY, "accountId": ACCOUNT},
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": "DisableKey",
        "awsRegion": REGION,
        "requestParameters": {"keyId": KEY},
        "responseElements": {"keyId": KEY},
        "eventID": "22222222-bbbb-4bbb-8bbb-000000000005",
        "recipientAccountId": ACCOUNT,
    }
    detail = {name: value for name, value in (record | changes).items() if value is not None}
    return json.dumps({"detail-type": "AWS API Call via CloudTrail", "detail": detail})


def dead(text: str, **more: Any) -> Dead:
    return Dead("5f0c", text, "guard-dlq", **more)


def test_what_would_be_handled_now() -> None:
    told = explainer().explain(dead(body(), sent_at=100.0, receive_count=6), 160.0, 5)
    assert (told.reason, told.age_seconds, told.receive_count) == ("retried", 60.0, 6)
    assert "maxReceiveCount (5)" in told.why
    (found,) = told.findings
    assert (found.detector, found.verdict, found.because) == ("key_disabled", "repair", "enforce")
    assert (told.event.event_name, told.event.actor, told.event.key) == ("DisableKey", MALLORY, KEY)


def test_mode_counts() -> None:
    (found,) = explainer(Mode.OBSERVE).explain(dead(body()), 0).findings
    assert found.because == "observe"


@pytest.mark.parametrize(
    ("text", "reason", "why"),
    [
        ("oh no", "not_json", "byte 0"),
        (body()[:300], "not_json", "truncated"),
        ("{}", "unknown_shape", "no shape"),
        ('{"detail-type": "AWS API Call via CloudTrail", "detail": 7}', "wrong_type", "int"),
        ('{"detail-type": "x", "detail": {"eventName": 7}}', "wrong_type", "$.eventName"),
        (body(eventName=""), "missing_field", "eventName"),
        (body(eventID=None), "missing_field", "eventID"),
        (body(eventTime="soon"), "bad_time", "eventTime"),
        ('{"x":' + "[" * 100_000, "too_deep", "deeper"),
        (body(eventName="Decrypt"), "ignored", "no enabled detector"),
        (
            body(recipientAccountId="999999999999", responseElements=None, requestParameters=None),
            "ignored",
            "account",
        ),
        (body(eventName="EnableKey"), "broken", "broken_one"),
    ],
)
def test_reasons(text: str, reason: str, why: str) -> None:
    told = explainer().explain(dead(text), 0)
    assert told.reason == reason
    assert why in told.why


EVENTBRIDGE = {
    "ERROR_CODE": "NO_PERMISSIONS",
    "ERROR_MESSAGE": "not allowed",
    "RULE_ARN": "arn:aws:events:eu-west-1:111122223333:rule/guard",
    "TARGET_ARN": "arn:aws:sqs:eu-west-1:111122223333:guard",
    "RETRY_ATTEMPTS": "3",
    "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
}


def test_what_eventbridge_could_not_deliver() -> None:
    told = explainer().explain(dead(body(), attributes=EVENTBRIDGE), 0)
    assert told.reason == "undelivered"
    assert told.why == (
        "EventBridge could not deliver it: NO_PERMISSIONS: not allowed (tried again 3 times)"
    )
    assert told.undelivered is not None
    assert told.undelivered.rule_arn == EVENTBRIDGE["RULE_ARN"]
    assert [one.detector for one in told.findings] == ["key_disabled"]


def test_undelivered_once_but_it_died_in_the_queue_later() -> None:
    told = explainer().explain(dead("?", attributes=EVENTBRIDGE, source_arn="arn:guard"), 0)
    assert (told.reason, told.undelivered) == ("not_json", None)


def test_cut_off_record_is_still_recognised() -> None:
    whole = body(userIdentity={"type": "IAMUser", "arn": MALLORY})
    found = known(whole[: whole.index(KEY) + len(KEY) + 1])
    assert (found.event_name, found.actor, found.key) == ("DisableKey", MALLORY, KEY)
    # A cut id would be another key's name.
    assert known(whole[: whole.index(KEY) + len(KEY) - 5]).key == ""


def test_record_as_a_text_in_another_envelope_is_recognised() -> None:
    found = known(json.dumps({"Type": "Notification", "Message": body()}))
    assert (found.event_name, found.actor, found.key) == ("DisableKey", MALLORY, KEY)


def test_excerpt_shows_where_reading_failed() -> None:
    text = '{"a": "' + "x" * 2000 + '", oops}'
    told = explainer().explain(dead(text), 0)
    assert "oops" in told.body
    assert told.body.startswith("…")
    assert excerpt("a\n  b\tc") == "a b c"


ODD = st.text(alphabet=st.characters(), max_size=400)


@given(text=ODD | ODD.map(lambda odd: body(eventName="DisableKey", errorCode=odd)), odd=ODD)
@example(text="\ud800", odd="\ud800")
@example(text="\x1b[2J\u202e", odd="\x1b\u2028")
def test_anything_is_explained_without_harm_to_a_terminal(text: str, odd: str) -> None:
    attributes = {"ERROR_CODE": odd, "RULE_ARN": odd, "ERROR_MESSAGE": odd}
    for message in (dead(text), dead(text, attributes=attributes)):
        told = explainer().explain(message, 0)
        shown = msgspec.json.encode(told).decode()
        assert all(unicodedata.category(one) != "Cc" for one in shown)
        assert not set(shown) & set("\u202e\u2066\u2028")
        assert not any(code in shown for code in ("\\u00", "\\n", "\\t"))
        assert len(told.body) <= EXCERPT + 2
