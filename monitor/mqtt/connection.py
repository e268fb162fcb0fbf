"""The only door to MQTT: one long-lived connection that sends what the outbox holds.

An aiomqtt client is single-use, so every try makes a new one (operations 4.1). Connected means
more than CONNACK: the retained `online` status must have been acknowledged, or a broker that
accepts connections and then swallows messages would look healthy. Whatever ends a connection but
our own stop ends it without DISCONNECT, so that the broker publishes the Last Will.

MQTT 3.1.1, which every broker speaks; its PUBACK cannot say no, so a broker that throws messages
away because of its access rules looks as if it had taken them.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiomqtt
import structlog
from aiomqtt.exceptions import MqttConnectError

from monitor.backoff import Backoff
from monitor.clock import Clock, iso
from monitor.logs import printable
from monitor.metrics import Metrics
from monitor.mqtt.broker import BrokerOptions
from monitor.mqtt.outbox import Outbox

SENDERS: Final = 8
"""Publishes at a time; aiomqtt warns above 10 (operations 4.1)."""
GOODBYE: Final = 2.0
"""Seconds that the `offline` status may hold up a stop."""
CONNECTING: Final = 6.0
"""Seconds to wait on a stop for a connect in paho's thread; paho itself gives up after 5."""
TURN: Final = 0.02
"""Seconds between two looks at paho's socket."""


class Connection:
    """Keeps one connection and sends letters over it, as long as `serve` runs."""

    def __init__(
        self,
        options: BrokerOptions,
        outbox: Outbox,
        status_topic: str,
        *,
        environment: str,
        clock: Clock,
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
        more: Callable[[], Awaitable[dict[str, object]]] | None = None,
    ) -> None:
        """`more`: further members of the status, asked for whenever it is said; never raises."""
        self.more = more
        self.members: dict[str, object] = {}
        self.options = options
        self.outbox = outbox
        self.status_topic = status_topic
        self.environment = environment
        self.clock = clock
        self.metrics = metrics
        self.log = log
        self.problem: str | None = f"not connected to {options.address}: not tried yet"
        self.backoff = Backoff(options.reconnect_min_seconds, options.reconnect_max_seconds)
        metrics.responder_up.labels("mqtt").set(0)

    async def serve(self) -> None:
        """Connect, send, and connect again for ever. Ends by being cancelled."""
        if self.options.username and not self.options.tls:
            self.log.warning("mqtt without TLS: the password goes over the network in the clear")
        try:
            while True:
                reason = await self.session()
                delay = self.backoff.next()
                self.down(reason)
                self.log.warning(
                    "mqtt not connected", problem=self.problem, retry_in=round(delay, 2)
                )
                await asyncio.sleep(delay)
                self.metrics.mqtt.reconnects.inc()
        finally:
            self.down("stopped")
            if len(self.outbox):
                self.log.error(
                    "stopping with messages that the broker never acknowledged; their deliveries"
                    " come again, here or at another replica",
                    messages=len(self.outbox),
                )

    async def session(self) -> str:
        """One connection, from its first byte to its end; says why it ended."""
        try:
            await self.refresh()
            client = await asyncio.to_thread(self.prepare)
            async with opened(self.client(*client)) as connected:
                await self.use(connected)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            return self.explain(error)
        return "the connection ended"

    def prepare(self) -> tuple[str | None, ssl.SSLContext | None]:
        return self.options.password(), self.options.tls_context()

    def client(self, password: str | None, context: ssl.SSLContext | None) -> aiomqtt.Client:
        options = self.options
        return aiomqtt.Client(
            options.host,
            options.used_port,
            username=options.username,
            password=password,
            identifier=options.used_client_id,
            will=aiomqtt.Will(self.status_topic, self.status("offline"), qos=1, retain=True),
            timeout=options.ack_seconds,
            keepalive=options.keepalive,
            tls_context=context,
            # Else paho would call ssl.match_hostname itself, which Python 3.12 no longer has.
            tls_insecure=True if context and not options.verify_hostname else None,
        )

    async def use(self, client: aiomqtt.Client) -> None:
        """Beat and send until the connection ends (`MqttError`) or we are stopped."""
        try:
            await self.work(client)
        except asyncio.CancelledError:
            # Ending properly makes the broker forget the Last Will, so say it ourselves.
            with suppress(aiomqtt.MqttError):
                await self.say(client, "offline", GOODBYE)
            raise

    async def work(self, client: aiomqtt.Client) -> None:
        broken: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(watch(client), name="notice that the MQTT broker went away")
                tasks.create_task(self.beat(client, tasks), name="refresh the MQTT status")
        except* (aiomqtt.MqttError, OSError) as errors:
            broken += errors.exceptions
        if broken:
            raise broken[0]

    async def beat(self, client: aiomqtt.Client, tasks: asyncio.TaskGroup) -> None:
        """Say `online`, start to send once that was acknowledged, and say it again and again."""
        await self.say(client, "online", self.options.ack_seconds)
        self.up()
        for number in range(SENDERS):
            tasks.create_task(self.send(client), name=f"send MQTT messages ({number + 1})")
        while True:
            await asyncio.sleep(self.options.heartbeat_seconds)
            await self.refresh()
            await self.say(client, "online", self.options.ack_seconds)

    async def say(self, client: aiomqtt.Client, status: str, timeout: float) -> None:  # noqa: ASYNC109
        payload = self.status(status)
        await client.publish(self.status_topic, payload, qos=1, retain=True, timeout=timeout)

    async def send(self, client: aiomqtt.Client) -> None:
        """Letters, one after the other, each until its PUBACK."""
        while True:
            letter = await self.outbox.take()
            try:
                await client.publish(letter.topic, letter.payload, qos=1)
            except BaseException:
                self.outbox.give_back(letter)
                raise
            self.outbox.acknowledge(letter)

    async def refresh(self) -> None:
        """What else the status says. The last of it is in the Last Will as well."""
        if self.more is not None:
            self.members = await self.more()

    def status(self, status: str) -> bytes:
        members: dict[str, object] = {
            "schema": "kms-monitor.status/1",
            "status": status,
            "at": iso(self.clock.now()),
            "environment": self.environment,
            "client_id": self.options.used_client_id,
        }
        return json.dumps(members | self.members).encode()

    def up(self) -> None:
        self.backoff.reset()
        self.problem = None
        self.metrics.mqtt.connected.set(1)
        self.metrics.responder_up.labels("mqtt").set(1)
        self.log.info("mqtt connected", broker=self.options.address)

    def down(self, reason: str) -> None:
        self.problem = f"not connected to {self.options.address}: {reason}"
        self.metrics.mqtt.connected.set(0)
        self.metrics.responder_up.labels("mqtt").set(0)

    def explain(self, error: BaseException) -> str:
        """One line for people; neither paho nor ssl nor we put secrets into these."""
        if isinstance(error, MqttConnectError):
            return f"the broker refuses us: {printable(str(error))[:200]}"
        if str(error) == "Operation timed out":  # aiomqtt's words for its own time-outs
            return f"no acknowledgement within {self.options.ack_seconds:g} s"
        # aiomqtt says that it noticed, and its cause says what.
        return printable(str(error.__cause__ or error))[:200] or type(error).__name__


async def watch(client: aiomqtt.Client) -> None:
    """Raises `MqttError` when the connection ends. We subscribe to nothing."""
    async for _ in client.messages:
        pass


@asynccontextmanager
async def opened(client: aiomqtt.Client) -> AsyncIterator[aiomqtt.Client]:
    """The connected client. After an error the connection is cut, else it is ended properly.

    aiomqtt leaves the socket of a connect that failed half-way, and always says DISCONNECT, which
    makes the broker forget the Last Will: both need its inner paho client.
    """
    paho = client._client  # noqa: SLF001
    connecting = asyncio.create_task(client.__aenter__(), name="connect to the MQTT broker")
    try:
        await asyncio.shield(connecting)
    except BaseException:
        # paho connects in a thread that cannot be cancelled, and would leave its socket behind.
        for _ in range(int(CONNECTING / TURN)):
            if connecting.done() or paho.socket() is not None:
                break
            await asyncio.sleep(TURN)
        connecting.cancel()
        await asyncio.wait([connecting])
        if not connecting.cancelled():
            connecting.exception()
        # The error's traceback leads to this frame, and the task to the error: without this circle
        # the socket that paho forgets after a failed handshake is closed at once.
        del connecting
        paho.disconnect()
        await closed(client)
        raise
    try:
        yield client
    except Exception:
        if (plug := paho.socket()) is not None and isinstance(plug, socket.socket):
            with suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)
        with suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await watch(client)
        raise
    finally:
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)
        await closed(client)


async def closed(client: aiomqtt.Client) -> None:
    """Give paho the turns of the loop that it needs to close its socket."""
    for _ in range(20):
        if client._client.socket() is None:  # noqa: SLF001
            return
        await asyncio.sleep(TURN)
