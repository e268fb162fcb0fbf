"""Who is contained, as IAM shows it, and the end of that.

IAM itself is asked, not the store: what stands there is what holds, whoever asks and from where.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from monitor.aws import Aws
from monitor.containment import PREFIX, Target, identity_of


class Contained(msgspec.Struct, frozen=True):
    """A user or a role, and the names of our inline policies on it."""

    arn: str
    policies: tuple[str, ...]


async def contained_in(aws: Aws, account: str, region: str) -> list[Contained]:
    """All that are contained in one account, by ARN. Raises what `Aws.calling` raises."""
    client: Any = await aws.client("iam", region, account)
    found: list[Contained] = []
    async with aws.calling("iam", "GetAccountAuthorizationDetails"):
        pages = client.get_paginator("get_account_authorization_details")
        async for page in pages.paginate(Filter=["User", "Role"]):
            for one in page.get("UserDetailList", ()):
                found += ours(one["Arn"], one.get("UserPolicyList") or ())
            for one in page.get("RoleDetailList", ()):
                found += ours(one["Arn"], one.get("RolePolicyList") or ())
    return sorted(found, key=lambda one: one.arn)


def ours(arn: str, policies: Iterable[Any]) -> list[Contained]:
    names = sorted(one["PolicyName"] for one in policies if one["PolicyName"].startswith(PREFIX))
    return [Contained(arn, tuple(names))] if names else []


async def policies_of(aws: Aws, one: Target, region: str) -> list[str]:
    """The names of our inline policies on a user or role."""
    client: Any = await aws.client("iam", region, one.account)
    role = one.kind == "role"
    found: list[str] = []
    async with aws.calling("iam", "ListRolePolicies" if role else "ListUserPolicies"):
        pages = client.get_paginator("list_role_policies" if role else "list_user_policies")
        who = {"RoleName": one.name} if role else {"UserName": one.name}
        async for page in pages.paginate(**who):
            found += [name for name in page["PolicyNames"] if name.startswith(PREFIX)]
    return sorted(found)


async def release(aws: Aws, arn: str, region: str) -> Contained:
    """Take our inline policies from a user or role: those that there were. Twice does no harm.

    Raises ValueError for what is no such ARN.
    """
    one = identity_of(arn)
    if one is None:
        raise ValueError(f"{arn} is not the ARN of an IAM user or role")
    client: Any = await aws.client("iam", region, one.account)
    names = await policies_of(aws, one, region)
    for name in names:
        async with aws.calling(
            "iam", "DeleteRolePolicy" if one.kind == "role" else "DeleteUserPolicy"
        ):
            if one.kind == "role":
                await client.delete_role_policy(RoleName=one.name, PolicyName=name)
            else:
                await client.delete_user_policy(UserName=one.name, PolicyName=name)
    return Contained(arn, tuple(names))
