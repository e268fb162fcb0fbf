"""A simulator that is open for one test, and clients that call it as whoever they like.

Its KMS is one of a few lines with the interface of the real one: these tests are about what is
around KMS.
"""

import json
import uuid
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.session import get_session

from monitor.simulator.server import Simulator
from monitor.simulator.words import Caller, Refusal, Reply, ServiceEvent


class FakeKms:
    """Keys that can be made, shown, disabled and enabled, per account and Region."""

    def __init__(self) -> None:
        self.consistency_seconds = 0.0
        self.quota_scale: float | None = None
        self.states: dict[str, str] = {}
        self.service_events: list[ServiceEvent] = []

    def call(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        del caller
        if operation == "CreateKey":
            arn = f"arn:aws:kms:{region}:{account}:key/{uuid.uuid4()}"
            self.states[arn] = "Enabled"
            return Reply(body={"KeyMetadata": self._metadata(arn)}, resources=(arn,))
        arn = self._arn(parameters["KeyId"], account, region)
        if arn not in self.states:
            raise Refusal("NotFoundException", f"Key '{arn}' does not exist")
        asked = {"keyId": parameters["KeyId"]}
        match operation:
            case "DescribeKey":
                body = {"KeyMetadata": self._metadata(arn)}
                return Reply(body=body, read_only=True, request_parameters=asked, resources=(arn,))
            case "DisableKey" | "EnableKey":
                self.states[arn] = "Disabled" if operation == "DisableKey" else "Enabled"
                return Reply(
                    request_parameters=asked, response_elements={"keyId": arn}, resources=(arn,)
                )
            case _:
                raise Refusal("UnknownOperationException", operation)

    def authorization_error(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
        why: str,
    ) -> Refusal:
        del parameters
        resource = f"arn:aws:kms:{region}:{account}:key/*"
        return Refusal(
            "AccessDeniedException",
            f"User: {caller.arn} is not authorized to perform: kms:{operation} on resource: "
            f"{resource} {why}",
            trail_code="AccessDenied",
        )

    def tick(self) -> list[ServiceEvent]:
        events, self.service_events = self.service_events, []
        return events

    def state_of(self, arn: str) -> str:
        return self.states[arn]

    def force_state(self, arn: str, state: str) -> None:
        self.states[arn] = state

    def _arn(self, key_id: str, account: str, region: str) -> str:
        whole = key_id.startswith("arn:")
        return key_id if whole else f"arn:aws:kms:{region}:{account}:key/{key_id}"

    def _metadata(self, arn: str) -> dict[str, Any]:
        return {"KeyId": arn.rpartition("/")[2], "Arn": arn, "KeyState": self.states[arn]}


class Site:
    """An open simulator, its KMS, and a hand to call it with."""

    def __init__(self, sim: Simulator, kms: FakeKms, clients: AsyncExitStack) -> None:
        self.sim = sim
        self.kms = kms
        self._clients = clients
        self._open: dict[tuple[str, str, str], Any] = {}
        self._session: Any = get_session()

    async def client(
        self,
        service: str,
        who: str = "admin",
        region: str = "eu-west-1",
        credentials: dict[str, Any] | None = None,
    ) -> Any:
        key_id = credentials["AccessKeyId"] if credentials else who
        place = (service, key_id, region)
        if place not in self._open:
            made = self._session.create_client(
                service,
                region_name=region,
                endpoint_url=self.sim.endpoint_url,
                aws_access_key_id=key_id,
                aws_secret_access_key="any",
                aws_session_token=credentials["SessionToken"] if credentials else None,
            )
            self._open[place] = await self._clients.enter_async_context(made)
        return self._open[place]

    async def new_key(self, **client: Any) -> str:
        """Make a key and return its ARN."""
        kms = await self.client("kms", **client)
        return str((await kms.create_key())["KeyMetadata"]["Arn"])

    async def arrived(self, queue_url: str = "") -> list[dict[str, Any]]:
        """Take everything that has arrived or is on its way."""
        await self.sim.settle()
        sqs = await self.client("sqs")
        url = queue_url or self.sim.queue_url
        bodies: list[dict[str, Any]] = []
        while True:
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            if not answer.get("Messages"):
                return bodies
            bodies += [json.loads(one["Body"]) for one in answer["Messages"]]

    async def names(self) -> list[str]:
        """Take the event names of what has arrived."""
        return [event["detail"]["eventName"] for event in await self.arrived()]
