"""Where the settings of a function come from, and what is said where they do not."""

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from monitor.aws import Aws
from monitor.errors import NotWorthRetrying, SettingsError
from monitor.serverless.given import EXTENSION_PORT, Given, settings_text
from monitor.serverless.settings import ServerlessSettings, read_either, read_text
from monitor.settings import Settings

NOBODY = {EXTENSION_PORT: "1"}
"""A port where no extension listens."""


class Client:
    """SSM and AppConfig Data."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[Any] = []

    async def get_parameter(self, **given: Any) -> Any:
        self.asked.append(given)
        return {"Parameter": {"Value": self.answers[given["Name"]]}}

    async def start_configuration_session(self, **given: Any) -> Any:
        self.asked.append(given)
        return {"InitialConfigurationToken": "token"}

    async def get_latest_configuration(self, **given: Any) -> Any:
        self.asked.append(given)
        return {"Configuration": Body(self.answers["configuration"])}


class Body:
    def __init__(self, text: bytes) -> None:
        self.text = text

    async def read(self) -> bytes:
        return self.text


class FakeAws:
    home_region = "eu-west-1"

    def __init__(self, **answers: Any) -> None:
        self.made = Client(answers)
        self.opened: list[tuple[str, str]] = []

    async def client(self, service: str, region: str) -> Client:
        self.opened.append((service, region))
        return self.made

    @asynccontextmanager
    async def calling(self, service: str, call: str) -> AsyncIterator[None]:
        try:
            yield
        except KeyError:
            raise NotWorthRetrying(f"{service}:{call}: ParameterNotFound") from None


def text(environment: dict[str, str], aws: FakeAws | None = None) -> Given:
    return asyncio.run(settings_text(environment, cast("Aws", aws or FakeAws())))


def fault(environment: dict[str, str], aws: FakeAws | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        text(environment, aws)
    (one,) = refused.value.faults
    return one


def test_inline() -> None:
    found = text({"KMS_MONITOR_SETTINGS": "mode: observe"})
    assert found == Given("KMS_MONITOR_SETTINGS", b"mode: observe", changes=False)


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("mode: observe")
    assert text({"KMS_MONITOR_CONFIG": str(file)}).text == b"mode: observe"
    missing = fault({"KMS_MONITOR_CONFIG": f"{file}.not"})
    assert missing.endswith("settings.yaml.not: cannot be read: No such file or directory")


def test_a_parameter_is_decrypted() -> None:
    aws = FakeAws(**{"/kms-monitor": "mode: observe"})
    found = text({"KMS_MONITOR_CONFIG": "ssm:/kms-monitor"}, aws)
    assert found == Given("ssm:/kms-monitor", b"mode: observe", changes=True)
    assert aws.made.asked == [{"Name": "/kms-monitor", "WithDecryption": True}]
    assert aws.opened == [("ssm", "eu-west-1")]
    assert fault({"KMS_MONITOR_CONFIG": "ssm:/other"}, aws) == (
        "ssm:/other: cannot be read: ssm:GetParameter: ParameterNotFound"
    )


def test_appconfig_by_its_api() -> None:
    aws = FakeAws(configuration=b"mode: observe")
    found = text(NOBODY | {"KMS_MONITOR_CONFIG": "appconfig:app/prod/guard"}, aws)
    assert (found.text, found.changes) == (b"mode: observe", True)
    assert aws.made.asked == [
        {
            "ApplicationIdentifier": "app",
            "EnvironmentIdentifier": "prod",
            "ConfigurationProfileIdentifier": "guard",
        },
        {"ConfigurationToken": "token"},
    ]


@contextmanager
def extension(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """AppConfig's Lambda extension: its port, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield str(server.server_address[1]), paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_appconfig_by_its_extension() -> None:
    with extension(200, b"mode: observe") as (port, paths):
        given = {"KMS_MONITOR_CONFIG": "appconfig:my app/prod/guard", EXTENSION_PORT: port}
        assert text(given).text == b"mode: observe"
    assert paths == ["/applications/my%20app/environments/prod/configurations/guard"]


def test_an_extension_that_says_no_is_believed() -> None:
    with extension(404, b"secret of somebody") as (port, _):
        given = {"KMS_MONITOR_CONFIG": "appconfig:a/b/c", EXTENSION_PORT: port}
        assert fault(given) == (
            "appconfig:a/b/c: cannot be read: AppConfig's extension says 404 for a/b/c"
        )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "neither KMS_MONITOR_SETTINGS nor KMS_MONITOR_CONFIG is set"),
        ({"KMS_MONITOR_SETTINGS": "a: b", "KMS_MONITOR_CONFIG": "c"}, "are both set"),
        ({"KMS_MONITOR_CONFIG": "appconfig:a/b"}, "must be appconfig:APPLICATION/"),
        ({"KMS_MONITOR_CONFIG": "appconfig:a/b/c", EXTENSION_PORT: "x"}, "is no port"),
    ],
)
def test_what_is_wrong_is_said(environment: dict[str, str], said: str) -> None:
    assert said in fault(environment)


# -- what they say

GOOD = """
mode: enforce
accounts: [{id: "111122223333", regions: [eu-west-1]}]
"""
HERE = {"AWS_REGION": "eu-west-1"}


def wrong(settings: str, environment: dict[str, str] | None = None) -> str:
    given = HERE if environment is None else environment
    with pytest.raises(SettingsError) as refused:
        read_text(settings.encode(), "ssm:/guard", given)
    return "\n".join(refused.value.faults)


def test_the_least_settings_of_a_function() -> None:
    settings = read_text(GOOD.encode(), "x", HERE)
    assert settings.queues == []
    assert (settings.store.kind, settings.home_region) == ("dynamodb", "eu-west-1")
    changed = f"{GOOD}store: {{table: mine}}\nfunction: {{region: us-east-1}}"
    settings = read_text(changed.encode(), "x", HERE)
    assert (settings.store.kind, settings.store.table) == ("dynamodb", "mine")
    assert settings.home_region == "us-east-1"


def test_variables_count_over_the_text() -> None:
    over = {"KMS_MONITOR_MODE": "observe", "KMS_MONITOR_FUNCTION__MARGIN_SECONDS": "7"}
    settings = read_text(GOOD.encode(), "x", HERE | over)
    assert (settings.mode, settings.function.margin_seconds) == ("observe", 7)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("queues: [{url: x, region: y}]", "ssm:/guard: queues: a function has none"),
        ("store: {kind: memory}", "store.kind: is memory, which ends with the function"),
        ("store: {kind: sqlite}", "store.kind: is sqlite, which ends with the function"),
        ("silence_minutes: 5", "need somebody who waits"),
        ("responders: {mqtt: {host: x}}", "needs a connection that is kept"),
        ("nothing: 1", "ssm:/guard:4: nothing: there is no such setting"),
        ("function: {margin_seconds: 0}", "ssm:/guard:4: function.margin_seconds: is 0"),
        ("function: 5", "ssm:/guard:4: function: is 5"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_wrong_settings_are_one_line_each(more: str, said: str) -> None:
    assert said in wrong(GOOD + more)


def test_a_memory_that_ends_has_to_be_asked_for() -> None:
    text_ = f"{GOOD}store: {{kind: memory}}\nfunction: {{may_forget: true}}"
    assert read_text(text_.encode(), "x", HERE).store.kind == "memory"


def test_without_a_region_nothing_can_be_found() -> None:
    assert "function.region: is missing" in wrong(GOOD, {})


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in wrong(f"{GOOD}webhook_secret: hunter2\nmode2: x")
    odd = 'accounts: [{id: "111122223333", regions: [eu-west-1], role_arn: x, external_id: 7}]'
    assert "something that is not shown here" in wrong(f"mode: enforce\n{odd}")


def test_commands_read_settings_of_a_function_and_of_a_daemon(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"{GOOD}function: {{}}")
    assert isinstance(read_either(file, HERE), ServerlessSettings)
    file.write_text(f"{GOOD}store: {{kind: dynamodb}}")
    assert isinstance(read_either(file, HERE), ServerlessSettings)
    queue = "{url: 'https://sqs.eu-west-1.amazonaws.com/111122223333/g', region: eu-west-1}"
    file.write_text(f"{GOOD}queues: [{queue}]\nstore: {{kind: dynamodb}}")
    assert type(read_either(file, HERE)) is Settings
    file.write_text(GOOD)
    with pytest.raises(SettingsError, match="queues: is missing"):
        read_either(file, HERE)
