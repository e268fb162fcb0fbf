"""Asks AWS whether it lets the daemon do what the settings need, account by account, Region by Region.

For each: as whom AWS knows us; what IAM's own simulator says about every call, or, where it may not be asked,
harmless tries; and what the policy of every customer managed key lets us do. Nothing is changed.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping

import msgspec

from monitor.aws import Aws
from monitor.checking import rows
from monitor.checking.probes import NOBODYS_KEY, Target, probe
from monitor.checking.rows import Answer, Gate, Row, Said
from monitor.clock import SystemClock
from monitor.errors import Denied, MonitorError, Unreadable
from monitor.iam_policy.callers import direct_caller
from monitor.iam_policy.document import Policy
from monitor.key import KeyRef
from monitor.key_policy.access import Right, right
from monitor.key_policy.document import parse
from monitor.ledger import StoreError
from monitor.loops.turns import Turns
from monitor.opening import look_at_table, open_store
from monitor.repair.live import LiveKeys
from monitor.rights.enabled import Asked, Needs
from monitor.rights.table import On
from monitor.settings import QueueSettings
from monitor.settings_accounts import Account

MOST_KEYS = 500
"""Of one place whose policies are read; two calls for each."""
SIMULATED_KEYS = 10
"""Of one place that IAM's simulator is asked about by name."""
EVERYWHERE = "-"


class Unread(msgspec.Struct, frozen=True):
    """A key policy that could not be read, and the call that was refused, if one was."""

    refused: str = ""


Policies = Mapping[KeyRef, Policy | Unread]


class Proof:
    """All that is found out. `needs` are those of settings that name all guarded accounts."""

    def __init__(self, needs: Needs, aws: Aws) -> None:
        self.needs = needs
        self.settings = needs.settings
        self.aws = aws
        self.keys = LiveKeys(aws, SystemClock())
        self.turns = Turns(at_once=8)

    @property
    def steps(self) -> int:
        """How many batches of rows `rows` gives."""
        return len(self.settings.places) + len(self.settings.queues) + 2

    async def rows(self) -> AsyncIterator[list[Row]]:
        """A batch for each account and Region, for each queue, for home and the store, as they come."""
        async with asyncio.TaskGroup() as tasks:
            works = [
                tasks.create_task(self.in_turn(account), name=f"check account {account.id}")
                for account in self.settings.accounts
            ]
            yield [await self.store()]
            yield await self.home()
            for queue in self.settings.queues:
                yield [await self.queue(queue)]
            for work in asyncio.as_completed(works):
                for batch in await work:
                    yield batch

    async def in_turn(self, account: Account) -> list[list[Row]]:
        async with self.turns.turn():
            return await self.account(account)

    # -- one account

    async def account(self, account: Account) -> list[list[Row]]:
        """A batch for each of its Regions."""
        first = account.regions[0]
        who = await self.identity(account.id, first, account.id)
        if isinstance(who, Said):
            said = Row(account.id, EVERYWHERE, "enter the account", who.answer, who.why)
            return [[said], *([] for _ in account.regions[1:])]
        principal = account.role_arn or await self.own_arn(who, account.id, first)
        entered = Row(account.id, EVERYWHERE, "enter the account", Answer.ALLOWED, f"as {who}")
        found = await asyncio.gather(
            *(self.place(account, region, principal) for region in account.regions)
        )
        return [[entered, *found[0]], *found[1:]]

    async def identity(self, account: str, region: str, entry: str) -> str | Said:
        """The ARN that our calls show there, or why we do not come in."""
        try:
            arn = await self.aws.identity(entry, region)
        except Denied as error:
            return Said(Answer.DENIED, str(error))
        except MonitorError as error:
            return Said(Answer.UNKNOWN, str(error))
        if account and arn.split(":")[4] != account:
            return Said(Answer.DENIED, f"these are credentials of another account: {arn}")
        return arn

    async def own_arn(self, arn: str, entry: str, region: str) -> str:
        """The own ARN of the role behind a session's ARN, which has lost its path (aws-facts 1.3)."""
        partition, owner, resource = arn.split(":")[1], arn.split(":")[4], arn.split(":", 5)[5]
        if not resource.startswith("assumed-role/"):
            return arn
        name = resource.split("/")[1]
        client = await self.aws.client("iam", region, entry)
        try:
            async with self.aws.calling("iam", "GetRole"):
                return str((await client.get_role(RoleName=name))["Role"]["Arn"])
        except MonitorError:
            return f"arn:{partition}:iam::{owner}:role/{name}"

    async def place(self, account: Account, region: str, principal: str) -> list[Row]:
        here = account.model_copy(update={"regions": [region]})
        asked = self.needs.asked_in(here)
        policies, problem = await self.policies(account.id, region)
        keys = list(policies)[:SIMULATED_KEYS]
        target = Target(account.id, region, account.id, *self.first_queue)
        found = [
            row(account.id, region, one)
            for one in await self.judged(asked, principal, target, policies, keys)
        ]
        if problem:
            found.append(
                Row(account.id, region, "key policies", Answer.UNKNOWN, problem, needed=False)
            )
        return found

    async def judged(
        self,
        asked: Iterable[Asked],
        principal: str,
        target: Target,
        policies: Policies,
        keys: list[KeyRef],
    ) -> list[tuple[Asked, str, Said]]:
        """Every call of every right, and what there is to say about it."""
        found: list[tuple[Asked, str, Said]] = []
        for one in asked:
            said = await self.simulated(one, principal, target, keys)
            for call in one.right.calls:
                answer = said.get(call) or await probe(self.aws, call, target)
                if one.right.on is On.KEYS:
                    answer = rows.together(answer, gate_of(policies, principal, call))
                found.append((one, call, answer))
        return found

    async def simulated(
        self, asked: Asked, principal: str, target: Target, keys: list[KeyRef]
    ) -> dict[str, Said]:
        """What IAM's simulator says; empty where it may not be asked."""
        resources = [concrete(one) for one in asked.resources]
        if asked.right.on is On.KEYS and keys:
            resources = [key.arn for key in keys]
        context = [
            {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": [value]}
            for key, kind, value in context_of(asked, target.region)
        ]
        client = await self.aws.client("iam", target.region, target.entry)
        try:
            async with self.aws.calling("iam", "SimulatePrincipalPolicy"):
                answer = await client.simulate_principal_policy(
                    PolicySourceArn=principal,
                    ActionNames=list(asked.right.calls),
                    ResourceArns=resources,
                    ContextEntries=context,
                )
        except MonitorError:
            return {}
        return {one["EvalActionName"]: rows.simulated(one) for one in answer["EvaluationResults"]}

    async def policies(self, account: str, region: str) -> tuple[Policies, str]:
        """The policies of the customer managed keys; and what is missing."""
        client = await self.aws.kms(account, region)
        listed: list[KeyRef] = []
        try:
            async with self.aws.calling("kms", "ListKeys"):
                async for page in client.get_paginator("list_keys").paginate():
                    listed += [key for one in page["Keys"] if (key := KeyRef.parse(one["KeyArn"]))]
        except MonitorError as error:
            return {}, f"keys cannot be listed: {error}"
        read = await Turns(at_once=20).each(listed[:MOST_KEYS], self.policy)
        found = {key: one for key, one in zip(listed, read, strict=False) if one is not None}
        missing = len(listed) - MOST_KEYS
        return found, f"{missing} more keys were not looked at" if missing > 0 else ""

    async def policy(self, key: KeyRef) -> Policy | Unread | None:
        """The key's policy; None for a key that is not ours to guard."""
        call = "kms:DescribeKey"
        try:
            if not (await self.keys.read(key)).customer_managed:
                return None
            call = "kms:GetKeyPolicy"
            client = await self.aws.kms(key.account, key.region)
            async with self.aws.calling("kms", "GetKeyPolicy"):
                answer = await client.get_key_policy(KeyId=key.arn, PolicyName="default")
            return parse(answer["Policy"])
        except Denied:
            return Unread(call)
        except (MonitorError, Unreadable):
            return Unread()

    # -- where the daemon lives

    async def home(self) -> list[Row]:
        """What is needed with our own credentials."""
        region = self.settings.home_region
        who = await self.identity("", region, "")
        if isinstance(who, Said):
            return [Row(EVERYWHERE, region, "own credentials", who.answer, who.why)]
        owner = who.split(":")[4]
        principal = await self.own_arn(who, "", region)
        target = Target(owner, region, "", *self.first_queue)
        judged = await self.judged(self.needs.asked_at_home(), principal, target, {}, [])
        known = Row(owner, EVERYWHERE, "own credentials", Answer.ALLOWED, f"as {who}")
        return [
            known,
            *(row(owner, region, one) for one in judged),
        ]

    @property
    def first_queue(self) -> tuple[str, str]:
        """ARN and URL; a function has none, and so no rights on any."""
        return next(((one.arn, one.url) for one in self.settings.queues), ("", ""))

    async def queue(self, queue: QueueSettings) -> Row:
        """Whether the queue is there."""
        place = queue.arn.split(":")[4], queue.region, f"queue {queue.label}"
        client = await self.aws.sqs(queue.region, f"queue {queue.label}" if queue.role_arn else "")
        try:
            async with self.aws.calling("sqs", "GetQueueAttributes"):
                answer = await client.get_queue_attributes(
                    QueueUrl=queue.url, AttributeNames=["RedrivePolicy"]
                )
        except MonitorError as error:
            return Row(*place, Answer.DENIED, str(error))
        if "RedrivePolicy" not in answer.get("Attributes", {}):
            return Row(*place, Answer.ALLOWED, "is there, but has no dead-letter queue")
        return Row(*place, Answer.ALLOWED, "is there, with its dead-letter queue")

    async def store(self) -> Row:
        """Whether the store can be used. A file is not made here, for it belongs to the daemon."""
        store = self.settings.store
        place = EVERYWHERE, EVERYWHERE, f"store {store.kind}"
        if store.kind == "memory":
            return Row(*place, Answer.ALLOWED, "needs nothing")
        if store.kind == "dynamodb":
            try:
                await look_at_table(await open_store(self.settings, self.aws, SystemClock()))
            except StoreError as error:
                return Row(*place, Answer.DENIED, str(error))
            return Row(*place, Answer.ALLOWED, f"the table {store.table} is as it must be")
        path = store.path
        where = path if path.exists() else path.parent
        if not where.exists():
            return Row(*place, Answer.DENIED, f"{where} does not exist")
        if not os.access(where, os.W_OK):
            return Row(*place, Answer.DENIED, f"{where} cannot be written by this user")
        return Row(*place, Answer.ALLOWED, f"{where} can be written")


def row(account: str, region: str, judged: tuple[Asked, str, Said]) -> Row:
    asked, call, said = judged
    on = "" if asked.right.on is On.EVERYTHING else asked.right.on.value
    needed = not asked.right.optional
    return Row(account, region, call, said.answer, said.why, needed=needed, on=on)


def gate_of(policies: Policies, principal: str, call: str) -> Gate:
    """What the policies of all keys say about one call of ours."""
    caller = direct_caller(principal)
    rights: dict[KeyRef, Right | None] = {}
    named: list[KeyRef] = []
    for key, policy in policies.items():
        if isinstance(policy, Unread):
            rights[key] = Right.DENIED if policy.refused == call else None
            continue
        rights[key] = right(policy, caller, call.lower(), key.arn)
        if names(policy, principal, call.lower()):
            named.append(key)
    return rows.gate(rights, named)


def names(policy: Policy, principal: str, call: str) -> bool:
    """Whether a statement allows the call to exactly this principal."""
    return any(
        one.allow
        and call in one.actions
        and not one.others
        and not one.conditions
        and any(each.name == principal for each in one.principals)
        for one in policy.statements
    )


def concrete(resource: str) -> str:
    """A resource such as the simulator takes: a name instead of a pattern for names."""
    if resource == "*":
        return resource
    return resource.replace(":key/*", f":key/{NOBODYS_KEY}").replace("/*", "/any")


def context_of(asked: Asked, region: str) -> list[tuple[str, str, str]]:
    """What the call itself would bring along: name, type and value of each key."""
    found = [("aws:RequestedRegion", "string", region)]
    for operator, values in asked.right.condition.items():
        kind = "boolean" if operator == "Bool" else "string"
        found += [(key, kind, str(value)) for key, value in values.items()]
    return found
