"""The MQTT responder against a real mosquitto, and against brokers that lie or vanish.

Nothing of ours is replaced. Times are short, so that a whole day of trouble passes in seconds.
"""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiomqtt
import pytest
import structlog
from msgspec.structs import replace
from structlog.testing import capture_logs

from monitor.action_log import LogEntry, following
from monitor.aws import Aws
from monitor.clock import SystemClock
from monitor.decision import Action, Decision, Outcome, Reason, Verdict
from monitor.errors import WorthRetrying
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyRef, KeyState
from monitor.ledger import StoreError
from monitor.metrics import Metrics
from monitor.plugins import Responder, Services
from monitor.responders.mqtt import Mqtt, MqttOptions
from monitor.stores.memory import MemoryStore
from tests.real.brokers import Mosquitto, cable_to, liar, password_file
from tests.real.certificates import Authority
from tests.real.services import free_port

pytestmark = pytest.mark.real

KEY = KeyRef("111122223333", "eu-west-1", "0a1b2c3d-1111-2222-3333-444455556666")
FINDING = Finding(
    detector="key_disabled",
    title="KMS key disabled",
    kind=Kind.DAMAGE,
    severity=Severity.HIGH,
    event_id="3f2b8a44-0000-4000-8000-123456789abc",
    event_name="DisableKey",
    event_time=1_763_976_843.0,
    account=KEY.account,
    region=KEY.region,
    key=KEY,
    caused=KeyState.DISABLED,
)
TOPIC = "kms-monitor/prod/111122223333/eu-west-1/key_disabled"
STATUS = "kms-monitor/prod/status/monitor-1"


def decision(number: int = 0, outcome: Outcome = Outcome.DONE, **changes: Any) -> Decision:
    """One that differs from the others by its event."""
    finding = replace(FINDING, event_id=f"3f2b8a44-0000-4000-8000-{number:012}", **changes)
    done = Action("restore_key", outcome, calls=("EnableKey",))
    names = ("restore_key", "mqtt")
    return Decision(finding, Verdict.REPAIR, Reason.ENFORCE, names, done=(done,))


def responder(port: int, **options: Any) -> Mqtt:
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "tls": False,
        "client_id": "monitor-1",
        "ack_seconds": 3,
        "reconnect_min_seconds": 0.05,
        "reconnect_max_seconds": 0.2,
    }
    metrics = Metrics()
    services = Services(
        Aws(metrics),
        SystemClock(),
        MemoryStore(SystemClock()),
        metrics,
        structlog.get_logger("mqtt"),
        "prod",
    )
    return Mqtt(MqttOptions(**(settings | options)), services)


def metric(mqtt: Mqtt, name: str) -> float | None:
    return mqtt.services.metrics.registry.get_sample_value(f"kms_monitor_{name}")


@asynccontextmanager
async def serving(mqtt: Mqtt) -> AsyncIterator[None]:
    task = asyncio.create_task(mqtt.serve())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the conditions are anybody's
            await asyncio.sleep(0.01)


async def connected(mqtt: Mqtt) -> None:
    await until(lambda: mqtt.problem() is None)


@asynccontextmanager
async def subscribed(port: int, *topics: str) -> AsyncIterator[asyncio.Queue[aiomqtt.Message]]:
    """What arrives on these topics from now on, and what is retained there."""
    messages: asyncio.Queue[aiomqtt.Message] = asyncio.Queue()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            messages.put_nowait(message)

    async with aiomqtt.Client("127.0.0.1", port) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield messages
        finally:
            task.cancel()
            await asyncio.wait([task])


async def arrives(messages: asyncio.Queue[aiomqtt.Message]) -> tuple[str, dict[str, Any]]:
    message = await asyncio.wait_for(messages.get(), 5)
    assert isinstance(message.payload, bytes)
    return str(message.topic), json.loads(message.payload)


async def test_told_once_and_acknowledged(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        mqtt = responder(broker.port)
        assert isinstance(mqtt, Responder)
        assert "not tried yet" in (mqtt.problem() or "")
        async with serving(mqtt), subscribed(broker.port, "kms-monitor/prod/+/#") as messages:
            await connected(mqtt)
            assert (metric(mqtt, "mqtt_connected"), metric(mqtt, "mqtt_reconnects_total")) == (1, 0)
            assert (await arrives(messages))[0] == STATUS
            action = await mqtt.respond(decision())
            assert action.outcome is Outcome.DONE
            topic, body = await arrives(messages)
            assert (topic, body["outcome"], body["key"]["id"]) == (TOPIC, "done", KEY.key_id)
            again = await mqtt.respond(decision())
            assert (again.outcome, again.detail) == (
                Outcome.DONE,
                f"acknowledged before, on {TOPIC}",
            )
            # Another stage of the same finding is news.
            await mqtt.respond(decision(outcome=Outcome.RETRY))
            assert (await arrives(messages))[1]["outcome"] == "retry"
            assert messages.empty()
        assert metric(mqtt, "mqtt_connected") == 0


async def test_many_at_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Mosquitto(tmp_path) as broker:
        mqtt = responder(broker.port)
        async with serving(mqtt), subscribed(broker.port, TOPIC) as messages:
            await asyncio.gather(*(mqtt.respond(decision(number)) for number in range(300)))
            ids = {(await arrives(messages))[1]["id"] for _ in range(300)}
            assert len(ids) == 300
            assert metric(mqtt, "mqtt_waiting_messages") == 0
    assert "pending publish calls" not in caplog.text


async def test_status_is_retained_refreshed_and_ends_offline(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        mqtt = responder(broker.port, heartbeat_seconds=0.1)
        async with serving(mqtt):
            await connected(mqtt)
            async with subscribed(broker.port, STATUS) as messages:
                message = await asyncio.wait_for(messages.get(), 5)
                assert message.retain, "a new subscriber sees it at once"
                assert json.loads(cast("Any", message.payload))["status"] == "online"
                assert not (await asyncio.wait_for(messages.get(), 5)).retain, "refreshed"
        async with subscribed(broker.port, STATUS) as messages:
            assert (await arrives(messages))[1]["status"] == "offline"


async def test_the_status_says_where_the_action_log_ends_also_after_us(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        mqtt = responder(broker.port, heartbeat_seconds=0.1)
        store = mqtt.services.store
        async with subscribed(broker.port, STATUS) as messages, serving(mqtt):
            assert (await arrives(messages))[1]["log_head"] is None
            entry = following(None, 1.0, {"deed": "started"})
            await store.append(entry)
            head = f"1:{entry.hash}"
            async with asyncio.timeout(5):
                while (await arrives(messages))[1]["log_head"] != head:
                    pass

            async def fails() -> LogEntry | None:
                raise StoreError("locked")

            store.last_logged = fails  # type: ignore[method-assign]
            await arrives(messages)
            assert (await arrives(messages))[1]["log_head"] == head, "the last that was known"
        async with subscribed(broker.port, STATUS) as messages:
            ended = (await arrives(messages))[1]
            assert (ended["status"], ended["log_head"]) == ("offline", head)


async def test_the_last_will_speaks_when_the_wire_is_cut(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        async with cable_to(broker.port) as cable, subscribed(broker.port, STATUS) as messages:
            mqtt = responder(cable.port)
            async with serving(mqtt):
                assert (await arrives(messages))[1]["status"] == "online"
                await connected(mqtt)
                cable.cut()
                assert (await arrives(messages))[1]["status"] == "offline"
                await until(lambda: mqtt.problem() is not None)
                cable.whole = True
                assert (await arrives(messages))[1]["status"] == "online"


@pytest.mark.parametrize("honest", [0, 1])
async def test_nothing_counts_without_acknowledgement(honest: int) -> None:
    """A broker that accepts connections, and perhaps the status, and then says nothing."""
    async with liar(honest) as broker:
        mqtt = responder(broker.port, ack_seconds=0.3)
        async with serving(mqtt):
            for _ in range(2):
                with pytest.raises(WorthRetrying, match="kept until the broker has it"):
                    await mqtt.respond(decision())
            assert len(mqtt.outbox) == 1
            await until(lambda: "no acknowledgement within 0.3 s" in (mqtt.problem() or ""))
            assert metric(mqtt, "mqtt_connected") == 0
        assert broker.swallowed


async def test_a_stop_does_not_wait_for_a_broker_that_never_speaks() -> None:
    async with liar(honest=-1) as broker:
        mqtt = responder(broker.port, ack_seconds=20)
        async with serving(mqtt):
            await until(lambda: broker.swallowed > 0)
            stopped = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopped < 1


async def test_broker_killed_and_back_each_message_once(tmp_path: Path) -> None:
    watcher = {"identifier": "watcher", "clean_session": False}
    broker = Mosquitto(tmp_path, "persistence true", f"persistence_location {tmp_path}/")
    mqtt = responder(broker.port, ack_seconds=0.5)
    with capture_logs() as logs, broker:
        async with serving(mqtt):
            async with aiomqtt.Client("127.0.0.1", broker.port, **cast("Any", watcher)) as client:
                await client.subscribe(TOPIC, qos=1)
            await connected(mqtt)
            assert (await mqtt.respond(decision(0))).outcome is Outcome.DONE
            broker.save()
            broker.kill()
            await until(lambda: mqtt.problem() is not None)
            answers: list[Any] = []
            for _ in range(2):
                answers = await asyncio.gather(
                    *(mqtt.respond(decision(number)) for number in (1, 2, 3)),
                    return_exceptions=True,
                )
                assert [type(answer) for answer in answers] == [WorthRetrying] * 3
            assert "Connection refused" in str(answers[0])
            assert metric(mqtt, "mqtt_waiting_messages") == 3
            broker.start()
            await until(lambda: len(mqtt.outbox) == 0)
            for number in (1, 2, 3):
                action = await mqtt.respond(decision(number))
                assert (action.outcome, action.detail[:19]) == (Outcome.DONE, "acknowledged before")
            assert metric(mqtt, "mqtt_connected") == 1
            assert (metric(mqtt, "mqtt_reconnects_total") or 0) >= 1
            async with aiomqtt.Client("127.0.0.1", broker.port, **cast("Any", watcher)) as client:
                await client.publish(TOPIC, b'{"id": "last"}', qos=1)
                ids = []
                async for message in client.messages:
                    ids.append(json.loads(cast("Any", message.payload))["id"])
                    if ids[-1] == "last":
                        break
            wanted = [decision(number).finding.finding_id for number in range(4)]
            assert sorted(ids[:-1]) == sorted(wanted)
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_a_full_buffer_drops_the_oldest_and_a_stop_says_what_is_left() -> None:
    mqtt = responder(free_port(), ack_seconds=0.3, buffer_size=10)
    with capture_logs() as logs:
        async with serving(mqtt):
            answers = await asyncio.gather(
                *(mqtt.respond(decision(number)) for number in range(12)), return_exceptions=True
            )
    assert all(isinstance(answer, WorthRetrying) for answer in answers)
    assert [("dropped" in str(answer)) for answer in answers] == [True] * 2 + [False] * 10
    assert metric(mqtt, "mqtt_dropped_total") == 2
    (left,) = [line for line in logs if line["log_level"] == "error"]
    assert left["messages"] == 10


async def test_a_broker_that_comes_up_after_us(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    mqtt = responder(broker.port)
    async with serving(mqtt):
        await until(lambda: "Connection refused" in (mqtt.problem() or ""))
        waiting = asyncio.create_task(mqtt.respond(decision()))
        await asyncio.sleep(0.1)
        with broker:
            assert (await waiting).outcome is Outcome.DONE


async def test_user_and_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    passwords = password_file(tmp_path, "monitor", "hunter2")
    secret = tmp_path / "secret"
    with (
        Mosquitto(tmp_path, f"password_file {passwords}", anonymous=False) as broker,
        capture_logs() as logs,
    ):
        secret.write_text("wrong-horse\n")
        mqtt = responder(broker.port, username="monitor", password_file=secret)
        async with serving(mqtt):
            await until(lambda: "refuses us: [code:135] Not authorized" in (mqtt.problem() or ""))
            # The right password is found without a restart.
            secret.write_text("hunter2\n")
            await connected(mqtt)
            assert (await mqtt.respond(decision())).outcome is Outcome.DONE
    told = caplog.text + json.dumps(logs, default=str) + repr(mqtt.options)
    assert "in the clear" in told
    assert "hunter2" not in told
    assert "wrong-horse" not in told


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
async def test_tls_checks_who_the_broker_is(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "other")
    pem, key = ours.issue("server", "other.example")
    tls = [f"certfile {pem}", f"keyfile {key}", "tls_version tlsv1.2"]
    with Mosquitto(tmp_path, *tls) as broker:
        wrong_authority = responder(broker.port, tls=True, ca_file=theirs.ca)
        async with serving(wrong_authority):
            await until(lambda: "verify failed" in (wrong_authority.problem() or ""))
        wrong_name = responder(broker.port, tls=True, ca_file=ours.ca)
        async with serving(wrong_name):
            await until(lambda: "not valid for '127.0.0.1'" in (wrong_name.problem() or ""))
        any_name = responder(broker.port, tls=True, ca_file=ours.ca, verify_hostname=False)
        async with serving(any_name):
            assert (await any_name.respond(decision())).outcome is Outcome.DONE
        plain = responder(broker.port, ack_seconds=0.3)
        async with serving(plain):
            await until(lambda: "no acknowledgement" in (plain.problem() or ""))
    gc.collect()


async def test_tls_with_our_own_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem, key = authority.issue("server", "127.0.0.1")
    mine, my_key = authority.issue("monitor")
    tls = [f"certfile {pem}", f"keyfile {key}", f"cafile {authority.ca}"]
    with Mosquitto(tmp_path, *tls, "require_certificate true") as broker:
        mqtt = responder(
            broker.port, tls=True, ca_file=authority.ca, cert_file=mine, key_file=my_key
        )
        async with serving(mqtt), aiomqtt_over_tls(broker.port, authority, mine, my_key) as client:
            await client.subscribe(STATUS)
            assert (await mqtt.respond(decision())).outcome is Outcome.DONE
            message = await anext(aiter(client.messages))
            assert b"online" in cast("Any", message.payload)
        nameless = responder(broker.port, tls=True, ca_file=authority.ca, ack_seconds=0.5)
        async with serving(nameless):
            with pytest.raises(WorthRetrying):
                await nameless.respond(decision())


def aiomqtt_over_tls(port: int, authority: Authority, pem: Path, key: Path) -> aiomqtt.Client:
    parameters = aiomqtt.TLSParameters(str(authority.ca), str(pem), str(key))
    return aiomqtt.Client("127.0.0.1", port, tls_params=parameters)


async def test_an_event_cannot_choose_another_topic(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        mqtt = responder(broker.port)
        async with serving(mqtt), subscribed(broker.port, "#") as messages:
            assert (await arrives(messages))[0] == STATUS
            evil = decision(account="$SYS/broker", region="+/#\x00", detector="")
            assert (await mqtt.respond(evil)).outcome is Outcome.DONE
            topic, _ = await arrives(messages)
            assert topic == "kms-monitor/prod/%24SYS%2Fbroker/%2B%2F%23%00/_"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
async def test_an_unknown_host_is_a_line_of_log_not_an_end(host: str) -> None:
    mqtt = responder(1883, host=host)
    with capture_logs() as logs:
        async with serving(mqtt):
            await until(lambda: "not tried yet" not in (mqtt.problem() or ""))
    first = logs[0]
    assert first["event"] == "mqtt not connected"
    assert f"not connected to {host}:1883: " in first["problem"]
    assert "\n" not in first["problem"]
