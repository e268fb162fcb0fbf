"""`kms-monitor check` as people run it, against the simulator: what it says is missing is really missing."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until
from tests.journey.functions import document, with_table
from tests.journey.test_accounts import OTHER, attacker, guarded, new_key

ALONE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{OTHER}:role/admin"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}


async def check(
    simulator: Simulator, folder: Path, *words: str, **changes: Any
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    settings = settings_for(simulator, folder, **{"watched": {"discover": True}, **changes})
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "check", "--config", str(file), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await running.communicate()
    assert running.returncode is not None
    return running.returncode, out.decode(), err.decode()


async def rows_of(simulator: Simulator, folder: Path, **changes: Any) -> tuple[int, list[Any]]:
    code, out, _ = await check(simulator, folder, "--json", **changes)
    return code, json.loads(out)["rows"]


def answers(rows: list[Any], call: str) -> dict[tuple[str, str], str]:
    return {(one["account"], one["region"]): one["answer"] for one in rows if one["call"] == call}


async def test_all_is_permitted(simulator: Simulator, tmp_path: Path) -> None:
    new_key(simulator, OTHER, REGION)
    accounts = [guarded(ACCOUNT, [REGION]), guarded(OTHER, [REGION, "us-east-1"])]
    responders = {"restore_key": {}, "sns": {"topic_arn": simulator.topic_arn}}
    code, rows = await rows_of(simulator, tmp_path, accounts=accounts, responders=responders)
    assert code == 0
    assert {row["answer"] for row in rows} == {"allowed"}
    places = {(ACCOUNT, REGION), (OTHER, REGION), (OTHER, "us-east-1")}
    assert answers(rows, "kms:CancelKeyDeletion").keys() == places
    assert {"sns:Publish", "sqs:ReceiveMessage", "store sqlite"} <= {row["call"] for row in rows}


async def test_what_a_function_needs(simulator: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "function.yaml"
    file.write_text(yaml.safe_dump(document(simulator)))
    await with_table(simulator)
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "check", "--config", str(file), "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await running.communicate()
    rows = json.loads(out)["rows"]
    assert [row for row in rows if row["answer"] != "allowed"] == []
    assert running.returncode == 0
    calls = {row["call"] for row in rows}
    assert {"kms:EnableKey", "sns:Publish", "store dynamodb"} <= calls
    assert not any(call.startswith("sqs:") for call in calls), calls


@pytest.mark.parametrize("asked", [True, False], ids=["IAM is asked", "IAM may not be asked"])
async def test_a_right_that_shows_as_missing_is_missing(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path, asked: bool
) -> None:
    silent = () if asked else ("kms-monitor:iam:*",)
    simulator.set_knob("deny", ("kms-monitor:kms:EnableKey", *silent))
    arn = await people("admin").create_key()
    code, rows = await rows_of(simulator, tmp_path)
    assert code == 1
    assert answers(rows, "kms:EnableKey") == {(ACCOUNT, REGION): "denied"}
    assert answers(rows, "kms:CancelKeyDeletion") == {(ACCOUNT, REGION): "allowed"}
    assert answers(rows, "sqs:ReceiveMessage") == {
        (ACCOUNT, REGION): "allowed" if asked else "unknown"
    }
    async with daemon(settings_for(simulator, tmp_path)) as app:
        await people("mallory").kms.schedule_key_deletion(KeyId=arn)
        labels = {"responder": "restore_key", "outcome": "denied"}
        await until(
            lambda: app.metrics.registry.get_sample_value("kms_monitor_actions_total", labels)
        )
        assert simulator.kms.state_of(arn) == "Disabled"


async def test_a_key_that_shuts_us_out_is_named(simulator: Simulator, tmp_path: Path) -> None:
    new_key(simulator, OTHER, REGION)
    async with attacker(simulator, OTHER) as kms:
        answer = await kms.create_key(Policy=json.dumps(ALONE))
    key = answer["KeyMetadata"]["KeyId"]
    code, out, _ = await check(simulator, tmp_path, accounts=[guarded(OTHER, [REGION])])
    assert code == 1
    line = next(line for line in out.splitlines() if "kms:DescribeKey" in line)
    assert "denied" in line
    assert f"the policies of 1 of 2 keys shut us out, such as {key}" in " ".join(out.split())


async def test_one_account_that_lets_nobody_in_hides_no_other(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.set_knob("untrusting", (OTHER,))
    accounts = [guarded(ACCOUNT, [REGION]), guarded(OTHER, [REGION, "us-east-1"])]
    code, rows = await rows_of(simulator, tmp_path, accounts=accounts)
    assert code == 1
    assert answers(rows, "enter the account") == {(ACCOUNT, "-"): "allowed", (OTHER, "-"): "denied"}
    assert answers(rows, "kms:EnableKey") == {(ACCOUNT, REGION): "allowed"}


async def test_what_is_not_there_is_said(simulator: Simulator, tmp_path: Path) -> None:
    queues = [{"url": simulator.queue_url + "x", "region": REGION}]
    store = {"path": str(tmp_path / "nowhere/state.db")}
    code, out, err = await check(simulator, tmp_path, queues=queues, store=store)
    assert code == 1
    assert "queue kms-monitorx" in out
    assert "nowheredoesnotexist" in "".join(out.split()), "a long path is folded"
    assert "Traceback" not in err


async def test_members_of_an_organization_are_checked_each(
    simulator: Simulator, tmp_path: Path
) -> None:
    path = simulator.organizations.add_unit("ou-ex01-11111111")
    simulator.organizations.place(OTHER, "ou-ex01-11111111")
    organizations = [{"path": path, "role_name": "kms-monitor", "regions": [REGION]}]
    code, rows = await rows_of(simulator, tmp_path, organizations=organizations)
    assert code == 0
    assert answers(rows, "kms:EnableKey").keys() == {(ACCOUNT, REGION), (OTHER, REGION)}
    simulator.set_knob("deny", ("kms-monitor:organizations:*",))
    code, _, err = await check(simulator, tmp_path, organizations=organizations)
    assert code == 1
    assert "AccessDenied" in err


async def test_nothing_is_changed_and_offline_nothing_is_asked(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    await people("admin").kms.disable_key(KeyId=arn)
    before = len(simulator.records)
    code, out, _ = await check(simulator, tmp_path, "--offline")
    assert (code, len(simulator.records)) == (0, before)
    assert "the settings are good" in out
    simulator.set_knob("deny", ("kms-monitor:iam:*",))
    await check(simulator, tmp_path)
    assert simulator.kms.state_of(arn) == "Disabled"
    new = simulator.records[before:]
    assert [
        one["eventName"] for one in new if not one["readOnly"] and not one.get("errorCode")
    ] == []
    assert not (tmp_path / "state.db").exists()
