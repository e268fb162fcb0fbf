"""What no message tells of: the daemon asks KMS itself, and the same road leads to the repair."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from monitor.app import App
from monitor.assembly import make_aws
from monitor.clock import SystemClock
from monitor.key import KeyRef, KeyState
from monitor.knowledge import Knowledge
from monitor.loops.sweep import Sweep
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from monitor.simulator.words import Caller
from monitor.stores.memory import MemoryStore
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until

AT_ONCE = {"every_minutes": 0.01, "grace_minutes": 0}


def blind(simulator: Simulator, what: str = "DisableRule") -> None:
    root = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root")
    name = {"Name": simulator.rule_name}
    simulator.bridge.call(what, name, caller=root, account=ACCOUNT, region=REGION)


def value(app: App, name: str, **labels: str) -> float:
    return app.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


def missed(app: App) -> float:
    return value(app, "missed_by_stream_total", account=ACCOUNT, region=REGION)


async def test_a_missed_attack_is_repaired_each_time(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    one, other = await admin.create_key(), await admin.create_key()
    blind(simulator)
    async with daemon(settings_for(simulator, tmp_path, sweep=AT_ONCE)) as app:
        await mallory.kms.disable_key(KeyId=one)
        await mallory.kms.schedule_key_deletion(KeyId=other)
        await until(lambda: simulator.kms.state_of(one) == "Enabled")
        await until(lambda: simulator.kms.state_of(other) == "Enabled")
        assert missed(app) == 2
        for severity in ("high", "critical"):
            assert value(app, "findings_total", detector="key_drifted", severity=severity) == 1
        # The same again is another attack, not the one that was dealt with.
        swept = {"account": ACCOUNT, "region": REGION}
        before = value(app, "last_sweep_timestamp_seconds", **swept)
        await until(lambda: value(app, "last_sweep_timestamp_seconds", **swept) > before)
        so_far = missed(app)
        await mallory.kms.disable_key(KeyId=one)
        await until(lambda: simulator.kms.state_of(one) == "Enabled")
        assert missed(app) == so_far + 1
        assert value(app, "last_event_timestamp_seconds", **swept) == 0


async def test_what_happened_while_the_daemon_was_away(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    wanted, unwanted = await people("admin").create_key(), await people("admin").create_key()
    await people("admin").kms.disable_key(KeyId=unwanted)
    settings = settings_for(simulator, tmp_path, sweep=AT_ONCE)
    async with daemon(settings):
        pass
    blind(simulator)
    for arn in (wanted, unwanted):
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    async with daemon(settings):
        await until(lambda: simulator.kms.state_of(wanted) == "Enabled")
        await until(lambda: simulator.kms.state_of(unwanted) == "Disabled")


async def test_a_key_that_was_bad_when_first_seen_is_told_about_and_left_alone(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    blind(simulator)
    await people("admin").kms.schedule_key_deletion(KeyId=arn)
    async with daemon(settings_for(simulator, tmp_path, sweep=AT_ONCE)) as app:
        found = {"detector": "key_found_bad", "severity": "high"}
        await until(lambda: value(app, "findings_total", **found) == 1)
        await asyncio.sleep(1)
        assert value(app, "findings_total", **found) == 1
        assert simulator.kms.state_of(arn) == "PendingDeletion"
        where = {"account": ACCOUNT, "region": REGION}
        assert value(app, "keys", state="PendingDeletion", **where) == 1
        assert value(app, "known_keys", **where) == 1
        assert missed(app) == 0


async def test_the_stream_has_its_time(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    settings = settings_for(simulator, tmp_path, sweep={"every_minutes": 0.01})
    async with daemon(settings) as app:
        blind(simulator)
        await people("mallory").kms.disable_key(KeyId=arn)
        await asyncio.sleep(2)
        assert simulator.kms.state_of(arn) == "Disabled"
        assert missed(app) == 0


async def test_what_a_message_told_of_is_not_missed_though_it_stays_bad(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    sweep = {"every_minutes": 0.01, "grace_minutes": 0.05}
    async with daemon(settings_for(simulator, tmp_path, mode="observe", sweep=sweep)) as app:
        await people("mallory").kms.disable_key(KeyId=arn)
        told = {"detector": "key_disabled", "severity": "high"}
        await until(lambda: value(app, "findings_total", **told) == 1)
        drifted = {"detector": "key_drifted", "severity": "high"}
        await until(lambda: value(app, "findings_total", **drifted) == 1)
        assert missed(app) == 0
        # What no message tells of is missed all the same, though the key's incident is open.
        blind(simulator)
        await people("mallory").kms.schedule_key_deletion(KeyId=arn)
        await until(lambda: missed(app) == 1)


async def look(settings: Settings, work: Callable[[Sweep], Any]) -> Knowledge:
    """A sweep without its daemon."""
    metrics, clock = Metrics(), SystemClock()
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(make_aws(settings, metrics))
        sweep = Sweep((ACCOUNT, REGION), aws, MemoryStore(clock), clock, metrics)
        await sweep.look()
        reading = asyncio.create_task(sweep.drift.run())
        try:
            await until(lambda: work(sweep))
        finally:
            reading.cancel()
    return sweep.knowledge


async def test_new_keys_are_learned_as_a_whole(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    kms = people("admin").kms
    arn = await people("admin").create_key(
        Description="payments", Tags=[{"TagKey": "tier", "TagValue": "0"}]
    )
    await kms.create_alias(AliasName="alias/payments", TargetKeyId=arn)
    await kms.enable_key_rotation(KeyId=arn, RotationPeriodInDays=180)
    grantee = f"arn:aws:iam::{ACCOUNT}:role/app"
    await kms.create_grant(KeyId=arn, GranteePrincipal=grantee, Operations=["Encrypt", "Decrypt"])
    key = KeyRef.parse(arn)
    assert key is not None

    def known(sweep: Sweep) -> bool:
        found = sweep.knowledge.key(key)
        return found is not None and found.grants is not None

    knowledge = await look(settings_for(simulator, tmp_path), known)
    found = knowledge.key(key)
    assert found is not None
    assert (found.description, found.tags, found.rotation_days) == ("payments", {"tier": "0"}, 180)
    assert found.aliases == ("alias/payments",)
    assert found.policy is not None
    assert found.policy.startswith('{"Id":')
    (grant,) = found.grants or ()
    assert (grant.grantee, grant.operations) == (grantee, ("Decrypt", "Encrypt"))
    assert knowledge.target(ACCOUNT, REGION, "alias/payments") == key


async def test_what_is_denied_leaves_the_rest(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    simulator.set_knob("deny", ("kms-monitor:kms:GetKeyPolicy", "kms-monitor:kms:ListAliases"))
    key = KeyRef.parse(arn)
    assert key is not None

    def known(sweep: Sweep) -> bool:
        found = sweep.knowledge.key(key)
        return found is not None and found.grants is not None and len(sweep.drift.reported) == 2

    found = (await look(settings_for(simulator, tmp_path), known)).key(key)
    assert found is not None
    assert (found.policy, found.aliases, found.rotation_days) == (None, None, 0)
    assert found.state is KeyState.ENABLED
