"""The parameters of the custom rule: what counts, as AWS Config hands it over. Pure.

Config knows texts only (aws-facts 4.6): `"true"`, `"30"`, lists with commas. One that is empty counts as
not given. Table for users: docs/config-rule.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from monitor.errors import SettingsError
from monitor.key_policy.trust import AccountId


def listed(given: object) -> object:
    """`a, b` as a list."""
    if not isinstance(given, str):
        return given
    return [one.strip() for one in given.split(",") if one.strip()]


Accounts = Annotated[tuple[AccountId, ...], BeforeValidator(listed)]
Organization = Annotated[str, Field(pattern=r"^o-[a-z0-9]{1,32}$")]
Organizations = Annotated[tuple[Organization, ...], BeforeValidator(listed)]


class RuleParameters(BaseModel):
    """What counts. The defaults are what somebody may do to take a key away."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )

    disabled: bool = Field(True, description="The key is Disabled.")
    pending_deletion: bool = Field(
        True,
        description="The key is scheduled for deletion, or waits for its replicas to be deleted.",
    )
    material_missing: bool = Field(
        True, description="The key's imported material is gone, or was never there."
    )
    unavailable: bool = Field(
        True, description="The custom key store that the key is in cannot be reached."
    )
    policy_unsafe: bool = Field(
        True,
        description="The key policy lets in whom it should not, or shuts out whom it must not: what the "
        "detector `key_policy_changed` calls dangerous.",
    )
    rotation_off: Literal["changed", "true", "false"] = Field(
        "changed",
        description="Automatic rotation is off, where KMS can rotate the key. `changed`: only where "
        "it was on; `true`: always; `false`: it does not count.",
    )
    material_expiring_days: int = Field(
        30,
        ge=0,
        le=3650,
        description="The key's imported material expires within so many days; 0: it does not count.",
    )
    accepted_is_right: bool = Field(
        True,
        description="Whether what somebody approved, or accepted with `kms-monitor baseline accept`, "
        "passes. What was merely found so at first sight never does.",
    )
    trusted_accounts: Accounts = Field(
        (),
        description="Further accounts, with commas between them, that a key policy may let in, beside "
        "those that the settings trust.",
    )
    trusted_organizations: Organizations = Field(
        (), description="Our own organizations, such as `o-exampleorgid`, likewise."
    )


def read_parameters(given: Mapping[str, Any]) -> RuleParameters:
    """The parameters of a rule. Raises `SettingsError`, one fault for each wrong one."""
    try:
        return RuleParameters.model_validate(
            {name: value for name, value in given.items() if value != ""}
        )
    except ValidationError as error:
        names = ", ".join(field.alias or "" for field in RuleParameters.model_fields.values())
        raise SettingsError(
            [
                f"ruleParameters.{'.'.join(str(part) for part in one['loc'])}: "
                + (
                    f"there is no such parameter; there are {names}"
                    if one["type"] == "extra_forbidden"
                    else one["msg"]
                )
                for one in error.errors(include_url=False, include_input=False)
            ]
        ) from error
