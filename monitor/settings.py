"""The settings as typed models. Unknown keys are refused; there is no default for `mode`.

`monitor.settings_file` reads them from YAML and from variables; `kms-monitor generate schema` prints
their JSON schema for editors.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from monitor.key import partition_of
from monitor.knowledge import Watched
from monitor.logs import Format
from monitor.policy import Mode
from monitor.setting_types import AccountId, ExternalId, Model, Region, RoleArn
from monitor.settings_accounts import Account, Organization
from monitor.settings_limits import LimitSettings
from monitor.settings_material import MaterialSettings
from monitor.settings_response import ResponseSettings
from monitor.settings_sight import CanarySettings, SweepSettings, WatchedSettings
from monitor.settings_store import StoreSettings

QUEUE_URL = re.compile(
    r"https?://[^/\s]+/(?:[^/\s]+/)*\d{12}/(?P<name>[A-Za-z0-9_-]{1,80}(?:\.fifo)?)"
)
TOPIC_ARN = (
    r"^arn:aws[a-z-]{0,20}:sns:[a-z]{2}[a-z0-9-]{2,30}:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$"
)


TopicArn = Annotated[str, Field(pattern=TOPIC_ARN)]


class QueueSettings(Model):
    """A queue that brings events, and how many of its messages are worked on."""

    url: str = Field(description="The queue's URL, as SQS gives it.")
    region: Region
    name: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]{1,80}$", description="For metrics; default: from the URL."
    )
    priority: Literal["urgent", "bulk"] = Field(
        default="urgent",
        description="bulk: nothing in it is about a key right now, such as notices of log files. "
        "A notice of a log file in an urgent queue counts as bulk by itself.",
    )
    role_arn: RoleArn | None = Field(
        default=None, description="The role to assume for a queue of another account."
    )
    external_id: ExternalId | None = None
    senders: list[str] = Field(
        default=[],
        description="Patterns of the SenderIds whose messages are believed; none: of everybody "
        "whom the queue's policy lets send.",
    )
    in_flight: int = Field(
        default=50, ge=1, le=1000, description="Urgent messages worked on at once, at most."
    )
    bulk_in_flight: int = Field(
        default=10_000,
        ge=1,
        le=100_000,
        description="Bulk messages held back at once, at most, while log files are read in turn.",
    )
    pollers: int = Field(
        default=4, ge=1, le=50, description="Long polls at once under load, at most; one when idle."
    )
    visibility_seconds: int = Field(
        60,
        ge=10,
        le=43200,
        description="How long a message stays hidden while it is worked on; extended at half of it "
        "for as long as the work lasts.",
    )
    wait_seconds: int = Field(
        10,
        ge=1,
        le=20,
        description="Long poll; a stop waits for it, so stay below the grace period.",
    )

    @model_validator(mode="after")
    def url_is_a_queue(self) -> "QueueSettings":
        if QUEUE_URL.fullmatch(self.url) is None:
            raise ValueError(
                "url must be a queue's URL, such as"
                " https://sqs.eu-west-1.amazonaws.com/111122223333/kms-monitor"
            )
        return self

    @property
    def arn(self) -> str:
        account, name = self.url.split("/")[-2:]
        return f"arn:{partition_of(self.region)}:sqs:{self.region}:{account}:{name}"

    @property
    def label(self) -> str:
        match = QUEUE_URL.fullmatch(self.url)
        assert match is not None
        return self.name or match["name"].replace(".", "_")


class LogFileSettings(Model):
    """CloudTrail's log files in S3, where a queue's messages point at them."""

    at_once: int = Field(
        default=2, ge=1, le=32, description="CloudTrail log files read at the same time, at most."
    )
    largest_unpacked_mb: int = Field(
        default=2048,
        ge=1,
        le=65_536,
        description="A log file that unpacks to more is taken for an attack and not read on.",
    )


class WebSettings(Model):
    """Where `/metrics`, `/healthz` and `/readyz` are served."""

    host: str = Field("127.0.0.1", description="Where to listen; 0.0.0.0 in a container.")
    port: int = Field(8080, ge=0, le=65535, description="Where to listen; 0 takes any free port.")


class LogSettings(Model):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines that are written."
    )
    format: Format = Field("auto", description="auto: text on a terminal, JSON elsewhere.")


def nothing_means_defaults(value: Any) -> Any:
    """`key_disabled:` with nothing behind it is None in YAML, and means: with its defaults."""
    if isinstance(value, dict):
        return {name: {} if options is None else options for name, options in value.items()}
    return value


Plugins = Annotated[dict[str, dict[str, Any]], BeforeValidator(nothing_means_defaults)]
Detectors = Annotated[
    dict[str, dict[str, Any] | Literal[False]], BeforeValidator(nothing_means_defaults)
]


class Settings(ResponseSettings):
    """The whole of them. Options of plugins are validated by the plugins' own models."""

    mode: Mode = Field(
        description="observe: judge and tell, write nothing. enforce: put keys back. No default."
    )
    environment: str = Field(
        "default",
        pattern=r"^[A-Za-z0-9_.-]{1,40}$",
        description="A name for this installation, shown in every notification.",
    )
    accounts: list[Account] = Field(
        default_factory=list, description="Guarded accounts by their ids."
    )
    organizations: list[Organization] = Field(
        default_factory=list,
        description="Guarded accounts by where they are in an organization. One that `accounts` "
        "names, too, is guarded as that says.",
    )
    queues: list[QueueSettings] = Field(
        min_length=1, description="Where CloudTrail's events come from."
    )
    detectors: Detectors = Field(
        {},
        description="By name, with their options, and `mode` where it differs; `false` turns one "
        "off. The built-in ones run unless they are turned off, but for those that are quiet by "
        "default; those of others run only if they are named.",
    )
    default_detectors: bool = Field(
        default=True,
        description="false: only the detectors run that are named under `detectors`.",
    )
    responders: Plugins = Field(
        {"restore_key": {}},
        min_length=1,
        description="Who responds to findings: by name, with their options. Those that repair act "
        "before those that tell.",
    )
    escrows: Plugins = Field(
        {},
        description="Where the material of imported keys is kept: by name, asked in this order. "
        "Lost material is brought back from there; without any, people have to do it.",
    )
    material: MaterialSettings = MaterialSettings()
    plugin_folders: list[Path] = Field(
        [],
        description="Folders whose `*.py` files hold plugins of your own. They are imported at the "
        "start; what they hold runs only if it is named above.",
    )
    trusted_accounts: list[AccountId] = Field(
        [],
        description="Accounts that are ours though they are not guarded: what a key policy or a "
        "grant gives to them is given to no stranger.",
    )
    limits: LimitSettings = LimitSettings()
    watched: WatchedSettings = WatchedSettings()
    sweep: SweepSettings = SweepSettings()
    canary: CanarySettings = CanarySettings()
    silence_minutes: float = Field(
        default=0,
        ge=0,
        le=10_080,
        description="After which it is told that no event at all came from a guarded account and "
        "Region, and once more after four times as long. 0: never.",
    )
    sns_topics: list[TopicArn] = Field(
        [],
        description="Topics that may wrap events for the queues. Messages that any other topic "
        "wrapped are not believed, and become dead letters.",
    )
    verify_sns_signatures: bool = Field(
        True,
        description="Whether SNS's signature of a wrapped message is verified; the certificate is "
        "fetched by HTTPS from SNS in the topic's Region.",
    )
    store: StoreSettings = StoreSettings()
    verify_digests: bool = Field(
        default=False,
        description="Whether CloudTrail's digests are verified, for queues that tell of them: "
        "signature, every log file, and the digest before. See the detector log_file_tampered.",
    )
    log_files: LogFileSettings = LogFileSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    grace_seconds: float = Field(
        25, ge=1, le=600, description="To finish what is in flight; below Kubernetes' grace period."
    )

    @model_validator(mode="after")
    def names_differ(self) -> "Settings":
        if not self.accounts and not self.organizations:
            raise ValueError("accounts: at least one account, or one of `organizations`, is needed")
        ids = [account.id for account in self.accounts]
        if len(set(ids)) < len(ids):
            raise ValueError("accounts: each id may stand there once")
        labels = [queue.label for queue in self.queues]
        if len(set(labels)) < len(labels):
            raise ValueError("queues: their names must differ; give one a `name`")
        return self

    @model_validator(mode="after")
    def somebody_looks(self) -> "Settings":
        if not self.default_detectors and all(one is False for one in self.detectors.values()):
            raise ValueError("detectors: at least one must be named without default_detectors")
        return self

    @model_validator(mode="after")
    def canaries_are_guarded(self) -> "Settings":
        for key in self.canary.refs:
            by_path = any(key.region in one.regions for one in self.organizations)
            if not by_path and (key.account, key.region) not in self.places:
                raise ValueError(f"canary.keys: {key} is in no account and Region of `accounts`")
        return self

    @property
    def home_region(self) -> str:
        """Where we are at home: there are our table, and whatever else is not said to be elsewhere."""
        return self.queues[0].region

    @property
    def our_accounts(self) -> frozenset[str]:
        return frozenset(one.id for one in self.accounts) | frozenset(self.trusted_accounts)

    @property
    def known_to_be_watched(self) -> Watched:
        """What our sight and our rights rest on, as far as the settings say."""
        return self.watched.known().joined(
            Watched(
                queues=frozenset(queue.arn for queue in self.queues),
                topics=frozenset(self.sns_topics),
                roles=frozenset(one.role_arn for one in self.accounts if one.role_arn),
            )
        )

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """The allowed pairs of account and Region, without those of `organizations`."""
        return frozenset((one.id, region) for one in self.accounts for region in one.regions)
