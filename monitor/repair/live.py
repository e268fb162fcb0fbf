"""Keys as they are: reading KMS, and CloudTrail's event history."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import stamina
from msgspec.structs import replace

from monitor.aws import Aws
from monitor.changes import changes_of
from monitor.clock import Clock
from monitor.errors import NotWorthRetrying, Unreadable, WorthRetrying
from monitor.event import Event, read_record
from monitor.finding import Actor, Aspect, Finding
from monitor.key import Grant, KeyRef, KeySnapshot, KeyState, canonical
from monitor.parameters import deletion_window
from monitor.register import Changes, by_aspect, registers_of
from monitor.repair.plan import Limits, plan

if TYPE_CHECKING:
    from types_aiobotocore_kms.type_defs import KeyMetadataTypeDef

T = TypeVar("T")
Failures = dict[str, WorthRetrying | NotWorthRetrying]
"""By the name of the call: why a part of a key could not be read."""

NOT_FOUND = "NotFoundException"
INVALID_STATE = "KMSInvalidStateException"
NO_SUCH_PART = frozenset({"UnsupportedOperationException", INVALID_STATE})
"""What says that a key of this kind, or in this state, has no such part: rotation, that is."""
POLL_FIRST, POLL_LONGEST = 0.05, 2.0
"""Seconds. A read-back usually succeeds at once; DescribeKey allows 2,000 calls a second."""
HISTORY_PAGES = 10
"""Of 50 events each, for each name of a call."""
MOST_GRANTS = 1000
"""A key may have 50,000 (aws-facts 3.7). With more than this they count as not read."""


def patiently() -> AsyncIterator[stamina.Attempt]:
    """Try again what may pass, for half a minute.

    On top of botocore's few quick tries: the quota of 5 writing calls a second is shared with
    whoever attacks (aws-facts 3.7).
    """
    return aiter(
        stamina.retry_context(
            on=WorthRetrying,
            attempts=None,
            timeout=30,
            wait_initial=0.2,
            wait_max=4,
            wait_jitter=0.5,
        )
    )


class LiveKeys:
    """KMS and CloudTrail's event history, one key at a time. Errors: see `monitor.errors`."""

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self.aws = aws
        self.clock = clock

    async def read(self, key: KeyRef) -> KeySnapshot:
        """The key as DescribeKey shows it now; state GONE where KMS does not know it."""
        client = await self.aws.kms(key.account, key.region)
        try:
            async for attempt in patiently():
                with attempt:
                    async with self.aws.calling("kms", "DescribeKey"):
                        answer = await client.describe_key(KeyId=key.arn)
                    return snapshot(key, answer["KeyMetadata"], self.clock.now())
        except NotWorthRetrying as error:
            if error.code == NOT_FOUND:
                return KeySnapshot(key, KeyState.GONE, self.clock.now())
            raise
        raise AssertionError("unreachable: the last attempt raises")

    async def read_whole(self, live: KeySnapshot) -> tuple[KeySnapshot, Failures]:
        """The key with all that DescribeKey does not show, and what could not be read, and why."""
        return await self.read_parts(live, frozenset(Aspect))

    async def read_parts(
        self, live: KeySnapshot, aspects: Collection[Aspect]
    ) -> tuple[KeySnapshot, Failures]:
        """The same for these aspects.

        Each part is a call that may be denied, or that a key of this kind does not have: such a
        part stays None. Five calls at most; the least quota is ListGrants' 100 a second (aws-facts
        3.7).
        """
        key, failures = live.key, Failures()

        async def part(call: str, reading: Awaitable[T]) -> T | None:
            try:
                return await reading
            except (NotWorthRetrying, WorthRetrying) as error:
                if getattr(error, "code", "") not in NO_SUCH_PART:
                    failures[call] = error
                return None

        if Aspect.POLICY in aspects:
            live = replace(live, policy=await part("GetKeyPolicy", self._policy(key)))
        if Aspect.ROTATION in aspects:
            rotation = await part("GetKeyRotationStatus", self._rotation(key))
            live = replace(live, rotation_days=rotation)
        if Aspect.ALIASES in aspects:
            live = replace(live, aliases=await part("ListAliases", self._aliases(key)))
        if Aspect.TAGS in aspects:
            live = replace(live, tags=await part("ListResourceTags", self._tags(key)))
        if Aspect.GRANTS in aspects:
            live = replace(live, grants=await part("ListGrants", self._grants(key)))
        return live, failures

    async def _policy(self, key: KeyRef) -> str | None:
        client = await self.aws.kms(key.account, key.region)
        async with self.aws.calling("kms", "GetKeyPolicy"):
            answer = await client.get_key_policy(KeyId=key.arn, PolicyName="default")
        try:
            return canonical(json.loads(answer["Policy"]))
        except (ValueError, RecursionError):
            return None

    async def _rotation(self, key: KeyRef) -> int:
        client = await self.aws.kms(key.account, key.region)
        async with self.aws.calling("kms", "GetKeyRotationStatus"):
            answer = await client.get_key_rotation_status(KeyId=key.arn)
        return answer.get("RotationPeriodInDays", 365) if answer["KeyRotationEnabled"] else 0

    async def _aliases(self, key: KeyRef) -> tuple[str, ...]:
        client = await self.aws.kms(key.account, key.region)
        found: list[str] = []
        async with self.aws.calling("kms", "ListAliases"):
            async for page in client.get_paginator("list_aliases").paginate(KeyId=key.arn):
                found += [one["AliasName"] for one in page["Aliases"]]
        return tuple(sorted(found))

    async def _tags(self, key: KeyRef) -> dict[str, str]:
        client = await self.aws.kms(key.account, key.region)
        found: dict[str, str] = {}
        async with self.aws.calling("kms", "ListResourceTags"):
            async for page in client.get_paginator("list_resource_tags").paginate(KeyId=key.arn):
                found |= {one["TagKey"]: one["TagValue"] for one in page["Tags"]}
        return found

    async def _grants(self, key: KeyRef) -> tuple[Grant, ...] | None:
        client = await self.aws.kms(key.account, key.region)
        found: list[Grant] = []
        async with self.aws.calling("kms", "ListGrants"):
            async for page in client.get_paginator("list_grants").paginate(KeyId=key.arn):
                found += [grant(one) for one in page["Grants"]]
                if len(found) > MOST_GRANTS:
                    return None
        return tuple(sorted(found, key=lambda one: one.grant_id))

    async def read_until(
        self, key: KeyRef, wanted: Changes, limits: Limits, seconds: float
    ) -> KeySnapshot:
        """Read until the key is as wanted or past help, or for so long; the last snapshot.

        KMS is eventually consistent: usually within seconds, sometimes minutes (aws-facts 3.7). What
        was never read back is not known to be right: then it raises `WorthRetrying`.
        """
        deadline = self.clock.monotonic() + seconds
        aspects, pause = by_aspect(wanted), POLL_FIRST
        while True:
            live, failures = await self.read_parts(await self.read(key), aspects)
            left = plan(live, wanted, limits)
            done = not (left.steps or left.wait or unread(live, failures, aspects))
            if done or self.clock.monotonic() >= deadline:
                return read_back(live, failures, aspects)
            await asyncio.sleep(min(pause, max(0.0, deadline - self.clock.monotonic())))
            pause = min(pause * 2, POLL_LONGEST)

    async def in_history(self, finding: Finding) -> bool:
        """Whether CloudTrail's own event history has the event that the message claims."""
        key = finding.key
        assert key is not None
        records = await records_of(self.aws, key.account, key.region, finding)
        return any(confirms(record, finding) for record in records)

    async def history_of(
        self, key: KeyRef, names: Iterable[str], before: float, since: float = 0.0
    ) -> list[Event]:
        """What the event history has of these calls on the key, until that moment.

        All of it back to `since`, or where that is 0 the latest of each name. It is asked by the
        calls' names: by the key it would answer with its uses and our own reads, thousands of them.
        LookupEvents allows 2 calls a second, and goes back 90 days.
        """
        client = await self.aws.cloudtrail(key.account, key.region)
        found: list[Event] = []
        for name in sorted(names):
            asked: Any = {
                "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}],
                "EndTime": datetime.fromtimestamp(before, UTC),
                "MaxResults": 50,
            }
            if since:
                asked["StartTime"] = datetime.fromtimestamp(since, UTC)
            for _ in range(HISTORY_PAGES):
                async with self.aws.calling("cloudtrail", "LookupEvents"):
                    answer = await client.lookup_events(**asked)
                records = [event.get("CloudTrailEvent", "") for event in answer["Events"]]
                events = [event for record in records if (event := read_or_none(record))]
                mine = [event for event in events if event.key == key]
                found += mine
                if (mine and not since) or "NextToken" not in answer:
                    break
                asked["NextToken"] = answer["NextToken"]
        return found


def unread(
    live: KeySnapshot, failures: Failures, aspects: Collection[Aspect]
) -> WorthRetrying | NotWorthRetrying | None:
    """Why one of these parts of the key is not known; None where all of them are."""
    for failure in failures.values():
        return failure
    left = frozenset(aspects) - registers_of(live)[1]
    if not left or live.state is KeyState.GONE:
        return None
    return NotWorthRetrying(f"its {' and '.join(sorted(left))} cannot be read as a whole")


def read_back(live: KeySnapshot, failures: Failures, aspects: Collection[Aspect]) -> KeySnapshot:
    """The key, if all of it that was asked for could be read. Raises `WorthRetrying`."""
    if (failure := unread(live, failures, aspects)) is not None:
        raise WorthRetrying(f"it cannot be read back: {failure}")
    return live


async def records_of(aws: Aws, account: str, region: str, finding: Finding) -> list[str]:
    """The records that CloudTrail's own event history has under the id that a message claims.

    The history follows the call by minutes (5 on average) and exists even where no trail does.
    """
    client = await aws.cloudtrail(account, region)
    async with aws.calling("cloudtrail", "LookupEvents"):
        answer = await client.lookup_events(
            LookupAttributes=[{"AttributeKey": "EventId", "AttributeValue": finding.event_id}],
            StartTime=datetime.fromtimestamp(finding.event_time - 1, UTC),
            EndTime=datetime.fromtimestamp(finding.event_time + 1, UTC),
        )
    return [event.get("CloudTrailEvent", "") for event in answer["Events"]]


def read_or_none(record: str) -> Event | None:
    try:
        return read_record(record)
    except Unreadable:
        return None


def confirms(record: str, finding: Finding) -> bool:
    """Whether a record of the history says all that the finding rests on.

    A forger may know a real event, and may have had it contain any text: so the fields are compared,
    and so are the values that it gave: another policy under the name of a real change moves nothing.
    """
    event = read_or_none(record)
    return event is not None and (
        event.event_id == finding.event_id
        and event.event_name == finding.event_name
        and event.time == finding.event_time
        and (event.error_code or "") == finding.error_code
        and event.key == (finding.record_key or finding.key)
        and who(event.actor) == who(finding.actor)
        and changes_of(event) == finding.changes
        and finding.details.get("window_days") in {None, window(event)}
    )


def window(event: Event) -> str | None:
    """The waiting period that a deletion's record tells of; None where it is no deletion's."""
    if event.event_name != "ScheduleKeyDeletion" or event.failed:
        return None
    return str(deletion_window(event.response(), event.request()))


def who(actor: Actor) -> tuple[str, str, str]:
    return actor.arn, actor.issuer_arn, actor.account


def snapshot(key: KeyRef, metadata: "KeyMetadataTypeDef", now: float) -> KeySnapshot:
    """DescribeKey's `KeyMetadata` as a snapshot."""
    date = metadata.get("DeletionDate")
    try:
        state = KeyState(metadata["KeyState"])
    except ValueError as error:
        raise NotWorthRetrying(
            f"the key is {metadata['KeyState']}, a state unknown to us"
        ) from error
    expires = metadata.get("ValidTo")
    regions = metadata.get("MultiRegionConfiguration") or {}
    primary = regions.get("PrimaryKey") or {}
    replicas = (KeyRef.parse(one.get("Arn", "")) for one in regions.get("ReplicaKeys") or ())
    return KeySnapshot(
        key=key,
        state=state,
        as_of=now,
        customer_managed=metadata.get("KeyManager", "CUSTOMER") == "CUSTOMER",
        origin=metadata.get("Origin", "AWS_KMS"),
        multi_region=metadata.get("MultiRegion", False),
        deletion_date=date.timestamp() if date else None,
        description=metadata.get("Description", ""),
        valid_to=expires.timestamp() if expires else None,
        primary=KeyRef.parse(primary.get("Arn", "")),
        replicas=tuple(sorted(one for one in replicas if one)),
        custom_key_store=metadata.get("CustomKeyStoreId", ""),
        spec=metadata.get("KeySpec") or "SYMMETRIC_DEFAULT",
    )


def grant(entry: Any) -> Grant:
    """One entry of ListGrants."""
    return Grant(
        grant_id=entry["GrantId"],
        grantee=entry.get("GranteePrincipal", ""),
        retiring=entry.get("RetiringPrincipal", ""),
        operations=tuple(sorted(entry.get("Operations") or ())),
        name=entry.get("Name", ""),
        constraints=entry.get("Constraints") or {},
    )
