"""Settings for response in a running daemon: rules, windows, reload, kill switch."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from structlog.testing import capture_logs

from monitor.app import App
from monitor.assembly import load
from monitor.key import KeySnapshot
from monitor.repair.plan import Call, Step
from monitor.repair.writing import KeyWriter
from monitor.settings_file import read_settings
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, Person, process, settings_for, until
from tests.journey.scene import client
from tests.real.services import free_port

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/admin"
People = Callable[[str], Person]


async def told(sqs: Any, simulator: Simulator, *arns: str) -> list[dict[str, Any]]:
    """The next notification about each of these keys; those about others are lost."""
    found: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(15):
        while set(arns) - set(found):
            answer = await sqs.receive_message(
                QueueUrl=simulator.topic_queue_url, MaxNumberOfMessages=10
            )
            for one in answer.get("Messages", []):
                await sqs.delete_message(
                    QueueUrl=simulator.topic_queue_url, ReceiptHandle=one["ReceiptHandle"]
                )
                body = json.loads(one["Body"])
                message: dict[str, Any] = json.loads(body.get("Message", one["Body"]))
                # Not of how the scene was set up.
                if message["event"]["name"] not in {"CreateAlias", "TagResource"}:
                    found.setdefault(message["key"]["arn"], message)
            await asyncio.sleep(0.05)
    return [found[arn] for arn in arns]


class Site:
    """A daemon and its settings file."""

    def __init__(self, simulator: Simulator, folder: Path, **changes: Any) -> None:
        self.file = folder / "settings.yaml"
        responders = {
            "restore_key": {"doubt_seconds": 0.5},
            "sns": {"topic_arn": simulator.topic_arn},
        }
        about = {"sweep": {"grace_minutes": 0}, "responders": responders}
        made = settings_for(simulator, folder, **(about | changes))
        self.document = made.model_dump(mode="json", exclude_defaults=True)
        self.write()
        self.app: App

    def write(self, **changes: Any) -> None:
        """As an editor does it: the new file takes the old one's place."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.document | changes))
        new.replace(self.file)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)

    def reloads(self, outcome: str) -> float | None:
        return self.sample("settings_reloads_total", outcome=outcome)

    def actions(self, outcome: str) -> float | None:
        return self.sample("actions_total", responder="restore_key", outcome=outcome)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[App]:
    settings = read_settings(site.file, {})
    site.app = App(settings, load(settings, site.file), file=site.file)
    up = asyncio.Event()
    task = asyncio.create_task(site.app.run(up.set), name="the daemon under test")
    waiting = asyncio.create_task(up.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        yield site.app
    finally:
        site.app.stop()
        await asyncio.wait_for(task, 30)


async def test_a_file_that_is_edited_holds_at_once_and_a_bad_one_never(
    simulator: Simulator, people: People, sqs: Any, tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    arns = [await admin.create_key() for _ in range(3)]
    site = Site(simulator, tmp_path)
    async with running(site):
        site.write(mode="observe")
        await until(lambda: site.reloads("taken") == 1)
        await mallory.kms.disable_key(KeyId=arns[0])
        (message,) = await told(sqs, simulator, arns[0])
        assert (message["reason"], message["outcome"]) == ("observe", "would")
        assert simulator.kms.state_of(arns[0]) == "Disabled"

        site.write(mode="enforced")
        await until(lambda: site.reloads("refused") == 1)
        assert site.sample("settings_last_reload_successful") == 0
        await mallory.kms.disable_key(KeyId=arns[1])
        (message,) = await told(sqs, simulator, arns[1])
        assert message["reason"] == "observe"

        # Back to enforce: what was only told is put back, without anybody calling again.
        site.write()
        await until(lambda: site.reloads("taken") == 2)
        await until(lambda: all(simulator.kms.state_of(arn) == "Enabled" for arn in arns))
        assert site.sample("settings_last_reload_successful") == 1


async def test_a_config_map_is_swapped(
    simulator: Simulator, people: People, tmp_path: Path
) -> None:
    """`settings.yaml -> ..data/settings.yaml`, `..data -> ..2026_1`; the last one is replaced."""
    arn = await people("admin").create_key()
    site = Site(simulator, tmp_path)
    for name, mode in (("..2026_1", "enforce"), ("..2026_2", "observe")):
        (tmp_path / name).mkdir()
        document = json.dumps(site.document | {"mode": mode})
        (tmp_path / name / "settings.yaml").write_text(document)
    (tmp_path / "..data").symlink_to("..2026_1")
    site.file.unlink()
    site.file.symlink_to("..data/settings.yaml")
    async with running(site):
        (tmp_path / "..data_tmp").symlink_to("..2026_2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        await until(lambda: site.reloads("taken") == 1)
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: site.actions("would") == 1)
        assert simulator.kms.state_of(arn) == "Disabled"


async def test_sighup_reads_the_settings_and_does_not_end_the_daemon(
    simulator: Simulator, people: People, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    port = free_port()

    async def counted(outcome: str) -> bool:
        page = await asyncio.to_thread(read_page, f"http://127.0.0.1:{port}/metrics")
        return f'kms_monitor_settings_reloads_total{{outcome="{outcome}"}} 1.0' in page

    async with process(simulator, tmp_path, web={"port": port}) as running:
        running.send_signal(signal.SIGHUP)
        # Without being asked it says nothing of a file that is as it was.
        await until(lambda: counted("unchanged"))
        file = tmp_path / "settings.yaml"
        file.write_text(file.read_text().replace("mode: enforce", "mode: observe"))
        running.send_signal(signal.SIGHUP)
        await until(lambda: counted("taken"))
        await people("mallory").kms.disable_key(KeyId=arn)
        await asyncio.sleep(2.5)
        assert simulator.kms.state_of(arn) == "Disabled"
        assert running.returncode is None
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 15) == 0


def read_page(url: str) -> str:
    with urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


async def test_a_file_stops_every_write_and_is_caught_up_with_once_it_is_gone(
    simulator: Simulator, people: People, sqs: Any, tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    arn, pending = await admin.create_key(), await admin.create_key()
    stop = tmp_path / "stop"
    site = Site(simulator, tmp_path, kill_switch_file=str(stop))
    async with running(site):
        stop.touch()
        await mallory.kms.disable_key(KeyId=arn)
        await mallory.kms.schedule_key_deletion(KeyId=pending, PendingWindowInDays=7)
        (message,) = await told(sqs, simulator, arn)
        assert (message["reason"], message["outcome"]) == ("writes_stopped", "would")
        assert message["stopped"] == f"the kill switch is on: {stop} is there"
        await until(lambda: site.actions("would") == 2)
        states = [simulator.kms.state_of(one) for one in (arn, pending)]
        assert states == ["Disabled", "PendingDeletion"]
        assert site.sample("writes_stopped") == 1

        stop.unlink()
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        await until(lambda: simulator.kms.state_of(pending) == "Enabled")
        assert site.sample("writes_stopped") == 0


async def test_a_repair_in_flight_stops_before_its_next_writing_call(
    simulator: Simulator,
    people: People,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arn = await people("admin").create_key()
    stop = tmp_path / "stop"
    send, sent = KeyWriter.send, []

    async def watched(writer: KeyWriter, step: Step, live: KeySnapshot) -> None:
        await send(writer, step, live)
        sent.append(step.call)
        if step.call is Call.CANCEL_KEY_DELETION:
            stop.touch()

    monkeypatch.setattr(KeyWriter, "send", watched)
    site = Site(simulator, tmp_path, kill_switch_file=str(stop))
    async with running(site):
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await until(lambda: sent == [Call.CANCEL_KEY_DELETION])
        await asyncio.sleep(1)
        assert simulator.kms.state_of(arn) == "Disabled", "half way, and no further"
        stop.unlink()
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
    assert sent == [Call.CANCEL_KEY_DELETION, Call.ENABLE_KEY]


async def test_one_account_key_or_tier_goes_by_a_rule_of_its_own(
    simulator: Simulator, people: People, sqs: Any, tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    lab, root, plain = [await admin.create_key() for _ in range(3)]
    await admin.kms.tag_resource(KeyId=lab, Tags=[{"TagKey": "stage", "TagValue": "lab"}])
    await admin.kms.create_alias(AliasName="alias/root-ca", TargetKeyId=root)
    site = Site(
        simulator,
        tmp_path,
        tiers=[{"name": "tier-0", "keys": ["alias/root-*"], "severity": "critical"}],
        response=[
            {"name": "page", "tiers": ["tier-0"], "responders": ["restore_key", "sns"]},
            {"name": "lab", "tags": {"stage": "lab"}, "mode": "observe"},
            {"name": "quiet", "responders": ["restore_key"]},
        ],
        approved_actors=[ADMIN],
        sweep={"calls_per_second": 100},
    )
    async with running(site) as app:
        knowledge = app.consumers[0].journey.detection.knowledge  # type: ignore[attr-defined]
        await until(
            lambda: len([1 for one in knowledge.keys.values() if one.tags is not None]) == 3
        )
        for arn in (plain, lab):
            await mallory.kms.disable_key(KeyId=arn)
        # not even whom the settings approve may touch a key of tier 0
        await admin.kms.disable_key(KeyId=root)
        message, worst = await told(sqs, simulator, lab, root)
        assert (message["rule"], message["outcome"], message["tiers"]) == ("lab", "would", [])
        assert (worst["rule"], worst["tiers"]) == ("page", ["tier-0"])
        assert (worst["severity"], worst["outcome"]) == ("critical", "done")
        await until(lambda: simulator.kms.state_of(plain) == "Enabled")
        assert simulator.kms.state_of(lab) == "Disabled"
        for name in ("page", "lab", "quiet"):
            assert (site.sample("response_rule_decisions_total", rule=name) or 0) >= 1
        # the third tells of the alias by which root came into its tier
        assert site.sample("actions_total", responder="sns", outcome="done") == 3


async def test_in_a_maintenance_window_a_change_is_left_as_it_is_once_it_is_confirmed(
    simulator: Simulator, people: People, sqs: Any, tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    arn, other, root = [await admin.create_key() for _ in range(3)]
    await admin.kms.create_alias(AliasName="alias/root-ca", TargetKeyId=root)
    today = datetime.now(UTC)
    site = Site(
        simulator,
        tmp_path,
        tiers=[{"name": "tier-0", "keys": ["alias/root-*"]}],
        maintenance=[
            {
                "name": "today",
                "cron": f"{today.minute} {today.hour} * * *",
                "time_zone": "UTC",
                "minutes": 60,
                "actors": [ADMIN],
            }
        ],
        sweep={"calls_per_second": 100},
    )
    async with running(site) as app:
        knowledge = app.consumers[0].journey.detection.knowledge  # type: ignore[attr-defined]
        await until(
            lambda: len([1 for one in knowledge.keys.values() if one.tags is not None]) == 3
        )
        await admin.kms.disable_key(KeyId=arn)
        await mallory.kms.disable_key(KeyId=other)  # another actor
        await admin.kms.disable_key(KeyId=root)  # a key of tier 0
        (message,) = await told(sqs, simulator, arn)
        assert (message["verdict"], message["window"]) == ("accept", "today")
        assert message["severity"] == "low"
        assert "meant, maintenance today" in message["subject"]
        assert simulator.kms.state_of(arn) == "Disabled"
        await until(lambda: all(simulator.kms.state_of(one) == "Enabled" for one in (other, root)))
        assert site.sample("maintenance_changes_total", window="today") == 1


async def test_a_daemon_that_starts_with_the_switch_on_says_so(
    simulator: Simulator, people: People, tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    site = Site(simulator, tmp_path, kill_switch=True)
    with capture_logs() as lines:
        async with running(site):
            await people("mallory").kms.disable_key(KeyId=arn)
            await until(lambda: site.actions("would") == 1)
    assert "writes are stopped" in [line["event"] for line in lines]
    assert simulator.kms.state_of(arn) == "Disabled"


async def test_a_label_takes_no_key_out_of_what_the_rules_do_for_it(
    simulator: Simulator, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.approvals.YOUNG", 0.0)
    admin, mallory = people("admin"), people("mallory")
    arn = await admin.create_key()
    async with client(simulator, "events", "admin") as events:
        pattern = json.dumps({"source": ["aws.kms"]})
        await events.put_rule(Name="kms-monitor", EventPattern=pattern)
    dev = {"name": "dev", "tags": {"env": "dev"}, "mode": "observe"}
    site = Site(simulator, tmp_path, response=[dev])
    async with running(site) as app:
        journey: Any = app.consumers[0].journey
        keys = journey.detection.knowledge.keys
        await until(lambda: any(one.tags is not None for one in keys.values()))
        await mallory.kms.tag_resource(KeyId=arn, Tags=[{"TagKey": "env", "TagValue": "dev"}])
        await until(lambda: site.actions("done") == 1)
        assert (await admin.kms.list_resource_tags(KeyId=arn))["Tags"] == []
        await mallory.kms.disable_key(KeyId=arn)
        await until(lambda: site.actions("done") == 2)
        assert simulator.kms.state_of(arn) == "Enabled"
