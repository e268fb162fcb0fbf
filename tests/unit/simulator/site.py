"""A simulator that is open for one test, and clients that call it as whoever they like."""

import json
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.session import get_session

from monitor.simulator.server import Simulator


class Site:
    """An open simulator and a hand to call it with."""

    def __init__(self, sim: Simulator, clients: AsyncExitStack) -> None:
        self.sim = sim
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
