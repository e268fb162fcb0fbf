"""People are told by services: the real daemon, attacks at the simulator, services that refuse what is wrong.

Replaced: the services (tests/fake_channels.py), by their addresses in the settings.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.app import App
from monitor.simulator.server import Simulator
from tests.fake_channels import CHANNEL, ROUTING_KEY, SIGNING, TOKEN, Services, services
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until

Who = Callable[[str], Person]


@pytest.fixture
async def people_told(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    async with services() as made:
        monkeypatch.setenv("PAGERDUTY_KEY", ROUTING_KEY)
        monkeypatch.setenv("SLACK_TOKEN", TOKEN)
        monkeypatch.setenv("TEAMS_ADDRESS", f"{made.address}/teams/workflows?sig=secret")
        monkeypatch.setenv("SIGNING_SECRET", SIGNING)
        yield made


def channels(told: Services, **limits: Any) -> dict[str, Any]:
    return {
        "restore_key": {"doubt_seconds": 1},
        "pagerduty": {"routing_key_env": "PAGERDUTY_KEY", "address": f"{told.address}/pagerduty"}
        | limits,
        "slack": {
            "token_env": "SLACK_TOKEN",
            "channel": CHANNEL,
            "address": f"{told.address}/slackapi",
        }
        | limits,
        "teams": {"address_env": "TEAMS_ADDRESS"} | limits,
        "webhook": {"address": f"{told.address}/hook", "secret_env": "SIGNING_SECRET"} | limits,
    }


def counted(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


async def test_a_key_is_put_back_and_everybody_is_told(
    simulator: Simulator, people: Who, people_told: Services, tmp_path: Path
) -> None:
    told = people_told
    arn = await people("admin").create_key()
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    responders = channels(told) | {"eventbridge": {"bus_arn": bus}}
    settings = settings_for(simulator, tmp_path, responders=responders)
    async with daemon(settings) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: told.hooks and told.posts and told.cards and len(told.events) == 2)
        await until(
            lambda: counted(app, "channel_messages_total", responder="eventbridge", form="single")
        )
    assert await people("admin").state(arn) == "Enabled"
    (headers, body), *_ = told.hooks
    assert body["outcome"] == "done"
    assert body["key"]["arn"] == arn
    assert body["unsafe_seconds"] is not None
    assert headers["webhook-id"].startswith(body["id"])
    assert [event["event_action"] for event in told.events] == ["trigger", "resolve"]
    assert {event["dedup_key"] for event in told.events} == {body["incident"]["id"]}
    assert counted(app, "actions_total", responder="slack", outcome="done") == 1
    assert counted(app, "client_errors_total", service="events", error="other") == 0


async def test_many_keys_at_once_are_few_messages(
    simulator: Simulator, people: Who, people_told: Services, tmp_path: Path
) -> None:
    told, count = people_told, 8
    keys = [await people("admin").create_key() for _ in range(count)]
    responders = channels(told, per_minute=1, digest_seconds=2)
    settings = settings_for(simulator, tmp_path, responders=responders)
    async with daemon(settings) as app:
        mallory = people("mallory")
        await asyncio.gather(*(mallory.kms.disable_key(KeyId=arn) for arn in keys))

        def all_told() -> bool:
            return counted(app, "actions_total", responder="webhook", outcome="done") >= count

        await until(all_told, 30)
        await until(
            lambda: counted(app, "actions_total", responder="slack", outcome="done") >= count, 30
        )
    assert [await people("admin").state(arn) for arn in keys] == ["Enabled"] * count
    assert len(told.hooks) < count
    bodies = [one for _, body in told.hooks for one in (body if isinstance(body, list) else [body])]
    assert {one["key"]["arn"] for one in bodies if one["key"]} >= set(keys), "nobody is left out"
    assert counted(app, "channel_digested_total", responder="webhook") > 0


async def test_a_channel_that_is_gone_has_another_in_its_place(
    simulator: Simulator, people: Who, people_told: Services, tmp_path: Path
) -> None:
    told = people_told
    told.archived = True
    arn = await people("admin").create_key()
    settings = settings_for(
        simulator,
        tmp_path,
        responders=channels(told),
        response=[{"name": "all", "responders": ["restore_key", "slack"]}],
        fallbacks={"slack": "teams"},
    )
    async with daemon(settings) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: told.cards)
        await until(lambda: counted(app, "actions_total", responder="teams", outcome="done"))
        assert counted(app, "channel_fallbacks_total", responder="slack") == 1
        assert counted(app, "actions_total", responder="slack", outcome="refused") == 1
        assert counted(app, "responder_up", responder="slack") == 0
    assert told.events == []
    shown = str(told.cards)
    assert "slack: REFUSED" in shown
    assert TOKEN not in shown
