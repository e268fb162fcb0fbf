"""`kms-monitor tell`: a trial through every channel. Replaced: the services, in a thread of their own."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from tests.fake_channels import ROUTING_KEY, SIGNING, Services, services

HEAD = """\
mode: enforce
accounts: [{id: "111122223333", regions: [eu-west-1]}]
queues:
  - {url: "https://sqs.eu-west-1.amazonaws.com/111122223333/q", region: eu-west-1}
responders:
  restore_key:
"""


@pytest.fixture
def people() -> Iterator[Services]:
    """The command has an event loop of its own."""
    found: list[Services] = []
    ready, loop, over = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with services() as made:
            found.append(made)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(5)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join(10)
    loop.close()


def settings(people: Services, folder: Path, more: str = "") -> str:
    (folder / "key").write_text(ROUTING_KEY)
    (folder / "secret").write_text(SIGNING)
    file = folder / "settings.yaml"
    file.write_text(
        f"{HEAD}"
        f"  pagerduty: {{routing_key_file: {folder}/key, address: {people.address}/pagerduty}}\n"
        f"  webhook: {{secret_file: {folder}/secret, address: {people.address}/hook}}\n{more}"
    )
    return str(file)


def test_every_channel_is_told_that_nothing_happened(people: Services, tmp_path: Path) -> None:
    file = settings(people, tmp_path, "  mqtt: {host: broker.example.org}\n")
    ran = CliRunner().invoke(app, ["tell", "--config", file, "--json"])
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(one["responder"], one["outcome"]) for one in rows] == [
        ("pagerduty", "done"),
        ("webhook", "done"),
        ("mqtt", "already"),
    ]
    assert ran.exit_code == 0
    assert list(people.alerts.values()) == ["resolve"]
    ((_, body),) = people.hooks
    assert "nothing happened" in body["title"]
    assert body["incident"]["status"] == "closed"


def test_one_that_refuses_is_shown_without_its_secret(people: Services, tmp_path: Path) -> None:
    file = settings(people, tmp_path)
    people.trouble = [(400, {"message": f"{ROUTING_KEY} is wrong"}, {})]
    ran = CliRunner().invoke(app, ["tell", "--config", file, "--only", "pagerduty"])
    assert ran.exit_code == 1
    assert "refused" in ran.stdout
    assert "*** is wrong" in ran.stdout
    assert ROUTING_KEY not in ran.output
    assert not people.hooks
    ran = CliRunner().invoke(app, ["tell", "--config", file])
    assert ran.exit_code == 0


@pytest.mark.parametrize("name", ["slack", "restore_key"])
def test_only_names_one_that_tells(people: Services, tmp_path: Path, name: str) -> None:
    file = settings(people, tmp_path)
    ran = CliRunner().invoke(app, ["tell", "--config", file, "--only", name])
    assert ran.exit_code == 2
    assert f"no responder {name} that tells" in ran.output


def test_without_anybody_who_tells_there_is_nothing_to_try(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(HEAD)
    ran = CliRunner().invoke(app, ["tell", "--config", str(file)])
    assert ran.exit_code == 2
