"""Which state was right before an event. Pure."""

from monitor.finding import Finding
from monitor.key import KeyState
from monitor.ledger import Baseline, Origin


def prior_state(known: Baseline | None, finding: Finding) -> KeyState:
    """The state that the key should go back to; what is not known counts as Enabled.

    A first sight is no proof of what was right if it may show the very damage that the finding is
    about: the key was disabled, then the daemon started and saw it disabled, then the event came.
    CloudTrail's times have a resolution of one second, so an event of the same second may have
    come before the sight.
    """
    if known is None:
        return KeyState.ENABLED
    perhaps_the_damage = (
        known.origin is Origin.SEEN
        and known.state is finding.caused
        and finding.event_time <= known.as_of
    )
    return KeyState.ENABLED if perhaps_the_damage else known.state


def worth_keeping(state: KeyState) -> bool:
    """Whether a state, seen at the start, can be a baseline.

    A key that is pending deletion or import, or in between two states, is not as it should be.
    """
    return state in {KeyState.ENABLED, KeyState.DISABLED}
