"""Everything that must hold of a responder that tells by HTTP, for each of them.

Replaced: the services, by one on the loopback that refuses what they would refuse (tests/fake_channels.py).
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import stamina
from msgspec.structs import replace

from monitor.channel import HttpChannel
from monitor.decision import Action, Decision, IncidentNote, Outcome, Stage
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.finding import Severity
from monitor.responders.pagerduty import PagerDuty, PagerDutyOptions
from monitor.responders.slack import Slack, SlackOptions
from monitor.responders.teams import Teams, TeamsOptions
from monitor.responders.webhook import Webhook, WebhookOptions
from monitor.testing import check_responder, decision, finding
from monitor.testing import services as given
from tests.fake_channels import CHANNEL, ROUTING_KEY, SIGNING, TOKEN, Services, services

SECRETS = ("sig=secret", ROUTING_KEY, TOKEN, SIGNING, "/T0/B0/hidden")
OPENED = IncidentNote("1" * 32, Stage.OPENED, 1.0, Severity.HIGH, 1, 2.0)
REPAIRED = decision(
    finding(),
    done=(Action("restore_key", Outcome.DONE, "verified Enabled", ("EnableKey",)),),
    incident=OPENED,
)
Make = Callable[..., HttpChannel]


@pytest.fixture
async def people() -> AsyncIterator[Services]:
    async with services() as made:
        yield made


@pytest.fixture(params=["pagerduty", "slack webhook", "slack bot", "teams", "webhook"])
def make(
    request: pytest.FixtureRequest,
    people: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Make:
    """Makes the channel, with further options; each time its secrets are read anew."""
    file = tmp_path / "secret"
    monkeypatch.setenv("SIGNING_SECRET", SIGNING)

    def made(address: str = people.address, **options: Any) -> HttpChannel:
        about: Any
        match request.param:
            case "pagerduty":
                file.write_text(ROUTING_KEY + "\n")
                about = PagerDutyOptions(
                    routing_key_file=file, address=f"{address}/pagerduty", **options
                )
                return PagerDuty(about, given())
            case "slack webhook":
                file.write_text(f"{address}/slackhook/T0/B0/hidden\n")
                about = SlackOptions(webhook_file=file, **options)
                return Slack(about, given())
            case "slack bot":
                file.write_text(TOKEN)
                about = SlackOptions(
                    token_file=file, channel=CHANNEL, address=f"{address}/slackapi", **options
                )
                return Slack(about, given())
            case "teams":
                file.write_text(f"{address}/teams/workflows?sig=secret")
                return Teams(TeamsOptions(address_file=file, **options), given())
            case _:
                about = WebhookOptions(
                    address=f"{address}/hook", secret_env="SIGNING_SECRET", **options
                )
                return Webhook(about, given())

    return made


def counted(channel: HttpChannel, name: str, **labels: str) -> float | None:
    registry = channel.services.metrics.registry
    labels = {"responder": channel.name} | labels
    return registry.get_sample_value(f"kms_monitor_channel_{name}_total", labels)


def hard(decision: Decision) -> Decision:
    """The same with names that try to be markup, headers and lines."""
    evil = "<!channel> <@U1> <at>x</at> [a](https://evil) *b* \r\nX-Evil: 1 {{DATE()}} & \u202e"
    found = replace(
        decision.finding,
        title=evil,
        details={evil: evil},
        actor=replace(decision.finding.actor, user_agent=evil * 50, arn=evil, source_ip=evil),
    )
    return replace(decision, finding=found)


async def test_the_service_takes_it_and_that_is_counted(make: Make, people: Services) -> None:
    channel = make()
    (action,) = await check_responder(channel, [REPAIRED])
    assert action.outcome is Outcome.DONE
    assert action.detail
    assert people.requests
    assert counted(channel, "messages", form="single") == 1
    assert counted(channel, "retries") == 0
    assert channel.problem() is None


async def test_what_an_attacker_wrote_is_taken_as_plain_words(make: Make, people: Services) -> None:
    await check_responder(make(), [hard(REPAIRED)])
    (_, headers), *_ = people.requests
    assert "X-Evil" not in headers
    made = [*people.events, *people.posts, *people.cards, *(body for _, body in people.hooks)]
    assert made
    assert "\\u202e" not in json.dumps(made)
    assert "\\nX-Evil" not in json.dumps(made)
    assert "\\r" not in json.dumps(made)


async def test_below_min_severity_nothing_goes_out(make: Make, people: Services) -> None:
    channel = make(min_severity="critical")
    action = await channel.respond(REPAIRED)
    assert action.outcome is Outcome.ALREADY
    assert not people.requests
    ended = replace(OPENED, stage=Stage.CLOSED, closed_at=3.0, severity=Severity.CRITICAL)
    action = await channel.respond(replace(REPAIRED, incident=ended))
    assert action.outcome is Outcome.DONE, "who heard of the incident hears of its end"


async def test_what_passes_is_tried_again_within_the_action(make: Make, people: Services) -> None:
    people.trouble = [(503, "busy", {}), (429, "slow down", {"Retry-After": "1"})]
    channel = make()
    with stamina.set_testing(True, attempts=4):  # which waits for nothing
        action = await channel.respond(REPAIRED)
    assert action.outcome is Outcome.DONE
    assert len(people.requests) == 3
    assert counted(channel, "retries") == 2


async def test_who_asks_for_an_hour_is_not_waited_for(make: Make, people: Services) -> None:
    people.trouble = [(429, "", {"Retry-After": "3600"})]
    with pytest.raises(WorthRetrying):
        await make().respond(REPAIRED)
    assert len(people.requests) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, NotWorthRetrying), (404, NotWorthRetrying), (401, Denied), (403, Denied)],
)
async def test_a_refusal_for_good_is_told_once_and_shown(
    make: Make, people: Services, status: int, error: type[Exception]
) -> None:
    people.trouble = [(status, " ".join(SECRETS), {})]
    channel = make()
    with pytest.raises(error) as caught:
        await channel.respond(REPAIRED)
    assert type(caught.value) is error
    assert f"HTTP {status}" in str(caught.value)
    assert f"HTTP {status}" in (channel.problem() or "")
    assert len(people.requests) == 1
    for secret in SECRETS:
        assert secret not in str(caught.value)
    await channel.respond(REPAIRED)
    assert channel.problem() is None


async def test_a_redirect_is_not_followed(make: Make, people: Services) -> None:
    people.trouble = [(307, "", {"Location": f"{people.address}/elsewhere"})]
    with pytest.raises(NotWorthRetrying, match="redirect"):
        await make().respond(REPAIRED)
    assert [path for path, _ in people.requests if path == "/elsewhere"] == []


async def test_a_service_that_is_away_is_worth_another_try_and_its_address_stays_secret(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.channel.PATIENCE", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        channel = make(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(WorthRetrying) as caught:
            await channel.respond(REPAIRED)
    assert "127.0.0.1: cannot be reached" in str(caught.value)
    shown = "".join(str(one) for one in (caught.value, caught.value.__cause__))
    for secret in SECRETS:
        assert secret not in shown


async def test_a_secret_that_is_not_there_says_where_it_is_looked_for(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = make()
    monkeypatch.setenv("SIGNING_SECRET", "whsec_c2hvcnQ=")
    (tmp_path / "secret").write_text("two\nlines")
    with pytest.raises(NotWorthRetrying) as caught:
        await channel.respond(REPAIRED)
    assert "two" not in str(caught.value)
    assert "c2hvcnQ" not in str(caught.value)


async def test_a_storm_becomes_a_digest_and_everybody_is_answered(
    make: Make, people: Services
) -> None:
    channel = make(per_minute=2, digest_seconds=0.3)
    many = [
        replace(
            hard(REPAIRED),
            finding=replace(hard(REPAIRED).finding, event_id=f"event-{number}"),
            incident=replace(OPENED, id=f"{number:032x}"),
        )
        for number in range(40)
    ]
    answers = await asyncio.gather(*(channel.respond(one) for one in many))
    assert {one.outcome for one in answers} == {Outcome.DONE}
    assert sum("in a digest of 38" in one.detail for one in answers) == 38
    assert len(people.requests) == 3
    assert counted(channel, "messages", form="digest") == 1
    assert counted(channel, "digested") == 38
