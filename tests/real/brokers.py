"""MQTT brokers for tests: mosquitto itself, and two small liars in front of or instead of it."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from tests.real.services import free_port, require, running


class Mosquitto:
    """One mosquitto on a port of its own; it can be killed and started again."""

    def __init__(self, folder: Path, *lines: str, anonymous: bool = True) -> None:
        self.program = require("mosquitto")
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self.file = folder / "mosquitto.conf"
        config = [
            # As root it would change to a user who may not read the test's folder.
            *(["user root"] if os.geteuid() == 0 else []),
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {str(anonymous).lower()}",
            *lines,
        ]
        self.file.write_text("\n".join(config) + "\n")
        self.database = folder / "mosquitto.db"
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self.program, "-c", str(self.file)]
        self._process = self._stack.enter_context(running(command, self.port, self.log))

    def save(self) -> None:
        """Sessions and their queues to the disk: mosquitto's QoS 1 is no promise across a kill."""
        assert self._process is not None
        self.database.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 5
        while not self.database.exists() and time.monotonic() < end:
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def password_file(folder: Path, user: str, password: str) -> Path:
    file = folder / "passwords"
    subprocess.run(
        [require("mosquitto_passwd"), "-b", "-c", str(file), user, password],
        check=True,
        capture_output=True,
    )
    return file


class Cable:
    """A TCP proxy whose wire can be cut, without a word of MQTT."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.whole = True
        self.writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        self.whole = False
        for writer in self.writers:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if not self.whole:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers.append(back)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65_536):
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))


@asynccontextmanager
async def cable_to(port: int) -> AsyncIterator[Cable]:
    cable = Cable(port)
    server = await asyncio.start_server(cable.carry, "127.0.0.1", 0)
    cable.port = server.sockets[0].getsockname()[1]
    try:
        yield cable
    finally:
        server.close()
        cable.cut()
        await asyncio.sleep(0.05)


class Liar:
    """Accepts connections, acknowledges the first `honest` publishes, and swallows the others.

    With `honest` below zero it does not even accept: the wire is there, and nobody speaks.
    """

    def __init__(self, honest: int) -> None:
        self.honest = honest
        self.port = 0
        self.swallowed = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        honest = self.honest
        try:
            while True:
                kind, body = await packet(reader)
                if kind >> 4 == 1 and honest < 0:
                    self.swallowed += 1
                elif kind >> 4 == 1:  # CONNECT -> CONNACK, accepted
                    writer.write(b"\x20\x02\x00\x00")
                elif kind >> 4 == 3 and honest > 0:  # PUBLISH at QoS 1 -> PUBACK
                    honest -= 1
                    start = 2 + int.from_bytes(body[:2])
                    writer.write(b"\x40\x02" + body[start : start + 2])
                elif kind >> 4 == 3:
                    self.swallowed += 1
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


async def packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """First byte and body of one MQTT packet (MQTT 3.1.1, section 2.2.3)."""
    kind = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return kind, await reader.readexactly(length)


@asynccontextmanager
async def liar(honest: int = 0) -> AsyncIterator[Liar]:
    broker = Liar(honest)
    server = await asyncio.start_server(broker.talk, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        for writer in broker.writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)
