"""The settings of the store, as a typed model. See `monitor.settings`."""

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, model_validator

from monitor.setting_types import ExternalId, Model, Region, RoleArn

TABLE_ENTRY: Final = "table"
"""Under which name `monitor.aws.Aws` keeps the role of the table; no account has such a name."""

OF_DYNAMODB: Final = frozenset({"table", "region", "role_arn", "external_id", "replica_seconds"})


class StoreSettings(Model):
    """What the daemon remembers, and where."""

    kind: Literal["sqlite", "memory", "dynamodb"] = Field(
        default="sqlite",
        description="sqlite: a file. memory: forgets everything at the end. dynamodb: a table that "
        "several replicas share; see docs/stores.md.",
    )
    path: Path = Field(
        default=Path("kms-monitor.db"),
        description="The SQLite file; on a volume that outlives the process.",
    )
    table: str = Field(
        default="kms-monitor",
        pattern=r"^[A-Za-z0-9_.-]{3,255}$",
        description="The DynamoDB table, made with deploy/aws/table.yaml.",
    )
    region: Region | None = Field(
        default=None, description="The table's Region; default: that of the first queue."
    )
    role_arn: RoleArn | None = Field(
        default=None, description="The role to assume for a table of another account."
    )
    external_id: ExternalId | None = None
    replica_seconds: float = Field(
        default=60,
        ge=5,
        le=600,
        description="How long a replica counts as alive that has not shown it, which it does at least "
        "three times as often. What a dead one was about to do others take over then.",
    )
    remember_days: int = Field(
        default=15,
        ge=1,
        le=365,
        description="How long done actions are remembered: above the retention "
        "of the queue, at most 14 days, or an old message could be acted on twice.",
    )

    @model_validator(mode="after")
    def belongs_to_its_kind(self) -> "StoreSettings":
        given = self.model_fields_set & OF_DYNAMODB
        if self.kind != "dynamodb" and any(
            getattr(self, name) != type(self).model_fields[name].default for name in given
        ):
            names = ", ".join(sorted(given))
            raise ValueError(f"{names}: only with `kind: dynamodb`")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id is used only together with role_arn")
        return self
