"""Which accounts are guarded, after every kind of answer. In scope: `monitor.guarded`, `monitor.loops.turns`.

Replaced: AWS Organizations, by pages that the test writes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from monitor.aws import Aws
from monitor.entry import Entry
from monitor.errors import Denied
from monitor.guarded import Guarded, is_active
from monitor.loops.turns import Turns
from monitor.metrics import Metrics
from monitor.settings import Settings

HOME, FIRST, SECOND, THIRD = (f"{digit * 12}" for digit in "1234")
UNIT, INNER = "ou-ex01-11111111", "ou-ex01-22222222"
PATH = f"o-exampleorgid/r-ex01/{UNIT}/"


def account(number: str, *, organization: str = "o-exampleorgid", **more: Any) -> dict[str, Any]:
    arn = f"arn:aws:organizations::{HOME}:account/{organization}/{number}"
    return {"Id": number, "Arn": arn, "State": "ACTIVE", **more}


class Organizations:
    """Answers by parent; `down` refuses everything."""

    def __init__(self) -> None:
        self.accounts: dict[str, list[dict[str, Any]]] = {}
        self.units: dict[str, list[str]] = {}
        self.down = False
        self.asked: list[str] = []

    def get_paginator(self, lister: str) -> "Pages":
        return Pages(self, lister)


class Pages:
    def __init__(self, there: Organizations, lister: str) -> None:
        self.there = there
        self.lister = lister

    async def paginate(self, ParentId: str) -> AsyncIterator[dict[str, Any]]:  # noqa: N803
        self.there.asked.append(ParentId)
        if self.lister == "list_accounts_for_parent":
            for one in self.there.accounts.get(ParentId, ()):
                yield {"Accounts": [one]}
        else:
            yield {
                "OrganizationalUnits": [{"Id": one} for one in self.there.units.get(ParentId, ())]
            }


class FakeAws:
    def __init__(self, there: Organizations) -> None:
        self.there = there
        self.metrics = Metrics()
        self.entered: dict[str, Entry] = {}
        self.places: list[tuple[str, str, str]] = []

    async def client(self, service: str, region: str, entry: str = "") -> Any:
        self.places.append((service, region, entry))
        return self.there

    @asynccontextmanager
    async def calling(self, service: str, call: str) -> AsyncIterator[None]:
        if self.there.down:
            raise Denied(f"{service}:{call}: AccessDenied")
        yield

    async def enter_by(self, entry: Entry) -> None:
        self.entered[entry.account] = entry

    async def leave(self, name: str) -> None:
        del self.entered[name]


class Desk:
    def __init__(self, **organization: Any) -> None:
        self.there = Organizations()
        self.there.units = {UNIT: [INNER]}
        self.aws = FakeAws(self.there)
        document = {
            "mode": "observe",
            "accounts": [{"id": HOME, "regions": ["eu-west-1"]}],
            "organizations": [
                {"path": PATH, "role_name": "ops/guard", "regions": ["us-east-1"], **organization}
            ],
            "queues": [
                {"url": f"https://sqs.eu-west-1.amazonaws.com/{HOME}/q", "region": "eu-west-1"}
            ],
        }
        settings = Settings.model_validate(document)
        self.guarded = Guarded(settings, cast("Aws", self.aws), self.aws.metrics)

    def value(self, name: str, **labels: str) -> float | None:
        return self.aws.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)


async def test_the_whole_subtree_is_guarded_by_the_role_of_that_name() -> None:
    desk = Desk(external_id="a secret")
    desk.there.accounts = {UNIT: [account(FIRST)], INNER: [account(SECOND)]}
    change = await desk.guarded.refresh()
    assert [one.id for one in change.joined] == [FIRST, SECOND]
    assert desk.guarded.places == {(HOME, "eu-west-1"), (FIRST, "us-east-1"), (SECOND, "us-east-1")}
    role = f"arn:aws:iam::{FIRST}:role/ops/guard"
    assert desk.aws.entered[FIRST] == Entry(FIRST, role, "a secret")
    assert desk.guarded.as_settings.our_accounts == {HOME, FIRST, SECOND}
    assert desk.value("guarded_accounts", source="organization") == 2
    assert desk.value("guarded_places") == 3
    assert desk.value("organization_up") == 1
    assert (await desk.guarded.refresh()).joined == ()


@pytest.mark.parametrize(
    "one",
    [
        account(FIRST, State="SUSPENDED"),
        account(FIRST, State="PENDING_CLOSURE"),
        {**account(FIRST), "State": None, "Status": "SUSPENDED"},
        account(THIRD),
    ],
)
async def test_some_are_not(one: dict[str, Any]) -> None:
    desk = Desk(exclude=[THIRD])
    desk.there.accounts = {UNIT: [one]}
    assert (await desk.guarded.refresh()).joined == ()


def test_the_older_word_for_active_counts_where_there_is_no_newer() -> None:
    assert is_active({"Status": "ACTIVE"})
    assert not is_active({"State": "CLOSED", "Status": "ACTIVE"})


async def test_one_that_is_named_by_its_id_is_guarded_as_that_says() -> None:
    desk = Desk()
    desk.there.accounts = {UNIT: [account(HOME)]}
    assert (await desk.guarded.refresh()).joined == ()
    assert desk.guarded.places == {(HOME, "eu-west-1")}


async def test_the_last_good_answer_stays_while_nobody_can_be_asked() -> None:
    desk = Desk()
    desk.there.accounts = {UNIT: [account(FIRST)]}
    await desk.guarded.refresh()
    desk.there.down = True
    change = await desk.guarded.refresh()
    assert (change.joined, change.left) == ((), ())
    assert (FIRST, "us-east-1") in desk.guarded.places
    assert "AccessDenied" in str(desk.guarded.problem())
    assert desk.value("organization_up") == 0
    desk.there.down = False
    await desk.guarded.refresh()
    assert desk.guarded.problem() is None


async def test_who_left_is_dropped_with_his_credentials() -> None:
    desk = Desk()
    desk.there.accounts = {UNIT: [account(FIRST), account(SECOND)]}
    await desk.guarded.refresh()
    desk.there.accounts = {UNIT: [account(SECOND)]}
    assert [one.id for one in (await desk.guarded.refresh()).left] == [FIRST]
    assert FIRST not in desk.aws.entered
    assert desk.value("guarded_account_changes_total", change="left") == 1


async def test_accounts_of_another_organization_are_not_believed() -> None:
    desk = Desk()
    desk.there.accounts = {UNIT: [account(FIRST, organization="o-somebodyelse")]}
    await desk.guarded.refresh()
    assert desk.guarded.places == {(HOME, "eu-west-1")}
    assert "another organization" in str(desk.guarded.problem())


async def test_units_in_a_circle_are_asked_once() -> None:
    desk = Desk()
    desk.there.units = {UNIT: [INNER], INNER: [UNIT]}
    await desk.guarded.refresh()
    assert sorted(set(desk.there.asked)) == sorted(desk.there.asked[::2])


async def test_a_whole_organization_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.guarded.MOST_ACCOUNTS", 1)
    desk = Desk()
    desk.there.accounts = {UNIT: [account(FIRST), account(SECOND)]}
    await desk.guarded.refresh()
    assert desk.guarded.places == {(HOME, "eu-west-1")}
    assert "more than 1 accounts" in str(desk.guarded.problem())


@pytest.mark.parametrize(
    ("regions", "region"), [(["us-east-1"], "us-east-1"), (["us-gov-west-1"], "us-gov-west-1")]
)
async def test_organizations_is_asked_where_it_is(regions: list[str], region: str) -> None:
    role = f"arn:aws:iam::{THIRD}:role/lister"
    desk = Desk(regions=regions, list_role_arn=role, list_external_id="word")
    await desk.guarded.refresh()
    entry = f"organization {PATH}"
    assert desk.aws.places == [("organizations", region, entry)]
    assert desk.aws.entered[entry] == Entry(entry, role, "word")


# -- turns


@pytest.mark.looptime
async def test_no_more_than_so_many_at_once() -> None:
    turns, now, most = Turns(at_once=2), 0, 0

    async def work(_: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(1)
        now -= 1
        return _

    assert await turns.each(range(6), work) == [0, 1, 2, 3, 4, 5]
    assert most == 2


@pytest.mark.looptime
async def test_one_that_hangs_gives_its_turn_away_and_takes_none_when_it_ends() -> None:
    turns, loop = Turns(at_once=1, longest=20), asyncio.get_running_loop()

    async def hang() -> None:
        async with turns.turn():
            await asyncio.sleep(100)

    began = loop.time()
    hanging = asyncio.create_task(hang(), name="hangs")
    await asyncio.sleep(0)
    for _ in range(3):
        async with turns.turn():
            await asyncio.sleep(1)
    assert loop.time() - began == pytest.approx(23)
    await hanging
    assert turns.free._value == 1
