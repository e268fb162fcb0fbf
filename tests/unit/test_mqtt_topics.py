"""MQTT without a broker: topics, settings, and the outbox's bookkeeping. Nothing is replaced."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.decision import Action, Decision, Outcome, Reason, Verdict
from monitor.finding import Finding, Kind, Severity
from monitor.metrics import Metrics
from monitor.mqtt import topic as mqtt_topic
from monitor.mqtt.outbox import Outbox
from monitor.responders.mqtt import FINDING_PARTS, MqttOptions, payload_of

HOST = {"host": "broker.example"}


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("eu-west-1", "eu-west-1"),
        ("user@example.com:1=2_3.4", "user@example.com:1=2_3.4"),
        ("", "_"),
        ("a/b", "a%2Fb"),
        ("+", "%2B"),
        ("#", "%23"),
        ("$SYS", "%24SYS"),
        ("a\x00b\n", "a%00b%0A"),
        ("100%", "100%25"),
        ("\ud800", "%3F"),
        ("é~", "%C3%A9%7E"),
    ],
)
def test_a_value_is_one_level(value: str, level: str) -> None:
    assert mqtt_topic.level(value) == level


@given(st.dictionaries(st.sampled_from(sorted(FINDING_PARTS)), st.text(max_size=300)))
def test_no_value_changes_the_shape_of_a_topic(values: dict[str, str]) -> None:
    template = "{environment}/a-{severity}/{account}/{region}/{detector}/{key_id}"
    topic = mqtt_topic.fill(template, dict.fromkeys(FINDING_PARTS, "") | values)
    levels = topic.split("/")
    assert len(levels) == 6
    assert all(re.fullmatch(r"[A-Za-z0-9_.:@=%-]{1,130}", one) for one in levels)
    assert len(topic.encode()) < 65_536


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("kms/{color}", "unknown placeholder {color}"),
        ("kms/+/{account}", "wildcards"),
        ("kms/#", "wildcards"),
        ("$SYS/{account}", "belong to the broker"),
        ("/kms", "empty level"),
        ("kms//x", "empty level"),
        ("kms/", "empty level"),
        ("", "1 to 512"),
        ("kms/\x00", "control characters"),
        ("kms/{account", "brace"),
        ("kms/{account.__class__}", "brace"),
        ("kms/{0}", "brace"),
    ],
)
def test_unfit_templates_are_a_fault_of_the_settings(template: str, words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        MqttOptions(**HOST, topic=template)


@pytest.mark.parametrize(
    "given",
    [
        {},
        HOST | {"password": "secret"},
        HOST | {"password_env": "X"},
        HOST | {"username": "u", "password_env": "X", "password_file": "/x"},
        HOST | {"tls": False, "ca_file": "/x"},
        HOST | {"key_file": "/x"},
        HOST | {"port": 0},
        HOST | {"client_id": "a/b"},
        HOST | {"host": "a b"},
        HOST | {"status_topic": "x/{account}"},
        HOST | {"reconnect_min_seconds": 9, "reconnect_max_seconds": 8},
        HOST | {"buffer_size": 1},
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MqttOptions(**given)


def test_ports_and_client_id_have_sensible_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MqttOptions(**HOST).address == "broker.example:8883"
    assert MqttOptions(**HOST, tls=False).address == "broker.example:1883"
    monkeypatch.setattr("socket.gethostname", lambda: "kms-monitor-5d4f-x")
    assert MqttOptions(**HOST).used_client_id == "kms-monitor-5d4f-x"
    monkeypatch.setattr("socket.gethostname", lambda: "node.example")
    assert MqttOptions(**HOST).used_client_id == "kms-monitor-node-example"


def test_secrets_are_read_by_reference_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    by_file = MqttOptions(**HOST, username="u", password_file=secret)
    assert by_file.password() == "hunter2"
    secret.write_bytes(b"\xffhunter2")
    with pytest.raises(ValueError, match="not UTF-8") as caught:
        by_file.password()
    assert "hunter2" not in str(caught.value)
    by_variable = MqttOptions(**HOST, username="u", password_env="KMS_MONITOR_TEST_PW")
    with pytest.raises(ValueError, match="KMS_MONITOR_TEST_PW is not set"):
        by_variable.password()
    monkeypatch.setenv("KMS_MONITOR_TEST_PW", "hunter2")
    assert by_variable.password() == "hunter2"
    assert "hunter2" not in repr(by_file) + repr(by_variable)


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    options = MqttOptions(**HOST, ca_file=tmp_path / "ca.pem")
    with pytest.raises(OSError, match=r"ca_file .*ca\.pem: No such file"):
        options.tls_context()


async def test_the_outbox_holds_each_letter_once_and_drops_the_oldest() -> None:
    metrics = Metrics()
    outbox = Outbox(2, metrics)
    first = outbox.put("a", "t", b"1")
    assert outbox.put("a", "t", b"again") is first
    taken = await outbox.take()
    assert taken is first
    second = outbox.put("b", "t", b"2")
    outbox.put("c", "t", b"3")
    assert second.dropped, "the letter that is just being sent is spared"
    assert second.settled.is_set()
    dropped = "kms_monitor_mqtt_dropped_total"
    assert metrics.registry.get_sample_value(dropped) == 1
    assert metrics.registry.get_sample_value("kms_monitor_mqtt_waiting_messages") == 2
    outbox.give_back(first)
    assert await outbox.take() is first
    outbox.acknowledge(first)
    assert outbox.was_acknowledged("a")
    assert not outbox.was_acknowledged("b")
    assert metrics.registry.get_sample_value("kms_monitor_mqtt_waiting_messages") == 1
    await outbox.take()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.take(), 0.01)


def test_a_payload_fits_every_broker_and_stays_json() -> None:
    key = '"' * 100_000
    finding = Finding(
        detector=key,
        title=key,
        kind=Kind.DAMAGE,
        severity=Severity.HIGH,
        event_id=key,
        event_name=key,
        event_time=0,
        account=key,
        region=key,
        details={f"{number}\U0001f511": "\U0001f511" * 1000 for number in range(40)},
    )
    done = tuple(Action(key, Outcome.RETRY, "\U0001f511" * 1000, (key,) * 30) for _ in range(20))
    decision = Decision(finding, Verdict.TELL, Reason.NO_KEY, done=done)
    payload = payload_of(decision, key)
    assert len(payload) <= 96 * 1024
    assert json.loads(payload)["severity"] == "high"


def test_every_option_is_described_in_the_schema() -> None:
    members = MqttOptions.model_json_schema()["properties"]
    assert [name for name, member in members.items() if "description" not in member] == []
