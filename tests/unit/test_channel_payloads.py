"""What goes to each service: whole, within the service's limits, and harmless whatever the event held.

Oracles: tests/fake_channels.py for Slack, PagerDuty and Teams, py-ocsf-models for OCSF, botocore's own models for
what goes to AWS. Nothing is replaced; all of it is pure.
"""

import json
import re
from typing import Any, cast

import pytest
import structlog
from botocore.session import get_session
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from py_ocsf_models.events.findings.detection_finding import DetectionFinding

from monitor.channel import encoded
from monitor.clock import SystemClock
from monitor.decision import Action, Decision, IncidentNote, Outcome, Stage
from monitor.finding import Actor, Kind, Severity
from monitor.metrics import Metrics
from monitor.plugins import Services
from monitor.responders.email import EmailOptions, request
from monitor.responders.eventbridge import EventBridge, EventBridgeOptions, entry_bytes
from monitor.telling import asff, brief, cloudevents, notification, ocsf, pagerduty, slack, teams
from monitor.telling.unsafe import unsafe_seconds
from tests.fake_channels import ROUTING_KEY, card_faults, pagerduty_faults, slack_faults
from tests.unit.test_notification import ANY, BOTH, DECISIONS, SCHEDULED, decided

NOW = 1_795_166_043.0
SESSION = get_session()
BUS = "arn:aws:events:eu-west-1:111122223333:event-bus/security"
REPAIRED = decided(Outcome.DONE, BOTH)
NOTES = st.one_of(
    st.none(),
    st.builds(
        IncidentNote,
        id=st.just("4" * 32),
        stage=st.sampled_from(Stage),
        opened_at=st.floats(allow_nan=True, allow_infinity=True),
        severity=st.sampled_from(Severity),
        findings=st.integers(1, 10_000),
        at=st.just(NOW),
        closed_at=st.floats(allow_nan=True, allow_infinity=True),
        closed_by=ANY,
        actors=st.lists(ANY, max_size=3).map(tuple),
    ),
)
whatever_the_event_held = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def shape(service: str, operation: str) -> Any:
    return SESSION.get_service_model(service).operation_model(operation).input_shape


def report(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """What botocore would refuse before it sends."""
    return str(ParamValidator().validate(parameters, shape(service, operation)).generate_report())


def bus(**options: Any) -> EventBridge:
    services = Services(
        cast("Any", None),
        SystemClock(),
        cast("Any", None),
        Metrics(),
        structlog.get_logger(),
        "prod",
    )
    return EventBridge(EventBridgeOptions(bus_arn=BUS, **options), services)


BUSES = [bus(format="json"), bus(format="ocsf")]


@whatever_the_event_held
@given(DECISIONS, NOTES, ANY)
def test_every_service_would_take_it_and_nothing_in_it_is_markup(
    made: Decision, note: IncidentNote | None, environment: str
) -> None:
    decision = replace(made, incident=note)
    many = [decision, REPAIRED, decision]
    for post in (slack.message(decision, environment), slack.digest(many, environment)):
        assert slack_faults(post) == []
        printable(post)
    for card in (teams.message(decision, environment), teams.digest(many, environment)):
        assert card_faults(card) == []
        assert len(encoded(card)) <= teams.MOST_BYTES
        printable(card)
    follow_up = pagerduty.follow_up(decision, "resolve")
    page, storm = pagerduty.trigger(decision, environment), pagerduty.storm(many, environment)
    for event in (page, storm, follow_up):
        assert pagerduty_faults(encoded({"routing_key": ROUTING_KEY} | event)) == []
        printable(event)
    printable(cloudevents.cloud_event(decision, environment))


@whatever_the_event_held
@given(DECISIONS, NOTES, ANY)
def test_ocsf_and_what_goes_to_aws_fit_their_schemas(
    made: Decision, note: IncidentNote | None, environment: str
) -> None:
    decision = replace(made, incident=note)
    event = ocsf.detection_finding(decision, environment, NOW)
    DetectionFinding.model_validate(event)
    printable(event)
    finding = asff.finding_of(decision, environment, NOW)
    assert report("securityhub", "BatchImportFindings", {"Findings": [finding]}) == ""
    assert len(json.dumps(finding).encode()) < 240 * 1024
    within_limits(finding)
    printable(finding)
    for one in BUSES:
        entry = one.entry(decision)
        assert report("events", "PutEvents", {"Entries": [entry]}) == ""
        assert entry_bytes(entry) <= 256 * 1024
        json.loads(entry["Detail"])


def printable(document: object) -> None:
    """Nothing in it breaks a line, changes the direction or is no Unicode; but `\n` of ours."""
    for text in texts(document):
        assert text.replace("\n", "").isprintable(), text
    json.dumps(document, allow_nan=False).encode()


def texts(document: object) -> list[str]:
    match document:
        case str():
            return [document]
        case dict():
            return [text for pair in document.items() for one in pair for text in texts(one)]
        case list():
            return [text for one in document for text in texts(one)]
        case _:
            return []


def within_limits(finding: dict[str, Any]) -> None:
    """ "ASFF" in the Security Hub user guide, which botocore's model does not know."""
    assert 0 < len(finding["Title"]) <= 256
    assert 0 < len(finding["Description"]) <= 1024
    assert len(finding["Id"]) <= 512
    assert 0 < len(finding["Remediation"]["Recommendation"]["Text"]) <= 512
    fields = finding["ProductFields"]
    assert len(fields) <= 50
    assert all(len(name) <= 128 and 0 < len(value) <= 2048 for name, value in fields.items())
    for name in ("CreatedAt", "UpdatedAt"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", finding[name])


# -- what they say


def incident(stage: Stage, **changes: Any) -> IncidentNote:
    closed = NOW if stage is Stage.CLOSED else 0.0
    given: dict[str, Any] = {"findings": 2, "closed_at": closed} | changes
    return IncidentNote(
        "5" * 32, stage, NOW - 60, Severity.CRITICAL, given["findings"], NOW, given["closed_at"]
    )


def test_one_alert_for_the_whole_incident() -> None:
    opened = replace(decided(Outcome.DENIED), incident=incident(Stage.OPENED))
    closed = replace(REPAIRED, incident=incident(Stage.CLOSED))
    page = pagerduty.trigger(opened, "prod")
    assert page["dedup_key"] == "5" * 32
    assert pagerduty.follow_up(closed, "resolve")["dedup_key"] == page["dedup_key"]
    payload = page["payload"]
    assert payload["severity"] == "critical"
    assert payload["source"] == SCHEDULED.key.arn if SCHEDULED.key else ""
    assert payload["summary"].startswith("[CRITICAL] KMS key 0a1b2c3d-111 scheduled for deletion")
    assert payload["custom_details"]["event"]["id"] == SCHEDULED.event_id
    assert [one["text"] for one in page["links"]] == [
        "key in the AWS console",
        "event in the AWS console",
    ]


@pytest.mark.parametrize(
    ("stage", "activity", "status", "state"),
    [
        (Stage.OPENED, 1, 2, "ACTIVE"),
        (Stage.ESCALATED, 2, 2, "ACTIVE"),
        (Stage.REPAIR_FAILED, 2, 2, "ACTIVE"),
        (Stage.CLOSED, 3, 4, "ARCHIVED"),
    ],
)
def test_ocsf_and_security_hub_follow_the_incident(
    stage: Stage, activity: int, status: int, state: str
) -> None:
    decision = replace(REPAIRED, incident=incident(stage))
    event = ocsf.detection_finding(decision, "prod", NOW)
    assert (event["activity_id"], event["status_id"]) == (activity, status)
    assert event["type_uid"] == 200400 + activity
    assert event["finding_info"]["uid"] == "5" * 32
    finding = asff.finding_of(decision, "prod", NOW)
    assert (finding["RecordState"], finding["Id"]) == (state, "kms-monitor/" + "5" * 32)
    assert "Workflow" not in finding
    assert "Note" not in finding


def test_the_end_of_a_severe_incident_is_as_severe_in_ocsf_and_security_hub() -> None:
    enabled = replace(SCHEDULED, severity=Severity.INFO, event_name="EnableKey", kind=Kind.RECOVERY)
    decision = replace(REPAIRED, finding=enabled, incident=incident(Stage.CLOSED))
    event = ocsf.detection_finding(decision, "prod", NOW)
    assert (event["severity_id"], event["severity"]) == (5, "Critical")
    finding = asff.finding_of(decision, "prod", NOW)
    assert finding["FindingProviderFields"]["Severity"]["Label"] == "CRITICAL"
    other = ocsf.detection_finding(replace(decision, incident=None), "prod", NOW)
    assert (other["severity_id"], other["severity"]) == (1, "Informational")


def test_ocsf_says_who_did_what_from_where() -> None:
    event = ocsf.detection_finding(REPAIRED, "prod", NOW)
    (evidence,) = event["evidences"]
    assert evidence["api"]["operation"] == "ScheduleKeyDeletion"
    assert evidence["actor"]["user"]["uid"] == SCHEDULED.actor.arn
    assert evidence["src_endpoint"] == {"ip": "198.51.100.7"}
    aws = replace(SCHEDULED, actor=Actor(source_ip="cloudformation.amazonaws.com"))
    (evidence,) = ocsf.detection_finding(replace(REPAIRED, finding=aws), "p", NOW)["evidences"]
    assert evidence["src_endpoint"] == {"svc_name": "cloudformation.amazonaws.com"}


def test_security_hub_gets_the_key_the_call_and_what_to_do() -> None:
    finding = asff.finding_of(REPAIRED, "prod", NOW)
    account, region = "111122223333", "eu-west-1"
    assert finding["AwsAccountId"] == account
    assert finding["ProductArn"] == (
        f"arn:aws:securityhub:{region}:{account}:product/{account}/default"
    )
    (resource,) = finding["Resources"]
    assert (resource["Type"], resource["Id"]) == ("AwsKmsKey", SCHEDULED.key and SCHEDULED.key.arn)
    assert finding["FindingProviderFields"]["Types"] == ["Effects/Data Destruction"]
    assert finding["Action"]["AwsApiCallAction"]["Api"] == "ScheduleKeyDeletion"
    assert finding["Action"]["AwsApiCallAction"]["RemoteIpDetails"] == {
        "IpAddressV4": "198.51.100.7"
    }
    assert finding["Remediation"]["Recommendation"]["Url"].startswith("https://eu-west-1.console")


def test_a_cloud_event_of_each_stage_has_an_id_of_its_own() -> None:
    event = cloudevents.cloud_event(REPAIRED, "prod")
    assert event["specversion"] == "1.0"
    assert event["source"] == "/kms-monitor/prod"
    assert event["subject"] == (SCHEDULED.key and SCHEDULED.key.arn)
    assert event["data"] == notification.message(REPAIRED, "prod")
    assert event["id"] == cloudevents.cloud_event(REPAIRED, "prod")["id"]
    others = (decided(Outcome.RETRY), replace(REPAIRED, incident=incident(Stage.CLOSED)))
    assert len({cloudevents.occasion(one) for one in (REPAIRED, *others)}) == 3


def test_how_long_it_was_unsafe() -> None:
    closed = replace(REPAIRED, incident=incident(Stage.CLOSED))
    assert unsafe_seconds(closed) == 60
    assert notification.message(closed, "prod")["unsafe_seconds"] == 60
    assert "Unsafe  for 60 s\n" in notification.text(closed, "prod")
    assert unsafe_seconds(REPAIRED) == 7
    assert unsafe_seconds(decided(Outcome.RETRY)) is None
    assert unsafe_seconds(replace(REPAIRED, finding=replace(SCHEDULED, kind=Kind.NOTICE))) is None


def test_a_digest_names_the_worst_first_and_counts_the_rest() -> None:
    low = replace(REPAIRED, finding=replace(SCHEDULED, severity=Severity.LOW))
    found = brief.digest([low] * 30 + [REPAIRED], "prod")
    assert found.subject == "[CRITICAL] 31 findings about 1 keys within seconds (prod)"
    assert found.lines[0].startswith("[CRITICAL]")
    assert found.lines[-1] == "... and 11 more: kms-monitor incidents"
    assert found.severity is Severity.CRITICAL


def test_an_actions_words_are_told() -> None:
    done = (*REPAIRED.done, Action("slack", Outcome.REFUSED, "is_archived"))
    told = brief.brief(replace(REPAIRED, done=done), "prod")
    assert told.done[-1] == "slack: REFUSED: is_archived"
    assert told.facts["Unsafe for"] == "7 s"


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "a@b.example\r\nBcc: x@evil.example"},
        {"recipients": ["a@b.example, x@evil.example"]},
        {"recipients": []},
        {"region": "eu-west-1.evil.example/"},
    ],
)
def test_addresses_of_e_mail_are_addresses(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "region": "eu-west-1",
        "sender": "kms-monitor@example.org",
        "recipients": ["oncall@example.org"],
    }
    options = EmailOptions.model_validate(good)
    assert report("sesv2", "SendEmail", request(options, "subject", "text")) == ""
    with pytest.raises(ValueError, match=r"string_pattern_mismatch|too_short|pattern|at least"):
        EmailOptions.model_validate(good | changes)
