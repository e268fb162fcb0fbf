"""`kms-monitor log`: what people see of the action log, and that they see what was done to it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor.chain import Chain, signed
from monitor.cli import app
from monitor.clock import SystemClock
from monitor.stores.sqlite import SqliteStore
from tests.samples import ACCOUNT, ARN, EPOCH, REGION

SETTINGS = f"""
mode: observe
accounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]
queues: [{{url: "https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/q", region: {REGION}}}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS + f"store: {{path: {tmp_path / 'state.db'}}}\n")
    return file


@pytest.fixture
def filled(config: Path) -> Path:
    """Four entries, the third about a key and with text that would steer a terminal."""
    whats: list[dict[str, Any]] = [{"deed": "started"}, {"deed": "action", "calls": ["EnableKey"]}]
    whats += [{"deed": "action", "key": ARN, "actor": "mallory\x1b[2J", "finished_at": EPOCH}]
    whats += [{"deed": "stopped"}]

    async def write() -> None:
        store = await SqliteStore.open(config.with_name("state.db"), SystemClock())
        chain = Chain(store)
        for number, what in enumerate(whats):
            await chain.add(EPOCH + number, signed(what, "kms-monitor here 1"))
        await store.close()

    asyncio.run(write())
    return config


def run(config: Path, *more: str) -> Any:
    return CliRunner().invoke(app, ["log", *more, "--config", str(config)])


def tamper(config: Path, statement: str) -> None:
    with closing(sqlite3.connect(config.with_name("state.db"))) as database:
        database.execute(statement)
        database.commit()


def test_it_shows_the_newest_last(filled: Path) -> None:
    lines = run(filled, "show").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert lines[0].split("  ")[1:] == ["2026-11-20T09:14:03Z", "started", "kms-monitor here 1"]
    assert "calls=EnableKey" in lines[1]
    assert "\x1b" not in lines[2]
    assert "finished_at=2026-11-20T09:14:03Z" in lines[2]
    assert [line.split()[0] for line in run(filled, "show", "--last", "1").stdout.splitlines()] == [
        "4"
    ]
    only = run(filled, "show", "--key", ARN, "--json").stdout
    assert json.loads(only)["what"]["key"] == ARN


def test_a_whole_log_is_whole(filled: Path) -> None:
    head = run(filled, "head").stdout.strip()
    assert head.startswith("4:")
    for more in ([], ["--head", head]):
        result = run(filled, "verify", *more)
        assert (result.exit_code, head in result.stdout) == (0, True)
    summary = json.loads(run(filled, "verify", "--json").stdout)
    assert summary == {"whole": True, "entries": 4, "head": head, "faults": []}
    assert json.loads(run(filled, "head", "--json").stdout)["number"] == 4


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE action_log SET record = replace(record, 'EnableKey', 'DisableKey') WHERE number = 2",
            "entry 2 was changed",
        ),
        ("DELETE FROM action_log WHERE number = 2", "entry 3 stands where 2 should"),
        ("DELETE FROM action_log WHERE number = 1", "entry 2 stands where 1 should"),
        ("UPDATE action_log SET number = number + 10 WHERE number = 2", "entry 12 was changed"),
        ("UPDATE action_log SET record = x'00' WHERE number = 3", "entry 3 was changed"),
    ],
)
def test_a_tampered_file_is_found(filled: Path, statement: str, says: str) -> None:
    tamper(filled, statement)
    result = run(filled, "verify")
    assert result.exit_code == 1
    assert says in result.stderr
    summary = json.loads(run(filled, "verify", "--json").stdout)
    assert not summary["whole"]


def test_only_a_head_shows_that_the_end_was_cut_off(filled: Path) -> None:
    head = run(filled, "head").stdout.strip()
    tamper(filled, "DELETE FROM action_log WHERE number = 4")
    assert run(filled, "verify").exit_code == 0
    result = run(filled, "verify", "--head", head)
    assert result.exit_code == 1
    assert "it ends with entry 3, but entry 4 was there" in result.stderr
    other = f"3:{head.split(':')[1]}"
    assert "entry 3 is not the one" in run(filled, "verify", "--head", other).stderr


def test_an_export_can_be_verified_without_the_store(filled: Path, tmp_path: Path) -> None:
    exported = run(filled, "export").stdout
    assert len(exported.splitlines()) == 4
    assert len(run(filled, "export", "--after", "3").stdout.splitlines()) == 1
    file = tmp_path / "log.jsonl"
    file.write_text(exported)
    assert run(filled, "verify", "--file", str(file)).exit_code == 0
    file.write_text(exported.replace("EnableKey", "DisableKey"))
    assert "entry 2 was changed" in run(filled, "verify", "--file", str(file)).stderr
    file.write_text(exported + "{}\n")
    assert "line 5 is no entry" in run(filled, "verify", "--file", str(file)).stderr


@pytest.mark.parametrize("head", ["4", "x:1", "0:" + "a" * 64, "4:abc"])
def test_a_head_that_is_none_is_refused(filled: Path, head: str) -> None:
    result = run(filled, "verify", "--head", head)
    assert result.exit_code == 2
    assert "must be NUMBER:HASH" in result.stderr


def test_a_file_that_is_not_there_is_refused(filled: Path, tmp_path: Path) -> None:
    assert run(filled, "verify", "--file", str(tmp_path / "none")).exit_code == 2


def test_an_empty_log(config: Path) -> None:
    async def make() -> None:
        await (await SqliteStore.open(config.with_name("state.db"), SystemClock())).close()

    asyncio.run(make())
    assert run(config, "show").stderr == "no entries\n"
    assert run(config, "head").exit_code == 1
    assert run(config, "verify").stdout == "the action log is whole: 0 entries\n"


def test_without_a_store_it_says_so(config: Path) -> None:
    result = run(config, "verify")
    assert result.exit_code == 1
    assert "there is no" in result.stderr


def test_a_broken_log_is_written_on(filled: Path) -> None:
    """It is found by whoever verifies it, and must not silence us."""
    tamper(filled, "UPDATE action_log SET record = x'00' WHERE number = 4")

    async def write() -> int:
        store = await SqliteStore.open(filled.with_name("state.db"), SystemClock())
        try:
            return (await Chain(store).add(EPOCH, signed({"deed": "started"}, "us"))).number
        finally:
            await store.close()

    assert asyncio.run(write()) == 5
    assert "entry 4 was changed" in run(filled, "verify").stderr


def test_a_log_that_is_gone_is_not_whole(filled: Path) -> None:
    tamper(filled, "DROP TABLE action_log")
    result = run(filled, "verify")
    assert result.exit_code == 1
    assert "what stands after entry 0 cannot be read" in result.stderr


def test_a_time_that_is_none_is_shown_as_it_stands(filled: Path) -> None:
    tamper(
        filled,
        f"UPDATE action_log SET record = replace(record, '{EPOCH}', '1e300') WHERE number = 1",
    )
    assert "1e+300  started" in run(filled, "show").stdout
