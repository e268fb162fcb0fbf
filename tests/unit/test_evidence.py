"""Evidence: who misses a key, who may use it, how long there is time; and how that is told.

In scope: `monitor.evidence`, `evidence_gathering`, `failed_uses`, `telling.exhibit`, and the two
detectors that count failed uses. Replaced: KMS, by a client whose answers are given; time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import evidence_gathering
from monitor.detector import NoOptions
from monitor.detectors.downstream_failure import DownstreamFailure
from monitor.detectors.unusable_key_used import UnusableKeyUsed, UnusableOptions
from monitor.errors import Denied
from monitor.evidence import LONGEST, MOST_NAMES, Evidence, FailedUse, LastUse, with_failed_uses
from monitor.evidence_gathering import Gathering
from monitor.failed_uses import MOST_EVENTS, MOST_KEYS, MOST_USERS, FailedUses
from monitor.key import Grant, KeyRef, KeyState
from monitor.knowledge import Knowledge, Watched
from monitor.metrics import Metrics
from monitor.telling import exhibit
from monitor.testing.fakes import HandClock
from tests.samples import ACCOUNT, ARN, EPOCH, KEY, REGION, event, snapshot

DAY = 86400.0


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


class Client:
    """KMS, as it is told to answer; an error instead of an answer is raised."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {
            "get_key_last_usage": {
                "KeyLastUsage": {
                    "Operation": "Decrypt",
                    "Timestamp": moment(EPOCH - 3 * 3600),
                    "CloudTrailEventId": "e-1",
                },
                "TrackingStartDate": moment(EPOCH - 99 * DAY),
            },
            "describe_key": {"KeyMetadata": {"DeletionDate": moment(EPOCH + 7 * DAY)}},
            "list_grants": {"Grants": [{"GranteePrincipal": f"role-{n}"} for n in range(7)]},
            "list_aliases": {"Aliases": [{"AliasName": "alias/live"}]},
        }

    def __getattr__(self, call: str) -> Any:
        async def answer(**_: Any) -> Any:
            self.asked.append(call)
            given = self.answers[call]
            if isinstance(given, Exception):
                raise given
            if given == "hang":
                await asyncio.sleep(3600)
            return given

        return answer


class World:
    def __init__(self) -> None:
        self.client, self.knowledge, self.metrics = Client(), Knowledge(), Metrics()
        aws: Any = self
        self.gathering = Gathering(aws, self.knowledge, HandClock(EPOCH), self.metrics)

    async def kms(self, account: str, region: str) -> Client:
        assert (account, region) == (ACCOUNT, REGION)
        return self.client

    @asynccontextmanager
    async def calling(self, service: str, call: str) -> AsyncIterator[None]:
        yield

    async def gather(self, before: Evidence | None = None) -> Evidence:
        return await self.gathering.gather(KEY, EPOCH - 60, before)

    def sample(self, part: str, result: str) -> float | None:
        labels = {"part": part, "result": result}
        return self.metrics.registry.get_sample_value("kms_monitor_evidence_parts_total", labels)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_kms_says_is_evidence(world: World) -> None:
    found = await world.gather()
    assert found == Evidence(
        gathered_at=EPOCH,
        last_use=LastUse("Decrypt", EPOCH - 3 * 3600, "e-1"),
        tracked_since=EPOCH - 99 * DAY,
        grants=7,
        grantees=tuple(f"role-{n}" for n in range(MOST_NAMES)),
        aliases=1,
        alias_names=("alias/live",),
        deadline=EPOCH + 7 * DAY,
    )
    assert world.sample("last_use", "found") == 1
    assert world.sample("last_use", "missing") == 0


async def test_how_the_key_should_be_counts_and_not_what_an_attacker_left(world: World) -> None:
    grants = (Grant("g", "rds.amazonaws.com"),)
    world.knowledge.learn(
        snapshot(KeyState.ENABLED, grants=grants, aliases=("alias/payments", "alias/old"))
    )
    world.knowledge.watched = Watched(keys={KEY: "the trail audit"})
    found = await world.gather()
    assert (found.grants, found.grantees) == (1, ("rds.amazonaws.com",))
    assert (found.aliases, found.alias_names) == (2, ("alias/payments", "alias/old"))
    assert found.encrypts == "the trail audit"
    assert sorted(world.client.asked) == ["describe_key", "get_key_last_usage"]


async def test_a_part_that_cannot_be_had_says_why_and_spoils_no_other(world: World) -> None:
    why = "kms:GetKeyLastUsage: AccessDeniedException: not allowed " + "x" * 999
    world.client.answers["get_key_last_usage"] = Denied(why)
    found = await world.gather()
    assert found.last_use is None
    assert found.missing["last_use"].startswith("kms:GetKeyLastUsage: AccessDenied")
    assert len(found.missing["last_use"]) <= LONGEST
    assert found.deadline == EPOCH + 7 * DAY
    assert world.sample("last_use", "missing") == 1


async def test_it_waits_for_nobody_for_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_gathering, "PATIENCE", 0.05)
    world.client.answers["list_grants"] = "hang"
    found = await world.gather()
    assert found.missing == {"grants": "not within 0.05 s"}
    assert found.aliases == 1


async def test_a_key_that_was_never_used_and_is_not_to_be_deleted(world: World) -> None:
    world.client.answers["get_key_last_usage"] = {"TrackingStartDate": moment(EPOCH - DAY)}
    world.client.answers["describe_key"] = {"KeyMetadata": {}}
    found = await world.gather()
    assert (found.last_use, found.tracked_since, found.deadline) == (None, EPOCH - DAY, 0.0)
    assert found.missing == {}


async def test_failed_uses_since_the_incident_opened_count(world: World) -> None:
    uses = world.knowledge.failed_uses
    uses.note(KEY, "long ago", EPOCH - DAY, "a")
    for number in range(3):
        uses.note(KEY, "rds.amazonaws.com", EPOCH + number, f"b{number}", service=True)
    uses.note(KEY, "rds.amazonaws.com", EPOCH, "b0", service=True)
    found = await world.gather()
    assert found.failed_uses == (FailedUse("rds.amazonaws.com", 3, EPOCH, EPOCH + 2, service=True),)
    assert (found.failed_calls, found.failed_users) == (3, 1)
    again = await World().gather(found)
    assert again.failed_calls == 3, "what was counted before a restart is not forgotten"


# -- counting


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), max_size=15))
def test_counts_only_grow_and_names_stay_few(batches: list[tuple[int, int]]) -> None:
    evidence, calls = Evidence(EPOCH), 0
    for who, count in batches:
        evidence = with_failed_uses(evidence, [FailedUse(f"user {who}", count, EPOCH, EPOCH + 1)])
        assert evidence.failed_calls >= calls
        calls = evidence.failed_calls
        assert len(evidence.failed_uses) <= MOST_NAMES
        counts = [one.count for one in evidence.failed_uses]
        assert counts == sorted(counts, reverse=True)


def test_nobody_fills_the_memory() -> None:
    uses = FailedUses()
    for number in range(MOST_KEYS + 5):
        uses.note(KeyRef(ACCOUNT, REGION, str(number)), "one", EPOCH, f"k{number}")
    for number in range(MOST_USERS + 5):
        uses.note(KEY, f"user {number} " + "x" * 999, EPOCH, f"u{number}")
    for number in range(MOST_EVENTS + 5):
        uses.note(KEY, "user 0 " + "x" * 999, EPOCH + number, f"e{number}")
    assert (len(uses.by_key), len(uses.counted)) == (MOST_KEYS, MOST_EVENTS)
    assert len(uses.since(KEY, 0)) == MOST_USERS
    assert max(len(one.who) for one in uses.since(KEY, 0)) <= LONGEST
    assert uses.since(KeyRef(ACCOUNT, REGION, "0"), 0) == []


def test_every_failed_use_is_counted_also_where_no_finding_tells_it() -> None:
    knowledge = Knowledge()
    detector = UnusableKeyUsed(UnusableOptions(), knowledge)
    told = 0
    for number in range(5):
        failed = event(eventName="Decrypt", errorCode="DisabledException", eventID=f"use {number}")
        told += len(list(detector.inspect(failed)))
    assert told == 1
    (one,) = knowledge.failed_uses.since(KEY, EPOCH)
    assert (one.who, one.count, one.service) == (
        f"arn:aws:iam::{ACCOUNT}:role/path/ops-admin",
        5,
        False,
    )


def test_what_fails_because_of_the_key_counts_by_what_it_is() -> None:
    knowledge = Knowledge()
    failed = event(
        eventSource="ec2.amazonaws.com",
        eventName="StartInstances",
        errorCode="Client.KMSKeyNotAccessible",
        errorMessage=f"The key {ARN} is not accessible",
    )
    list(DownstreamFailure(NoOptions(), knowledge).inspect(failed))
    assert [one.count for one in knowledge.failed_uses.since(KEY, EPOCH)] == [1]


# -- telling

FULL = Evidence(
    gathered_at=EPOCH,
    last_use=LastUse("Decrypt", EPOCH - 3 * 3600, "e-1"),
    tracked_since=EPOCH - 99 * DAY,
    failed_uses=(FailedUse("rds.amazonaws.com", 3, EPOCH, EPOCH + 60, service=True),),
    failed_users=2,
    failed_calls=4,
    grants=7,
    grantees=("role-0", "role-1"),
    aliases=1,
    alias_names=("alias/payments",),
    encrypts="the trail audit",
    deadline=EPOCH + 7 * DAY,
    missing={"last_use": "denied"},
)


def test_people_read_it_at_a_glance() -> None:
    assert exhibit.lines(FULL, EPOCH) == [
        "",
        "Evidence",
        "  Deadline  gone for good at 2026-11-27T09:14:03Z, in 7 d",
        "  Last use  Decrypt at 2026-11-20T06:14:03Z, 3 h ago",
        "  Missed    4 failed by 2 users, as far as we saw:",
        "            3 by rds.amazonaws.com, the last at 2026-11-20T09:15:03Z",
        "  Grants    7: role-0, role-1, ...",
        "  Aliases   1: alias/payments",
        "  Encrypts  the trail audit",
        "  Unknown   last use: denied",
    ]
    assert exhibit.lines(Evidence(EPOCH, tracked_since=EPOCH - DAY, grants=0), EPOCH) == [
        "",
        "Evidence",
        "  Last use  none since 2026-11-19T09:14:03Z",
        "  Missed    by nobody whom we saw; that proves nothing",
        "  Grants    0",
    ]
    late = exhibit.lines(FULL, EPOCH + 8 * DAY)
    assert "  Deadline  gone for good at 2026-11-27T09:14:03Z, which is over" in late


def test_machines_get_all_of_it() -> None:
    found = exhibit.members(FULL)
    assert found["last_use"] == {"call": "Decrypt", "at": "2026-11-20T06:14:03Z", "event_id": "e-1"}
    assert found["deadline"] == "2026-11-27T09:14:03Z"
    assert found["failed_uses"] == [
        {
            "who": "rds.amazonaws.com",
            "service": True,
            "count": 3,
            "first_at": "2026-11-20T09:14:03Z",
            "last_at": "2026-11-20T09:15:03Z",
        }
    ]
    assert exhibit.members(Evidence(EPOCH))["last_use"] is None


def test_names_of_others_cannot_steer_a_terminal() -> None:
    nasty = "alias/\x1b[2J\u202eevil"
    told = "\n".join(exhibit.lines(Evidence(EPOCH, aliases=1, alias_names=(nasty,)), EPOCH))
    assert "alias/?[2J?evil" in told
