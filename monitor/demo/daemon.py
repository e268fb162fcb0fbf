"""The real daemon as a process of its own, as a user would start it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from monitor.demo.errors import DemoError

USER = "kms-monitor"
READY_SECONDS = 30.0
STOP_SECONDS = 20.0


def config_file() -> Path:
    """`config/demo.yaml` of the clone, or its copy inside an installed package."""
    packaged = Path(__file__).with_name("demo.yaml")
    return packaged if packaged.exists() else Path(__file__).parents[2] / "config" / "demo.yaml"


def isolate(environment: MutableMapping[str, str]) -> None:
    """Take away whatever could lead a client to the real AWS, or the daemon to other settings.

    The endpoint alone would not do: a profile, a service's own endpoint or a proxy would win.
    """
    for name in list(environment):
        if name.startswith(("AWS_", "KMS_MONITOR_")) or name.lower().endswith("_proxy"):
            del environment[name]
    environment["AWS_CONFIG_FILE"] = os.devnull
    environment["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    environment["AWS_EC2_METADATA_DISABLED"] = "true"


class Daemon:
    """The running process. Its log goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.url = ""
        """Where its endpoints are, once `ready`."""

    async def ready(self) -> None:
        """Wait until `/readyz` says yes. Raises `DemoError` with its reasons if it never does."""
        why = "it never said where it listens"
        try:
            async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
                while True:
                    self.check()
                    self.url = self.url or self.listening()
                    if self.url:
                        with suppress(aiohttp.ClientError):
                            async with session.get(f"{self.url}/readyz") as answer:
                                if answer.status == 200:
                                    return
                                why = str((await answer.json())["problems"])
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = f"the daemon was not ready within {READY_SECONDS:g} s: {why}"
            raise DemoError(text) from None

    def check(self) -> None:
        """Raises `DemoError` if the process has ended."""
        if self.process.returncode is not None:
            raise DemoError(f"the daemon ended with exit code {self.process.returncode}")

    def listening(self) -> str:
        """The address that it logged; its port is chosen by the system."""
        for line in self.lines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == "listening":
                    return str(entry["url"]).removesuffix("/metrics")
        return ""

    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    async def metrics(self) -> dict[str, Metric]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        return {family.name: family for family in text_string_to_metric_families(text)}

    async def stop(self) -> int:
        """SIGTERM, and its exit code; SIGKILL if it takes too long."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


@asynccontextmanager
async def daemon(directory: Path, variables: Mapping[str, Any]) -> AsyncIterator[Daemon]:
    """Start it with `variables` over `config/demo.yaml`; whatever happens, it ends with the block."""
    log = directory / "daemon.log"
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # else a directory `monitor` where the user happens to stand would be imported
            "-m",
            "monitor",
            "run",
            "--config",
            str(config_file()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**os.environ, **{name: str(value) for name, value in variables.items()}},
            cwd=directory,
            # A Ctrl-C on the terminal is for the demo, which then ends the daemon in good order.
            start_new_session=True,
        )
    one = Daemon(process, log)
    try:
        yield one
    finally:
        if process.returncode is None:
            await asyncio.shield(one.stop())
