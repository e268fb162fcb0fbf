"""The demo as a user runs it: a process of its own, judged by what it prints and how it ends."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from monitor.cli import main
from monitor.demo.daemon import config_file, isolate
from monitor.demo.show import WIDTH

Objects = list[dict[str, Any]]


@asynccontextmanager
async def demo(
    directory: Path, *arguments: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`kms-monitor demo`, whose temporary directory is inside `directory`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "monitor",
        "demo",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(directory), "PYTHONWARNINGS": "error", **variables},
        cwd=directory,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def whole(directory: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a demo that ends by itself."""
    async with asyncio.timeout(50), demo(directory, *arguments, **variables) as process:
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def next_of(kind: str, process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while line := await process.stdout.readline():
            one: dict[str, Any] = json.loads(line)
            if one["type"] == kind:
                return one
    raise AssertionError(f"it ended without {kind}")


def parsed(out: str) -> tuple[Objects, dict[str, Any]]:
    objects = [json.loads(line) for line in out.splitlines()]
    assert [one["type"] for one in objects[:-1]] == ["step"] * (len(objects) - 1)
    return objects[:-1], objects[-1]


async def test_every_step_ends_as_it_should(tmp_path: Path) -> None:
    # A user's own settings, which must lead the demo neither to AWS nor astray.
    code, out, err = await whole(
        tmp_path,
        "--json",
        AWS_PROFILE="production",
        AWS_ENDPOINT_URL_KMS="http://127.0.0.1:9",
        HTTP_PROXY="http://127.0.0.1:9",
        KMS_MONITOR_MODE="observe",
    )
    steps, result = parsed(out)

    assert (code, err) == (0, "")
    assert [
        (one["operation"], one["key"], one["by"], one["outcome"], one["calls"], one["state"])
        for one in steps
    ] == [
        ("DisableKey", "archive", "admin", "already", [], "Disabled"),
        ("DisableKey", "payments", "mallory", "done", ["EnableKey"], "Enabled"),
        (
            "ScheduleKeyDeletion",
            "backups",
            "mallory",
            "done",
            ["CancelKeyDeletion", "EnableKey"],
            "Enabled",
        ),
        ("ScheduleKeyDeletion", "archive", "mallory", "done", ["CancelKeyDeletion"], "Disabled"),
        ("DisableKey", "payments", "mallory", "done", ["EnableKey"], "Enabled"),
        ("ScheduleKeyDeletion", "ledger", "intern", "told", [], "Enabled"),
        ("PutKeyPolicy", "backups", "mallory", "done", ["PutKeyPolicy"], "Enabled"),
        ("PutEventSelectors", "", "mallory", "told", [], ""),
        ("DisableKey", "ledger", "mallory", "already", [], "Enabled"),
    ]
    assert all(one["ok"] and one["calls"] == one["writes"] for one in steps)
    assert all(0 < one["seen_seconds"] <= one["told_seconds"] for one in steps)
    assert all(0 < one["unsafe_seconds"] < 10 for one in steps if one["outcome"] == "done")
    assert all(one["unsafe_seconds"] == 0 for one in steps if one["outcome"] != "done")
    assert {one["source_ip"] for one in steps if one["by"] == "mallory"} == {"203.0.113.7"}
    assert steps[5]["error"] == "AccessDenied"
    assert [(one["severity"], one["title"]) for one in steps[6:8]] == [
        ("critical", "KMS key policy changed: everybody may use kms:*"),
        ("critical", "CloudTrail trail no longer records KMS: kms-monitor"),
    ]
    assert (steps[8]["forged"], steps[8]["reads"], steps[8]["writes"]) == (True, 1, [])
    assert result["story"].startswith("3 KMS keys were damaged within 10 minutes by ")
    assert result["ok"] is True
    assert result["failed"] == []
    assert (result["steps"], result["sns"], result["mqtt"]) == (9, 9, 9)
    assert result["forged_writes"] == 0
    assert result["daemon_exit_code"] == 0
    assert all(one["ok"] for one in result["keys"])
    assert 'kms_monitor_actions_total{responder="restore_key"}' in result["metrics"]
    assert inside(tmp_path) == [], "the temporary directory is gone"


async def test_a_monitor_that_does_not_repair_is_found_out(tmp_path: Path) -> None:
    code, out, err = await whole(tmp_path, "--json", "--mode", "observe")
    steps, result = parsed(out)

    assert code == 1
    assert [one["outcome"] for one in steps].count("would") == 5
    assert result["ok"] is False
    assert "payments is Disabled, should be Enabled" in result["failed"]
    assert "archive is PendingDeletion, should be Disabled" in result["failed"]
    assert "The daemon's last log lines" in err


async def test_text_fits_and_has_no_control_characters(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    code, out, _ = await whole(
        tmp_path, "--svg", str(picture), NO_COLOR="1", PYTHONIOENCODING="ascii"
    )

    assert code == 0
    assert all(len(line) <= WIDTH and line.isprintable() for line in out.splitlines())
    assert "Everything ended as it should" in out
    drawn = picture.read_text()
    assert "EnableKey" in drawn
    assert str(tmp_path) not in drawn
    assert "@font-face" not in drawn, "nothing is loaded from elsewhere"


async def test_stay_reports_an_attack_by_hand_and_ends_on_sigterm(tmp_path: Path) -> None:
    async with demo(tmp_path, "--stay", "--json") as process:
        staying = await next_of("staying", process)
        client: Any = get_session().create_client(
            "kms",
            region_name=staying["region"],
            endpoint_url=staying["endpoint_url"],
            aws_access_key_id="mallory",
            aws_secret_access_key="any",
        )
        async with client as kms:
            await kms.disable_key(KeyId=staying["key_id"])
            news = await next_of("notification", process)
            state = (await kms.describe_key(KeyId=staying["key_id"]))["KeyMetadata"]["KeyState"]
        process.send_signal(signal.SIGTERM)
        result = await next_of("result", process)
        async with asyncio.timeout(20):
            code = await process.wait()

    assert (news["key"], news["message"]["outcome"], state) == ("payments", "done", "Enabled")
    assert (code, result["ok"], result["daemon_exit_code"]) == (0, True, 0)


async def test_ctrl_c_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    async with demo(tmp_path, "--json") as process:
        await next_of("step", process)
        [directory] = inside(tmp_path)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(25):
            code = await process.wait()

    assert code == 130
    assert not directory.exists()
    assert daemons_in(directory) == []


async def test_a_daemon_that_dies_ends_the_demo(tmp_path: Path) -> None:
    async with demo(tmp_path, "--stay") as process:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            async for line in process.stdout:
                if b"Everything stays open" in line:
                    break
        [directory] = inside(tmp_path)
        [daemon] = daemons_in(directory)
        os.kill(daemon, signal.SIGKILL)
        async with asyncio.timeout(20):
            out, _ = await process.communicate()

    assert process.returncode == 1
    assert "FAILED: the daemon ended with exit code -9" in out.decode()


def inside(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def daemons_in(directory: Path) -> list[int]:
    """The processes whose working directory that is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            where = (entry / "cwd").readlink()
        except OSError:
            continue
        if str(where).removesuffix(" (deleted)") == str(directory):
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("AWS_PROFILE", False),
        ("AWS_ENDPOINT_URL_SNS", False),
        ("KMS_MONITOR_ACCOUNTS", False),
        ("https_proxy", False),
        ("PATH", True),
    ],
)
def test_nothing_of_the_users_settings_reaches_the_daemon(name: str, *, stays: bool) -> None:
    environment = {name: "x"}
    isolate(environment)
    assert (name in environment) is stays


def test_without_the_extra_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    monkeypatch.setattr(sys, "argv", ["kms-monitor", "demo"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr() == (
        "",
        "kms-monitor demo: moto is missing: pip install 'kms-monitor[simulator]'\n",
    )


def test_its_settings_are_those_of_the_clone() -> None:
    assert config_file() == Path(__file__).parents[2] / "config" / "demo.yaml"
