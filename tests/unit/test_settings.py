"""Settings that are wrong: for each fault one line that says where, what stands there, what should.

In scope: `monitor.settings`, `monitor.settings_file`, `monitor.plugins` and their joint in
`monitor.app`. The files are written into `tmp_path`; the variables are given, not the machine's.
"""

from pathlib import Path
from typing import Any

import pytest

from monitor import plugins
from monitor.assembly import load
from monitor.detector import Detector
from monitor.errors import SettingsError
from monitor.knowledge import Knowledge
from monitor.plugins import installed
from monitor.policy import Mode
from monitor.settings import Settings
from monitor.settings_file import read_settings
from tests.samples import ACCOUNT, OTHER_ACCOUNT, REGION

HEAD = "mode: observe\n"
ACCOUNTS = f'accounts:\n  - id: "{ACCOUNT}"\n    regions: [{REGION}]\n'
QUEUES = (
    f"queues:\n  - url: https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/kms\n    region: {REGION}\n"
)
GOOD = HEAD + ACCOUNTS + QUEUES
"""Line 1: mode; 2 to 4: accounts; 5 to 7: queues."""


class Desk:
    """Where settings are written and read."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "settings.yaml"

    def read(self, text: str | bytes = GOOD, **environment: str) -> Settings:
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_settings(self.file, environment)

    def faults(self, text: str | bytes = GOOD, **environment: str) -> list[str]:
        """The faults, without the name of the file."""
        with pytest.raises(SettingsError) as caught:
            load(self.read(text, **environment), self.file)
        assert all("\n" not in one for one in caught.value.faults)
        return [one.replace(str(self.file), "FILE") for one in caught.value.faults]

    def fault(self, text: str | bytes = GOOD, **environment: str) -> str:
        (one,) = self.faults(text, **environment)
        return one


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_least_that_is_needed(desk: Desk) -> None:
    settings = desk.read()
    assert settings.mode is Mode.OBSERVE
    assert settings.places == {(ACCOUNT, REGION)}
    assert settings.queues[0].label == "kms"
    loaded = load(settings, desk.file)
    assert set(loaded.detectors) == {
        name for name in plugins.built_in() if not plugins.load("detectors", name).about.quiet
    }
    assert set(loaded.responders) == {"restore_key"}
    assert loaded.modes == {}
    for make in loaded.detectors.values():
        assert isinstance(make(Knowledge()), Detector)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (ACCOUNTS + QUEUES, "FILE:1", "mode: is missing"),
        (GOOD.replace("observe", "watch"), "FILE:1", "mode: is 'watch', but: "),
        (GOOD + "moode: enforce\n", "FILE:8", "moode: there is no such setting"),
        (HEAD + QUEUES, "FILE:1", "at least one account"),
        (HEAD + "accounts: []\n" + QUEUES, "FILE:1", "at least one account"),
        (HEAD + "accounts: {}\n" + QUEUES, "FILE:2", "accounts: is a mapping, but: "),
        (HEAD + "accounts:\n" + QUEUES, "FILE:2", "accounts: is None, but: "),
        (GOOD.replace(f'"{ACCOUNT}"', "012345670123"), "FILE:3", "in quotes"),
        (GOOD.replace(f'"{ACCOUNT}"', "111122223333"), "FILE:3", "in quotes"),
        (GOOD.replace(f'"{ACCOUNT}"', "1111_2222_3333"), "FILE:3", "in quotes"),
        (GOOD.replace(f'"{ACCOUNT}"', '"12"'), "FILE:3", "accounts.0.id: is '12', but: "),
        (GOOD.replace(f"[{REGION}]", "[europe]"), "FILE:4", "accounts.0.regions.0: is 'europe'"),
        (GOOD.replace(f"[{REGION}]", "[]"), "FILE:4", "accounts.0.regions: is a list"),
        (
            GOOD.replace("queues:", f"    role_arn: arn:aws:iam::{OTHER_ACCOUNT}:role/x\nqueues:"),
            "FILE:3",
            "a role of this very account",
        ),
        (
            GOOD.replace("queues:", "    external_id: hunter2\nqueues:"),
            "FILE:3",
            "external_id is used",
        ),
        (GOOD.replace("https://sqs", "sqs"), "FILE:6", "url must be a queue's URL"),
        (GOOD.replace("/kms\n", "/a b\n"), "FILE:6", "url must be a queue's URL"),
        (GOOD + "    in_flight: 0\n", "FILE:8", "queues.0.in_flight: is 0, but: "),
        (GOOD + "    priority: normal\n", "FILE:8", "queues.0.priority: is 'normal'"),
        (GOOD + "web: {port: 99999}\n", "FILE:8", "web.port: is 99999, but: "),
        (GOOD + "log:\n  level: loud\n", "FILE:9", "log.level: is 'loud', but: "),
        (GOOD + "store:\n  kind: redis\n", "FILE:9", "store.kind: is 'redis', but: "),
        (GOOD + "store: {region: eu-west-1}\n", "FILE:8", "region: only with `kind: dynamodb`"),
        (
            GOOD + "store: {kind: dynamodb, external_id: hunter2}\n",
            "FILE:8",
            "external_id is used only together with role_arn",
        ),
        (GOOD + "store: {kind: dynamodb, table: a/b}\n", "FILE:8", "store.table: is 'a/b', but: "),
        (GOOD + "environment: a b\n", "FILE:8", "environment: is 'a b', but: "),
        (GOOD + "sns_topics: [arn:aws:sqs:x]\n", "FILE:8", "sns_topics.0: is 'arn:aws:sqs:x'"),
        (GOOD + "grace_seconds: soon\n", "FILE:8", "grace_seconds: is 'soon', but: "),
        (GOOD + "default_detectors: false\n", "FILE:1", "detectors: at least one must be named"),
        (GOOD + "detectors: [key_disabled]\n", "FILE:8", "detectors: is a list"),
        (GOOD + "mode: enforce\n", "FILE:8", "mode: stands there twice"),
        (GOOD + "    region: us-east-1\n", "FILE:8", "queues.0.region: stands there twice"),
        # the plugins and their options
        (
            GOOD + "detectors:\n  key_lost:\n",
            "FILE:9",
            "no such plugin is installed; did you mean key_",
        ),
        (
            GOOD + "responders:\n  pager:\n",
            "FILE:9",
            "responders.pager: no such plugin is installed",
        ),
        (
            GOOD + "detectors:\n  key_disabled:\n    typo: 1\n",
            "FILE:10",
            "detectors.key_disabled.typo: there is no such setting",
        ),
        (
            GOOD + "detectors:\n  key_deletion_scheduled:\n    short_window_days: 6\n",
            "FILE:10",
            "detectors.key_deletion_scheduled.short_window_days: is 6, but: ",
        ),
        (
            GOOD + "responders:\n  restore_key: {settle_seconds: 0}\n",
            "FILE:9",
            "responders.restore_key.settle_seconds: is 0, but: ",
        ),
        (
            GOOD + "detectors:\n  key_disabled:\n    mode: watch\n",
            "FILE:10",
            "detectors.key_disabled.mode: is 'watch', but: must be observe or enforce",
        ),
        # no YAML, or not what is meant by settings
        (GOOD + "log: [\n", "FILE:9", "is not valid YAML: "),
        ("mode: 'observe\n", "FILE:2", "is not valid YAML: "),
        (b"mode: \xff\n", "FILE", "is not valid YAML"),
        (b"mode: \x00\n", "FILE", "is not valid YAML"),
        ("- observe\n", "FILE", "must hold names with values"),
        ("observe", "FILE", "must hold names with values"),
        ("", "FILE", "must hold names with values"),
        ("mode: !!python/object:os.system x\n", "FILE:1", "is not valid YAML: "),
        ("a: &a [x]\nb: *a\n", "FILE", "aliases (*name) are not supported"),
        ("[" * 700, "FILE", "is not valid YAML"),
        ("a" * (1024 * 1024 + 1), "FILE", "is larger than"),
        (GOOD + "x: 2026-99-99\n", "FILE", "is not valid YAML"),
    ],
)
def test_each_fault_is_one_line_that_says_where_and_what(
    desk: Desk, text: str | bytes, line: str, words: str
) -> None:
    fault = desk.fault(text)
    assert fault.startswith(f"{line}: "), fault
    assert words in fault
    assert "hunter2" not in fault


def test_two_of_one_name_are_refused(desk: Desk) -> None:
    assert "each id may stand there once" in desk.fault(HEAD + ACCOUNTS + ACCOUNTS[10:] + QUEUES)
    assert "give one a `name`" in desk.fault(GOOD + QUEUES[8:])
    assert len(desk.read(GOOD + QUEUES[8:] + "    name: other\n").queues) == 2


def test_all_faults_come_at_once(desk: Desk) -> None:
    assert len(desk.faults(QUEUES + "web: {port: x}\nlog: 5\n")) == 3
    plugins = (
        "detectors: {a: , key_disabled: {b: 1}}\nresponders: {c: , restore_key: {d: 1, e: 2}}\n"
    )
    assert len(desk.faults(GOOD + plugins)) == 5


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "password: hunter2\n",
        GOOD + "store:\n  token: hunter2\n",
        GOOD + "    external_id: [hunter2]\n",
        GOOD + "    external_id: {hunter2: hunter2}\n",
        GOOD.replace("observe", "[hunter2]"),
        GOOD.replace("observe", "{password: hunter2}"),
        GOOD + "responders:\n  mqtt:\n    password: hunter2\n",
        GOOD + "responders:\n  mqtt:\n    host: {password: hunter2}\n",
        GOOD + "responders:\n  restore_key: hunter2secret\n",
    ],
)
def test_what_may_be_a_secret_is_never_shown(desk: Desk, text: str) -> None:
    for fault in desk.faults(text):
        assert "hunter2" not in fault.replace("hunter2secret", "")


def test_a_long_value_is_shown_in_part(desk: Desk) -> None:
    fault = desk.fault(GOOD.replace("observe", "x" * 500))
    assert "x" * 59 + "..." in fault
    assert len(fault) < 300


def test_a_file_that_cannot_be_read(desk: Desk) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_settings(desk.file, {})
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read_settings(desk.file.parent, {})


@pytest.mark.parametrize(
    ("variables", "path", "value"),
    [
        ({"KMS_MONITOR_MODE": "enforce"}, "mode", Mode.ENFORCE),
        ({"KMS_MONITOR_STORE__PATH": "/x/y.db"}, "store.path", Path("/x/y.db")),
        ({"KMS_MONITOR_WEB__PORT": "0"}, "web.port", 0),
        ({"KMS_MONITOR_LOG__LEVEL": "debug"}, "log.level", "debug"),
        ({"KMS_MONITOR_APPROVED_ACTORS": "[a, b]"}, "approved_actors", ["a", "b"]),
        ({"KMS_MONITOR_DETECTORS": "{key_disabled: }"}, "detectors", {"key_disabled": {}}),
        (
            {"KMS_MONITOR_RESPONDERS__RESTORE_KEY__SETTLE_SECONDS": "5"},
            "responders",
            {"restore_key": {"settle_seconds": 5}},
        ),
    ],
)
def test_variables_stand_over_the_file(
    desk: Desk, variables: dict[str, str], path: str, value: Any
) -> None:
    found: Any = desk.read(**variables)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


def test_what_kubernetes_makes_of_a_service_of_our_name_is_ignored(desk: Desk) -> None:
    plain = desk.read()
    for name in (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_8080_TCP_PROTO",
    ):
        assert desk.read(**{f"KMS_MONITOR_{name}": "tcp://10.0.0.1:8080"}) == plain
    assert desk.read(MODE="x", KMS_MONITOR="x", kms_monitor_mode="x", KMS_MONITOR_="x") == plain


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KMS_MONITOR_MODE", "watch", "KMS_MONITOR_MODE: mode: is 'watch', but: "),
        ("KMS_MONITOR_WEB__PORT", "x", "KMS_MONITOR_WEB__PORT: web.port: is 'x', but: "),
        ("KMS_MONITOR_WEB__PORTT", "1", "KMS_MONITOR_WEB__PORTT: web.portt: there is no such"),
        ("KMS_MONITOR_LOG", "[", "KMS_MONITOR_LOG: its value is not valid YAML"),
        ("KMS_MONITOR_LOG", "[" * 700, "KMS_MONITOR_LOG: its value is not valid YAML"),
        ("KMS_MONITOR_MODE__X", "1", "mode"),
        ("KMS_MONITOR_WEB__", "1", "KMS_MONITOR_WEB__: web.: there is no such setting"),
    ],
)
def test_a_variable_that_is_wrong_is_named(desk: Desk, name: str, value: str, words: str) -> None:
    assert words in desk.fault(**{name: value})


def test_a_detector_may_be_staged_by_itself(desk: Desk) -> None:
    text = "detectors:\n  key_disabled: {mode: observe}\n  key_enabled:\n"
    loaded = load(desk.read(GOOD.replace("observe", "enforce") + text), desk.file)
    assert loaded.modes == {"key_disabled": Mode.OBSERVE}
    assert {"key_disabled", "key_enabled", "key_deletion_scheduled"} <= set(loaded.detectors)


def test_a_detector_may_be_turned_off_and_all_that_are_not_named(desk: Desk) -> None:
    loaded = load(desk.read(GOOD + "detectors: {key_disabled: false}\n"), desk.file)
    assert "key_disabled" not in loaded.detectors
    assert "key_enabled" in loaded.detectors
    only = "default_detectors: false\ndetectors: {key_disabled: , key_enabled: false}\n"
    assert set(load(desk.read(GOOD + only), desk.file).detectors) == {"key_disabled"}


def test_the_plugins_that_come_with_it_are_found_like_all_others() -> None:
    assert {"key_disabled", "key_deletion_scheduled", "key_enabled"} <= set(installed("detectors"))
    assert {"restore_key", "sns", "mqtt"} <= set(installed("responders"))
