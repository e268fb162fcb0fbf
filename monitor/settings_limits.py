"""The settings about how often keys may be put back. See `monitor.settings`, `monitor.contested`."""

from pydantic import Field

from monitor.contested import Limits
from monitor.setting_types import Model


class LimitSettings(Model):
    """What keeps a fight, or a fault of ours, from becoming endless."""

    repairs_per_key: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="A key of which the same part was put back so often within `window_minutes` is "
        "contested: its deletion is still cancelled every time, that part is left as it is.",
    )
    window_minutes: float = Field(
        default=30,
        gt=0,
        le=1440,
        description="After it a contested key is put back once more.",
    )
    repairs_per_hour: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Repairs in one account. Beyond them deletions are still cancelled, and "
        "nothing else is written.",
    )

    @property
    def limits(self) -> Limits:
        return Limits(self.repairs_per_key, self.window_minutes * 60, self.repairs_per_hour)
