"""Keys are put back as they were: every part of them, across restarts, and as people say."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.app import App
from monitor.key import KeyRef
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from monitor.simulator.words import Caller
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until

OUTSIDER = "arn:aws:iam::999988887777:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
Damage = Callable[[Any, str, str], Any]


def policy(*more: dict[str, Any]) -> str:
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [root, *more]})


PUBLIC = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}


class Key:
    """A key with all that a key may have."""

    def __init__(self, person: Person, arn: str, other: str, grant: str) -> None:
        self.kms, self.arn, self.other, self.grant = person.kms, arn, other, grant

    @classmethod
    async def make(cls, admin: Person) -> "Key":
        kms = admin.kms
        arn = await admin.create_key(
            Description="payments", Tags=[{"TagKey": "Protected", "TagValue": "yes"}]
        )
        other = await admin.create_key()
        await kms.create_alias(AliasName="alias/payments", TargetKeyId=arn)
        await kms.enable_key_rotation(KeyId=arn, RotationPeriodInDays=180)
        granted = await kms.create_grant(
            KeyId=arn, GranteePrincipal=ROLE, Operations=["Decrypt"], Name="app"
        )
        return cls(admin, arn, other, granted["GrantId"])

    async def seen(self) -> dict[str, Any]:
        """All that matters about it; a grant by what it says."""
        kms, arn = self.kms, self.arn
        grants = (await kms.list_grants(KeyId=arn))["Grants"]
        rotation = await kms.get_key_rotation_status(KeyId=arn)
        about = (await kms.describe_key(KeyId=arn))["KeyMetadata"]
        text = (await kms.get_key_policy(KeyId=arn, PolicyName="default"))["Policy"]
        return {
            "state": about["KeyState"],
            "description": about["Description"],
            "policy": json.loads(text),
            "tags": (await kms.list_resource_tags(KeyId=arn))["Tags"],
            "aliases": [one["AliasName"] for one in (await kms.list_aliases(KeyId=arn))["Aliases"]],
            "grants": sorted((one["GranteePrincipal"], one["Operations"]) for one in grants),
            "rotation": (
                rotation["KeyRotationEnabled"],
                rotation.get("RotationPeriodInDays"),
            ),
        }


async def make_public(kms: Any, key: Key) -> None:
    await kms.put_key_policy(KeyId=key.arn, PolicyName="default", Policy=policy(PUBLIC))


async def repoint(kms: Any, key: Key) -> None:
    await kms.update_alias(AliasName="alias/payments", TargetKeyId=key.other)


async def take_name(kms: Any, key: Key) -> None:
    await kms.delete_alias(AliasName="alias/payments")


async def untag(kms: Any, key: Key) -> None:
    await kms.untag_resource(KeyId=key.arn, TagKeys=["Protected"])


async def revoke(kms: Any, key: Key) -> None:
    await kms.revoke_grant(KeyId=key.arn, GrantId=key.grant)


async def let_in(kms: Any, key: Key) -> None:
    await kms.create_grant(KeyId=key.arn, GranteePrincipal=OUTSIDER, Operations=["Decrypt"])


async def stop_rotation(kms: Any, key: Key) -> None:
    await kms.disable_key_rotation(KeyId=key.arn)


ATTACKS = [make_public, repoint, take_name, untag, revoke, let_in, stop_rotation]


def known(app: App, arn: str) -> Any:
    """The key as the daemon knows that it should be."""
    journey: Any = app.consumers[0].journey
    return journey.detection.knowledge.key(KeyRef.parse(arn))


async def learned(app: App, arn: str) -> None:
    await until(lambda: (one := known(app, arn)) is not None and one.grants is not None)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
async def test_what_is_taken_from_a_key_comes_back(
    attack: Callable[[Any, Key], Any],
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
) -> None:
    key = await Key.make(people("admin"))
    before = await key.seen()
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await learned(app, key.arn)
        await attack(people("mallory").kms, key)
        assert await key.seen() != before

        async def right() -> bool:
            return await key.seen() == before

        await until(right)


async def test_a_harmless_change_is_wanted_from_then_on_also_after_a_restart(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    key = await Key.make(people("admin"))
    admin, mallory = people("admin").kms, people("mallory").kms
    settings = settings_for(simulator, tmp_path)
    reader = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/reader"},
        "Action": "kms:Decrypt",
        "Resource": "*",
    }
    async with daemon(settings) as app:
        await learned(app, key.arn)
        await admin.put_key_policy(KeyId=key.arn, PolicyName="default", Policy=policy(reader))
        await admin.update_key_description(KeyId=key.arn, Description="payments, new")
        await admin.tag_resource(KeyId=key.arn, Tags=[{"TagKey": "Owner", "TagValue": "x"}])
        await until(lambda: known(app, key.arn).description == "payments, new")
        await until(lambda: "role/reader" in known(app, key.arn).policy)
        await until(lambda: known(app, key.arn).tags.get("Owner") == "x")
    right = await key.seen()
    assert right["description"] == "payments, new"
    # While nobody watches; the messages wait in the queue.
    for attack in (make_public, untag, revoke):
        await attack(mallory, key)
    await mallory.schedule_key_deletion(KeyId=key.arn, PendingWindowInDays=7)
    async with daemon(settings):

        async def as_before() -> bool:
            return await key.seen() == right

        await until(as_before, 20)


async def test_what_was_never_seen_is_looked_up_in_the_history(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    """All of it happens before the daemon's very first start."""
    admin, mallory = people("admin"), people("mallory")
    used, retired = [await admin.create_key() for _ in range(2)]
    await admin.kms.disable_key(KeyId=retired)
    await asyncio.sleep(1.1)  # CloudTrail tells whole seconds
    for arn in (used, retired):
        await mallory.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    async with daemon(settings_for(simulator, tmp_path)):
        await until(lambda: simulator.kms.state_of(used) == "Enabled", 20)
        await until(lambda: simulator.kms.state_of(retired) == "Disabled", 20)


@pytest.mark.parametrize(
    ("unknown", "state"), [("enable", "Enabled"), ("leave", "Disabled"), ("ask", "Disabled")]
)
async def test_what_nobody_knows_is_as_the_settings_say(
    unknown: str,
    state: str,
    simulator: Simulator,
    people: Callable[[str], Person],
    tmp_path: Path,
) -> None:
    arn = await people("admin").create_key()
    await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    simulator.set_knob("deny", ("kms-monitor:cloudtrail:LookupEvents",))
    restore = {"doubt_seconds": 0, "unknown": unknown}
    async with daemon(settings_for(simulator, tmp_path, responders={"restore_key": restore})):
        await until(lambda: simulator.kms.state_of(arn) == state)
        await asyncio.sleep(0.5)
        assert simulator.kms.state_of(arn) == state


async def test_what_no_message_told_is_judged_from_the_history(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    """The rule is off: the sweep finds what differs, and the history says who did what."""
    key = await Key.make(people("admin"))
    pace = {"every_minutes": 0.05, "grace_minutes": 0.02}
    async with daemon(settings_for(simulator, tmp_path, sweep=pace)) as app:
        await learned(app, key.arn)
        before = await key.seen()
        blind(simulator)
        await people("mallory").kms.untag_resource(KeyId=key.arn, TagKeys=["Protected"])
        await people("admin").kms.update_key_description(KeyId=key.arn, Description="meant")

        async def half() -> bool:
            return await key.seen() == before | {"description": "meant"}

        await until(half, 30)
        await until(lambda: known(app, key.arn).description == "meant", 30)


def blind(simulator: Simulator) -> None:
    """No message comes any more."""
    root = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root")
    name = {"Name": simulator.rule_name}
    simulator.bridge.call("DisableRule", name, caller=root, account=ACCOUNT, region=REGION)


# -- the command


async def command(settings: Settings, tmp_path: Path, *words: str) -> tuple[int, str, str]:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        "baseline",
        *words,
        "--config",
        str(file),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(running.communicate(), 30)
    assert running.returncode is not None
    return running.returncode, out.decode(), err.decode()


async def test_baselines_are_shown_compared_and_set(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    key = await Key.make(people("admin"))
    settings = settings_for(
        simulator, tmp_path, mode="observe", never_approve={"keys": [key.other]}
    )

    async def baseline(*words: str) -> tuple[int, str, str]:
        return await command(settings, tmp_path, *words)

    code, _, err = await baseline("show")
    assert (code, "there is no" in err) == (1, True)
    async with daemon(settings) as app:
        await learned(app, key.arn)
        await learned(app, key.other)
        code, out, _ = await baseline("show")
        assert code == 0
        assert key.arn in out
        assert key.other in out
        code, out, _ = await baseline("show", key.arn)
        plain = [" ".join(line.split()) for line in out.splitlines()]
        assert any(line.startswith("alias/payments yes ") for line in plain)
        assert any(line.startswith("state Enabled ") for line in plain)
        assert "may Decrypt" in out
        code, out, _ = await baseline("show", key.arn, "--json")
        assert json.loads(out)["registers"]["tag/Protected"]["value"] == "yes"
        code, out, err = await baseline("diff")
        assert (code, out, err) == (0, "", "nothing differs\n")

        await people("mallory").kms.untag_resource(KeyId=key.arn, TagKeys=["Protected"])
        await people("mallory").kms.disable_key(KeyId=key.arn)
        code, out, _ = await baseline("diff", key.arn)
        assert code == 1
        plain = [" ".join(line.split()) for line in out.splitlines()]
        assert {"tag/Protected yes -", "state Enabled Disabled"} <= set(plain)
        code, out, _ = await baseline("diff", "--json")
        parts = {one["key"]: one["parts"] for one in map(json.loads, out.splitlines())}
        assert parts[key.arn]["tag/Protected"] == {"should_be": "yes", "is": None}
        assert parts[key.other] == {}

        code, out, _ = await baseline("accept", key.arn, "--part", "tag/", "--reason", "CHG-1")
        assert (code, out) == (0, "tag/Protected: yes -> -\n")
        code, out, _ = await baseline("accept", key.arn, "--state", "Disabled", "--reason", "CHG-2")
        assert (code, out) == (0, "state: Enabled -> Disabled\n")
        code, out, err = await baseline("accept", key.arn, "--reason", "again")
        assert (code, out) == (0, "")
        assert "nothing was other" in err
        assert (await baseline("diff", key.arn))[0] == 0
        log = [entry.what for entry in await app_store(app).logged()]
        said = [one["detail"] for one in log if one["deed"] == "baseline_accepted"]
        assert said == ["CHG-1: tag/Protected: yes -> -", "CHG-2: state: Enabled -> Disabled"]

        code, _, err = await baseline("accept", key.other, "--reason", "x")
        assert (code, "never to be approved" in err) == (2, True)
        code, _, err = await baseline("accept", key.other, "--reason", "x", "--force")
        assert code == 0
    for words, text in (
        (("show", "nonsense"), "must be a key's ARN"),
        (("show", key.arn.replace(ACCOUNT, "999988887777")), "in no account"),
        (("accept", key.arn, "--reason", "x", "--state", "Gone"), "must be Enabled or Disabled"),
    ):
        code, _, err = await baseline(*words)
        assert (code, text in err) == (2, True), err


def app_store(app: App) -> Any:
    journey: Any = app.consumers[0].journey
    return journey.response.store
