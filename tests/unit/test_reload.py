"""Settings that change while the daemon runs: taken whole or refused whole.

In scope: `monitor.reload` with the daemon's own parts, `monitor.settings_file`, a real file. Replaced:
nothing; no queue is read and no AWS is asked.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from monitor import reload as module
from monitor.assembly import assemble, load
from monitor.aws import Aws
from monitor.decision import Decision
from monitor.kill_switch import KillSwitch
from monitor.metrics import Metrics
from monitor.policy import decide
from monitor.reload import LIVE, Reload, fingerprint
from monitor.settings import Settings
from monitor.settings_file import read_settings
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import ACCOUNT, REGION, finding

GOOD: dict[str, Any] = {
    "mode": "enforce",
    "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
    "queues": [
        {"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/kms", "region": REGION},
    ],
    "responders": {
        "restore_key": {},
        "sns": {"topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:people"},
    },
}


class World:
    """A daemon's parts, and the file that they were made from."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.file = folder / "settings.yaml"
        self.write(**changes)
        settings = read_settings(self.file, {})
        loaded = load(settings, self.file)
        self.clock, self.metrics = HandClock(), Metrics()
        self.switch = KillSwitch(on=settings.kill_switch, file=settings.kill_switch_file)
        self.parts = assemble(
            settings,
            loaded,
            aws=Aws(self.metrics),
            store=MemoryStore(self.clock),
            clock=self.clock,
            metrics=self.metrics,
            kill_switch=self.switch,
        )
        self.parts.pipeline.know_as_own("arn:aws:iam::111122223333:user/us")
        self.asked = asyncio.Event()
        self.again = 0
        self.reload = Reload(
            self.file,
            settings,
            loaded,
            self.parts,
            kill_switch=self.switch,
            clock=self.clock,
            metrics=self.metrics,
            asked=self.asked,
            judge_again=self.judge_again,
        )

    def write(self, **changes: Any) -> None:
        self.file.write_text(json.dumps(GOOD | changes))  # which is YAML, too

    def judge_again(self) -> None:
        self.again += 1

    async def take(self, **changes: Any) -> list[Any]:
        """What is logged while the file is taken, once it holds these changes."""
        self.write(**changes)
        with capture_logs() as lines:
            await self.reload.take(self.file)
        return list(lines)

    def decide(self) -> Decision:
        return decide(finding(), self.parts.pipeline.rules)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)

    @property
    def reloads(self) -> dict[str, float | None]:
        return {
            one: self.sample("settings_reloads_total", outcome=one)
            for one in ("taken", "refused", "unchanged")
        }


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.parts.archive.close()


async def test_from_then_on_all_is_judged_by_the_new_settings(world: World) -> None:
    assert world.sample("settings_last_reload_timestamp_seconds") == world.clock.at
    assert not world.decide().dry_run
    world.clock.at += 60
    lines = await world.take(mode="observe", response=[{"name": "a", "responders": ["sns"]}])
    assert [line["event"] for line in lines] == ["settings taken"]
    assert lines[0]["changed"] == ["mode", "response"]
    assert (world.decide().responders, world.decide().rule) == (("sns",), "a")
    assert world.again == 1
    assert world.parts.pipeline.rules.own_arns == {"arn:aws:iam::111122223333:user/us"}
    assert world.reloads == {"taken": 1, "refused": 0, "unchanged": 0}
    (_, what), *others = world.parts.keeper.waiting
    assert (what["deed"], what["mode"], others) == ("settings_loaded", "observe", [])
    assert world.sample("settings_last_reload_timestamp_seconds") == world.clock.at
    assert world.sample("response_rule_decisions_total", rule="a") == 0
    await world.take()
    assert world.decide().responders == ("restore_key", "sns")
    assert (world.reloads["taken"], world.again) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "off"}, "mode: is 'off'"),
        ({"nonsense": 1}, "nonsense: there is no such setting"),
        ({"response": [{"name": "a", "responders": ["sms"]}]}, "no responder sms"),
        ({"maintenance": [{"name": "a"}]}, "maintenance.0.cron: is missing"),
        ({"detectors": {"no_such": {}}}, "no such plugin"),
        ({"detectors": {"key_disabled": {"mode": "off"}}}, "must be observe or enforce"),
        # what cannot change while it runs must be right, too
        ({"responders": {"restore_key": {"doubt_seconds": -1}}}, "doubt_seconds"),
        ({"queues": []}, "queues"),
    ],
)
async def test_a_bad_file_is_refused_whole_and_the_old_settings_stay(
    world: World, changes: dict[str, Any], words: str
) -> None:
    rules = world.parts.pipeline.rules
    (line,) = await world.take(**({"mode": "observe", "kill_switch": True} | changes))
    assert line["event"] == "settings refused, the old ones stay"
    assert any(words in fault for fault in line["problems"])
    assert world.parts.pipeline.rules is rules
    assert world.switch.may_write() is None
    assert world.reloads == {"taken": 0, "refused": 1, "unchanged": 0}
    assert not world.parts.keeper.waiting, "what was refused is not in the action log"
    assert world.sample("settings_last_reload_successful") == 0
    # as it was before: nothing is taken, and all is well
    assert await world.take() == []
    assert world.sample("settings_last_reload_successful") == 1


@pytest.mark.parametrize("content", ["", "mode: [", "mode: enforce\nmode: observe\n", "\x00"])
async def test_what_is_no_settings_file_at_all_is_refused(world: World, content: str) -> None:
    world.file.write_text(content)
    await world.reload.take(world.file)
    world.file.unlink()
    await world.reload.take(world.file)
    assert world.reloads["refused"] == 2
    assert not world.decide().dry_run


async def test_what_needs_a_restart_is_named_and_the_rest_holds(world: World) -> None:
    lines = await world.take(
        kill_switch=True,
        grace_seconds=10,
        log={"level": "info", "format": "json"},
        responders=GOOD["responders"] | {"restore_key": {"doubt_seconds": 1}},
    )
    assert [line["event"] for line in lines] == ["settings taken", "settings need a restart"]
    assert lines[1]["waiting"] == ["responders", "grace_seconds", "log.format"]
    assert world.sample("settings_waiting_for_restart") == 3
    assert world.switch.may_write() is not None
    # still so after the next change, until the file is as what runs
    await world.take(grace_seconds=10)
    assert world.sample("settings_waiting_for_restart") == 1
    assert world.switch.may_write() is None
    await world.take()
    assert world.sample("settings_waiting_for_restart") == 0


async def test_what_would_rest_on_a_restart_is_refused_until_then(world: World) -> None:
    responders = GOOD["responders"] | {"mqtt": {"host": "broker"}}
    (line,) = await world.take(
        responders=responders, response=[{"name": "a", "responders": ["restore_key", "mqtt"]}]
    )
    (fault,) = line["problems"]
    assert "response.0.responders: the settings have no responder mqtt" in fault
    assert fault.endswith("this needs a restart first, for responders changed, too")
    assert world.decide().responders == ("restore_key", "sns")


async def test_detectors_come_and_go_and_change(world: World) -> None:
    detection = world.parts.pipeline.detection
    await world.take(detectors={"key_disabled": {"mode": "observe"}})
    assert world.parts.pipeline.detection is detection, "only its mode has changed"
    assert world.decide().dry_run
    await world.take(
        detectors={"key_disabled": False, "key_deletion_scheduled": {"short_window_days": 29}}
    )
    changed = world.parts.pipeline.detection
    assert "key_disabled" not in changed.names
    assert "key_deletion_scheduled" in changed.names
    assert changed.knowledge is detection.knowledge
    assert world.parts.archive.search.wanted is changed.wanted
    await world.take(default_detectors=False, detectors={"key_disabled": {}})
    assert world.parts.pipeline.detection.names == ["key_disabled"]
    assert world.again == 3, "what was only told may be put back now"


async def test_the_level_of_the_log_changes(world: World) -> None:
    root = logging.getLogger()
    before = root.level
    try:
        lines = await world.take(log={"level": "error"})
        assert root.level == logging.ERROR
        assert lines[0]["changed"] == ["log.level"]
        assert world.again == 0, "nobody is judged by that"
    finally:
        root.setLevel(before)


async def test_what_was_learnt_since_the_start_stays(world: World) -> None:
    learnt = replace(world.parts.pipeline.rules, places=frozenset({(ACCOUNT, "eu-north-1")}))
    world.parts.pipeline.rules = learnt
    await world.take(mode="observe")
    assert world.parts.pipeline.rules.places == learnt.places
    assert world.parts.pipeline.rules.own_arns == learnt.own_arns


async def test_suppressions_are_counted_anew(world: World) -> None:
    about = {"reason": "a drill", "detectors": ["key_*"]}
    await world.take(
        suppressions=[about | {"until": "never"}, about | {"until": "2020-01-01T00:00:00Z"}]
    )
    assert world.sample("suppressions", state="active") == 1
    assert world.sample("suppressions", state="expired") == 1


async def test_a_variable_stands_above_the_file_then_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMS_MONITOR_MODE", "enforce")
    await world.take(mode="observe")
    assert not world.decide().dry_run


def test_whatever_can_change_is_a_setting_and_of_the_rest_each_is_named() -> None:
    assert set(Settings.model_fields) >= LIVE
    assert not {"queues", "accounts", "store", "web", "responders", "plugin_folders"} & LIVE
    page = (Path(__file__).parents[2] / "docs" / "response.md").read_text()
    what_can = page.partition("**What can change**")[2].partition("**What cannot**")[0]
    assert {one for one in LIVE if f"`{one}`" not in what_can} == set()


# -- when the file is read


@asynccontextmanager
async def running(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(module, "EVERY", 0.02)
    task = asyncio.create_task(world.reload.run())
    yield
    assert not task.done()
    task.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def test_a_changed_file_is_taken_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world, monkeypatch):
        await asyncio.sleep(0.1)
        assert world.reloads == {"taken": 0, "refused": 0, "unchanged": 0}
        world.write(mode="observe")
        await until(lambda: world.decide().dry_run)
        world.file.write_text("mode: [")
        await until(lambda: world.reloads["refused"] == 1)
        await asyncio.sleep(0.1)
        assert world.reloads["refused"] == 1, "the same fault is said once"
        world.write()
        await until(lambda: not world.decide().dry_run)


async def test_a_file_is_not_taken_while_it_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = iter([*(str(number) for number in range(5)), *["still"] * 10_000])
    monkeypatch.setattr(module, "fingerprint", lambda _: next(marks))
    taken_at: list[str] = []

    async def take(*_: Any, **__: Any) -> None:
        taken_at.append(next(marks))

    monkeypatch.setattr(world.reload, "take", take)
    async with running(world, monkeypatch):
        await until(lambda: bool(taken_at))
    assert taken_at == ["still"]


async def test_whoever_asks_is_answered_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(world, monkeypatch):
        monkeypatch.setattr(module, "EVERY", 3600.0)
        world.asked.set()
        await until(lambda: world.reloads["unchanged"] == 1)
        world.write(mode="observe")
        world.asked.set()
        await until(lambda: world.decide().dry_run)


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes changes a ConfigMap: `..data` is replaced, the file's own link stays."""
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("a")
    file = tmp_path / "settings.yaml"
    file.symlink_to("..data/settings.yaml")
    before = fingerprint(file)
    (tmp_path / "..new").symlink_to("b")
    os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105
    assert fingerprint(file) != before


# -- the kill switch


async def test_the_switch_is_shown_and_when_it_is_off_again_all_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = tmp_path / "stop"
    world = World(tmp_path, kill_switch_file=str(stop))
    assert world.sample("writes_stopped") == 0
    with capture_logs() as lines:
        async with running(world, monkeypatch):
            stop.touch()
            assert world.sample("writes_stopped") == 1, "at once, whenever it is asked"
            await until(lambda: bool(lines))
            stop.unlink()
            await until(lambda: world.again == 1)
            assert world.sample("writes_stopped") == 0
            world.write(kill_switch=True)
            await until(lambda: world.sample("writes_stopped") == 1)
    said = [line["event"] for line in lines]
    assert said == [
        "writes are stopped",
        "writes are allowed again",
        "settings taken",
        "writes are stopped",
    ]
    world.parts.archive.close()


async def test_a_stop_between_two_looks_is_caught_up_with(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    world = World(tmp_path, kill_switch_file=str(stop))
    stop.touch()
    assert world.switch.may_write() is not None, "a repair was held back"
    stop.unlink()
    for _ in range(3):
        world.reload.watch()
    assert world.again == 1
    world.parts.archive.close()


async def test_without_a_file_of_settings_there_is_still_the_switch(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reload.file = None
    world.switch.file = tmp_path / "stop"
    world.write(mode="observe")
    world.asked.set()
    async with running(world, monkeypatch):
        world.switch.file.touch()
        await until(lambda: world.reload.stopped is not None)
    assert not world.decide().dry_run
