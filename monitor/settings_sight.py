"""The settings about what the daemon looks after and finds by itself. See `monitor.settings`."""

from pydantic import Field

from monitor.key import KeyRef
from monitor.knowledge import Watched
from monitor.setting_types import Arn, KeyArn, Model


class WatchedSettings(Model):
    """What our sight and our rights rest on, beyond what the settings say elsewhere."""

    discover: bool = Field(
        default=True,
        description="Whether the daemon looks for more of them at the start and every hour: the "
        "trails, rules, dead-letter queues, roles and keys behind the queues.",
    )
    trails: list[Arn] = Field([], description="CloudTrail trails that the rules hear of.")
    rules: list[Arn] = Field([], description="EventBridge rules that send events to the queues.")
    buses: list[Arn] = Field([], description="Event buses that the rules stand on.")
    queues: list[Arn] = Field([], description="Beyond `queues`: such as dead-letter queues.")
    topics: list[Arn] = Field([], description="SNS topics: on the way to the queues, or to people.")
    subscriptions: list[Arn] = Field([], description="Subscriptions of those topics.")
    roles: list[Arn] = Field([], description="Roles and users that the daemon is or assumes.")
    policies: list[Arn] = Field([], description="Managed IAM policies of those roles.")
    buckets: list[Arn] = Field([], description="Where trails put log files: arn:aws:s3:::NAME.")
    log_groups: list[Arn] = Field(
        [], description="Log groups that trails, or the daemon itself, write to."
    )
    tables: list[Arn] = Field([], description="DynamoDB tables, beyond that of `store`.")
    deployments: list[Arn] = Field(
        [], description="What the daemon runs in: stacks, functions, services, instances."
    )
    keys: dict[KeyArn, str] = Field(
        {}, description="Keys that encrypt any of these, and what each one encrypts."
    )

    def known(self) -> Watched:
        lists = self.model_dump(exclude={"discover", "keys"})
        return Watched(
            **{name: frozenset(arns) for name, arns in lists.items()},
            keys={key: text for arn, text in self.keys.items() if (key := KeyRef.parse(arn))},
        )


class SweepSettings(Model):
    """Asking KMS how every key is, beside waiting to be told."""

    every_minutes: float = Field(
        default=60, gt=0, le=1440, description="From one look at all keys to the next."
    )
    grace_minutes: float = Field(
        default=5,
        ge=0,
        le=120,
        description="How long a key may be worse than it should be before the sweep acts: until "
        "then the message about it may still come.",
    )
    calls_per_second: float = Field(
        default=20,
        gt=0,
        le=100,
        description="Reading calls in each account and Region, on average, for what DescribeKey "
        "does not show of new keys.",
    )


class CanarySettings(Model):
    """A harmless call of our own whose event must come back to us."""

    keys: list[KeyArn] = Field(
        [],
        description="Keys that nothing else uses, one in each account and Region that is to be "
        "watched so. The call is EnableKey. None: no canaries.",
    )
    every_seconds: float = Field(
        default=300, ge=1, le=86_400, description="From one canary to the next."
    )
    late_seconds: float = Field(
        default=900,
        ge=1,
        le=86_400,
        description="After which one counts as lost. CloudTrail needs minutes at times.",
    )

    @property
    def refs(self) -> list[KeyRef]:
        return [key for arn in self.keys if (key := KeyRef.parse(arn))]
