"""Whom the responder `contain` keeps from going on, and whom it does not dare to.

In scope: `monitor.responders.contain`, `monitor.contained`. Replaced: IAM, STS and CloudTrail.
The same against IAM's policies themselves: `tests/journey/test_contain.py`.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from monitor.aws import Aws
from monitor.contained import contained_in, release
from monitor.decision import Action, Decision, Outcome, Reason, Verdict
from monitor.entry import Entry
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.finding import Actor, Kind, Severity
from monitor.ledger import StoreError
from monitor.responders.contain import Contain, ContainOptions
from monitor.testing import check_responder
from monitor.testing.fakes import services
from tests.samples import ACCOUNT, BOB, EPOCH, REGION, decision, event, finding, record

DONE = Action("restore_key", Outcome.DONE, calls=("EnableKey",))
SESSION = Actor(
    type="AssumedRole",
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/ops-admin/alice",
    account=ACCOUNT,
    issuer_arn=f"arn:aws:iam::{ACCOUNT}:role/path/ops-admin",
    session="alice",
)


def refused(code: str, status: int) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Call")


class Iam:
    """IAM with its inline policies; STS and CloudTrail's history too."""

    def __init__(self) -> None:
        self.policies: dict[tuple[str, str], Any] = {}
        self.history: list[dict[str, Any]] = [record()]
        self.error: ClientError | None = None
        self.identity = f"arn:aws:iam::{ACCOUNT}:user/kms-monitor"

    async def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": self.identity}

    async def lookup_events(self, **_: Any) -> dict[str, Any]:
        return {"Events": [{"CloudTrailEvent": json.dumps(one)} for one in self.history]}

    async def get_role_policy(self, **asked: str) -> dict[str, Any]:
        return self.get(asked["RoleName"], asked["PolicyName"])

    async def get_user_policy(self, **asked: str) -> dict[str, Any]:
        return self.get(asked["UserName"], asked["PolicyName"])

    def get(self, name: str, policy: str) -> dict[str, Any]:
        if (name, policy) not in self.policies:
            raise refused("NoSuchEntity", 404)
        return {"PolicyDocument": self.policies[name, policy]}

    async def put_role_policy(self, **asked: str) -> None:
        self.put(asked["RoleName"], asked)

    async def put_user_policy(self, **asked: str) -> None:
        self.put(asked["UserName"], asked)

    def put(self, name: str, asked: dict[str, str]) -> None:
        if self.error is not None:
            raise self.error
        self.policies[name, asked["PolicyName"]] = json.loads(asked["PolicyDocument"])

    async def delete_role_policy(self, **asked: str) -> None:
        del self.policies[asked["RoleName"], asked["PolicyName"]]

    async def delete_user_policy(self, **asked: str) -> None:
        del self.policies[asked["UserName"], asked["PolicyName"]]

    def get_paginator(self, call: str) -> "Pages":
        return Pages(self, call)


class Pages:
    def __init__(self, iam: Iam, call: str) -> None:
        self.iam = iam
        self.call = call

    async def paginate(self, **asked: Any) -> AsyncIterator[dict[str, Any]]:
        if self.call.startswith("list_"):
            who = asked.get("RoleName") or asked.get("UserName")
            for name, policy in self.iam.policies:
                yield {"PolicyNames": [policy] if name == who else []}
            return
        for name, policy in self.iam.policies:
            arn = f"arn:aws:iam::{ACCOUNT}:role/path/{name}"
            yield {"RoleDetailList": [{"Arn": arn, "RolePolicyList": [{"PolicyName": policy}]}]}


class World:
    def __init__(self, **options: Any) -> None:
        self.iam = Iam()
        self.services = services()
        self.aws = Aws(self.services.metrics, entries=[Entry(ACCOUNT)])
        self.aws.client = self.client  # type: ignore[method-assign]
        object.__setattr__(self.services, "aws", self.aws)
        clock: Any = self.services.clock
        self.clock = clock
        clock.at = EPOCH + 60
        given = ContainOptions(**({"dry_run": False} | options))
        self.contain = Contain(given, self.services)

    async def client(self, service: str, region: str, account: str = "") -> Any:
        return self.iam

    async def respond(self, **changes: Any) -> Action:
        return await self.contain.respond(damage(**changes))


def damage(**changes: Any) -> Decision:
    about = finding(
        actor=changes.pop("actor", SESSION),
        severity=changes.pop("severity", Severity.CRITICAL),
        event_id=event().event_id,
        **changes.pop("finds", {}),
    )
    return decision(about, **({"done": (DONE,)} | changes))


async def test_a_role_loses_its_sessions_once_and_by_one_policy() -> None:
    world = World()
    first = await world.respond()
    assert (first.outcome, first.calls, first.about_caller) == (
        Outcome.DONE,
        ("PutRolePolicy",),
        True,
    )
    assert "kms-monitor contain release arn:aws:iam::" in first.detail
    ((name, policy),) = world.iam.policies
    assert (name, policy.startswith("kms-monitor-contain-")) == ("ops-admin", True)
    world.clock.at += 3600
    assert (await world.respond()).outcome is Outcome.ALREADY
    assert len(world.iam.policies) == 1


async def test_who_comes_back_after_it_is_shut_out_anew() -> None:
    world = World()
    await world.respond()
    later = "2026-11-20T09:30:00Z"
    world.clock.at = EPOCH + 3600
    world.iam.history = [record(eventTime=later)]
    about = {"event_time": event(eventTime=later).time}
    assert (await world.respond(finds=about)).outcome is Outcome.DONE
    (document,) = world.iam.policies.values()
    condition = document["Statement"][0]["Condition"]
    assert condition == {"DateLessThan": {"aws:TokenIssueTime": "2026-11-20T10:14:04Z"}}


async def test_a_true_call_of_long_ago_shuts_nobody_out() -> None:
    """An attacker who may write into the queue sends an administrator's old call once more."""
    world = World()
    world.clock.at = EPOCH + 86_400 + 1
    found = await world.respond()
    assert (found.outcome, world.iam.policies) == (Outcome.REFUSED, {})
    assert found.detail == "role ops-admin is not contained: the call is more than a day old"


async def test_it_is_a_responder_as_it_should_be() -> None:
    world = World()
    made = [damage(), damage(dry_run=True), damage(actor=Actor(arn="x"))]
    actions = await check_responder(
        world.contain, made, effects=lambda: json.dumps(list(world.iam.policies.values()))
    )
    assert [one.outcome for one in actions] == [Outcome.DONE, Outcome.ALREADY, Outcome.REFUSED]


async def test_a_dry_run_is_the_default_and_writes_nothing() -> None:
    assert ContainOptions().dry_run
    for world, changes in ((World(dry_run=True), {}), (World(), {"dry_run": True})):
        action = await world.respond(**changes)
        assert (action.outcome, action.calls) == (Outcome.WOULD, ())
        assert "would contain role ops-admin" in action.detail
        assert not world.iam.policies


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"severity": Severity.HIGH}, False),
        ({"done": (Action("restore_key", Outcome.ALREADY),)}, False),
        ({"done": ()}, False),
        ({"finds": {"key": None}}, False),
        ({"finds": {"kind": Kind.ATTEMPT}, "verdict": Verdict.TELL}, False),
        ({"actor": Actor()}, False),
        ({"verdict": Verdict.ACCEPT, "reason": Reason.APPROVED_ACTOR, "done": ()}, False),
        ({"verdict": Verdict.ACCEPT, "reason": Reason.APPROVED_ACTOR}, True),
        ({"finds": {"detector": "key_deletion_scheduled"}}, True),
        ({"finds": {"detector": "other"}}, False),
    ],
)
def test_what_is_its_business(changes: dict[str, Any], *, wanted: bool) -> None:
    world = World(detectors=["key_disabled", "key_deletion_scheduled"])
    assert world.contain.wants(damage(**changes)) is wanted


async def test_nobody_is_contained_on_the_word_of_a_message() -> None:
    world = World()
    world.iam.history = []
    with pytest.raises(WorthRetrying):
        await world.respond()
    world.clock.at = EPOCH + 301
    assert (await world.respond()).outcome is Outcome.UNCONFIRMED
    world.iam.history = [record()]
    victim = Actor(
        type="AssumedRole",
        arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/victim/x",
        account=ACCOUNT,
        issuer_arn=f"arn:aws:iam::{ACCOUNT}:role/victim",
    )
    assert (await world.respond(actor=victim)).outcome is Outcome.UNCONFIRMED
    assert not world.iam.policies


async def test_whom_it_leaves_alone() -> None:
    stranger = Actor(type="IAMUser", arn="arn:aws:iam::999988887777:user/eve", account="9")
    for world, actor, why in (
        (World(break_glass=["*:role/path/ops-*"]), SESSION, "break-glass"),
        (World(), stranger, "not in the settings"),
        (World(), Actor(arn=f"arn:aws:iam::{ACCOUNT}:root"), "root"),
        (World(), Actor(arn=f"arn:aws:iam::{ACCOUNT}:user/kms-monitor"), "kms-monitor itself"),
    ):
        action = await world.respond(actor=actor)
        assert (action.outcome, why in action.detail) == (Outcome.REFUSED, True), action.detail
        assert not world.iam.policies


async def test_the_role_that_we_assume_is_ours_whatever_sts_calls_us() -> None:
    world = World()
    world.aws.entries["444455556666"] = Entry("444455556666", role_arn=SESSION.issuer_arn)
    assert "kms-monitor itself" in (await world.respond()).detail


async def test_without_the_store_nobody_is_contained() -> None:
    world = World()

    async def fail(*_: object, **__: object) -> Any:
        raise StoreError("disk full")

    store: Any = world.services.store
    store.spend = fail
    with pytest.raises(WorthRetrying, match="store"):
        await world.respond()
    assert not world.iam.policies


async def test_so_many_and_no_more_but_the_same_again() -> None:
    world = World(principals_per_hour=1)
    assert (await world.respond()).outcome is Outcome.DONE
    world.iam.policies.clear()
    assert (await world.respond()).outcome is Outcome.DONE
    world.iam.history = [
        record(
            userIdentity={
                "type": "IAMUser",
                "arn": BOB.arn,
                "accountId": ACCOUNT,
                "userName": "bob",
            }
        )
    ]
    action = await world.respond(actor=BOB)
    assert (action.outcome, "within the last hour" in action.detail) == (Outcome.REFUSED, True)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (refused("AccessDenied", 403), Denied),
        (refused("LimitExceeded", 409), NotWorthRetrying),
        (refused("UnmodifiableEntity", 400), NotWorthRetrying),
        (refused("Throttling", 400), WorthRetrying),
    ],
)
async def test_what_iam_says_is_told(error: ClientError, raised: type[Exception]) -> None:
    world = World()
    world.iam.error = error
    with pytest.raises(raised, match="iam:PutRolePolicy"):
        await world.respond()


async def test_release_takes_ours_and_no_other_policy() -> None:
    world = World()
    await world.respond()
    world.iam.policies["ops-admin", "theirs"] = {}
    arn = SESSION.issuer_arn
    (one,) = await contained_in(world.aws, ACCOUNT, REGION)
    assert (one.arn, len(one.policies)) == (arn, 1)
    assert (await release(world.aws, arn, REGION)).policies == one.policies
    assert list(world.iam.policies) == [("ops-admin", "theirs")]
    assert (await release(world.aws, arn, REGION)).policies == ()
    with pytest.raises(ValueError, match="is not the ARN"):
        await release(world.aws, "arn:aws:iam::1:role/x", REGION)
