"""The simulator as a whole: one HTTP endpoint on the loopback for every AWS service it has.

async with Simulator() as sim:
    client = session.create_client("kms", endpoint_url=sim.endpoint_url, ...)
    ...
    await sim.settle()  # every event that is on its way has arrived
"""

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from monitor.simulator import world
from monitor.simulator.attributes import policies_that_stay
from monitor.simulator.borrowed import Borrowed
from monitor.simulator.cloudtrail import CloudTrail
from monitor.simulator.config import Config
from monitor.simulator.deny import DenyRule
from monitor.simulator.endpoint import Endpoint
from monitor.simulator.events import EventBridge
from monitor.simulator.functions import Function, Functions, Handler
from monitor.simulator.haste import moto_in_haste
from monitor.simulator.hop import Hop, Road
from monitor.simulator.identity import Identities
from monitor.simulator.kms import Kms
from monitor.simulator.knobs import Knobs
from monitor.simulator.moves import Moves
from monitor.simulator.organizations import Organizations
from monitor.simulator.recorder import Recorder
from monitor.simulator.sts import Sts
from monitor.simulator.wire import Incoming

LOOPBACK = "127.0.0.1"
"""The only address ever bound: nothing here checks a signature."""
ACCOUNTS = ("111122223333", "444455556666")
REGIONS = ("eu-west-1", "us-east-1")

_MAX_BODY_BYTES = 64 * 2**20
_TICK_SECONDS = 1.0
_GOODBYE_SECONDS = 0.3


class Simulator:
    """A strict local AWS around KMS. Only one can be open in a process at a time."""

    def __init__(
        self,
        *,
        port: int = 0,
        accounts: Sequence[str] = ACCOUNTS,
        regions: Sequence[str] = REGIONS,
        knobs: Knobs | None = None,
        seed: int | None = None,
        now: Callable[[], float] = time.time,
        kms: Kms | None = None,
    ) -> None:
        """`kms`: one of the caller's own, such as one that watches every change of state."""
        self.port = port
        """0 for any free one; once open, the one that is used."""
        self.accounts = tuple(accounts)
        self.regions = tuple(regions)
        self.rule_name = self.trail_name = world.NAME
        self.knobs = knobs or Knobs()
        self._seed = seed
        self._now = now
        self.kms = kms or Kms(now=now, rng=self._dice("kms"))
        self.identities = Identities(self.accounts, now=now, rng=self._dice("identities"))
        self.cloudtrail = CloudTrail(now=now)
        self.bridge = EventBridge(now=now)
        self.organizations = Organizations(self.accounts)
        self.config = Config(self.kms, now=now, rng=self._dice("config"))
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Open the port; raises OSError if it is taken, RuntimeError if one is open already."""
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(socket.create_server((LOOPBACK, self.port)))
            self._lent = Borrowed()
            stack.callback(self._lent.close)
            stack.enter_context(moto_in_haste())
            stack.enter_context(policies_that_stay())
            self._build()
            self._apply_knobs()
            self._world = await world.build(
                self._lent,
                self.cloudtrail,
                self.bridge,
                accounts=self.accounts,
                regions=self.regions,
            )
            stack.push_async_callback(self._moves.close)
            stack.push_async_callback(self.config.recording.close)
            stack.push_async_callback(self.functions.close)
            stack.push_async_callback(self._end_tasks)
            self._tasks = [
                asyncio.create_task(self._hop.run(), name="simulator carries events to targets"),
                asyncio.create_task(self._tick_for_ever(), name="simulator lets KMS's time pass"),
                asyncio.create_task(self.config.recording.run(), name="simulator records keys"),
            ]
            application = web.Application(client_max_size=_MAX_BODY_BYTES)
            application.router.add_route("*", "/{path:.*}", self._serve)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=_GOODBYE_SECONDS)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listener).start()
            self.port = listener.getsockname()[1]
            stack.callback(self._lent.release)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port; long polls are answered, empty, at once."""
        await self._opened.aclose()

    def _build(self) -> None:
        """Put the parts together."""
        self._hop = Hop(
            self.bridge, road=Road(), send=self._send, rng=self._dice("hop"), now=self._now
        )
        self.bridge.sent = self._hop.set_out
        self._recorder = Recorder(
            self.cloudtrail, self._hop, self.identities, rng=self._dice("recorder")
        )
        self._recorder.changed = self.config.recording.changed
        self.config.emit = self._hop.set_out
        self.config.send = self._lent.publish
        self._moves = Moves(self._lent, now=self._now)
        self.functions = Functions(self._lent)
        self.config.call_functions(self.functions)
        self._endpoint = Endpoint(
            kms=self.kms,
            own={
                "cloudtrail": self.cloudtrail,
                "events": self.bridge,
                "sts": Sts(self.identities),
                "organizations": self.organizations,
                "config": self.config,
            },
            lent=self._lent,
            moves=self._moves,
            cloudtrail=self.cloudtrail,
            identities=self.identities,
            recorder=self._recorder,
            regions=self.regions,
            now=self._now,
        )

    @property
    def endpoint_url(self) -> str:
        """What AWS clients take as endpoint_url or AWS_ENDPOINT_URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def queue_url(self) -> str:
        """The queue into which every rule sends."""
        return self._queue_url(self._world.queue_arn)

    @property
    def queue_arn(self) -> str:
        """The ARN of that queue, as rules name it."""
        return self._world.queue_arn

    @property
    def dlq_url(self) -> str:
        """The queue for what was received five times and not deleted."""
        return self._queue_url(self._world.dlq_arn)

    @property
    def topic_arn(self) -> str:
        """The SNS topic for notifications."""
        return self._world.topic_arn

    @property
    def topic_queue_url(self) -> str:
        """A queue subscribed to the topic, to read what the topic delivered."""
        return self._queue_url(self._world.topic_queue_arn)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every CloudTrail record so far, oldest first."""
        return self._recorder.records

    def description(self) -> dict[str, Any]:
        """Say what there is, as `simulate --json` prints it."""
        return {
            "endpoint_url": self.endpoint_url,
            "queue_url": self.queue_url,
            "dlq_url": self.dlq_url,
            "topic_arn": self.topic_arn,
            "topic_queue_url": self.topic_queue_url,
            "rule_name": self.rule_name,
            "trail_name": self.trail_name,
            "accounts": list(self.accounts),
            "regions": list(self.regions),
        }

    def deploy(self, *handlers: Handler) -> Function:
        """Let the rule of the first account and Region call a function, beside the queue.

        Each handler is one container. It asks this simulator, as a user of its own: the variables
        of this process say so.
        """
        os.environ |= {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.regions[0],
            "AWS_ACCESS_KEY_ID": world.NAME,
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        account, region = self.accounts[0], self.regions[0]
        return world.deploy(self.functions, self.bridge, *handlers, account=account, region=region)

    async def record(self) -> None:
        """Have AWS Config record the keys of the first account and Region."""
        account, region = self.accounts[0], self.regions[0]
        await world.record(self._lent, self.config, account=account, region=region)

    def set_knob(self, name: str, value: Any) -> None:
        """Turn one of `Knobs` while the simulator runs; raises AttributeError for another name."""
        getattr(self.knobs, name)
        setattr(self.knobs, name, value)
        self._apply_knobs()

    def tick(self) -> None:
        """Let KMS's time pass now, rather than at the next second."""
        for event in self.kms.tick():
            self._recorder.take_service_event(event)

    async def settle(self) -> None:
        """Wait until every event that is on its way has been delivered."""
        idle = asyncio.create_task(self._idle(), name="simulator settles")
        await asyncio.wait({idle, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task.done():
                task.result()  # it never ends but by its own fault: say so, do not wait for ever
        await idle

    async def _idle(self) -> None:
        # What Config recorded goes the way of all events, and what they led to is recorded again.
        while not (self._hop.idle and self.config.recording.idle):
            await self._hop.settle()
            await self.config.recording.settle()

    def _dice(self, part: str) -> random.Random:
        # Each part has dice of its own, so that what one draws does not change another's luck.
        return random.Random(None if self._seed is None else f"{self._seed} {part}")  # noqa: S311

    def _apply_knobs(self) -> None:
        knobs = self.knobs
        self._endpoint.deny = tuple(DenyRule.parse(text) for text in knobs.deny)
        self._endpoint.hang = tuple(DenyRule.parse(text) for text in knobs.hang)
        self.identities.untrusting = frozenset(knobs.untrusting)
        self._hop.road = Road(
            delay=knobs.delay, duplicates=knobs.duplicates, disorder=knobs.disorder
        )
        self.kms.consistency_seconds = knobs.consistency_seconds
        self.kms.quota_scale = knobs.quota_scale
        self.cloudtrail.history.delay_seconds = knobs.history_delay_seconds
        self.identities.external_id = knobs.external_id
        self._moves.there = knobs.move_tasks
        self.config.recording.delay = knobs.config_delay_seconds
        self.functions.retry_waits = knobs.retry_waits

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tick_for_ever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(_TICK_SECONDS)

    async def _send(self, arn: str, body: str, parameters: dict[str, Any], rule: str) -> bool:
        match arn.split(":")[2]:
            case "lambda":
                return self.functions.take(arn, body, by="events.amazonaws.com", source=rule)
            case "sqs":
                return await self._lent.put_message(
                    arn, body, group_id=parameters.get("MessageGroupId")
                )
            case "sns":
                return await self._lent.publish(arn, body)
            case _:
                return False

    async def _serve(self, request: web.Request) -> web.Response:
        raw_path, _, query = request.raw_path.partition("?")
        answer = await self._endpoint.handle(
            Incoming(
                method=request.method,
                raw_path=raw_path,
                query=query,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
                peer=request.remote or LOOPBACK,
            )
        )
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    def _queue_url(self, arn: str) -> str:
        *_, account, name = arn.split(":")
        return f"{self.endpoint_url}/{account}/{name}"
