"""Everything that the demo needs, brought up, played and taken down again."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec

from monitor.demo import told
from monitor.demo.broker import broker
from monitor.demo.daemon import USER, Daemon, daemon, isolate
from monitor.demo.errors import DemoError
from monitor.demo.judge import Ending, Result, figures, final_keys, judge, writes_since
from monitor.demo.judge import told as count_told
from monitor.demo.people import REGION, people
from monitor.demo.rules import put_rules
from monitor.demo.show import Show
from monitor.demo.story import ATTACKS, DENIED, KEYS, STORY, Played, Stage
from monitor.demo.told import Ear
from monitor.demo.watch import WatchedKms
from monitor.simulator.knobs import Knobs
from monitor.simulator.server import Simulator

HEAR_SECONDS = 10.0
"""How long a scene waits for the monitor's notification."""

T = TypeVar("T")


class Asked(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    mode: str = "enforce"
    stay: bool = False


class Scene(msgspec.Struct, frozen=True):
    """What is there while the story is played."""

    simulator: Simulator
    stage: Stage
    monitor: Daemon
    mqtt: Ear
    sns: Ear
    mqtt_port: int
    setup: Played


class Demo:
    """One run. `code` is the exit code, `log` what the daemon wrote."""

    def __init__(self, asked: Asked, show: Show, started: float) -> None:
        self.asked = asked
        self.show = show
        self.started = started
        self.leave = asyncio.Event()
        """Set to end `--stay`."""
        self.staying = False
        self.log: list[str] = []

    async def run(self) -> int:
        """Play it all; the exit code."""
        isolate(os.environ)
        ending: Ending | None = None
        failed: list[str] = []
        with TemporaryDirectory(prefix="kms-monitor-demo-") as directory:
            try:
                async with self.scene(Path(directory)) as scene:
                    ending = await while_alive(scene.monitor, self.play(scene))
                    self.show.ending(ending)
                    if self.asked.stay:
                        await while_alive(scene.monitor, self.stay(scene, ending))
                    self.show.busy("stopping the daemon")
                    ending.daemon_exit_code = await scene.monitor.stop()
            except DemoError as error:
                failed = [str(error)]
            finally:
                self.show.idle()
                file = Path(directory) / "daemon.log"
                if file.exists():
                    self.log = file.read_text(encoding="utf-8", errors="replace").splitlines()
        failed += ending.failed if ending else []
        self.show.over(ending, failed, time.perf_counter() - self.started)
        return 1 if failed else 0

    @asynccontextmanager
    async def scene(self, directory: Path) -> AsyncIterator[Scene]:
        """The local AWS, the broker, the keys, the daemon; taken down in the reverse order."""
        show = self.show
        async with AsyncExitStack() as stack:
            kms = WatchedKms(now=time.time)
            simulator = await stack.enter_async_context(
                Simulator(kms=kms, knobs=Knobs(deny=(DENIED,)))
            )
            show.ready("KMS, CloudTrail, EventBridge, SQS and SNS are on " + simulator.endpoint_url)
            rules = put_rules(simulator)
            show.ready(f"{rules} rules send what the detectors look at to the daemon's queue")
            port = await stack.enter_async_context(broker())
            mqtt, sns = Ear(), Ear()
            await stack.enter_async_context(told.subscribed(mqtt, port))
            show.ready(f"an MQTT broker is on 127.0.0.1:{port}")
            callers = await stack.enter_async_context(people(simulator.endpoint_url))
            stage = Stage(simulator, kms, callers)
            setup = await stage.set_up()
            show.ready(f"{len(KEYS)} keys are made, and admin disabled archive on purpose")
            show.busy("starting the daemon")
            variables = self.variables(simulator, port, directory)
            monitor = await stack.enter_async_context(daemon(directory, variables))
            queue = told.reading(sns, callers.sqs("admin"), simulator.topic_queue_url)
            await stack.enter_async_context(queue)
            await monitor.ready()
            show.ready(f"kms-monitor watches, in mode {self.asked.mode}: {monitor.url}")
            yield Scene(simulator, stage, monitor, mqtt, sns, port, setup)

    def variables(self, simulator: Simulator, port: int, directory: Path) -> dict[str, Any]:
        """What the daemon cannot know from `config/demo.yaml`; values are YAML."""
        queue = {"url": simulator.queue_url, "region": REGION, "wait_seconds": 1}
        return {
            "AWS_ENDPOINT_URL": simulator.endpoint_url,
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
            "KMS_MONITOR_MODE": self.asked.mode,
            "KMS_MONITOR_QUEUES": json.dumps([queue]),
            "KMS_MONITOR_RESPONDERS__SNS__TOPIC_ARN": simulator.topic_arn,
            "KMS_MONITOR_RESPONDERS__MQTT__PORT": port,
            "KMS_MONITOR_STORE__PATH": json.dumps(str(directory / "state.db")),
        }

    async def play(self, scene: Scene) -> Ending:
        """The attacks, one after the other, each until the monitor has told about it."""
        results = [await self.follow(1, scene.setup, scene)]
        first_record = len(scene.simulator.records)
        for number, attack in enumerate(ATTACKS, 2):
            self.show.busy(f"{attack.who}: {attack.what}")
            first_record = len(scene.simulator.records)
            results.append(await self.follow(number, await scene.stage.play(attack), scene))
        self.show.busy("waiting for the last notifications")
        for result in results:
            await scene.sns.about(result.event_id, HEAR_SECONDS)
        # The last scene is the forged message; what was recorded since then is due to it.
        forged = scene.simulator.records[first_record:]
        await scene.mqtt.about(await scene.stage.mend(), HEAR_SECONDS)
        return Ending(
            results=results,
            keys=final_keys(scene.stage),
            sns=count_told(results, scene.sns),
            mqtt=count_told(results, scene.mqtt),
            forged_writes=writes_since(forged, scene.stage.arns[ATTACKS[-1].key]),
            story=await scene.mqtt.story(STORY, HEAR_SECONDS),
            figures=figures(await scene.monitor.metrics()),
            metrics_url=f"{scene.monitor.url}/metrics",
            mode=self.asked.mode,
        )

    async def follow(self, number: int, played: Played, scene: Scene) -> Result:
        detector = played.attack.detector
        heard = await scene.mqtt.about(played.event_id, HEAR_SECONDS, detector)
        result = judge(number, played, heard, scene.stage, self.asked.mode)
        self.show.step(result)
        return result

    async def stay(self, scene: Scene, ending: Ending) -> None:
        """Show every notification until somebody ends it."""
        self.staying = True
        names = {arn: name for name, arn in scene.stage.arns.items()}
        while not scene.mqtt.news.empty():
            scene.mqtt.news.get_nowait()
        self.show.staying(
            {
                "endpoint_url": scene.simulator.endpoint_url,
                "region": REGION,
                "key_id": scene.stage.arns["payments"].rpartition("/")[2],
                "mqtt_port": str(scene.mqtt_port),
                "metrics_url": ending.metrics_url,
            }
        )
        leaving = asyncio.create_task(self.leave.wait(), name="wait for Ctrl-C")
        try:
            while not self.leave.is_set():
                news = asyncio.create_task(scene.mqtt.news.get(), name="wait for a notification")
                await asyncio.wait({news, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not news.done():
                    news.cancel()
                    break
                message = news.result().message
                key: dict[str, str] = message.get("key") or {}
                name = names.get(key.get("arn", ""), key.get("id", "(no key)"))
                self.show.news(name, message)
        finally:
            leaving.cancel()


async def while_alive(monitor: Daemon, work: Coroutine[Any, Any, T]) -> T:
    """Do it; raises `DemoError` as soon as the daemon ends before it is done."""
    working = asyncio.create_task(work, name="play the story")
    dying = asyncio.create_task(monitor.process.wait(), name="notice that the daemon ended")
    try:
        await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            monitor.check()
        return await working
    finally:
        working.cancel()
        dying.cancel()
        await asyncio.wait([working, dying])


def perform(asked: Asked, show: Show, started: float) -> tuple[int, list[str]]:
    """Run the demo to its end; the exit code, and the lines that the daemon logged."""
    demo = Demo(asked, show, started)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        playing = asyncio.create_task(demo.run(), name="the demo")
        caught: list[signal.Signals] = []

        def stop(number: signal.Signals) -> None:
            if demo.staying:
                demo.leave.set()
            elif not caught:
                # Once only: a second one must not break the taking down.
                caught.append(number)
                playing.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        try:
            return await playing
        except asyncio.CancelledError:
            if not caught:
                raise
            return 128 + caught[0]

    code = asyncio.run(main())
    return code, demo.log
