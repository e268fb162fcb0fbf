"""What holds only for the DynamoDB store, beside `tests/suites/test_stores.py`.

In scope: `monitor.stores.dynamodb` and its parts on moto's DynamoDB, whose conditions, transactions
and indexes are real. Replaced: time. moto deletes no item that ran out, and throttles nobody.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.action_log import following
from monitor.aws import Aws
from monitor.baseline import Register
from monitor.ledger import Claim, StoreError
from monitor.metrics import Metrics
from monitor.replica_metrics import TABLE_CALLS
from monitor.stores import items
from monitor.stores.dynamodb import DynamoDbStore
from monitor.stores.table_shape import faults
from tests.suites.test_stores import (
    ACTION,
    KEY,
    START,
    Clock,
    approval,
    baseline,
    entry,
    incident,
)
from tests.tables import TEMPLATE, SharedTable, make_table, table_for_one, template


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def table(endpoint_url: str) -> AsyncIterator[SharedTable]:
    async with table_for_one(endpoint_url) as table:
        yield table


@pytest.fixture
async def store(table: SharedTable, clock: Clock) -> DynamoDbStore:
    return await table.open(clock)


# -- replicas


async def test_two_replicas_are_granted_a_lease_once(table: SharedTable, clock: Clock) -> None:
    stores = [await table.open(clock) for _ in range(2)]
    for number in range(30):
        grants = await asyncio.gather(
            *(
                one.claim(f"action {number}", owner=str(id(one)), seconds=60)
                for one in stores
                for _ in range(3)
            )
        )
        assert sorted(one.claim for one in grants) == [Claim.BUSY] * 5 + [Claim.GRANTED]
    await stores[0].finish("action 0", owner="x", action=ACTION)
    assert (await stores[1].claim("action 0", owner="y", seconds=60)).action == ACTION


async def test_the_lease_of_a_dead_replica_is_taken_over(table: SharedTable, clock: Clock) -> None:
    dead, other = [await table.open(clock) for _ in range(2)]
    for one in (dead, other):
        await one.check()
    await dead.claim("a", owner="one", seconds=300)
    clock.time += 59
    await other.check()
    assert (await other.claim("a", owner="two", seconds=300)).claim is Claim.BUSY
    clock.time += 1
    grants = await asyncio.gather(
        *(other.claim("a", owner=str(number), seconds=300) for number in range(5))
    )
    assert sorted(one.claim for one in grants) == [Claim.BUSY] * 4 + [Claim.GRANTED]
    assert table.aws.metrics.registry.get_sample_value("kms_monitor_lease_takeovers_total") == 1
    # It was not dead after all: what it holds no more it can neither renew nor give back.
    await dead.check()
    assert not await dead.renew("a", owner="one", seconds=60)
    await dead.release("a", owner="one")
    assert (await dead.claim("a", owner="one", seconds=60)).claim is Claim.BUSY


async def test_a_replica_that_lives_keeps_its_leases(table: SharedTable, clock: Clock) -> None:
    one, other = [await table.open(clock) for _ in range(2)]
    await one.check()
    await one.claim("a", owner="one", seconds=300)
    for _ in range(29):
        clock.time += 10
        await one.check()
        assert (await other.claim("a", owner="two", seconds=300)).claim is Claim.BUSY
    clock.time += 10  # but no longer than it asked for
    assert (await other.claim("a", owner="two", seconds=300)).claim is Claim.GRANTED


async def test_what_a_stopped_replica_left_is_free_at_once(
    table: SharedTable, clock: Clock
) -> None:
    one, other = [await table.open(clock) for _ in range(2)]
    await one.check()
    await one.claim("a", owner="one", seconds=300)
    await one.close()
    assert (await other.claim("a", owner="two", seconds=300)).claim is Claim.GRANTED


async def test_who_never_showed_itself_is_not_dead(table: SharedTable, clock: Clock) -> None:
    """A command, which does its work and ends, shows nothing: its lease just runs out."""
    one, other = [await table.open(clock) for _ in range(2)]
    await one.claim("a", owner="one", seconds=300)
    clock.time += 299
    assert (await other.claim("a", owner="two", seconds=300)).claim is Claim.BUSY


async def test_two_replicas_do_not_overwrite_an_incident(table: SharedTable, clock: Clock) -> None:
    stores = [await table.open(clock) for _ in range(2)]
    for version in range(10):
        closed_at = START * (version % 3 == 2)
        wrote = await asyncio.gather(
            *(
                one.put_incident(incident(closed_at=closed_at), expected_version=version)
                for one in stores
            )
        )
        assert sorted(wrote) == [False, True]


async def test_the_same_incident_is_not_opened_beside_its_closed_self(
    store: DynamoDbStore,
) -> None:
    assert await store.put_incident(incident(), expected_version=0)
    assert await store.put_incident(incident(closed_at=START + 5), expected_version=1)
    assert not await store.put_incident(incident(), expected_version=0)
    assert not await store.put_incident(incident(closed_at=START + 6), expected_version=0)
    assert await store.incidents() == [incident(closed_at=START + 5, version=2)]


async def test_an_id_of_an_approval_belongs_to_one_key(store: DynamoDbStore) -> None:
    other = replace(KEY, key_id="other")
    await store.approve(approval())
    await store.approve(approval(key=other))
    assert await store.approvals() == [approval()]
    assert await store.use("a", "one", START)
    assert (await store.approvals(KEY))[0].used_by("one")


async def test_replicas_share_a_budget(table: SharedTable, clock: Clock) -> None:
    stores = [await table.open(clock) for _ in range(3)]
    spent = await asyncio.gather(
        *(one.spend("all", f"{n}", most=10, seconds=60) for n in range(8) for one in stores),
        *(one.spend("all", f"{n} more", most=10, seconds=60) for n in range(8) for one in stores),
    )
    assert await stores[0].spent("all", seconds=60) == 10
    assert sum(spent) == 30  # each use is granted to all who ask for it


# -- answers that get lost


class Twice(DynamoDbStore):
    """Every answer gets lost once, and botocore sends the same request again."""

    async def send(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        await super().send(name, parameters)
        return await super().send(name, parameters)


@pytest.fixture
async def twice(table: SharedTable, clock: Clock) -> DynamoDbStore:
    return Twice(table.aws, clock, table="kms-monitor", region="eu-west-1")


async def test_a_write_that_was_sent_again_was_ours(twice: DynamoDbStore, clock: Clock) -> None:
    assert (await twice.claim("a", owner="one", seconds=60)).claim is Claim.GRANTED
    assert (await twice.claim("a", owner="one", seconds=60)).claim is Claim.BUSY
    assert await twice.renew("a", owner="one", seconds=60)
    await twice.finish("a", owner="one", action=ACTION)
    assert (await twice.claim("a", owner="two", seconds=60)).action == ACTION
    for version in range(2):
        assert await twice.put_baseline(baseline(), expected_version=version)
        assert not await twice.put_baseline(baseline(), expected_version=version)
    first = following(None, START, {})
    assert await twice.append(first)
    assert not await twice.append(first)
    assert [await twice.spend("b", use, most=2, seconds=60) for use in "abc"] == [True, True, False]
    assert await twice.spent("b", seconds=60) == 2
    await twice.approve(approval())
    assert [await twice.use("a", event, START) for event in "xy"] == [True, False]
    assert await twice.revoke("a")
    await twice.keep([entry(level=2), entry(level=3)])
    assert await twice.entries() == [entry(level=3)]


async def test_a_transaction_carries_a_token(
    store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By which DynamoDB knows one that was sent again (`ClientRequestToken`; moto does not)."""
    sent: list[dict[str, Any]] = []

    async def send(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        sent.append(parameters)
        return {"reasons": ["None", "TransactionConflict"]} if len(sent) < 3 else {}

    monkeypatch.setattr(store, "send", send)
    assert await store.put_incident(incident(), expected_version=0)
    # One that met another was not made: it is a new one that is tried.
    assert len({one["ClientRequestToken"] for one in sent}) == 3


async def test_a_transaction_that_never_gets_through(
    store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "CONFLICTS", 3)
    answer = {"reasons": ["TransactionConflict"]}

    async def send(*_: object) -> dict[str, Any]:
        return answer

    monkeypatch.setattr(store, "send", send)
    with pytest.raises(StoreError, match="too many change the same items at once"):
        await store.put_incident(incident(), expected_version=0)
    answer["reasons"] = ["None", "ThrottlingError"]
    with pytest.raises(StoreError, match="table kms-monitor: ThrottlingError"):
        await store.put_incident(incident(), expected_version=0)


# -- days on which DynamoDB cannot be reached


async def test_an_endpoint_that_refuses(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "kms-monitor")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    async with Aws(Metrics(), endpoint_url="http://127.0.0.1:9") as aws:
        store = DynamoDbStore(aws, clock, table="kms-monitor", region="eu-west-1")
        monkeypatch.setattr(items, "SLOWEST", 0.1)
        monkeypatch.setattr(items, "PROBE", 0.1)
        for _ in range(items.PATIENCE):
            with pytest.raises(StoreError, match="AWS cannot be reached"):
                await store.baseline(KEY)

        def count() -> float:
            return errors_of(aws)

        before = count()
        with pytest.raises(StoreError, match="could not be reached a moment ago"):
            await store.baseline(KEY)
        assert count() == before  # nobody waited
        clock.time += items.PAUSE
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.baseline(KEY)
        assert count() == before + 1


def errors_of(aws: Aws) -> float:
    """How many calls failed, by the metric."""
    families = aws.metrics.client_errors.collect()
    return sum(one.value for family in families for one in family.samples if "_total" in one.name)


async def test_a_condition_that_does_not_hold_is_no_error(
    table: SharedTable, store: DynamoDbStore
) -> None:
    await store.claim("a", owner="one", seconds=60)
    await store.claim("a", owner="two", seconds=60)
    assert not errors_of(table.aws)


async def test_a_table_that_is_not_there(table: SharedTable, clock: Clock) -> None:
    with pytest.raises(StoreError, match=r"table none: .*ResourceNotFoundException"):
        await DynamoDbStore(table.aws, clock, table="none", region="eu-west-1").look_at_shape()
    store = await table.open(clock)
    await table.dynamodb.update_table(TableName="kms-monitor", DeletionProtectionEnabled=False)
    await table.dynamodb.delete_table(TableName="kms-monitor")
    for call in (store.check(), store.baselines(), store.claim("a", owner="one", seconds=60)):
        with pytest.raises(StoreError, match=r"table kms-monitor: .*ResourceNotFoundException"):
            await call


# -- how the table is made


async def test_the_template_makes_what_the_store_needs(table: SharedTable) -> None:
    made = (await table.dynamodb.describe_table(TableName="kms-monitor"))["Table"]
    assert made["DeletionProtectionEnabled"]
    assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    resource = template()["Resources"]["Table"]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    # For DynamoDB false stands for a key that AWS owns, which no attacker can reach.
    assert resource["Properties"]["SSESpecification"] == {"SSEEnabled": False}
    backups = await table.dynamodb.describe_continuous_backups(TableName="kms-monitor")
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"TimeToLiveSpecification": None}, "time to live must be enabled on expires"),
        (
            {"TimeToLiveSpecification": {"AttributeName": "other", "Enabled": True}},
            "time to live must be enabled on expires",
        ),
        (
            {
                "GlobalSecondaryIndexes": None,
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
                ],
            },
            "it has no index changes",
        ),
        (
            {
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": "S"}
                    for name in ("pk", "sk", "changed")
                ],
            },
            r"its index changes must be over pk and changed \(RANGE, N\)",
        ),
        (
            {
                "GlobalSecondaryIndexes": None,
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            },
            r"its keys must be pk \(HASH, S\) and sk \(RANGE, S\); it has no index",
        ),
    ],
)
async def test_a_table_that_is_made_otherwise(
    table: SharedTable, clock: Clock, changes: dict[str, Any], fault: str
) -> None:
    await make_table(table.dynamodb, "other", **changes)
    with pytest.raises(StoreError, match=f"table other: {fault}.*; see docs/stores.md"):
        await DynamoDbStore(table.aws, clock, table="other", region="eu-west-1").look_at_shape()


def test_a_table_that_is_being_made() -> None:
    properties = template()["Resources"]["Table"]["Properties"]
    ttl = {"TimeToLiveStatus": "ENABLING", "AttributeName": "expires"}
    assert faults({**properties, "TableStatus": "UPDATING"}, ttl) == []
    assert faults({**properties, "TableStatus": "CREATING"}, ttl) == ["it is CREATING"]


# -- records


async def test_what_runs_out_says_so_to_dynamodb(table: SharedTable, store: DynamoDbStore) -> None:
    """Baselines, open incidents and the log stay; whatever else is there runs out."""
    await store.put_baseline(baseline(), expected_version=0)
    await store.put_incident(incident(), expected_version=0)
    await store.append(following(None, START, {}))
    assert not any("expires" in one for one in await table.items())
    before = len(await table.items())
    await store.check()
    await store.claim("held", owner="one", seconds=60)
    await store.finish("done", owner="one", action=ACTION)
    await store.spend("budget", "use", most=1, seconds=60)
    await store.approve(approval())
    await store.keep([entry()])
    other = replace(KEY, key_id="other")
    await store.put_incident(incident("b", key=other, closed_at=START), expected_version=0)
    ends = {one["pk"]["S"].split("|")[0]: one.get("expires") for one in await table.items()}
    assert len(await table.items()) == before + 8
    found = {kind: int(end["N"]) - START for kind, end in ends.items() if end}
    day, remembered = 86400.0, 15 * 86400.0
    assert found == {
        "replica": 60 + day,
        "action": found["action"],
        "budget": 31 * day,
        "approval": 3601 + remembered + day,
        "approval-id": 3601 + remembered + day,
        "entry": 60 + day,
        "closed": remembered + day,
    }
    actions = [one for one in await table.items() if one["pk"]["S"].startswith("action|")]
    assert {int(one["expires"]["N"]) - START for one in actions} == {60 + day, remembered + day}


async def test_a_baseline_with_very_many_grants(table: SharedTable, store: DynamoDbStore) -> None:
    """600 KB of them; an item of DynamoDB holds 400."""
    arn = "arn:aws:iam::111122223333:role/service-role/the-role-of-some-team"
    grants = {
        f"grant/{items.digest(str(n))}": Register(
            {"grantee": arn, "operations": ["Decrypt", "GenerateDataKey"], "name": f"team {n}"},
            START + n,
            baseline().registers["state"].origin,
        )
        for n in range(2500)
    }
    whole = replace(baseline(), registers=baseline().registers | grants)
    assert await store.put_baseline(whole, expected_version=0)
    assert await store.baseline(KEY) == replace(whole, version=1)
    (item,) = await table.items()
    assert len(item["record"]["B"]) < 200_000


async def test_a_record_that_no_item_holds(store: DynamoDbStore) -> None:
    noise = {
        f"tag/{n}": Register(items.digest(str(n)) * 2, START, baseline().registers["state"].origin)
        for n in range(12_000)
    }
    with pytest.raises(StoreError, match=r"the baseline of arn:.* takes \d+ bytes, compressed"):
        await store.put_baseline(replace(baseline(), registers=noise), expected_version=0)


@pytest.mark.parametrize("record", [b'{"wrong": 1}', zlib.compress(b'{"wrong": 1}'), b"", b"\xff"])
async def test_records_that_only_a_newer_version_can_read(
    table: SharedTable, store: DynamoDbStore, record: bytes
) -> None:
    await store.put_baseline(baseline(), expected_version=0)
    await store.put_incident(incident(), expected_version=0)
    await store.approve(approval())
    await store.finish("a", owner="one", action=ACTION)
    for one in await table.items():
        if "record" in one:
            await table.dynamodb.put_item(
                TableName="kms-monitor", Item={**one, "record": {"B": record}}
            )
    for call in (
        store.baseline(KEY),
        store.baselines(),
        store.incident(KEY),
        store.incidents(),
        store.approvals(),
        store.claim("a", owner="two", seconds=60),
    ):
        with pytest.raises(StoreError, match="cannot be read"):
            await call


async def test_more_than_one_page(store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "PAGE", 3)
    last = None
    for number in range(8):
        last = following(last, START + number, {})
        await store.append(last)
    assert [one.number for one in await store.logged()] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [one.number for one in await store.logged(after=2, most=4)] == [3, 4, 5, 6]
    noted = [entry(f"{number:02}") for number in range(40)]
    await store.keep(noted)
    assert await store.entries() == noted
    assert await store.entries(since=START) == noted


async def test_an_old_action_is_no_more_once_that_was_asked_for(
    table: SharedTable, clock: Clock
) -> None:
    """DynamoDB deletes days later; the item that is still there counts for nothing."""
    store = await table.open(clock)
    await store.finish("a", owner="one", action=ACTION)
    await store.put_incident(incident(closed_at=START), expected_version=0)
    clock.time += 100
    await store.prune(START + 50)
    assert len(await table.items()) == 2
    assert await store.incident(KEY) is None
    assert await store.incidents() == []
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.GRANTED
    assert (await store.claim("a", owner="two", seconds=60)).claim is Claim.BUSY


async def test_the_policy_allows_what_is_called_and_no_more() -> None:
    policy = json.loads((TEMPLATE.parent / "table-policy.json").read_text())
    (statement,) = policy["Statement"]
    # A transaction has no right of its own (IAM, "Actions for DynamoDB").
    called = set(TABLE_CALLS) - {"TransactWriteItems"} | {"ConditionCheckItem"}
    assert set(statement["Action"]) == {f"dynamodb:{one}" for one in called}
    table, index = statement["Resource"]
    properties = template()["Resources"]["Table"]["Properties"]
    assert index == f"{table}/index/{properties['GlobalSecondaryIndexes'][0]['IndexName']}"
    assert table.endswith(f"/{template()['Parameters']['TableName']['Default']}")
