"""Our own calls are recognised: a repair starts no repair, and nobody is told of it as if it were news."""

import json
from collections.abc import Callable
from pathlib import Path

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until
from tests.journey.test_contested import knows_alias, told

OURS = f"arn:aws:sts::{ACCOUNT}:assumed-role/guard/"
WRITING = ("PutKeyPolicy", "UpdateAlias", "CreateGrant", "EnableKey", "EnableKeyRotation")


def ours(simulator: Simulator) -> list[str]:
    return [
        one["eventName"]
        for one in simulator.records
        if one["userIdentity"].get("arn", "").startswith(OURS) and one["eventName"] in WRITING
    ]


async def test_repairs_of_every_kind_start_none(
    simulator: Simulator, people: Callable[[str], Person], sqs: object, tmp_path: Path
) -> None:
    admin, mallory = people("admin"), people("mallory")
    arn, other = await admin.create_key(), await admin.create_key()
    await admin.kms.create_alias(AliasName="alias/payments", TargetKeyId=arn)
    await admin.kms.enable_key_rotation(KeyId=arn)
    grant = await admin.kms.create_grant(
        KeyId=arn, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:user/app", Operations=["Decrypt"]
    )
    settings = settings_for(
        simulator,
        tmp_path,
        accounts=[
            {
                "id": ACCOUNT,
                "regions": [REGION],
                "role_arn": f"arn:aws:iam::{ACCOUNT}:role/guard",
            }
        ],
        responders={
            "restore_key": {"doubt_seconds": 0},
            "sns": {"topic_arn": simulator.topic_arn},
        },
        sweep={"calls_per_second": 100},
    )
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}
        ],
    }
    async with daemon(settings) as app:
        assert await knows_alias(app, arn)
        await mallory.kms.put_key_policy(KeyId=arn, Policy=json.dumps(policy))
        await until(lambda: "PutKeyPolicy" in ours(simulator))
        await mallory.kms.update_alias(AliasName="alias/payments", TargetKeyId=other)
        await until(lambda: "UpdateAlias" in ours(simulator))
        await mallory.kms.revoke_grant(KeyId=arn, GrantId=grant["GrantId"])
        await until(lambda: "CreateGrant" in ours(simulator))
        await mallory.kms.disable_key_rotation(KeyId=arn)
        await until(lambda: "EnableKeyRotation" in ours(simulator))
        await mallory.kms.disable_key(KeyId=arn)
        await until(lambda: "EnableKey" in ours(simulator))
        await simulator.settle()
        pages = await told(sqs, simulator)
    assert sorted(ours(simulator)) == sorted(WRITING), "each was put back once"
    assert [one["event"]["name"] for one in pages if one["actor"]["arn"].startswith(OURS)] == []
