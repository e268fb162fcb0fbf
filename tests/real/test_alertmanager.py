"""A real Alertmanager takes our example, and with it pages once, for what is to be mended."""

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.journey.conftest import until
from tests.real.services import free_port, require, running
from tests.real.test_prometheus import output_of

pytestmark = pytest.mark.real
FOLDER = Path("deploy/prometheus")
EXAMPLE = FOLDER / "alertmanager.yaml"


async def test_the_example_is_as_alertmanager_wants_it() -> None:
    code, output = await output_of(require("amtool"), "check-config", str(EXAMPLE))
    assert code == 0, output


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=KmsMonitorWatchdog severity=none", "dead-mans-switch"),
        ("alertname=KmsMonitorBacklog severity=warning", "webhook,slack"),
        ("alertname=KmsMonitorAbsent severity=critical", "webhook,pagerduty,slack"),
        ("alertname=KmsMonitorKeyUnsafe severity=critical key_id=k", "webhook,pagerduty,slack"),
        ("alertname=SomebodyElses severity=warning", "slack"),
    ],
)
async def test_an_alert_goes_to(labels: str, receivers: str) -> None:
    code, output = await output_of(
        require("amtool"), "config", "routes", "test", f"--config.file={EXAMPLE}", *labels.split()
    )
    assert code == 0, output
    assert output.splitlines()[-1] == receivers


class Ear:
    """Slack, PagerDuty and the webhook, on one port of the loopback."""

    def __init__(self) -> None:
        self.heard: dict[str, list[dict[str, Any]]] = {"slack": [], "pagerduty": [], "webhook": []}

    async def hear(self, request: web.Request) -> web.Response:
        self.heard[request.path.strip("/")].append(await request.json())
        return web.json_response({"status": "success"}, status=202)


@asynccontextmanager
async def alertmanager(directory: Path) -> AsyncIterator[tuple[str, Ear]]:
    """Its address, and who hears what it sends. Nothing but times and addresses is changed."""
    ear, application, ports = Ear(), web.Application(), (free_port(), free_port())
    application.router.add_post("/{name}", ear.hear)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", ports[0]).start()
    out = f"http://127.0.0.1:{ports[0]}"
    (directory / "slack").write_text(f"{out}/slack")
    (directory / "key").write_text("R0UT1NG")
    config = loaded(EXAMPLE)
    config["global"] |= {
        "slack_api_url_file": str(directory / "slack"),
        "pagerduty_url": f"{out}/pagerduty",
    }
    quick(config["route"])
    for one in config["receivers"]:
        for part in one.get("pagerduty_configs", []):
            part["routing_key_file"] = str(directory / "key")
        for part in one.get("webhook_configs", []):
            part["url"] = f"{out}/webhook"
    file = directory / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [
        require("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{ports[1]}",
        "--cluster.listen-address=",
    ]
    try:
        with running(command, ports[1], directory / "alertmanager.log"):
            yield f"http://127.0.0.1:{ports[1]}/api/v2/alerts", ear
    finally:
        await runner.cleanup()


def loaded(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


def quick(route: dict[str, Any]) -> None:
    """Long enough for alerts that come together to be told together."""
    if "group_wait" in route:
        route["group_wait"] = "1s"
    for child in route.get("routes", []):
        quick(child)


async def test_one_page_for_each_key_and_none_for_what_follows_from_another(
    tmp_path: Path,
) -> None:
    notes = {
        rule["alert"]: rule["annotations"]
        for group in loaded(FOLDER / "kms-monitor.rules.yaml")["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }

    def alert(name: str, severity: str, **labels: str) -> dict[str, Any]:
        named = {"alertname": name, "severity": severity, "cluster": "c", "job": "kms-monitor"}
        return {"labels": named | labels, "annotations": notes[name]}

    place = {"account": "111122223333", "region": "eu-west-1"}
    alerts = [
        alert("KmsMonitorKeyUnsafe", "critical", key_id="k1", incident="i1", **place),
        alert("KmsMonitorDeletionDeadlineNear", "critical", key_id="k1", **place),
        alert("KmsMonitorKeyUnsafe", "critical", key_id="k2", incident="i2", **place),
        alert("KmsMonitorQueueUnreachable", "critical", source="kms"),
        alert("KmsMonitorCanaryLost", "critical", **place),
    ]
    async with (
        alertmanager(tmp_path) as (url, ear),
        aiohttp.ClientSession() as session,
    ):
        async with session.post(url, json=alerts) as answer:
            assert answer.status == 200, await answer.text()
        await until(lambda: len(ear.heard["pagerduty"]) >= 3, 20)
        await until(lambda: len(ear.heard["webhook"]) >= 4 and ear.heard["slack"], 20)
        await asyncio.sleep(1)
        async with session.get(url) as answer:
            states = {
                (one["labels"]["alertname"], one["labels"].get("key_id")): one["status"]["state"]
                for one in await answer.json()
            }
    pages = ear.heard["pagerduty"]
    assert len(pages) == 3  # k1, k2, the queue
    assert {page["routing_key"] for page in pages} == {"R0UT1NG"}
    assert {page["event_action"] for page in pages} == {"trigger"}
    assert len({page["dedup_key"] for page in pages}) == 3
    (both,) = [page for page in pages if "DeletionDeadlineNear" in json.dumps(page)]
    assert "KmsMonitorKeyUnsafe" in both["payload"]["custom_details"]["firing"]
    assert "/runbooks/KmsMonitor" in both["payload"]["custom_details"]["runbook"]
    assert states["KmsMonitorCanaryLost", None] == "suppressed"
    assert states["KmsMonitorQueueUnreachable", None] == "active"
    assert "CanaryLost" not in json.dumps(ear.heard)


def silences() -> list[list[str]]:
    """Every command of a runbook that silences its alert."""
    return [
        shlex.split(line)
        for page in sorted(Path("docs/runbooks").glob("KmsMonitor*.md"))
        for line in page.read_text("utf-8").splitlines()
        if line.startswith("amtool silence add ")
    ]


async def test_the_silences_of_the_runbooks_silence(tmp_path: Path) -> None:
    """Each as it stands there, words in capitals included: the alert that it is about is muted."""
    commands = silences()
    assert len(commands) > 40
    async with alertmanager(tmp_path) as (url, _), aiohttp.ClientSession() as session:
        for words in commands:
            address = words.index("http://alertmanager:9093")
            words[address] = url.removesuffix("/api/v2/alerts")
            code, output = await output_of(require("amtool"), *words[1:])
            assert code == 0, (words, output)
        alerts = [
            {"labels": dict(one.split("=", 1) for one in words if re.match(r"[a-z_]+=", one))}
            for words in commands
        ]
        async with session.post(url, json=alerts) as answer:
            assert answer.status == 200, await answer.text()
        async with session.get(url) as answer:
            found = await answer.json()
    assert len(found) == len(alerts)
    assert {one["status"]["state"] for one in found} == {"suppressed"}
