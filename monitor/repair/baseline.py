"""Which state is right for a key. Pure."""

from monitor.key import KeyState
from monitor.ledger import Baseline


def prior_state(
    known: Baseline | None, damaged_at: float, caused: KeyState | None = None
) -> KeyState:
    """The state that a key should go back to after damage at that time (epoch seconds).

    What is not known counts as Enabled.

    It is what was seen when the daemon first met the key, or was accepted since. A key that was
    disabled before the daemon ever saw it therefore stays disabled, and people are told: nobody can
    say from the outside whether that was an attack or a wish.

    An approved deletion holds no longer than until it is cancelled, which leaves a key Disabled. No
    message need say so: a pending key can neither be disabled nor be scheduled again, so that any
    later damage proves it, but for the end that was approved: that the key is gone.
    """
    if known is None:
        return KeyState.ENABLED
    if known.state.pending_deletion and damaged_at > known.as_of and caused is not KeyState.GONE:
        return KeyState.DISABLED
    return known.state


def worth_keeping(state: KeyState) -> bool:
    """Whether a state, seen at the start, can be a baseline.

    A key that is pending deletion or import, or in between two states, is not as it should be.
    """
    return state in {KeyState.ENABLED, KeyState.DISABLED}
