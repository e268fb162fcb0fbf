"""Items of one DynamoDB table: what the parts of `monitor.stores.dynamodb` rest on.

Every change is one conditional write. A write carries a token of its own, so that one whose answer got
lost, and which botocore therefore sent again, is not taken for somebody else's. A table that cannot
be reached is left alone for some seconds: a repair must not wait for it at every step.
"""

import asyncio
import hashlib
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec

from monitor.aws import Aws, Refusal, error_code
from monitor.clock import Clock
from monitor.errors import MonitorError, WorthRetrying
from monitor.ledger import StoreError
from monitor.stores.attributes import (
    Item,
    Key,
    conditional,
    decoded,
    encoded,
    key_of,
    names_in,
    placed,
    refused,
)
from monitor.stores.table_shape import INDEX

SHARDS: Final = 8
"""Partitions that each kind of record is spread over: one takes 1,000 writes a second."""

SLOWEST: Final = 5.0
"""Seconds that one call may take, its retries included."""
PATIENCE: Final = 2
"""So many calls in a row that do not reach DynamoDB, and it is left alone,"""
PAUSE: Final = 5.0
"""for so many seconds, in which every call fails at once."""
PROBE: Final = 1.0
"""Seconds that the call may take which finds out whether DynamoDB is back."""
CONFLICTS: Final = 6
"""How often a transaction is tried that met another one."""
DAY: Final = 86400.0
LARGEST: Final = 390_000
"""Bytes. An item holds 400 KB, with the names of its attributes (DynamoDB, "Quotas")."""
NOTES_AT_ONCE: Final = 16
"""Entries of windows written at the same time, so that no repair has to wait behind them."""
WORTH_PACKING: Final = 1000
"""Bytes, from which on a record is compressed: a write is paid by the KB."""
PAGE: Final = 1000

T = TypeVar("T")


class Items:
    """The table. Every method raises `StoreError` where DynamoDB cannot be used."""

    def __init__(
        self,
        aws: Aws,
        clock: Clock,
        *,
        table: str,
        region: str,
        entry: str,
        remember: float,
    ) -> None:
        """`entry`: as `Aws` knows the role. `remember`: seconds after which `prune` forgets."""
        self.aws = aws
        self.clock = clock
        self.table = table
        self.region = region
        self.entry = entry
        self.remember = remember
        self.forgotten_before = self.forgotten_at = 0.0
        """What `prune` was asked for last, and when. DynamoDB deletes later: see `expires`."""
        self.noting = asyncio.Semaphore(NOTES_AT_ONCE)
        self.unreached = 0
        self.left_alone_until = -math.inf

    async def call(self, name: str, **parameters: Any) -> dict[str, Any]:
        """One call. A condition that does not hold is no error: see `refused`."""
        moment = self.clock.monotonic()
        if moment < self.left_alone_until:
            raise StoreError(f"table {self.table}: DynamoDB could not be reached a moment ago")
        longest = SLOWEST
        if self.unreached >= PATIENCE:
            # One call finds out whether it is back, and the others do not wait for that.
            longest, self.left_alone_until = PROBE, moment + PAUSE
        try:
            async with self.aws.calling("dynamodb", name), asyncio.timeout(longest):
                answer = await self.send(name, parameters)
        except MonitorError as error:
            if isinstance(error, WorthRetrying) and not error.code:
                self.unreached += 1
                if self.unreached >= PATIENCE:
                    self.left_alone_until = self.clock.monotonic() + PAUSE
            raise StoreError(f"table {self.table}: {error}") from error
        self.unreached, self.left_alone_until = 0, -math.inf
        return answer

    async def send(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        client = await self.aws.dynamodb(self.region, self.entry)
        method = getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
        if name != "TransactWriteItems":
            parameters = {"TableName": self.table, **parameters}
        began = self.clock.monotonic()
        try:
            return dict(await method(**parameters))
        except Refusal as error:
            answer: dict[str, Any] = dict(error.response)
            match error_code(error):
                case "ConditionalCheckFailedException":
                    return {"refused": answer.get("Item", {})}
                case "TransactionCanceledException":
                    return {"reasons": [one["Code"] for one in answer["CancellationReasons"]]}
            raise
        finally:
            self.aws.metrics.replicas.table_seconds.labels(name).observe(
                self.clock.monotonic() - began
            )

    # -- reading

    async def get(self, key: Key) -> Item | None:
        """One item, as it is now."""
        answer = await self.call("GetItem", Key=key_of(key), ConsistentRead=True)
        return decoded(answer["Item"]) if "Item" in answer else None

    async def query(
        self,
        pk: str,
        condition: str = "",
        values: Mapping[str, Any] | None = None,
        *,
        index: bool = False,
        backward: bool = False,
        most: int | None = None,
    ) -> list[Item]:
        """The items of one partition, by `sk`; with `index` by `changed`, perhaps a second behind."""
        expression = f"#pk = :pk AND {condition}" if condition else "#pk = :pk"
        asked: dict[str, Any] = {
            "KeyConditionExpression": expression,
            "ExpressionAttributeNames": names_in(expression),
            "ExpressionAttributeValues": placed({"pk": pk, **(values or {})}),
            "ScanIndexForward": not backward,
            "ConsistentRead": not index,
        }
        if index:
            asked["IndexName"] = INDEX
        found: list[Item] = []
        while True:
            left = PAGE if most is None else most - len(found)
            answer = await self.call("Query", Limit=min(PAGE, left), **asked)
            found += map(decoded, answer["Items"])
            after = answer.get("LastEvaluatedKey")
            if not after or (most is not None and len(found) >= most):
                return found
            asked["ExclusiveStartKey"] = after

    async def all_of(self, kind: str, *, since: float = 0.0) -> list[Item]:
        """The items of one kind, of all its partitions; those alone that changed since then."""
        asked: dict[str, Any] = {}
        if since:
            asked = {"condition": "#changed >= :since", "values": {"since": since}, "index": True}
        pks = [f"{kind}|{number}" for number in range(SHARDS)]
        found = await asyncio.gather(*(self.query(pk, **asked) for pk in pks))
        return [item for part in found for item in part]

    # -- writing

    async def put(
        self, item: Item, condition: str = "", values: Mapping[str, Any] | None = None
    ) -> Item | None:
        """Write an item if the condition holds. None: it is written; else what stands there."""
        token = uuid4().hex
        answer = await self.call(
            "PutItem", Item=encoded({**item, "token": token}), **conditional(condition, values)
        )
        return refused(answer, token)

    async def update(
        self,
        key: Key,
        change: str,
        condition: str,
        values: Mapping[str, Any],
        *,
        names: Mapping[str, str] | None = None,
    ) -> Item | None:
        """Change an item if the condition holds. None: it is changed; else what stands there.

        `change` begins with SET. `names`: those that are no attribute of that very name.
        """
        token = uuid4().hex
        change = f"{change}, #token = :token"
        given = conditional(condition, {**values, "token": token})
        given["ExpressionAttributeNames"] |= names_in(change) | {
            f"#{one}": name for one, name in (names or {}).items()
        }
        answer = await self.call("UpdateItem", Key=key_of(key), UpdateExpression=change, **given)
        return refused(answer, token)

    async def delete(
        self, key: Key, condition: str, values: Mapping[str, Any] | None = None
    ) -> Item | None:
        """Delete an item if the condition holds. None: it is gone; else what stands there."""
        given = conditional(condition, values)
        return refused(await self.call("DeleteItem", Key=key_of(key), **given))

    async def transact(self, writes: Sequence[dict[str, Any]]) -> bool:
        """All of these writes, made by `writing`, or none. False: a condition does not hold."""
        given = [
            {kind: {"TableName": self.table, **one}}
            for write in writes
            for kind, one in write.items()
        ]
        # Its own token makes it harmless to send it again.
        token, pause = uuid4().hex, 0.02
        for _ in range(CONFLICTS):
            answer = await self.call(
                "TransactWriteItems", TransactItems=given, ClientRequestToken=token
            )
            reasons = set(answer.get("reasons", ())) - {"None"}
            if not reasons:
                return True
            if "ConditionalCheckFailed" in reasons:
                return False
            if reasons != {"TransactionConflict"}:
                raise StoreError(f"table {self.table}: {', '.join(sorted(reasons))}")
            await asyncio.sleep(pause)
            pause, token = pause * 2, uuid4().hex
        raise StoreError(f"table {self.table}: too many change the same items at once")


def part(text: str) -> str:
    """A part of a key, whatever the text holds: a key may be neither empty nor long."""
    if re.fullmatch(r"[!-~]{1,300}", text) and not text.startswith("sha256:"):
        return text
    return f"sha256:{digest(text)}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def sharded(kind: str, text: str) -> str:
    """The partition in which the records of one kind about this subject are."""
    return f"{kind}|{int(digest(text)[:8], 16) % SHARDS}"


def expires(at: float) -> int:
    """When DynamoDB may delete an item: a day after we think nothing of it any more."""
    return math.ceil(at + DAY)


def packed(record: Any, what: str) -> bytes:
    """A record as JSON, compressed if it is worth it. Raises `StoreError` where it is too large."""
    text = msgspec.json.encode(record)
    if len(text) < WORTH_PACKING:
        return text
    small = zlib.compress(text)
    if len(small) > LARGEST:
        raise StoreError(
            f"{what} takes {len(small)} bytes, compressed, and an item of DynamoDB 400 KB at most"
        )
    return small


def unpacked(item: Item, kind: type[T], what: str) -> T:
    """A record as it was. Raises `StoreError`, where a newer version wrote it, too."""
    record = item.get("record", b"")
    try:
        text = record if record[:1] in {b"{", b"["} else zlib.decompress(record)
        return msgspec.json.decode(text, type=kind)
    except (ValueError, TypeError, zlib.error) as error:
        raise StoreError(f"{what} cannot be read: {error}") from error
