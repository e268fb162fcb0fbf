"""The settings of the serverless form: those of the daemon, but for what only a daemon has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from monitor.errors import SettingsError
from monitor.setting_types import Model, Region
from monitor.settings import QueueSettings, Settings
from monitor.settings_file import parse, read_settings, read_yaml, validated
from monitor.settings_store import StoreSettings


class FailureQueue(Model):
    """A queue for what cannot be read."""

    url: str = Field(description="The queue's URL, as SQS gives it.", min_length=8)
    region: Region | None = Field(default=None, description="Default: the function's own.")


class FunctionSettings(Model):
    """How the function runs, and what it does where the daemon would wait."""

    region: Region | None = Field(
        default=None, description="Where the function runs; default: AWS_REGION, which Lambda sets."
    )
    margin_seconds: float = Field(
        default=3,
        ge=0.5,
        le=60,
        description="Kept at the end of the function's time: what is not done by then is given back.",
    )
    begin_seconds: float = Field(
        default=10,
        ge=0,
        le=300,
        description="With less than this left before the margin nothing more is begun.",
    )
    failure_queue: FailureQueue | None = Field(
        default=None,
        description="Where events go that cannot be read. Without one the call fails, so that Lambda "
        "puts them where it puts failed events. Messages of a queue go to its own dead-letter queue.",
    )
    partial_batches: bool = Field(
        default=True,
        description="Whether the event source mappings of queues and streams say "
        "ReportBatchItemFailures. false: the whole batch fails if any of it does.",
    )
    metrics_namespace: str = Field(
        default="kms-monitor",
        pattern=r"^[A-Za-z0-9._/#:-]{0,255}$",
        description="CloudWatch's namespace for the metrics. Empty: no metrics.",
    )
    may_forget: bool = Field(
        default=False,
        description="Whether a store is enough that ends with the function: to try things out.",
    )


class ServerlessSettings(Settings):
    """`queues` has to be empty: what calls the function says so when it is deployed."""

    queues: list[QueueSettings] = Field(
        [], max_length=0, description="None: a queue calls the function by an event source mapping."
    )
    store: StoreSettings = StoreSettings(kind="dynamodb")
    function: FunctionSettings = Field(
        FunctionSettings(),
        description="What only a function has: its time, its failures, its metrics.",
    )

    @property
    def home_region(self) -> str:
        region = self.function.region
        assert region is not None
        return region

    @model_validator(mode="after")
    def fits_a_function(self) -> "ServerlessSettings":
        if self.function.region is None:
            raise ValueError("function.region: is missing, and AWS_REGION is not set")
        if self.store.kind != "dynamodb" and not self.function.may_forget:
            raise ValueError(
                f"store.kind: is {self.store.kind}, which ends with the function: use dynamodb"
            )
        if "mqtt" in self.responders:
            raise ValueError(
                "responders.mqtt: needs a connection that is kept: tell by sns, eventbridge or webhook"
            )
        if self.canary.keys or self.silence_minutes:
            raise ValueError(
                "canary.keys and silence_minutes need somebody who waits: a function runs only when"
                " it is called"
            )
        return self


def read_either(path: Path, environment: Mapping[str, str]) -> Settings:
    """Settings from a file, of a function or of a daemon: for commands that work beside either.

    Those of a function have a member `function`, or a table and no queues. Raises `SettingsError`.
    """
    document, _ = read_yaml(path)
    store = document.get("store")
    with_table = isinstance(store, dict) and store.get("kind") == "dynamodb"
    if "function" in document or ("queues" not in document and with_table):
        return read_text(path.read_bytes(), str(path), environment)
    return read_settings(path, environment)


def read_text(text: bytes, name: str, environment: Mapping[str, str]) -> ServerlessSettings:
    """Settings from a text that people know by this name. Raises `SettingsError`."""
    document, lines = parse(text, name)
    here = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    function: Any = document.get("function")
    if here and (function is None or (isinstance(function, dict) and "region" not in function)):
        document["function"] = {**(function or {}), "region": here}
    if isinstance(document.get("store"), dict):
        document["store"] = {"kind": "dynamodb", **document["store"]}
    if document.get("queues"):
        # Said here, in words that help, and not by the model.
        fault = f"{name}: queues: a function has none: what calls it says so when it is deployed"
        raise SettingsError([fault])
    return validated(ServerlessSettings, name, document, lines, environment)
