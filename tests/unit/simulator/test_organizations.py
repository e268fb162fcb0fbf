"""The simulator's Organizations, policy simulation, and its knobs for broken accounts, by real clients."""

import asyncio

import pytest
from botocore.exceptions import ClientError

from tests.unit.simulator.site import Site

OTHER = "444455556666"


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


async def test_accounts_are_where_they_were_put(site: Site) -> None:
    path = site.sim.organizations.add_unit("ou-ex01-11111111")
    assert path == "o-exampleorgid/r-ex01/ou-ex01-11111111/"
    assert site.sim.organizations.add_unit("ou-ex01-22222222", "ou-ex01-11111111") == (
        f"{path}ou-ex01-22222222/"
    )
    site.sim.organizations.place(OTHER, "ou-ex01-22222222")
    client = await site.client("organizations", region="us-east-1")
    (root,) = (await client.list_roots())["Roots"]
    answer = await client.list_accounts_for_parent(ParentId=root["Id"])
    assert [one["Id"] for one in answer["Accounts"]] == ["111122223333"]
    answer = await client.list_organizational_units_for_parent(ParentId=root["Id"])
    assert [one["Id"] for one in answer["OrganizationalUnits"]] == ["ou-ex01-11111111"]
    answer = await client.list_accounts_for_parent(ParentId="ou-ex01-22222222")
    assert [(one["Id"], one["State"]) for one in answer["Accounts"]] == [(OTHER, "ACTIVE")]
    with pytest.raises(ClientError) as error:
        await client.list_accounts_for_parent(ParentId="ou-ex01-99999999")
    assert code(error) == "ParentNotFoundException"


async def test_many_accounts_come_in_pages(site: Site) -> None:
    for number in range(45):
        site.sim.organizations.place(f"{number:012d}", "r-ex01")
    client = await site.client("organizations", region="us-east-1")
    pages = client.get_paginator("list_accounts_for_parent").paginate(ParentId="r-ex01")
    found = [one["Id"] async for page in pages for one in page["Accounts"]]
    assert len(found) == len(set(found)) == 47


async def member(site: Site) -> dict[str, str]:
    sts = await site.client("sts")
    answer = await sts.assume_role(
        RoleArn=f"arn:aws:iam::{OTHER}:role/admin", RoleSessionName="somebody"
    )
    return dict(answer["Credentials"])


async def test_a_member_account_learns_only_which_organization_it_is_in(site: Site) -> None:
    given = await member(site)
    client = await site.client("organizations", region="us-east-1", credentials=given)
    answer = await client.describe_organization()
    assert answer["Organization"]["Id"] == "o-exampleorgid"
    with pytest.raises(ClientError) as error:
        await client.list_roots()
    assert code(error) == "AccessDeniedException"
    site.sim.organizations.delegated.add(OTHER)
    assert (await client.list_roots())["Roots"]


async def test_policy_simulation_says_what_the_deny_rules_do(site: Site) -> None:
    site.sim.set_knob("deny", ("role/ops/guard:kms:EnableKey",))
    given = await member(site)
    iam = await site.client("iam", credentials=given)
    answer = await iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{OTHER}:role/ops/guard",
        ActionNames=["kms:EnableKey", "kms:DescribeKey"],
    )
    decisions = {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}
    assert decisions == {"kms:EnableKey": "explicitDeny", "kms:DescribeKey": "allowed"}
    with pytest.raises(ClientError) as error:
        await iam.simulate_principal_policy(
            PolicySourceArn="arn:aws:iam::999988887777:role/x", ActionNames=["kms:EnableKey"]
        )
    assert code(error) == "NoSuchEntity"


async def test_a_role_may_refuse_and_sessions_may_end(site: Site) -> None:
    given = await member(site)
    kms = await site.client("kms", credentials=given)
    await kms.list_keys()
    site.sim.identities.expire_sessions()
    with pytest.raises(ClientError) as error:
        await kms.list_keys()
    assert code(error) == "ExpiredTokenException"
    site.sim.set_knob("untrusting", (OTHER,))
    with pytest.raises(ClientError) as error:
        await member(site)
    assert code(error) == "AccessDenied"


async def test_a_call_may_be_left_without_an_answer(site: Site) -> None:
    site.sim.set_knob("hang", ("mallory:kms:*",))
    mallory, admin = await site.client("kms", "mallory"), await site.client("kms")
    call = asyncio.create_task(mallory.list_keys(), name="gets no answer")
    await admin.list_keys()
    await asyncio.sleep(0.1)
    assert not call.done()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
