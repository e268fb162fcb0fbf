"""The settings about imported key material. See `monitor.settings`; escrows have options of their own."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from monitor.setting_types import Model


class MaterialSettings(Model):
    """How lost material is brought back."""

    expired: Literal["leave", "renew", "without_expiry"] = Field(
        "leave",
        description="What to do where the expiry that material had is past, so that it cannot be "
        "given back. leave: nothing, people are told. renew: import it for `renew_days`. "
        "without_expiry: import it for good.",
    )
    renew_days: int = Field(
        30, ge=1, le=365, description="For `expired: renew`; AWS allows 365 days at most."
    )
    check_hours: float = Field(
        24,
        ge=0,
        le=744,
        description="How often the daemon looks whether the escrows have the material of every "
        "imported key. 0: never.",
    )
    records: Path = Field(
        Path("kms-monitor-material.json"),
        description="Where kms-monitor material keeps the fingerprints of material that KMS has "
        "taken, and which import tokens were used. Nothing secret.",
    )
