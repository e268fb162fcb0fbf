"""What one incident looks like in each channel, from its beginning to its end.

Replaced: the services (tests/fake_channels.py), and AWS by clients that refuse what botocore's models would.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from msgspec.structs import replace
from pydantic import ValidationError

from monitor.decision import Action, Decision, IncidentNote, Outcome, Reason, Stage, Verdict
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.finding import Kind, Severity
from monitor.ledger import StoreError
from monitor.plugins import Services as Given
from monitor.responders import webhook
from monitor.responders.email import Email, EmailOptions
from monitor.responders.eventbridge import EventBridge, EventBridgeOptions
from monitor.responders.pagerduty import PagerDuty, PagerDutyOptions
from monitor.responders.security_hub import SecurityHub, SecurityHubOptions
from monitor.responders.slack import Slack, SlackOptions
from monitor.responders.webhook import Webhook, WebhookOptions
from monitor.testing import decision, finding
from monitor.testing import services as given
from tests.fake_channels import CHANNEL, ROUTING_KEY, SIGNING, TOKEN, Services, services
from tests.samples import ACCOUNT, REGION

ID = "7" * 32
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/security"


@pytest.fixture
async def people() -> AsyncIterator[Services]:
    async with services() as made:
        yield made


def at_stage(stage: Stage, number: int = 1, **changes: Any) -> Decision:
    """The incident's n-th finding, and what it did to the incident."""
    over = stage is Stage.CLOSED
    note = IncidentNote(ID, stage, 1.0, Severity.HIGH, number, 2.0, 3.0 if over else 0.0)
    kind = {"event_id": f"event-{number}"} | changes
    outcome = Outcome.DONE if over else Outcome.DENIED
    done = (Action("restore_key", outcome, "as it says", ("EnableKey",) if over else ()),)
    return decision(finding(**kind), incident=note, done=done)


# -- PagerDuty


def pager(people: Services, folder: Path, **options: Any) -> PagerDuty:
    (folder / "key").write_text(ROUTING_KEY)
    about = PagerDutyOptions(
        routing_key_file=folder / "key", address=f"{people.address}/pagerduty", **options
    )
    return PagerDuty(about, given())


async def test_an_alert_is_triggered_kept_up_and_resolved(people: Services, tmp_path: Path) -> None:
    one = pager(people, tmp_path)
    await one.respond(at_stage(Stage.OPENED))
    assert people.alerts == {ID: "trigger"}
    await one.respond(at_stage(Stage.ESCALATED, 2))
    assert people.alerts == {ID: "trigger"}
    mended = at_stage(Stage.CLOSED, 3, kind=Kind.RECOVERY, severity=Severity.INFO)
    await one.respond(replace(mended, verdict=Verdict.TELL, reason=Reason.RECOVERY, done=()))
    assert people.alerts == {ID: "resolve"}
    assert [event["event_action"] for event in people.events] == ["trigger", "trigger", "resolve"]


@pytest.mark.parametrize(
    ("when_closed", "actions"),
    [
        ("resolve", ["trigger", "resolve"]),
        ("acknowledge", ["trigger", "acknowledge"]),
        ("leave", ["trigger"]),
    ],
)
async def test_a_key_that_was_put_back_at_once_is_on_record(
    people: Services, tmp_path: Path, when_closed: str, actions: list[str]
) -> None:
    await pager(people, tmp_path, when_closed=when_closed).respond(at_stage(Stage.CLOSED))
    assert [event["event_action"] for event in people.events] == actions


async def test_nobody_is_woken_because_somebody_took_damage_back(
    people: Services, tmp_path: Path
) -> None:
    """Nor is an alert opened again by it, while something else about the key is still wrong."""
    mended = at_stage(Stage.UNCHANGED, 2, kind=Kind.RECOVERY, severity=Severity.HIGH)
    await pager(people, tmp_path).respond(mended)
    assert people.events == []


async def test_the_end_of_an_incident_does_not_wait_behind_a_storm(
    people: Services, tmp_path: Path
) -> None:
    one = pager(people, tmp_path, per_minute=1, digest_seconds=0.2)
    others = [
        replace(at_stage(Stage.OPENED, 5), incident=replace(OPENED, id=f"{number:032x}"))
        for number in range(4)
    ]
    mended = at_stage(Stage.CLOSED, 9, kind=Kind.RECOVERY)
    await one.respond(at_stage(Stage.OPENED))
    waiting = [asyncio.create_task(one.respond(other), name="storm") for other in others]
    await asyncio.sleep(0)
    await one.respond(mended)
    assert people.alerts == {ID: "resolve"}
    await asyncio.gather(*waiting)
    assert people.alerts == {ID: "resolve", "kms-monitor-storm-test": "trigger"}


OPENED = IncidentNote(ID, Stage.OPENED, 1.0, Severity.HIGH, 1, 2.0)


async def test_a_key_of_another_length_is_said_and_not_shown(
    people: Services, tmp_path: Path
) -> None:
    one = pager(people, tmp_path)
    (tmp_path / "key").write_text("hidden-key")
    with pytest.raises(NotWorthRetrying, match="32 characters") as caught:
        await one.respond(at_stage(Stage.OPENED))
    assert "hidden-key" not in str(caught.value)


async def test_what_pagerduty_says_of_a_bad_event_is_told(people: Services, tmp_path: Path) -> None:
    said = {"message": "Event object is invalid", "errors": [f"'x' {ROUTING_KEY} is wrong", 7]}
    people.trouble = [(400, said, {})]
    with pytest.raises(NotWorthRetrying) as caught:
        await pager(people, tmp_path).respond(at_stage(Stage.OPENED))
    assert "Event object is invalid; 'x' *** is wrong; 7" in str(caught.value)


async def test_a_secret_is_hidden_before_the_words_are_cut(
    people: Services, tmp_path: Path
) -> None:
    people.trouble = [(400, {"message": "x" * 170 + " " + ROUTING_KEY + " is wrong"}, {})]
    with pytest.raises(NotWorthRetrying) as caught:
        await pager(people, tmp_path).respond(at_stage(Stage.OPENED))
    assert ROUTING_KEY[:8] not in str(caught.value)
    assert "***" in str(caught.value)


# -- Slack


def bot(people: Services, folder: Path, services: Given | None = None, **options: Any) -> Slack:
    (folder / "token").write_text(TOKEN)
    about = SlackOptions.model_validate(
        {
            "token_file": folder / "token",
            "channel": CHANNEL,
            "address": f"{people.address}/slackapi",
        }
        | options
    )
    return Slack(about, services or given())


async def test_an_incident_is_a_thread_for_all_replicas(people: Services, tmp_path: Path) -> None:
    shared = given()
    one, other = bot(people, tmp_path, shared), bot(people, tmp_path, shared)
    await one.respond(at_stage(Stage.OPENED))
    await other.respond(at_stage(Stage.REPEATED, 2))
    await one.respond(at_stage(Stage.CLOSED, 3))
    root, quiet, loud = people.posts
    assert "thread_ts" not in root
    assert quiet["thread_ts"] == loud["thread_ts"] == root["ts"]
    assert (quiet["reply_broadcast"], loud["reply_broadcast"]) == (False, True)
    elsewhere = replace(at_stage(Stage.OPENED), incident=replace(OPENED, id="8" * 32))
    await one.respond(elsewhere)
    assert "thread_ts" not in people.posts[-1]


async def test_two_at_once_begin_one_thread(people: Services, tmp_path: Path) -> None:
    one = bot(people, tmp_path)
    await asyncio.gather(*(one.respond(at_stage(Stage.OPENED, number)) for number in range(4)))
    assert [("thread_ts" in post) for post in people.posts] == [False, True, True, True]


async def test_a_thread_that_could_not_begin_begins_with_the_next(
    people: Services, tmp_path: Path
) -> None:
    one = bot(people, tmp_path)
    people.archived = True
    with pytest.raises(NotWorthRetrying, match="is_archived"):
        await one.respond(at_stage(Stage.OPENED))
    people.archived = False
    await one.respond(at_stage(Stage.REPEATED, 2))
    assert "thread_ts" not in people.posts[0]


async def test_without_the_store_people_are_told_all_the_same(
    people: Services, tmp_path: Path
) -> None:
    class Broken:
        async def claim(self, *_: Any, **__: Any) -> Any:
            raise StoreError("gone")

    services = replace_store(given(), Broken())
    action = await bot(people, tmp_path, services).respond(at_stage(Stage.OPENED))
    assert action.outcome is Outcome.DONE
    errors = services.metrics.registry.get_sample_value(
        "kms_monitor_store_errors_total", {"call": "thread"}
    )
    assert errors == 1


def replace_store(services: Given, store: Any) -> Given:
    return dataclasses.replace(services, store=store)


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("ratelimited", WorthRetrying),
        ("internal_error", WorthRetrying),
        ("token_revoked", Denied),
        ("not_in_channel", Denied),
        ("invalid_blocks", NotWorthRetrying),
        ("<!channel> evil", NotWorthRetrying),
    ],
)
async def test_a_no_that_comes_with_status_200(
    people: Services,
    tmp_path: Path,
    word: str,
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.channel.PATIENCE", 0.1)
    people.trouble = [(200, {"ok": False, "error": word}, {})]
    with pytest.raises(error) as caught:
        await bot(people, tmp_path).respond(at_stage(Stage.OPENED))
    assert type(caught.value) is error or error is WorthRetrying
    assert "<!channel>" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channel": CHANNEL},
        {"token_env": "TOKEN"},
        {"token_env": "TOKEN", "token_file": "/x", "channel": CHANNEL},
        {"token_env": "TOKEN", "channel": "#general"},
        {"webhook_env": "HOOK", "channel": CHANNEL},
        {"webhook_env": "HOOK", "webhook_file": "/x"},
        {"token_env": "TOKEN", "channel": CHANNEL, "address": "http://slack.com/x"},
    ],
)
def test_slack_is_a_webhook_or_a_bot(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SlackOptions.model_validate(options)


# -- a webhook of your own


async def test_a_redelivery_has_the_same_id_and_another_time(
    people: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING_SECRET", SIGNING)
    shared = given()
    about = WebhookOptions(address=f"{people.address}/hook", secret_env="SIGNING_SECRET")
    one = Webhook(about, shared)
    await one.respond(at_stage(Stage.OPENED))
    cast("Any", shared.clock).at += 60
    await one.respond(at_stage(Stage.OPENED))
    (first, body), (second, again) = people.hooks
    assert body == again
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60
    people.now = shared.clock.now() + 301
    with pytest.raises(NotWorthRetrying):
        await one.respond(at_stage(Stage.OPENED))


@pytest.mark.parametrize(
    ("form", "kind", "batch"),
    [
        ("json", "application/json", "application/json"),
        ("ocsf", "application/json", "application/json"),
        ("cloudevents", "application/cloudevents+json", "application/cloudevents-batch+json"),
    ],
)
async def test_each_format_alone_and_in_a_digest(
    people: Services, monkeypatch: pytest.MonkeyPatch, form: Any, kind: str, batch: str
) -> None:
    monkeypatch.setenv("SIGNING_SECRET", SIGNING)
    about = WebhookOptions(
        address=f"{people.address}/hook",
        secret_env="SIGNING_SECRET",
        format=form,
        per_minute=1,
        digest_seconds=0.5,
    )
    one = Webhook(about, given())
    await asyncio.gather(*(one.respond(at_stage(Stage.OPENED, number)) for number in range(3)))
    (single, body), (many, bodies) = people.hooks
    assert (single["content-type"], many["content-type"]) == (kind, batch)
    assert isinstance(body, dict)
    assert len(bodies) == 2


def test_a_large_digest_goes_out_in_parts_and_none_is_lost() -> None:
    documents = [{"number": number, "text": "x" * 100_000} for number in range(12)] + [{"n": 1}] * 3
    made = webhook.parts(documents)
    assert [one for part in made for one in part] == documents
    assert [len(part) for part in made] == [5, 5, 5]
    assert webhook.parts([{"text": "x" * 2_000_000}]) == [[{"text": "x" * 2_000_000}]]


# -- AWS


class Client:
    """Keeps what it is asked; refuses what botocore's model would."""

    def __init__(self, service: str, answers: list[Any]) -> None:
        self.service = service
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        operation = "".join(part.capitalize() for part in name.split("_"))
        model: Any = get_session().get_service_model(self.service).operation_model(operation)

        async def call(**parameters: Any) -> Any:
            found = ParamValidator().validate(parameters, model.input_shape)
            assert not found.has_errors(), found.generate_report()
            self.asked.append(parameters)
            return self.answers.pop(0)

        return call


class FakeAws:
    def __init__(self, service: str, *answers: Any) -> None:
        self.made = Client(service, list(answers))
        self.places: list[tuple[str, ...]] = []

    async def client(self, service: str, region: str, account: str = "") -> Client:
        assert service == self.made.service
        self.places.append((region, account))
        return self.made

    @asynccontextmanager
    async def calling(self, _service: str, _call: str) -> AsyncIterator[None]:
        yield


async def test_security_hub_imports_in_the_keys_own_account() -> None:
    aws = FakeAws("securityhub", {"FailedCount": 0, "SuccessCount": 1})
    one = SecurityHub(SecurityHubOptions(), given(aws))
    action = await one.respond(at_stage(Stage.OPENED))
    assert (action.outcome, action.detail) == (Outcome.DONE, "1 imported")
    assert aws.places == [(REGION, ACCOUNT)]
    (asked,) = aws.made.asked
    assert asked["Findings"][0]["Id"] == f"kms-monitor/{ID}"


async def test_a_digest_has_each_incident_once_and_no_more_than_100_a_call() -> None:
    good = {"FailedCount": 0}
    aws = FakeAws("securityhub", good, good, good)
    one = SecurityHub(SecurityHubOptions(per_minute=1, digest_seconds=0.05), given(aws))
    many = [
        replace(at_stage(Stage.OPENED, number), incident=replace(OPENED, id=f"{number // 2:032x}"))
        for number in range(1, 301)
    ]
    await asyncio.gather(*(one.respond(other) for other in many))
    assert [len(asked["Findings"]) for asked in aws.made.asked] == [1, 100, 50]


@pytest.mark.parametrize(
    ("code", "error"), [("InternalException", WorthRetrying), ("InvalidInput", NotWorthRetrying)]
)
async def test_a_finding_that_security_hub_refuses(code: str, error: type[Exception]) -> None:
    failed = [{"Id": "x", "ErrorCode": code, "ErrorMessage": "because\nof that"}]
    aws = FakeAws("securityhub", {"FailedCount": 1, "FailedFindings": failed})
    with pytest.raises(error, match=r"1 refused: .*because of that"):
        await SecurityHub(SecurityHubOptions(), given(aws)).respond(at_stage(Stage.OPENED))


async def test_eventbridge_puts_ten_at_a_time_on_the_bus() -> None:
    answers = [
        {"FailedEntryCount": 0, "Entries": [{"EventId": f"e-{n}"} for n in range(count)]}
        for count in (1, 10, 4)
    ]
    aws = FakeAws("events", *answers)
    options = EventBridgeOptions(bus_arn=BUS, per_minute=1, digest_seconds=0.05)
    one = EventBridge(options, given(aws))
    await asyncio.gather(*(one.respond(at_stage(Stage.OPENED, number)) for number in range(15)))
    assert [len(asked["Entries"]) for asked in aws.made.asked] == [1, 10, 4]
    assert set(aws.places) == {(REGION, "")}
    entry = aws.made.asked[0]["Entries"][0]
    assert (entry["Source"], entry["EventBusName"]) == ("kms-monitor", BUS)


@pytest.mark.parametrize(
    ("code", "error"),
    [("ThrottlingException", WorthRetrying), ("NotAuthorizedForSourceException", NotWorthRetrying)],
)
async def test_an_event_that_the_bus_refuses(code: str, error: type[Exception]) -> None:
    entries = [{"ErrorCode": code, "ErrorMessage": "no"}]
    aws = FakeAws("events", {"FailedEntryCount": 1, "Entries": entries})
    options = EventBridgeOptions(bus_arn=BUS)
    with pytest.raises(error, match=code):
        await EventBridge(options, given(aws)).respond(at_stage(Stage.OPENED))


async def test_e_mail_is_plain_text_with_a_subject_of_one_line() -> None:
    aws = FakeAws("sesv2", {"MessageId": "m-1"}, {"MessageId": "m-2"})
    options = EmailOptions(
        region=REGION,
        sender="kms-monitor@example.org",
        recipients=["oncall@example.org"],
        per_minute=1,
        digest_seconds=0.05,
    )
    one = Email(options, given(aws))
    evil = at_stage(Stage.OPENED, title="x\r\nBcc: everybody@example.org", event_name="PutThing")
    actions = await asyncio.gather(*(one.respond(other) for other in (evil, evil, evil)))
    assert [one.detail for one in actions] == [
        "MessageId m-1",
        *["in a digest of 2: MessageId m-2"] * 2,
    ]
    for asked in aws.made.asked:
        simple = asked["Content"]["Simple"]
        assert simple["Subject"]["Data"].isprintable()
        assert "\nBcc" not in simple["Body"]["Text"]["Data"]
        assert asked["Destination"] == {"ToAddresses": ["oncall@example.org"]}
