"""Until when lost material may be imported again. Pure. All times are epoch seconds."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from monitor.clock import iso
from monitor.settings_material import MaterialSettings

DAY = 86400.0
LONGEST = 365 * DAY - 60
"""From the import on (API reference of ImportKeyMaterial, `ValidTo`), by AWS's clock and not ours."""
LEAST = 60.0
"""Seconds. What would end sooner is as good as past."""


class Expiry(msgspec.Struct, frozen=True):
    """`valid_to`: None for material that does not expire. Or `impossible`: why it cannot be had."""

    valid_to: float | None = None
    impossible: str = ""

    def parameters(self) -> dict[str, Any]:
        """Of ImportKeyMaterial. AWS's own default is material that expires, so it is always said."""
        if self.valid_to is None:
            return {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        return {
            "ExpirationModel": "KEY_MATERIAL_EXPIRES",
            "ValidTo": datetime.fromtimestamp(self.valid_to, UTC),
        }

    def __str__(self) -> str:
        return f"until {iso(self.valid_to)}" if self.valid_to is not None else "without expiry"


def expiry(valid_to: float | None, now: float, settings: MaterialSettings) -> Expiry:
    """The expiry that material had before, or what the settings say where that is past.

    To keep a key usable for longer than its owner meant is a decision, so that by default nobody
    takes it but people.
    """
    if valid_to is None:
        return Expiry()
    if valid_to - now > LEAST:
        return Expiry(min(valid_to, now + LONGEST))
    match settings.expired:
        case "renew":
            return Expiry(now + min(settings.renew_days * DAY, LONGEST))
        case "without_expiry":
            return Expiry()
        case "leave":
            return Expiry(
                impossible=f"its material was to expire at {iso(valid_to)}, which cannot be had any"
                " more; import it again with a new expiry (kms-monitor material import), or see"
                " material.expired in the settings"
            )
