"""The strict KMS of the simulator, called directly: no HTTP, and whatever clock the test has.

`DirectKms` looks like an aiobotocore client; `Playground` is a KMS with people who change a key and
the CloudTrail events of what they did.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from monitor.aws import Aws
from monitor.event import Event, read_record
from monitor.key import KeyRef
from monitor.metrics import Metrics
from monitor.simulator.kms import Kms
from monitor.simulator.records import Call, call_record, user_identity
from monitor.simulator.words import Caller, Refusal, Reply
from tests.samples import ACCOUNT, REGION, LoopClock

TIMES = ("DeletionDate", "ValidTo", "CreationDate", "ParametersValidTo")


def user(name: str) -> Caller:
    return Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/{name}", user=name, access_key_id=name)


def shaped(value: Any, name: str = "") -> Any:
    """As botocore parses an answer."""
    if isinstance(value, dict):
        return {key: shaped(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [shaped(one) for one in value]
    if name in TIMES and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return value


class Pages:
    def __init__(self, client: "DirectKms", operation: str) -> None:
        self.client = client
        self.operation = operation

    async def paginate(self, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        marker: dict[str, Any] = {}
        while True:
            page = await self.client.do(self.operation, **parameters, **marker)
            yield page
            if not page.get("Truncated"):
                return
            marker = {"Marker": page["NextMarker"]}


class DirectKms:
    """KMS in one Region, for one caller."""

    def __init__(self, playground: "Playground", region: str, name: str) -> None:
        self.playground = playground
        self.region = region
        self.caller = user(name)

    def __getattr__(self, name: str) -> Any:
        operation = "".join(word.capitalize() for word in name.split("_"))

        async def call(**parameters: Any) -> dict[str, Any]:
            return await self.do(operation, **parameters)

        return call

    def get_paginator(self, name: str) -> Pages:
        return Pages(self, "".join(word.capitalize() for word in name.split("_")))

    async def do(self, operation: str, **parameters: Any) -> dict[str, Any]:
        await asyncio.sleep(0.001)
        try:
            reply = self.playground.call(operation, parameters, self.caller, self.region)
        except Refusal as refusal:
            error: Any = {
                "Error": {"Code": refusal.code, "Message": refusal.message},
                "ResponseMetadata": {"HTTPStatusCode": refusal.status},
            }
            raise ClientError(error, operation) from refusal
        found: dict[str, Any] = shaped(reply.body)
        return found


class Playground(Aws):
    """The one door to AWS with the KMS behind it; `events` holds the records of all writing calls."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Metrics())
        self.clock = LoopClock()
        self.kms_itself = Kms(now=self.clock.now, rng=random.Random(7), **options)
        self.events: list[Event] = []
        self.written: list[tuple[str, str]] = []
        """Who made which writing call, in order, if it succeeded."""

    async def client(self, service: str, region: str, account: str = "") -> Any:
        assert (service, account) == ("kms", ACCOUNT)
        return DirectKms(self, region, "kms-monitor")

    def call(
        self, operation: str, parameters: dict[str, Any], caller: Caller, region: str
    ) -> Reply:
        reply = self.kms_itself.call(
            operation, parameters, caller=caller, account=ACCOUNT, region=region
        )
        if not reply.read_only:
            self.written.append((caller.user, operation))
            number = len(self.events) + 1
            about = Call(
                source="kms.amazonaws.com",
                name=operation,
                account=ACCOUNT,
                region=region,
                caller=caller,
                request_id=f"request-{number}",
                happened_at=self.clock.now(),
            )
            record = call_record(
                about, reply, identity=user_identity(caller), event_id=f"event-{number}"
            )
            self.events.append(read_record(msgspec.json.encode(record)))
        return reply

    def does(self, name: str, operation: str, region: str = REGION, **parameters: Any) -> bool:
        """Somebody makes a call. False if KMS refuses it."""
        try:
            self.call(operation, parameters, user(name), region)
        except Refusal:
            return False
        return True

    def make(self, region: str = REGION, **parameters: Any) -> KeyRef:
        reply = self.call("CreateKey", parameters, user("admin"), region)
        key = KeyRef.parse(reply.body["KeyMetadata"]["Arn"])
        assert key is not None
        return key


def snake(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
