"""An MQTT broker on the loopback, inside the demo's process."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amqtt.broker import Broker
from amqtt.errors import BrokerError

from monitor.demo.errors import DemoError

TRIES = 5


@asynccontextmanager
async def broker() -> AsyncIterator[int]:
    """A running broker that lets everybody in; its port."""
    # It reports every connection that ends; ours end because we end them.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    running, port = await started()
    try:
        yield port
    finally:
        await running.shutdown()


async def started() -> tuple[Broker, int]:
    """amqtt does not tell which port it got for 0, so a free one is looked for here."""
    for left in reversed(range(TRIES)):
        port = free_port()
        one = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
                "plugins": {
                    "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
                },
            }
        )
        try:
            await one.start()
        except BrokerError as error:  # somebody took the port in between
            if not left:
                raise DemoError(f"the embedded broker: {error}") from error
        else:
            return one, port
    raise AssertionError("unreachable")


def free_port() -> int:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return int(plug.getsockname()[1])
