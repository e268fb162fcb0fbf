"""The settings about which accounts are guarded, and how they are entered. See `monitor.settings`."""

from pydantic import Field, model_validator

from monitor.key import partition_of
from monitor.setting_types import AccountId, ExternalId, Model, Region, RoleArn

PATH = r"^o-[a-z0-9]{10,32}/r-[a-z0-9]{4,32}(/ou-[a-z0-9]{4,32}-[a-z0-9]{8,32})*/?$"
"""AWS Organizations, "The AWS Organizations entity path"."""


class Account(Model):
    """An account whose keys are guarded. Nothing is ever written in any other."""

    id: AccountId
    regions: list[Region] = Field(min_length=1, description="The Regions whose keys are guarded.")
    role_arn: RoleArn | None = Field(
        None, description="The role to assume; none for the daemon's own account."
    )
    external_id: ExternalId | None = None

    @model_validator(mode="after")
    def role_is_in_the_account(self) -> "Account":
        if self.role_arn is not None and self.role_arn.split(":")[4] != self.id:
            raise ValueError("role_arn must name a role of this very account")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id is used only together with role_arn")
        return self


class Organization(Model):
    """All accounts below a path of an organization, asked for at the start and every hour."""

    path: str = Field(
        pattern=PATH,
        description="As AWS writes it: o-ORGANIZATION/r-ROOT/, and the units below. All accounts "
        "under its last part are guarded, those of units further below included.",
    )
    role_name: str = Field(
        pattern=r"^([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}$",
        max_length=512,
        description="The role to assume in each of them; its path, if any, stands before it.",
    )
    external_id: ExternalId | None = None
    regions: list[Region] = Field(min_length=1, description="The Regions whose keys are guarded.")
    exclude: list[AccountId] = Field([], description="Accounts that are not guarded all the same.")
    list_role_arn: RoleArn | None = Field(
        None,
        description="The role to assume for asking Organizations, in the management account or a "
        "delegated administrator's; none: the daemon's own credentials.",
    )
    list_external_id: ExternalId | None = None

    @model_validator(mode="after")
    def external_id_needs_its_role(self) -> "Organization":
        if self.list_external_id is not None and self.list_role_arn is None:
            raise ValueError("list_external_id is used only together with list_role_arn")
        return self

    @property
    def id(self) -> str:
        return self.path.split("/")[0]

    @property
    def parent(self) -> str:
        """The root or unit that the path leads to."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def partition(self) -> str:
        return partition_of(self.regions[0])

    def account(self, account: str) -> Account:
        """How one of its accounts is guarded."""
        role_arn = f"arn:{self.partition}:iam::{account}:role/{self.role_name}"
        return Account(
            id=account, regions=self.regions, role_arn=role_arn, external_id=self.external_id
        )
