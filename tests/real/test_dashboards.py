"""Two daemons live through the attack story while a real Prometheus watches: every panel shows it.

Nothing is replaced but AWS. Grafana itself is not here: what is proven is that each panel's query, filled
in as Grafana fills it in, finds numbers. With DASHBOARD_PICTURES=FILE what was found is written there,
for `python -m deploy.grafana.pictures` (make pictures).
"""

import asyncio
import base64
import itertools
import json
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiobotocore.session import get_session
from aiohttp import web

from monitor.demo import daemon as demo_daemon
from monitor.demo.broker import broker
from monitor.demo.daemon import Daemon, isolate
from monitor.demo.people import ACCOUNT, REGION, People, people
from monitor.demo.rules import put_rules
from monitor.demo.story import ATTACKS, DENIED, Stage
from monitor.demo.watch import WatchedKms
from monitor.simulator.knobs import Knobs
from monitor.simulator.server import Simulator
from tests.dashboards import BOARDS, filled, panels
from tests.journey.conftest import lead_to
from tests.real.services import free_port, require
from tests.real.test_prometheus import Prometheus, prometheus
from tests.tables import make_table

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]
RULES = Path("deploy/prometheus/kms-monitor.rules.yaml").resolve()
PICTURES = "DASHBOARD_PICTURES"
EMPTY = {
    "Log files by fate": "the story has no trail whose log files are read from S3",
    "Problems with digests": "as above; and born only where `verify_digests` is on",
}
"""Panels that show nothing in the story, and why that is right."""
DAY = 86_400


class Story:
    """The stage, the attacker, and two replicas that share a table."""

    def __init__(self, simulator: Simulator, stage: Stage, callers: People) -> None:
        self.simulator = simulator
        self.stage = stage
        self.people = callers
        self.replicas: list[Daemon] = []

    def ports(self) -> list[int]:
        return [int(one.url.rpartition(":")[2]) for one in self.replicas]


def settings(
    simulator: Simulator, broker_port: int, hook: str, canary: str, escrow: Path
) -> dict[str, Any]:
    queue = {"url": simulator.queue_url, "region": REGION, "wait_seconds": 1}
    return {
        "mode": "enforce",
        "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
        "queues": [queue],
        "responders": {
            "restore_key": {"doubt_seconds": 1},
            "restore_sight": {},
            "sns": {"topic_arn": simulator.topic_arn},
            "mqtt": {"host": "127.0.0.1", "port": broker_port, "tls": False},
            "webhook": {
                "address": hook,
                "secret_env": "HOOK_SECRET",
                "per_minute": 6,
                "digest_seconds": 1,
            },
        },
        "fallbacks": {"webhook": "mqtt"},
        "store": {"kind": "dynamodb", "table": "kms-monitor"},
        "canary": {"keys": [canary], "every_seconds": 2},
        "sweep": {"every_minutes": 0.05, "grace_minutes": 0},
        "escrows": {"file": {"folder": str(escrow)}},
        "response": [{"name": "sandbox", "tags": {"stage": "sandbox"}, "mode": "observe"}],
        "maintenance": [
            {
                "name": "night",
                "cron": "0 2 * * sun",
                "time_zone": "Europe/Berlin",
                "minutes": 10,
                "actors": [f"arn:aws:iam::{ACCOUNT}:role/patching"],
            }
        ],
        "watched": {"discover": False},
        "web": {"port": 0},
        "log": {"format": "json"},
    }


def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """For this test alone: what other tests go by stays as it is."""
    without = dict(os.environ)
    isolate(without)
    for name in os.environ.keys() - without.keys():
        monkeypatch.delenv(name)
    for name, value in without.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def receiver() -> AsyncIterator[str]:
    """Somebody's service that takes notifications, and is busy now and then; its address."""
    heard = itertools.count(1)

    async def hear(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=503 if next(heard) % 3 == 0 else 204)

    application, port = web.Application(), free_port()
    application.router.add_post("/", hear)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Story]:
    apart(monkeypatch)
    async with AsyncExitStack() as stack:
        kms = WatchedKms(now=time.time)
        simulator = await stack.enter_async_context(Simulator(kms=kms, knobs=Knobs(deny=(DENIED,))))
        put_rules(simulator)
        lead_to(simulator, monkeypatch)
        port = await stack.enter_async_context(broker())
        hook = await stack.enter_async_context(receiver())
        callers = await stack.enter_async_context(people(simulator.endpoint_url))
        story = Story(simulator, Stage(simulator, kms, callers), callers)
        await story.stage.set_up()
        canary = (await callers.kms("admin").create_key())["KeyMetadata"]["Arn"]
        async with get_session().create_client(
            "dynamodb", aws_access_key_id="admin", aws_secret_access_key="any"
        ) as table:
            await make_table(table)
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump(settings(simulator, port, hook, canary, tmp_path)))
        monkeypatch.setattr(demo_daemon, "config_file", lambda: file)
        for name in ("a", "b"):
            directory = tmp_path / name
            directory.mkdir()
            variables = {
                "KMS_MONITOR_RESPONDERS__MQTT__CLIENT_ID": f"kms-monitor-{name}",
                "HOOK_SECRET": f"whsec_{base64.b64encode(bytes(32)).decode()}",
            }
            one = await stack.enter_async_context(demo_daemon.daemon(directory, variables))
            await one.ready()
            story.replicas.append(one)
        yield story


async def until(holds: Callable[[], Awaitable[Any]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - there is nothing to be woken by
            await asyncio.sleep(0.2)


async def play(story: Story, prom: Prometheus) -> list[dict[str, Any]]:
    """All that can befall it. The tables of what is wrong, as they are at the worst moment."""
    simulator, stage = story.simulator, story.stage

    def finds(query: str) -> Callable[[], Awaitable[Any]]:
        return lambda: prom.series(query)

    for attack in ATTACKS:
        await stage.play(attack)
        await asyncio.sleep(0.7)
    await stage.mend()
    # Nobody knows what this is; and each service of AWS's refuses us for a while.
    queue = {"QueueUrl": simulator.queue_url, "MessageBody": "oh no, {not json"}
    await story.people.sqs("mallory").send_message(**queue)
    for service in ("dynamodb", "sqs"):
        simulator.set_knob("deny", (f"kms-monitor:{service}:*",))
        await asyncio.sleep(2)
        simulator.set_knob("deny", (DENIED,))
        await asyncio.sleep(1)
    # A key that we may not bring back.
    simulator.set_knob("deny", ("kms-monitor:kms:CancelKeyDeletion",))
    arn = stage.arns["ledger"]
    await story.people.kms("mallory").schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    await until(finds("kms_monitor_key_deletion_deadline_timestamp_seconds"), 60)
    await until(finds('ALERTS{alertname="KmsMonitorRepairFailed",alertstate="firing"}'), 60)
    await asyncio.sleep(2)
    worst = [
        {"board": board, "panel": panel, "found": await prom.series(filled(query, span="5m"))}
        for board, panel in panels()
        for query in [target["expr"] for target in panel["targets"]]
        if panel["type"] == "table"
    ]
    simulator.set_knob("deny", (DENIED,))
    await until(lambda: enabled(story, arn), 60)
    await asyncio.sleep(3)
    return worst


async def enabled(story: Story, arn: str) -> bool:
    answer = await story.people.kms("admin").describe_key(KeyId=arn)
    return str(answer["KeyMetadata"]["KeyState"]) == "Enabled"


def numbers(found: list[dict[str, Any]]) -> list[float]:
    pairs = [pair for one in found for pair in one.get("values", [one.get("value")])]
    return [value for _, text in pairs if math.isfinite(value := float(text))]


async def test_every_panel_shows_the_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("prometheus")
    async with (
        scene(tmp_path, monkeypatch) as story,
        prometheus(*story.ports(), directory=tmp_path, rules=(str(RULES),), every="500ms") as prom,
    ):
        # Prometheus learns of its targets seconds after it is ready; one sample shows no rise.
        await until(lambda: prom.series("count(count_over_time(up[1m]) > 2) == 2"))
        await asyncio.sleep(2)
        at_rest = await prom.series('ALERTS{alertname!="KmsMonitorWatchdog"}')
        began = time.time()
        shown = await play(story, prom)
        seconds = math.ceil(time.time() - began)
        for board, panel in panels():
            if panel["type"] == "table":
                continue
            for target in panel["targets"]:
                query = filled(target["expr"], interval="10s", span=f"{seconds}s")
                found = await prom.series(query, start=began, end=time.time(), step=1)
                shown.append({"board": board, "panel": panel, "found": found})
        keep(shown)
        marks = {
            one["name"]: await prom.series(
                filled(one["expr"]), start=began, end=time.time(), step=1
            )
            for one in BOARDS["overview"]["annotations"]["list"]
        }
        firing = await prom.series('ALERTS{alertstate="firing"}')
        scraped = await asyncio.gather(*(metrics_of(one) for one in story.replicas))

    # Neither firing nor waiting to: who is paged by a daemon at rest soon looks no more.
    assert at_rest == []
    without = {one["panel"]["title"] for one in shown if not numbers(one["found"])}
    assert without == set(EMPTY)
    sane(shown)
    assert [name for name, found in marks.items() if not found] == []
    # All that an attack raises at once, with what it is about; the rest waits for its minutes.
    names = {one["metric"]["alertname"] for one in firing}
    assert {"KmsMonitorWatchdog", "KmsMonitorKeyDamaged", "KmsMonitorAttackInProgress"} <= names
    assert all("kms_monitor_build_info" in text for text in scraped)


def keep(shown: list[dict[str, Any]]) -> None:
    if PICTURES in os.environ:
        Path(os.environ[PICTURES]).write_text(json.dumps(shown), encoding="utf-8")


async def metrics_of(one: Daemon) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{one.url}/metrics") as answer:
        return await answer.text()


def sane(shown: list[dict[str, Any]]) -> None:
    """Numbers that are as large as their unit says: a second taken for a millisecond is seen."""
    most = {
        "s": 8 * DAY,
        "percentunit": 4.0,
        "bool_yes_no": 1.0,
        "ops": 1e4,
        "short": 1e4,
        "bytes": 2e9,
        "Bps": 1e9,
    }
    for one in shown:
        unit = one["panel"]["fieldConfig"]["defaults"]["unit"]
        values = numbers(one["found"])
        assert all(-1e-6 <= value <= most[unit] for value in values), one["panel"]["title"]
        if unit == "bool_yes_no":
            assert set(values) <= {0.0, 1.0}, one["panel"]["title"]
        if unit == "bytes":
            assert min(values) > 1e6, one["panel"]["title"]
