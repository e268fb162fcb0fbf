"""What can be turned while the simulator runs."""

import msgspec


class Knobs(msgspec.Struct, kw_only=True):
    """Turned with `Simulator.set_knob`."""

    deny: tuple[str, ...] = ()
    """Rules `WHO:SERVICE:ACTION`."""
    delay: tuple[float, float] = (0.0, 0.0)
    """Seconds from a call to its event on the bus: from, to."""
    duplicates: float = 0.0
    """Probability that an event arrives twice."""
    disorder: float = 0.0
    """Seconds within which events are shuffled."""
    consistency_seconds: float = 0.0
    """How long KMS may still show a key's old state."""
    quota_scale: float | None = None
    """Factor on KMS's request quotas; None for no throttling."""
    history_delay_seconds: float = 0.0
    """How long until LookupEvents shows an event."""
    config_delay_seconds: float = 0.0
    """How long AWS Config takes to look at a key that changed; it promises nothing."""
    move_tasks: bool = True
    """Whether SQS moves dead messages itself (StartMessageMoveTask); not every AWS does."""
    external_id: str = ""
    """ExternalId that AssumeRole into another account must bring; empty for none."""
    untrusting: tuple[str, ...] = ()
    """Accounts whose roles nobody may assume."""
    hang: tuple[str, ...] = ()
    """Rules `WHO:SERVICE:*`: such calls are never answered."""
    retry_waits: tuple[float, ...] = (60.0, 120.0)
    """Seconds before a function that failed is called again with the same event."""
