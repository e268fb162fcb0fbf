"""`kms-monitor replay` as people run it, against the simulator: what happened is found again."""

import asyncio
import gzip
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, until

FILES = 300
ONLY = ("-d", "key_disabled", "-d", "key_enabled", "-d", "key_deletion_scheduled")
READS = {
    "DescribeKey",
    "GetCallerIdentity",
    "GetObject",
    "ListObjects",
    "ListObjectsV2",
    "LookupEvents",
}


async def replay(*arguments: str, cwd: Path | None = None, given: bytes = b"") -> Any:
    """The command in a process of its own: its exit code, findings and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        "replay",
        *arguments,
        cwd=cwd,
        env=os.environ | {"COLUMNS": "80"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(given)
    return process.returncode, out.decode(), err.decode()


async def attack(people: Callable[[str], Person]) -> str:
    """A key that is disabled, enabled, scheduled for deletion; then a call that fails."""
    admin, mallory = people("admin"), people("mallory")
    arn = await admin.create_key()
    await mallory.kms.disable_key(KeyId=arn)
    await admin.kms.enable_key(KeyId=arn)
    await mallory.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    with pytest.raises(ClientError):
        await mallory.kms.disable_key(KeyId=arn)
    return arn


def settings_file(folder: Path, simulator: Simulator, **changes: Any) -> str:
    document = {
        "mode": "enforce",
        "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
        "queues": [{"url": simulator.queue_url, "region": REGION}],
        **changes,
    }
    file = folder / "kms-monitor.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


def findings(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


async def put_logs(simulator: Simulator, files: dict[str, bytes]) -> None:
    async with get_session().create_client(
        "s3", region_name="us-east-1", endpoint_url=simulator.endpoint_url
    ) as s3:
        await s3.create_bucket(Bucket="trail-logs")
        for key, body in files.items():
            await s3.put_object(Bucket="trail-logs", Key=key, Body=body)


def log_file(records: list[dict[str, Any]]) -> bytes:
    return gzip.compress(json.dumps({"Records": records}).encode())


async def test_the_event_history_is_judged_and_nothing_is_written(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    arn = await attack(people)
    before = len(simulator.records)
    code, out, err = await replay("lookup", "--json", *ONLY)
    assert code == 1, err
    found = sorted(findings(out), key=lambda one: one["detector"] + one["kind"])
    assert [(one["event_name"], one["severity"], one["would"]) for one in found] == [
        ("ScheduleKeyDeletion", "critical", "would call CancelKeyDeletion, EnableKey"),
        ("DisableKey", "low", "would tell only: failed attempt"),
        ("DisableKey", "high", "would call EnableKey"),
        ("EnableKey", "info", "would do nothing: a change that is accepted as right"),
    ]
    assert {one["key_arn"] for one in found} == {arn}
    assert {one["source"] for one in found} == {f"lookup:{ACCOUNT}/{REGION}"}
    assert found[0]["actor"] == f"arn:aws:iam::{ACCOUNT}:user/mallory"
    calls = simulator.records[before:]
    assert {one["eventName"] for one in calls} <= READS
    assert calls
    assert all(one["readOnly"] for one in calls)
    assert simulator.kms.state_of(arn) == "PendingDeletion"


async def test_with_settings_the_rules_are_the_daemons(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    await attack(people)
    approved = [f"arn:aws:iam::{ACCOUNT}:user/mall*"]
    config = settings_file(tmp_path, simulator, mode="observe", approved_actors=approved)
    code, out, err = await replay(f"lookup:{ACCOUNT}/{REGION}", "--json", "--config", config, *ONLY)
    assert code == 1, err
    assert "no --config" not in err
    assert {(one["event_name"], one["would"], one["reason"]) for one in findings(out)} == {
        ("ScheduleKeyDeletion", "would do nothing: approved", "approved_actor"),
        ("DisableKey", "would tell only: failed attempt", "failed_attempt"),
        ("DisableKey", "would do nothing: approved", "approved_actor"),
        (
            "EnableKey",
            "would do nothing: a change that is accepted as right",
            "accepted_change",
        ),
    }


async def test_log_files_in_a_bucket_by_day(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    await attack(people)
    records = [one for one in simulator.records if one["eventSource"] == "kms.amazonaws.com"]
    old = [dict(one, eventTime="2026-01-02T03:04:05Z") for one in records]
    trail = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}"
    name = f"{ACCOUNT}_CloudTrail_{REGION}"
    await put_logs(
        simulator,
        {
            f"{trail}/2026/01/02/{name}_20260102T0310Z_a.json.gz": log_file(old),
            # The same again, and in a file that lies among others.
            f"{trail}/2026/01/02/{name}_20260102T0315Z_b.json.gz": log_file(old),
            f"{trail}/2026/01/03/{name}_20260103T0000Z_c.json.gz": b"\x1f\x8b damaged",
            f"{trail}/2025/12/30/{name}_20251230T0000Z_d.json.gz": b"\x1f\x8b not looked at",
            f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/{REGION}/2026/01/02/x.json.gz": b"no log file",
        },
    )
    journal = tmp_path / "journal"
    day = ("--from", "2026-01-02", "--to", "2026-01-03")
    code, out, err = await replay(
        "s3://trail-logs/AWSLogs/", *day, "--json", "--resume", str(journal)
    )
    assert code == 1, err
    assert {one["detector"] for one in findings(out)} == {
        "key_changed",
        "key_created",
        "key_disabled",
        "key_enabled",
        "key_deletion_scheduled",
        "deletion_after_preparation",
    }
    assert len(findings(out)) == 7
    assert all(one["source"].endswith("_a.json.gz") for one in findings(out))
    assert "duplicates left out" in err
    assert "3 files" in err
    assert "_c.json.gz: cannot be read: the gzip data" in err
    assert "_d.json.gz" not in err
    # Once more: what was whole is not fetched again, and the report is the same.
    before = simulator.records[:]
    again = await replay("s3://trail-logs/AWSLogs/", *day, "--json", "--resume", str(journal))
    assert (again[0], again[1]) == (code, out)
    assert "2 files of them read earlier" in again[2]
    assert [one for one in simulator.records if one not in before and not one["readOnly"]] == []
    # Nothing found, but not everything read.
    code, out, err = await replay("s3://trail-logs/AWSLogs/", "--from", "2026-01-03", "--json")
    assert (code, out) == (3, ""), err


async def test_what_cannot_be_listed_is_said_in_one_line(simulator: Simulator) -> None:
    code, out, err = await replay("s3://no-such-bucket/", "--json", "--quiet")
    assert (code, out) == (3, "")
    (line,) = err.splitlines()
    assert line.startswith("kms-monitor replay: s3://no-such-bucket/: cannot be read: s3:ListObj")
    assert "NoSuchBucket" in line


async def test_standard_input(simulator: Simulator, people: Callable[[str], Person]) -> None:
    await attack(people)
    at_once = [one | {"eventTime": "2026-11-20T09:14:03Z"} for one in simulator.records]
    lines = "\n".join(map(json.dumps, at_once))
    code, out, err = await replay("-", given=lines.encode())
    assert code == 1, err
    assert "would call" in out
    assert "by user/mallory" in out
    assert "7 findings: 2 critical, 1 high, 1 low, 3 info" in out


async def test_only_some_detectors(simulator: Simulator, people: Callable[[str], Person]) -> None:
    await attack(people)
    lines = "\n".join(json.dumps(one) for one in simulator.records).encode()
    code, out, err = await replay("-", "--json", "--detector", "key_enabled", given=lines)
    assert code == 0, err  # nothing above info
    assert [one["detector"] for one in findings(out)] == ["key_enabled"]
    code, out, err = await replay("-", "--detector", "key_enabeld", given=lines)
    assert (code, out) == (2, "")
    assert "did you mean key_enabled" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, number: signal.Signals
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    record = {
        "eventSource": "kms.amazonaws.com",
        "eventName": "DisableKey",
        "recipientAccountId": ACCOUNT,
        "awsRegion": REGION,
    }
    others = json.dumps([dict(record, eventName="Decrypt")] * 2000)[1:-1]
    for name in range(FILES):
        mine = dict(record, eventID=f"id-{name}", eventTime=f"2026-11-20T09:{name % 60:02d}:00Z")
        text = f'{{"Records":[{others},{json.dumps(mine)}]}}'
        (logs / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 1))
    journal = tmp_path / "journal"
    command = (str(logs), "--json", "--jobs", "1", "--resume", str(journal))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        "replay",
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    await until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 10, 20)
    process.send_signal(number)
    _, err = await process.communicate()
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert b"to go on: kms-monitor replay" in err
        assert b"Traceback" not in err
    first = journal.read_bytes()
    # As a crash of the machine leaves it.
    journal.write_bytes(first[:-20])
    code, out, text = await replay(*command)
    assert code == 1, text
    assert len(findings(out)) == FILES
    assert "read earlier" in text
    assert f"read in {FILES} files" in text
