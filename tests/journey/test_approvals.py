"""A change that was approved is left alone and told as such; whatever differs from it is undone.

The command is run as people run it, beside the daemon, on the daemon's own store.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from monitor.app import App
from monitor.approval import Approval
from monitor.clock import SystemClock
from monitor.key import KeyRef
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from monitor.stores.sqlite import SqliteStore
from tests.journey.conftest import ACCOUNT, Person, daemon, settings_for, until

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/admin"
Call = tuple[int, str, str]


def told_settings(simulator: Simulator, tmp_path: Path, **changes: Any) -> Settings:
    sns = {"topic_arn": simulator.topic_arn}
    restore = {"doubt_seconds": 0.5}
    responders = {"restore_key": restore, "sns": sns}
    settings = settings_for(simulator, tmp_path, responders=responders, **changes)
    document = settings.model_dump(mode="json", exclude_none=True)
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(document))
    return settings


async def command(tmp_path: Path, *words: str) -> Call:
    """Exit code, stdout and stderr of `kms-monitor ...`."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        *words,
        "--config",
        str(tmp_path / "settings.yaml"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(running.communicate(), 30)
    assert running.returncode is not None
    return running.returncode, out.decode(), err.decode()


async def approve(tmp_path: Path, arn: str, *more: str, action: str = "DisableKey") -> Call:
    words = ("--key", arn, "--action", action, "--actor", ADMIN, "--until", "2h")
    return await command(tmp_path, "approve", *words, "--ticket", "CHG-1", *more)


async def remember(tmp_path: Path, arn: str, **changes: Any) -> None:
    """An approval that no command would give, straight into the daemon's store."""
    key, now = KeyRef.parse(arn), time.time()
    assert key is not None
    about: dict[str, Any] = {
        "id": "1",
        "key": key,
        "action": "DisableKey",
        "actor": ADMIN,
        "ticket": "CHG-1",
        "approver": "alice",
        "made_at": now,
        "until": now + 3600,
    }
    store = await SqliteStore.open(tmp_path / "state.db", SystemClock())
    await store.approve(Approval(**(about | changes)))
    await store.close()


async def told(sqs: Any, simulator: Simulator, arn: str) -> dict[str, Any]:
    """The next notification about a key."""
    async with asyncio.timeout(15):
        while True:
            answer = await sqs.receive_message(
                QueueUrl=simulator.topic_queue_url, MaxNumberOfMessages=10
            )
            for one in answer.get("Messages", []):
                await sqs.delete_message(
                    QueueUrl=simulator.topic_queue_url, ReceiptHandle=one["ReceiptHandle"]
                )
                found = json.loads(one["Body"])
                message: dict[str, Any] = json.loads(found.get("Message", one["Body"]))
                if message["key"] and message["key"]["arn"] == arn:
                    return message
            await asyncio.sleep(0.05)


def decisions(app: App, reason: str) -> float | None:
    name = "kms_monitor_decisions_total"
    return app.metrics.registry.get_sample_value(name, {"reason": reason})


async def listed(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    code, out, _ = await command(tmp_path, "approvals", "list", "--json", *words)
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


async def test_an_approved_change_is_left_alone_once(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    admin = people("admin")
    arn = await admin.create_key()
    async with daemon(told_settings(simulator, tmp_path)) as app:
        # By the credentials in the environment the approver is the user `kms-monitor`.
        code, out, err = await approve(tmp_path, arn, "--reason", "end of life")
        assert (code, err) == (0, "")
        assert f"{ADMIN} may DisableKey {arn} once until" in out
        (open_one,) = await listed(tmp_path)
        assert (open_one["state"], open_one["used"]) == ("open", [])
        assert open_one["approver"].endswith("user/kms-monitor")

        await admin.kms.disable_key(KeyId=arn)
        message = await told(sqs, simulator, arn)
        assert (message["verdict"], message["reason"]) == ("accept", "approved_change")
        assert message["approval"]["ticket"] == "CHG-1"
        assert message["approval"]["approver"].endswith("user/kms-monitor")
        assert 7000 < message["approval"]["seconds_left"] <= 7200
        assert "approved, left as it is" in message["subject"]
        assert simulator.kms.state_of(arn) == "Disabled"
        assert decisions(app, "approved_change") == 1

        (spent,) = await listed(tmp_path, "--all")
        assert spent["state"] == "used"
        assert [one["event_id"] for one in spent["used"]] == [message["event"]["id"]]
        assert await listed(tmp_path) == []

        # The key is as it should be now: whoever schedules its deletion leaves it Disabled.
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=30)
        await until(lambda: simulator.kms.state_of(arn) == "Disabled")

        # A second time is one time too many.
        await admin.kms.enable_key(KeyId=arn)
        await until(lambda: decisions(app, "accepted_change") == 1)
        await asyncio.sleep(1)  # CloudTrail's times have no more resolution
        await admin.kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")


async def test_what_differs_from_the_approval_is_undone(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    arns = [await admin.create_key() for _ in range(7)]
    async with daemon(told_settings(simulator, tmp_path)) as app:
        actor, other, ended, revoked, call, short, never_used = arns
        for arn in (actor, call, never_used):
            await remember(tmp_path, arn, id=arn)
        now = time.time()
        await remember(tmp_path, ended, made_at=now - 7200, until=now - 3600)
        await remember(tmp_path, short, id="short", action="ScheduleKeyDeletion")
        assert (await approve(tmp_path, revoked))[0] == 0
        (one,) = [one for one in await listed(tmp_path) if one["key"] == revoked]
        code, out, _ = await command(tmp_path, "approvals", "revoke", one["id"])
        assert (code, out) == (0, f"approval {one['id']}: revoked\n")

        await mallory.kms.disable_key(KeyId=actor)  # another actor
        await admin.kms.disable_key(KeyId=other)  # another key
        await admin.kms.disable_key(KeyId=ended)  # after its end
        await admin.kms.disable_key(KeyId=revoked)
        await admin.kms.schedule_key_deletion(KeyId=call, PendingWindowInDays=30)  # another call
        await admin.kms.schedule_key_deletion(KeyId=short, PendingWindowInDays=7)
        await until(lambda: decisions(app, "enforce") == 6)
        await until(lambda: all(simulator.kms.state_of(arn) == "Enabled" for arn in arns))
        assert decisions(app, "approved_change") == 0


async def test_an_approved_deletion_and_an_approved_change_of_an_alias(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, tmp_path: Path
) -> None:
    admin = people("admin")
    arn, other = await admin.create_key(), await admin.create_key()
    alias = "alias/payments"
    await admin.kms.create_alias(AliasName=alias, TargetKeyId=other)
    async with daemon(told_settings(simulator, tmp_path)):
        assert (await approve(tmp_path, arn, action="ScheduleKeyDeletion"))[0] == 0
        await admin.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=30)
        message = await told(sqs, simulator, arn)
        assert (message["verdict"], message["reason"]) == ("accept", "approved_change")
        assert simulator.kms.state_of(arn) == "PendingDeletion"

        assert (await approve(tmp_path, other, action="DeleteAlias"))[0] == 0
        await admin.kms.delete_alias(AliasName=alias)
        message = await told(sqs, simulator, other)
        assert (message["verdict"], message["reason"]) == ("accept", "approved_change")
        assert [one["state"] for one in await listed(tmp_path, "--all")] == ["used", "used"]


async def test_what_may_not_be_approved(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    admin = people("admin")
    named, tagged, free = [await admin.create_key() for _ in range(3)]
    await admin.kms.create_alias(AliasName="alias/tier-0-root", TargetKeyId=named)
    await admin.kms.tag_resource(KeyId=tagged, Tags=[{"TagKey": "tier", "TagValue": "0"}])
    never = {"keys": ["alias/tier-0-*"], "tags": {"tier": "0"}}
    settings = told_settings(simulator, tmp_path, never_approve=never)

    code, _, err = await approve(tmp_path, free)
    assert (code, "there is no" in err) == (2, True)  # the daemon never ran: there is no store
    async with daemon(settings):
        for code, _, err in await asyncio.gather(
            *(approve(tmp_path, arn) for arn in (named, tagged))
        ):
            assert (code, "never to be approved for" in err) == (2, True)
        code, _, err = await approve(tmp_path, free, "--approver", "Admin")
        assert (code, "somebody else has to" in err) == (2, True)
        code, _, err = await command(tmp_path, "approvals", "revoke", "nonsense")
        assert (code, err) == (1, "kms-monitor: there is no approval nonsense\n")
        assert await listed(tmp_path, "--all") == []
        code, _, err = await command(tmp_path, "approvals", "list")
        assert (code, err) == (0, "no open approvals\n")
        assert (await approve(tmp_path, free, "--approver", "alice"))[0] == 0
        code, out, _ = await command(tmp_path, "approvals", "list")
        assert (code, "CHG-1" in out, "open" in out) == (0, True, True)
        # Whatever got into the store: such a key is put back.
        await remember(tmp_path, tagged)
        await admin.kms.disable_key(KeyId=tagged)
        await until(lambda: simulator.kms.state_of(tagged) == "Enabled")
