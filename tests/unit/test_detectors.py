"""What each built-in detector says about each event it asked for, and what `Detection` does about it."""

from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from monitor.detection import Detection
from monitor.detector import Base, Detector, NoOptions
from monitor.detectors.key_deletion_scheduled import DeletionOptions, KeyDeletionScheduled
from monitor.detectors.key_disabled import KeyDisabled
from monitor.detectors.key_restored import KeyEnabled
from monitor.event import Event, Wanted
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyState
from monitor.metrics import Metrics
from tests.samples import ACCOUNT, ARN, EPOCH, KEY, KEY_ID, KMS, NOBODY, REGION, event, finding


def one(detector: Detector, found_in: Event) -> Finding:
    (found,) = detector.inspect(found_in)
    return found


def scheduled(request: Any = None, response: Any = None, **options: int) -> Finding:
    return one(
        KeyDeletionScheduled(DeletionOptions(**options)),
        event(
            eventName="ScheduleKeyDeletion",
            requestParameters={"keyId": KEY_ID} if request is None else request,
            responseElements={"keyId": ARN} if response is None else response,
        ),
    )


def test_a_disabled_key_is_damage_with_all_that_the_record_says() -> None:
    found = one(KeyDisabled(NoOptions()), event())
    assert (found.kind, found.severity, found.caused) == (
        Kind.DAMAGE,
        Severity.HIGH,
        KeyState.DISABLED,
    )
    assert (found.key, found.account, found.region) == (KEY, ACCOUNT, REGION)
    assert (found.event_time, found.event_name, found.actor.session) == (
        EPOCH,
        "DisableKey",
        "alice",
    )


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("AccessDenied", Severity.MEDIUM),
        ("AccessDeniedException", Severity.MEDIUM),
        ("KMSInvalidStateException", Severity.LOW),
        ("NotFoundException", Severity.LOW),
        ("DryRunOperationException", Severity.LOW),
    ],
)
@pytest.mark.parametrize(
    "detector", [KeyDisabled(NoOptions()), KeyDeletionScheduled(DeletionOptions())]
)
def test_a_failed_call_is_an_attempt_never_damage(
    detector: Detector, code: str, severity: Severity
) -> None:
    failed = event(
        errorCode=code,
        errorMessage=f"no: {ARN}",
        requestParameters=None,
        responseElements=None,
        resources=...,
    )
    found = one(detector, failed)
    assert (found.kind, found.severity, found.caused) == (Kind.ATTEMPT, severity, None)
    assert (found.key, found.error_code) == (KEY, code)
    assert found.details["error_message"] == f"no: {ARN}"


def test_an_attempt_may_say_neither_why_nor_which_key() -> None:
    found = one(
        KeyDisabled(NoOptions()),
        event(
            errorCode="AccessDenied", requestParameters=None, responseElements=None, resources=[]
        ),
    )
    assert (found.key, found.details) == (None, {"error_message": ""})


@pytest.mark.parametrize(
    ("request_", "response", "days"),
    [
        ({"pendingWindowInDays": 7}, {"pendingWindowInDays": 8}, 8),
        ({"pendingWindowInDays": 7}, {}, 7),
        ({"pendingWindowInDays": 7}, {"pendingWindowInDays": None}, 7),
        ({"pendingWindowInDays": 7}, {"pendingWindowInDays": "8"}, 7),
        ({"pendingWindowInDays": 7}, {"pendingWindowInDays": True}, 7),
        ({"pendingWindowInDays": 7}, {"pendingWindowInDays": 0}, 7),
        ({"pendingWindowInDays": 1}, {"pendingWindowInDays": 366}, 1),
        ({"pendingWindowInDays": 365}, {}, 365),
        ({"pendingWindowInDays": -7}, {}, 30),
        ({"pendingWindowInDays": 7.0}, {}, 30),
        ({"overridePendingWindowCheck": False}, {}, 30),
        ("x", [], 30),
    ],
)
def test_the_window_is_as_confirmed_else_as_asked_else_the_default(
    request_: Any, response: Any, days: int
) -> None:
    found = scheduled(request_, response)
    assert found.details["window_days"] == str(days)
    assert f"in {days} days" in found.title


@pytest.mark.parametrize(
    ("days", "limit", "severity"),
    [
        (10, 10, Severity.CRITICAL),
        (11, 10, Severity.HIGH),
        (7, 7, Severity.CRITICAL),
        (8, 7, Severity.HIGH),
        (30, 30, Severity.CRITICAL),
    ],
)
def test_a_short_window_is_critical(days: int, limit: int, severity: Severity) -> None:
    found = scheduled({"pendingWindowInDays": days}, short_window_days=limit)
    assert (found.severity, found.caused) == (severity, KeyState.PENDING_DELETION)


def test_a_multi_region_primary_waits_for_its_replicas() -> None:
    found = scheduled(None, {"keyState": "PendingReplicaDeletion", "pendingWindowInDays": 30})
    assert found.caused is KeyState.PENDING_REPLICA_DELETION
    assert found.details["waits_for"] == "the deletion of the last replica"
    assert "deletion_date_text" not in found.details


@pytest.mark.parametrize("date", ["Apr 12, 2021 18:58:30 PM", "Nov 2, 2021, 11:25:25\u202fPM"])
def test_the_date_of_deletion_is_text_for_people(date: str) -> None:
    assert scheduled(None, {"deletionDate": date}).details["deletion_date_text"] == date
    assert "deletion_date_text" not in scheduled(None, {"deletionDate": 5}).details


def test_options_out_of_kms_own_bounds_are_refused() -> None:
    for bad in (6, 31, "x"):
        with pytest.raises(ValidationError):
            DeletionOptions.model_validate({"short_window_days": bad})
    with pytest.raises(ValidationError):
        NoOptions.model_validate({"typo": 1})


def test_an_enabled_key_is_a_change_and_a_failed_attempt_at_it_is_nothing() -> None:
    found = one(KeyEnabled(NoOptions()), event(eventName="EnableKey"))
    assert (found.kind, found.severity, found.caused) == (
        Kind.CHANGE,
        Severity.INFO,
        KeyState.ENABLED,
    )
    assert not list(
        KeyEnabled(NoOptions()).inspect(event(eventName="EnableKey", errorCode="AccessDenied"))
    )


def test_findings_of_two_detectors_or_keys_differ_and_of_redeliveries_do_not() -> None:
    assert finding().finding_id == finding(title="other words").finding_id
    ids = {finding(**one).finding_id for one in ({}, {"detector": "x"}, {"key": None})}
    assert len(ids) == 3


class Fake(Base[NoOptions]):
    """A detector that hands back, or throws, what it was given."""

    name: ClassVar = "fake"
    title: ClassVar = "Fake"
    events: ClassVar = frozenset({(KMS, "DisableKey"), (KMS, "TagResource")})
    about: ClassVar = NOBODY

    def __init__(self, result: Any) -> None:
        super().__init__(NoOptions())
        self.result = result

    def inspect(self, event: Event) -> Iterable[Finding]:
        if isinstance(self.result, BaseException):
            raise self.result
        found: Iterable[Finding] = self.result
        return found


def test_a_detector_is_shown_only_what_it_asked_for() -> None:
    detection = Detection([KeyDisabled(NoOptions()), Fake([finding(detector="fake")])], Metrics())
    assert detection.wanted == Wanted(frozenset({(KMS, "DisableKey"), (KMS, "TagResource")}))
    assert [one.detector for one in detection.inspect(event()).findings] == [
        "key_disabled",
        "fake",
    ]
    assert len(detection.inspect(event(eventName="TagResource")).findings) == 1
    foreign = event(eventSource="lambda.amazonaws.com", eventName="DisableKey")
    assert not detection.inspect(foreign).findings


@pytest.mark.parametrize(
    "result",
    [
        RuntimeError("x"),
        SystemExit(9),
        None,
        5,
        ["not a finding"],
        iter([finding(detector="fake"), None]),
        # metrics and messages are made of what is in a finding
        [finding(detector="somebody_else")],
        [finding(detector="fake", severity="high")],
        [finding(detector="fake", severity=4)],
        [finding(detector="fake", kind="damage")],
        [finding(detector="fake", title=None)],
        [finding(detector="fake", key="arn:aws:kms:x")],
        [finding(detector="fake", details={"days": 7})],
        [finding(detector="fake", advice=(1,))],
    ],
)
def test_a_detector_that_breaks_stops_nobody_and_is_named(result: Any) -> None:
    metrics = Metrics()
    seen = Detection([Fake(result), KeyDisabled(NoOptions())], metrics).inspect(event())
    assert seen.broken == ("fake",)
    assert [one.detector for one in seen.findings] == ["key_disabled"]
    value = metrics.registry.get_sample_value(
        "kms_monitor_detector_errors_total", {"detector": "fake"}
    )
    assert value == 1


def test_the_log_says_whose_detector_broke() -> None:
    detection = Detection([Fake(KeyError("x"))], Metrics(), origins={"fake": "acme-rules"})
    with capture_logs() as logs:
        detection.inspect(event())
    assert [(one["detector"], one["origin"]) for one in logs] == [("fake", "acme-rules")]
