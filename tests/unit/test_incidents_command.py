"""`kms-monitor incidents`: what people see of the store."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from monitor.cli import app
from monitor.clock import SystemClock
from monitor.decision import Stage
from monitor.evidence import Evidence, FailedUse, LastUse
from monitor.finding import Aspect, Severity
from monitor.incident import Incident, Noted, Reminder
from monitor.key import KeyRef
from monitor.stores.sqlite import SqliteStore
from tests.samples import ACCOUNT, EPOCH, KEY, REGION

SETTINGS = f"""
mode: observe
accounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]
queues: [{{url: "https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/q", region: {REGION}}}]
"""
NOTED = Noted(
    "f" * 32, "key_disabled", "KMS key disabled", Severity.HIGH, "e", "DisableKey", EPOCH,
    "mallory", Aspect.STATE, Stage.OPENED,
)  # fmt: skip
OPEN = Incident("1a2b3c4d" * 4, KEY, EPOCH, Severity.HIGH, (NOTED,), 1, frozenset({Aspect.STATE}))
CLOSED = Incident(
    "5e6f7a8b" * 4,
    KeyRef(ACCOUNT, REGION, "other"),
    EPOCH - 99,
    Severity.CRITICAL,
    (NOTED,),
    2,
    closed_at=EPOCH,
    closed_by="carol\x1b[2J",
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS + f"store: {{path: {tmp_path / 'state.db'}}}\n")
    return file


def fill(config: Path, *given: Incident) -> None:
    async def write() -> None:
        store = await SqliteStore.open(config.with_name("state.db"), SystemClock())
        for one in given:
            await store.put_incident(one, expected_version=0)
        await store.close()

    asyncio.run(write())


def run(config: Path, *more: str) -> Any:
    return CliRunner().invoke(app, ["incidents", "--config", str(config), *more])


def test_a_table(config: Path) -> None:
    fill(config, OPEN, CLOSED)
    answer = run(config)
    assert answer.exit_code == 0
    head, first, second = answer.stdout.splitlines()
    assert head.split() == ["id", "key", "opened", "severity", "findings", "status", "closed", "by"]
    assert first.split() == ["1a2b3c4d", KEY.arn, "2026-11-20T09:14:03Z", "high", "1", "open"]
    assert second.split()[3:7] == ["critical", "2", "closed", "2026-11-20T09:14:03Z"]
    assert "\x1b" not in answer.stdout


def test_open_ones_and_json(config: Path) -> None:
    fill(config, OPEN, CLOSED)
    answer = run(config, "--open", "--json")
    (one,) = map(json.loads, answer.stdout.splitlines())
    assert one["id"] == OPEN.id
    assert one["findings"][0]["actor"] == "mallory"


def test_there_are_none(config: Path) -> None:
    fill(config)
    assert run(config).stdout == "there are no incidents\n"
    fill(config, CLOSED)
    assert run(config, "--open").stdout == "no incident is open\n"


def test_one_is_closed_by_hand(config: Path) -> None:
    fill(config, OPEN, CLOSED)
    answer = run(config, "--close", "1a2b3c4d", "--reason", "it is to be so")
    assert answer.exit_code == 0, answer.stderr
    assert "by hand" in answer.stdout
    assert run(config, "--open").stdout == "no incident is open\n"
    again = run(config, "--close", "1a2b3c4d", "--reason", "it is to be so")
    assert again.exit_code == 1
    assert "0 open incidents have an id that begins with 1a2b3c4d" in again.stderr


def test_a_contested_one_is_resumed_by_hand(config: Path) -> None:
    fill(config, replace(OPEN, contested_at=EPOCH, held_at=EPOCH))
    assert "contested" in run(config).stdout
    answer = run(config, "--resume", "1a2b3c4d", "--reason", "they stopped", "--json")
    assert answer.exit_code == 0, answer.stderr
    (one,) = map(json.loads, answer.stdout.splitlines())
    assert one["resumed_at"] > EPOCH
    assert one["outcome"].startswith("resumed by hand, ")
    assert json.loads(run(config, "--json").stdout)["resumed_at"] == one["resumed_at"]


def test_what_does_not_wait_cannot_be_resumed(config: Path) -> None:
    fill(config, OPEN)
    answer = run(config, "--resume", "1a2b3c4d", "--reason", "x")
    assert answer.exit_code == 1
    assert "nothing is held back" in answer.stderr
    assert run(config, "--resume", "1a", "--close", "1a", "--reason", "x").exit_code == 2


def test_why_it_is_closed_has_to_be_said(config: Path) -> None:
    for given in (["--close", "1a"], ["--resume", "1a"], ["--reason", "because"]):
        answer = run(config, *given)
        assert answer.exit_code == 2
        assert "belong together" in answer.stderr


def test_what_cannot_be_read(config: Path, tmp_path: Path) -> None:
    answer = run(config)
    assert answer.exit_code == 1
    assert "run this where the daemon runs, and after it began" in answer.stderr
    assert not (tmp_path / "state.db").exists()
    (tmp_path / "state.db").write_text("no database at all" * 99)
    assert run(config).exit_code == 1
    config.write_text(SETTINGS + "store: {kind: memory}\n")
    answer = run(config)
    assert answer.exit_code == 2
    assert "no other process can see" in answer.stderr
    config.write_text("mode: neither\n")
    assert run(config).exit_code == 2


# -- one of them

EVIDENCE = Evidence(
    EPOCH, LastUse("Decrypt", EPOCH - 60), failed_calls=3, failed_users=1, deadline=EPOCH + 9,
    failed_uses=(FailedUse("rds.amazonaws.com\x1b[2J", 3, EPOCH, EPOCH),),
)  # fmt: skip
WHOLE = replace(
    OPEN, evidence=EVIDENCE, reminders=(Reminder(6, EPOCH + 9, EPOCH),), outcome="denied: no"
)


def test_one_is_shown_with_its_evidence_and_reminders(config: Path) -> None:
    fill(config, WHOLE, CLOSED)
    told = run(config, "show", "1a2b").stdout
    for part in (
        "Incident  1a2b3c4d1a2b",
        "Status    open",
        "Wrong     state",
        "Repair    denied: no",
        "3 by rds.amazonaws.com?[2J",
        "2026-11-20T09:14:03Z  6 h before 2026-11-20T09:14:12Z",
        "high      DisableKey by mallory: KMS key disabled (opened)",
    ):
        assert part in told
    assert "\x1b" not in told
    found = json.loads(run(config, "show", "1a2b", "--json").stdout)
    assert found["evidence"]["failed_calls"] == 3
    ended = run(config, "show", "5e6f").stdout
    assert "closed 2026-11-20T09:14:03Z by carol?[2J" in ended
    assert "Evidence" not in ended


@pytest.mark.parametrize("name", ["ffff", ""])
def test_it_has_to_be_one(config: Path, name: str) -> None:
    fill(config, OPEN, CLOSED)
    result = run(config, "show", name)
    assert result.exit_code == 1
    assert "incidents have an id that begins with" in result.stderr


def test_what_was_closed_by_hand_is_in_the_action_log(config: Path) -> None:
    fill(config, OPEN)
    assert run(config, "--close", "1a2b", "--reason", "meant").exit_code == 0

    async def read() -> dict[str, Any]:
        store = await SqliteStore.open(config.with_name("state.db"), SystemClock())
        try:
            last = await store.last_logged()
            assert last is not None
            return last.what
        finally:
            await store.close()

    what = asyncio.run(read())
    assert (what["deed"], what["incident"], what["detail"]) == ("incident_closed", OPEN.id, "meant")


def test_an_incident_of_before_evidence_can_still_be_read() -> None:
    old = json.loads(msgspec.json.encode(OPEN))
    for member in ("evidence", "reminders"):
        del old[member]
    assert msgspec.json.decode(json.dumps(old), type=Incident) == OPEN
