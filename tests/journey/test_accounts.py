"""Many accounts at once: some broken, some that join or leave, and sessions that AWS ends early.

The real daemon against the simulator, one process; sessions are ended, roles refused and calls left without an
answer by the simulator's knobs.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from monitor import following
from monitor.simulator.server import Simulator
from monitor.simulator.words import Caller
from tests.journey.conftest import ACCOUNT, REGION, daemon, lead_to, settings_for, until

OTHER = "444455556666"
MANY = [ACCOUNT, *(f"{number:012d}" for number in range(200000000001, 200000000060))]
REGIONS = ["eu-west-1", "us-east-1", "eu-central-1", "ap-south-1"]


@asynccontextmanager
async def attacker(simulator: Simulator, account: str, region: str = REGION) -> AsyncIterator[Any]:
    """KMS as an administrator of that account sees it."""
    session = get_session()
    door: Any = {"endpoint_url": simulator.endpoint_url}
    async with session.create_client(
        "sts", "eu-west-1", aws_access_key_id="mallory", aws_secret_access_key="any", **door
    ) as sts:
        answer = await sts.assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/admin", RoleSessionName="mallory"
        )
    given = answer["Credentials"]
    async with session.create_client(
        "kms",
        region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        **door,
    ) as kms:
        yield kms


def guarded(account: str, regions: list[str]) -> dict[str, Any]:
    if account == ACCOUNT:
        return {"id": account, "regions": regions}
    role = f"arn:aws:iam::{account}:role/kms-monitor"
    return {"id": account, "regions": regions, "role_arn": role}


def new_key(simulator: Simulator, account: str, region: str) -> str:
    """A key, without a call that would have to be made as somebody there."""
    caller = Caller(account=account, arn=f"arn:aws:iam::{account}:role/admin")
    reply = simulator.kms.call("CreateKey", {}, caller=caller, account=account, region=region)
    return str(reply.body["KeyMetadata"]["Arn"])


@pytest.mark.timeout(180)  # 240 places, and a simulator for them, in one process
async def test_broken_accounts_do_not_hold_up_hundreds_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 accounts, 4 Regions each: one refuses our role, KMS of one never answers."""
    refusing, hanging, attacked = MANY[1], MANY[2], MANY[57]
    async with Simulator(seed=1, accounts=MANY, regions=REGIONS) as simulator:
        lead_to(simulator, monkeypatch)
        keys = {
            (account, region): new_key(simulator, account, region)
            for account in MANY
            for region in REGIONS
        }
        simulator.set_knob("untrusting", (refusing,))
        monkeypatch.setattr("monitor.app.QUIET", 3.0)
        hang_only(simulator, hanging)
        accounts = [guarded(account, REGIONS) for account in MANY]
        async with daemon(settings_for(simulator, tmp_path, accounts=accounts)) as app:
            # It takes from the queue while two of the accounts have not been seen.
            await until(lambda: app.consumers, 50)

            def known() -> float:
                return sum(
                    app.metrics.registry.get_sample_value(
                        "kms_monitor_known_keys", {"account": account, "region": region}
                    )
                    or 0
                    for account, region in keys
                )

            await until(lambda: known() == 4 * 58, 60)
            arn = keys[attacked, "ap-south-1"]
            async with attacker(simulator, attacked, "ap-south-1") as kms:
                await kms.schedule_key_deletion(KeyId=arn)
            await until(lambda: simulator.kms.state_of(arn) == "Enabled", 30)
            problems = app.readiness()
            assert "AccessDenied" in problems[f"identity in {refusing}"]
            assert f"keys of {hanging} {REGION}" in problems
            assert {name.split()[2] for name in problems if name.startswith("keys of")} == {
                refusing,
                hanging,
            }
            simulator.set_knob("untrusting", ())
            simulator._endpoint.hang = ()


def hang_only(simulator: Simulator, account: str) -> None:
    """Leave calls to KMS without an answer in this account alone."""
    arn = f"arn:aws:sts::{account}:assumed-role/kms-monitor/*"
    simulator.set_knob("hang", (f"{arn}:kms:*",))


async def test_a_session_that_aws_ends_early_is_made_anew_mid_repair(
    simulator: Simulator, tmp_path: Path
) -> None:
    arn = new_key(simulator, OTHER, REGION)
    settings = settings_for(simulator, tmp_path, accounts=[guarded(OTHER, [REGION])])
    async with daemon(settings) as app, attacker(simulator, OTHER) as kms:
        await until(lambda: not app.readiness())
        # The cancel is answered, and then the session is over.
        cancel = simulator.kms.call

        def then_end(operation: str, *given: Any, **more: Any) -> Any:
            reply = cancel(operation, *given, **more)
            if operation == "CancelKeyDeletion":
                simulator.identities.expire_sessions()
            return reply

        simulator.kms.call = then_end  # type: ignore[method-assign]
        await kms.schedule_key_deletion(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        renewed = app.metrics.registry.get_sample_value("kms_monitor_credentials_renewed_total")
        assert renewed == 1


async def test_accounts_join_and_leave_without_a_restart(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY", 0.2)
    monkeypatch.setattr(following, "SOON", 0.2)
    path = simulator.organizations.add_unit("ou-ex01-11111111")
    inner = "ou-ex01-22222222"
    simulator.organizations.add_unit(inner, "ou-ex01-11111111")
    arn = new_key(simulator, OTHER, REGION)
    organizations = [{"path": path, "role_name": "kms-monitor", "regions": [REGION]}]
    settings = settings_for(simulator, tmp_path, organizations=organizations)
    async with daemon(settings) as app, attacker(simulator, OTHER) as kms:
        value = app.metrics.registry.get_sample_value

        def seen() -> float | None:
            return value("kms_monitor_known_keys", {"account": OTHER, "region": REGION})

        await kms.disable_key(KeyId=arn)
        await until(
            lambda: value("kms_monitor_decisions_total", {"reason": "account_not_allowed"}) == 1
        )
        assert simulator.kms.state_of(arn) == "Disabled"
        await kms.enable_key(KeyId=arn)
        simulator.organizations.place(OTHER, inner)
        await until(lambda: seen() == 1)
        await until(lambda: not app.readiness())
        await kms.disable_key(KeyId=arn)
        await until(lambda: simulator.kms.state_of(arn) == "Enabled")
        assert value("kms_monitor_guarded_accounts", {"source": "organization"}) == 1
        assert value("kms_monitor_guarded_places") == 2

        simulator.set_knob("deny", ("kms-monitor:organizations:*",))
        await until(lambda: "organizations" in app.readiness())
        assert value("kms_monitor_organization_up") == 0
        assert value("kms_monitor_guarded_places") == 2
        simulator.set_knob("deny", ())
        await until(lambda: "organizations" not in app.readiness())


async def test_what_left_is_guarded_no_more(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY", 0.2)
    path = simulator.organizations.add_unit("ou-ex01-11111111")
    simulator.organizations.place(OTHER, "ou-ex01-11111111")
    arn = new_key(simulator, OTHER, REGION)
    organizations = [{"path": path, "role_name": "kms-monitor", "regions": [REGION]}]
    settings = settings_for(simulator, tmp_path, accounts=[], organizations=organizations)
    async with daemon(settings) as app, attacker(simulator, OTHER) as kms:
        value = app.metrics.registry.get_sample_value
        assert value("kms_monitor_guarded_places") == 1
        simulator.organizations.members[OTHER].state = "SUSPENDED"
        await until(lambda: value("kms_monitor_guarded_places") == 0)
        place = {"account": OTHER, "region": REGION}
        assert value("kms_monitor_known_keys", place) is None
        await kms.disable_key(KeyId=arn)
        await until(
            lambda: value("kms_monitor_decisions_total", {"reason": "account_not_allowed"}) == 1
        )
        assert simulator.kms.state_of(arn) == "Disabled"
        assert not [task for task in asyncio.all_tasks() if f"keys of {OTHER}" in task.get_name()]
