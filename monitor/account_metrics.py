"""The metrics of the guarded accounts, and of the clients that reach them: see `monitor.metrics`."""

from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

SOURCES = ("settings", "organization")
"""Where the settings name an account: by its id, or by a path of an organization."""

Service = Literal[
    "appconfigdata",
    "cloudtrail",
    "config",
    "dynamodb",
    "events",
    "iam",
    "kms",
    "organizations",
    "s3",
    "secretsmanager",
    "securityhub",
    "ses",
    "sns",
    "sqs",
    "ssm",
    "sts",
]
"""What of AWS the daemon calls."""


class AccountMetrics:
    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self.guarded = Gauge(
            prefix + "guarded_accounts",
            "Accounts that are guarded now, by how the settings name them.",
            ["source"],
            registry=registry,
        )
        self.places = Gauge(
            prefix + "guarded_places",
            "Pairs of account and Region that are guarded now.",
            registry=registry,
        )
        self.organization_up = Gauge(
            prefix + "organization_up",
            "1 while the last answer about every path of an organization is new.",
            registry=registry,
        )
        self.changes = Counter(
            prefix + "guarded_account_changes",
            "Accounts that joined or left while the daemon ran.",
            ["change"],
            registry=registry,
        )
        self.clients = Gauge(
            prefix + "aws_clients", "Clients for AWS that are open.", registry=registry
        )
        self.renewals = Counter(
            prefix + "credentials_renewed",
            "Sessions that AWS refused before their time and that were made anew.",
            registry=registry,
        )
        self.denials = Counter(
            prefix + "client_denials",
            "AWS calls that were refused because rights or credentials are missing.",
            ["service"],
            registry=registry,
        )
        for service in get_args(Service):
            self.denials.labels(service)
        for source in SOURCES:
            self.guarded.labels(source)
        for change in ("joined", "left"):
            self.changes.labels(change)
