"""`kms-monitor invoke` by its exit codes and what it says. AWS is not asked here."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from monitor.cli import app

SETTINGS = """\
mode: observe
accounts: [{id: "111122223333", regions: [eu-west-1]}]
responders: {restore_key: {}}
"""


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KMS_MONITOR_CONFIG", "KMS_MONITOR_SETTINGS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "kms-monitor")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    # Nobody answers there: who we are cannot be asked, which is said and no more.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The command sets them up for a stream that ends with it."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield
    root.handlers = before
    root.setLevel(level)
    structlog.reset_defaults()


def invoke(folder: Path, event: object, settings: str = SETTINGS, *words: str) -> Result:
    (folder / "event.json").write_text(event if isinstance(event, str) else json.dumps(event))
    (folder / "settings.yaml").write_text(settings)
    places = ["--event", str(folder / "event.json"), "--config", str(folder / "settings.yaml")]
    return CliRunner().invoke(app, ["invoke", *places, *words])


@pytest.mark.timeout(30)
def test_what_is_about_nothing_is_done(tmp_path: Path) -> None:
    event = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3"}
    detail = {"eventName": "PutObject", "eventSource": "s3.amazonaws.com"}
    ran = invoke(tmp_path, event | {"detail": detail}, SETTINGS, "--in-memory")
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, {"done": 1})


@pytest.mark.timeout(30)
def test_what_cannot_be_read_goes_back(tmp_path: Path) -> None:
    record = {"messageId": "1", "eventSource": "aws:sqs", "body": "poison"}
    ran = invoke(tmp_path, {"Records": [record]}, SETTINGS, "--in-memory", "--metrics")
    assert ran.exit_code == 1
    assert json.loads(ran.stdout) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert "kms_monitor_unreadable_total" in ran.stderr


@pytest.mark.parametrize(
    ("event", "settings", "said"),
    [
        ("{", SETTINGS, "is not JSON"),
        ("{}", SETTINGS, "unknown_trigger: an event of this shape is not known"),
        ('{"Records": []}', SETTINGS, "empty_batch: Records is empty"),
        ('{"detail": {}}', "mode: dance", "mode: is 'dance'"),
        ('{"detail": {}}', f"{SETTINGS}queues: [x]", "queues: a function has none"),
        ('{"detail": {}}', f"{SETTINGS}store: {{kind: memory}}", "store.kind: is memory"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, event: str, settings: str, said: str) -> None:
    ran = invoke(tmp_path, event, settings)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    (line,) = [one for one in ran.stderr.splitlines() if one.startswith("kms-monitor: ")]
    assert said in line


def test_the_event_must_be_there(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["invoke", "--event", str(tmp_path / "no.json")])
    assert ran.exit_code == 2
    assert "no.json: cannot be read: No such file or directory" in ran.stderr
