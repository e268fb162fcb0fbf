"""A real Prometheus reads what the daemon says about itself."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from monitor.metrics import Metrics
from monitor.simulator.server import Simulator
from tests.journey.conftest import Person, daemon, settings_for, until
from tests.real.services import free_port, require

pytestmark = pytest.mark.real

CONFIG = """\
global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: 1s}}
rule_files: {rules}
scrape_configs:
  - job_name: kms-monitor
    static_configs: [{{targets: {targets}}}]
"""


async def fetch(url: str, **parameters: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as answer:
        answer.raise_for_status()
        return await answer.text()


async def output_of(program: str, *arguments: str, stdin: str = "") -> tuple[int | None, str]:
    """Exit code and all output of a program."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin.encode())
    return process.returncode, output.decode()


class Prometheus:
    """One that scrapes the daemon several times a second."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def value(self, query: str) -> float | None:
        """What an instant query that is to find one series says."""
        answer = json.loads(await fetch(f"{self.url}/api/v1/query", query=query))
        result: list[dict[str, Any]] = answer["data"]["result"]
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None

    async def series(self, query: str, **range_: float) -> list[dict[str, Any]]:
        """What a query finds, now or, with `start`, `end` and `step`, over time."""
        kind = "query_range" if range_ else "query"
        parameters = {name: str(value) for name, value in range_.items()}
        answer = json.loads(await fetch(f"{self.url}/api/v1/{kind}", query=query, **parameters))
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def will_say(self, query: str, expected: float) -> None:
        async def says() -> bool:
            return await self.value(query) == expected

        await until(says)


@asynccontextmanager
async def prometheus(
    *ports: int, directory: Path, rules: tuple[str, ...] = (), every: str = "200ms"
) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes these ports, ready; ended and reaped afterwards."""
    program, own = require("prometheus"), free_port()
    config = directory / "prometheus.yml"
    targets = [f"127.0.0.1:{port}" for port in ports]
    text = CONFIG.format(targets=json.dumps(targets), rules=json.dumps(rules), every=every)
    config.write_text(text)
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{own}",
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{own}"

    async def ready() -> bool:
        assert process.returncode is None, (directory / "prometheus.log").read_text()
        try:
            return "Ready" in await fetch(f"{url}/-/ready")
        except aiohttp.ClientError:
            return False

    try:
        await until(ready)
        yield Prometheus(url)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


async def test_prometheus_sees_the_attack_and_the_repair(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    async with (
        daemon(settings_for(simulator, tmp_path)) as app,
        prometheus(app.port, directory=tmp_path) as prom,
    ):
        # Born at zero: without a first sample `increase()` would not see the first attack.
        await prom.will_say(
            'kms_monitor_findings_total{detector="key_disabled",severity="high"}', 0
        )
        await people("mallory").kms.disable_key(KeyId=arn)
        await prom.will_say(
            'kms_monitor_findings_total{detector="key_disabled",severity="high"}', 1
        )
        await prom.will_say('kms_monitor_actions_total{responder="restore_key",outcome="done"}', 1)
        await prom.will_say("kms_monitor_event_to_safe_seconds_count", 1)
        await prom.will_say("min(kms_monitor_source_up)", 1)


async def test_names_and_texts_of_the_metrics_are_as_prometheus_wants_them(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    promtool = require("promtool")
    arn = await people("admin").create_key()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        scraped = await fetch(f"http://127.0.0.1:{app.port}/metrics")
    code, output = await output_of(promtool, "check", "metrics", stdin=scraped)
    assert (code, output) == (0, "")


async def test_metrics_that_have_no_series_yet_are_as_prometheus_wants_them() -> None:
    """promtool passes over what has no series, so every declared metric gets one here."""
    metrics = Metrics(CollectorRegistry())
    for metric in list(metrics.registry._collector_to_names):
        if isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(*("any" for _ in metric._labelnames))
    scraped = generate_latest(metrics.registry).decode()
    assert scraped.count("# HELP") > 60
    assert await output_of(require("promtool"), "check", "metrics", stdin=scraped) == (0, "")


async def test_the_alerts_fire_and_end() -> None:
    promtool, folder = require("promtool"), Path("deploy/prometheus")
    code, output = await output_of(
        promtool, "check", "rules", str(folder / "kms-monitor.rules.yaml")
    )
    assert code == 0, output
    code, output = await output_of(promtool, "test", "rules", str(folder / "kms-monitor.test.yaml"))
    assert code == 0, output
