"""Who tells instead, where one cannot. Replaced: the responders."""

from pathlib import Path
from typing import Any

import pytest

from monitor.assembly import load
from monitor.decision import Action, Decision, Outcome
from monitor.errors import Denied, NotWorthRetrying, SettingsError, WorthRetrying
from monitor.ledger import action_id
from monitor.metrics import Metrics
from monitor.response import Response
from monitor.settings_file import read_settings
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import decision
from tests.unit.test_response import Fake

CHAIN = {"first": "second", "second": "third"}


class World:
    def __init__(self, fallbacks: dict[str, str] | None = None, **ends: list[Any]) -> None:
        clock = HandClock()
        self.metrics, self.store = Metrics(), MemoryStore(clock)
        self.metrics.born(responders=["first"])
        self.responders: Any = {
            "repair": Fake("repair", repairs=True),
            **{name: Fake(name, ends.get(name)) for name in ("first", "second", "third")},
        }
        self.response = Response(
            self.responders,
            self.store,
            clock,
            self.metrics,
            fallbacks=CHAIN if fallbacks is None else fallbacks,
        )

    async def tell(self, *names: str) -> Decision:
        return await self.response.carry_out(decision(responders=names or ("repair", "first")))

    def times(self) -> list[int]:
        return [len(self.responders[one].seen) for one in ("first", "second", "third")]

    def counted(self, name: str = "first") -> float | None:
        labels = {"responder": name}
        return self.metrics.registry.get_sample_value("kms_monitor_channel_fallbacks_total", labels)


async def test_who_tells_needs_nobody_else() -> None:
    world = World()
    await world.tell()
    assert world.times() == [1, 0, 0]
    assert world.counted() == 0


@pytest.mark.parametrize(
    "error", [NotWorthRetrying("gone"), Denied("no"), WorthRetrying("busy"), RuntimeError("x")]
)
async def test_whatever_went_wrong_another_tells_and_knows_why(error: Exception) -> None:
    world = World(first=[error])
    done = (await world.tell()).done
    assert [one.responder for one in done] == ["repair", "first", "second"]
    assert done[-1].outcome is Outcome.DONE
    assert [one.responder for one in world.responders["second"].seen[0].done][-1] == "first"
    assert world.counted() == 1
    assert not all(one.outcome.settled for one in done) or isinstance(error, NotWorthRetrying)


async def test_a_delivery_that_comes_again_repeats_only_who_could_not() -> None:
    world = World(first=[WorthRetrying("busy"), Outcome.DONE])
    await world.tell()
    again = await world.tell()
    assert again.done[-1].outcome is Outcome.DONE
    assert world.times() == [2, 1, 0]


async def test_the_last_of_a_chain_is_the_last() -> None:
    gone = NotWorthRetrying("gone")
    world = World(first=[gone], second=[gone], third=[gone])
    done = (await world.tell()).done
    assert [one.outcome for one in done[1:]] == [Outcome.REFUSED] * 3
    assert world.times() == [1, 1, 1]


async def test_who_is_told_by_anyway_is_not_told_by_twice() -> None:
    world = World(first=[NotWorthRetrying("gone")])
    await world.tell("repair", "first", "second")
    assert world.times() == [1, 1, 0]
    assert world.counted() == 0


async def test_what_is_being_told_elsewhere_needs_no_fallback() -> None:
    world = World()
    made = decision(responders=("first",))
    name = action_id("first", world.response.occasion(world.responders["first"], made))
    await world.store.claim(name, owner="another replica", seconds=60)
    done = (await world.response.carry_out(made)).done
    assert [one.outcome for one in done] == [Outcome.RETRY]
    assert world.times() == [0, 0, 0]


async def test_below_its_least_severity_is_no_failure() -> None:
    world = World(first=[Action("first", Outcome.ALREADY, "below high", finished_at=1.0)])
    await world.tell()
    assert world.times() == [1, 0, 0]


# -- settings

HEAD = """\
mode: enforce
accounts: [{id: "111122223333", regions: [eu-west-1]}]
queues:
  - {url: "https://sqs.eu-west-1.amazonaws.com/111122223333/q", region: eu-west-1}
responders:
  restore_key:
  contain:
  sns: {topic_arn: "arn:aws:sns:eu-west-1:111122223333:people"}
  slack: {webhook_env: SLACK_WEBHOOK}
  pagerduty: {routing_key_env: PAGERDUTY_KEY}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slack: sms", "fallbacks.slack: the settings have no responder sms; did you mean sns?"),
        ("slak: sns", "fallbacks.slak: the settings have no responder slak; did you mean slack?"),
        ("slack: restore_key", "fallbacks.slack: restore_key does more than to tell"),
        ("contain: sns", "fallbacks.contain: contain does more than to tell"),
        ("slack: slack", "fallbacks.slack: goes in a circle: slack, slack"),
        (
            "slack: sns, sns: pagerduty, pagerduty: slack",
            "fallbacks.slack: goes in a circle: slack, sns, pagerduty, slack",
        ),
    ],
)
def test_fallbacks_that_cannot_be_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"{HEAD}fallbacks: {{{text}}}\n")
    settings = read_settings(file, {})
    with pytest.raises(SettingsError) as caught:
        load(settings, file)
    assert said in str(caught.value)


def test_a_chain_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"{HEAD}fallbacks: {{pagerduty: slack, slack: sns}}\n")
    settings = read_settings(file, {})
    load(settings, file)
    assert settings.fallbacks == {"pagerduty": "slack", "slack": "sns"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("pagerduty: {}", "either routing_key_file or routing_key_env must be there"),
        ("teams: {address: https://hidden.example/x}", "there is no such setting"),
        ("webhook: {address: 'http://example.org/x', secret_env: S}", "must begin with https://"),
        ("webhook: {address: 'https://169.254.169.254/', secret_env: S}", "metadata service"),
        ("webhook: {address: 'https://u:hidden@example.org/', secret_env: S}", "user name"),
        ("webhook: {address: 'https://example.org/'}", "either secret_file or secret_env"),
        ("slack: {webhook_env: 'https://hooks.slack.com/hidden'}", "slack.webhook_env"),
    ],
)
def test_options_that_cannot_be_are_refused_without_their_secrets(
    tmp_path: Path, options: str, said: str
) -> None:
    file = tmp_path / "settings.yaml"
    head = HEAD.partition("  sns:")[0]
    file.write_text(f"{head}  {options}\n")
    with pytest.raises(SettingsError) as caught:
        load(read_settings(file, {}), file)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)
