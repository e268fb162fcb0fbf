"""Since when keys are in doubt, as every container knows it."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.key import KeyRef
from monitor.serverless.doubts import KEEP, note, recall, window_of
from monitor.windows import Windows

PLACE = ("111122223333", "eu-west-1")
A = KeyRef(*PLACE, "0a1b2c3d-0000-4000-8000-00000000000a")
B = KeyRef(*PLACE, "0a1b2c3d-0000-4000-8000-00000000000b")


def copied(windows: Windows) -> Windows:
    """What another container reads from the store."""
    return Windows(windows.take_changed())


def test_another_container_knows_since_when() -> None:
    windows = Windows()
    note(window_of(windows, "state", PLACE), {A: ("Disabled", 100.0)}, 160.0)
    other = copied(windows)
    assert recall(window_of(other, "state", PLACE), 200.0) == {A: ("Disabled", 100.0)}
    assert recall(window_of(other, "rest", PLACE), 200.0) == {}
    assert recall(window_of(other, "state", ("111122223333", "us-east-1")), 200.0) == {}


def test_what_is_right_again_and_then_wrong_anew_counts_from_then() -> None:
    windows = Windows()
    window = window_of(windows, "state", PLACE)
    note(window, {A: ("Disabled", 100.0), B: ("Disabled", 100.0)}, 100.0)
    note(window, {B: ("Disabled", 100.0)}, 200.0)
    assert recall(window, 250.0) == {B: ("Disabled", 100.0)}
    note(window, {A: ("Disabled", 300.0), B: ("Disabled", 100.0)}, 300.0)
    other = window_of(copied(windows), "state", PLACE)
    assert recall(other, 350.0) == {A: ("Disabled", 300.0), B: ("Disabled", 100.0)}


def test_another_state_is_another_doubt() -> None:
    window = window_of(Windows(), "state", PLACE)
    note(window, {A: ("Disabled", 100.0)}, 100.0)
    note(window, {A: ("PendingDeletion", 200.0)}, 200.0)
    assert recall(window, 250.0) == {A: ("PendingDeletion", 200.0)}


def test_what_was_not_looked_at_for_long_is_forgotten() -> None:
    window = window_of(Windows(), "state", PLACE)
    note(window, {A: ("Disabled", 100.0)}, 100.0)
    assert recall(window, 100.0 + KEEP + 1) == {}


def test_nothing_new_is_nothing_to_write() -> None:
    windows = Windows()
    window = window_of(windows, "state", PLACE)
    note(window, {A: ("Disabled", 100.0)}, 100.0)
    assert len(windows.take_changed()) == 1
    note(window, {A: ("Disabled", 100.0)}, 200.0)
    note(window, {A: ("Disabled", 100.0)}, 300.0)
    assert windows.take_changed() == []


@given(
    st.lists(
        st.dictionaries(st.sampled_from([A, B]), st.sampled_from(["Disabled", "PendingImport"])),
        max_size=6,
    )
)
def test_the_last_look_counts(looks: list[dict[KeyRef, str]]) -> None:
    """Whichever container made it: each reads what the one before wrote, and writes what it sees."""
    windows, since = Windows(), dict[KeyRef, tuple[str, float]]()
    for number, look in enumerate(looks):
        now = 100.0 * (number + 1)
        since = {
            key: since[key] if since.get(key, ("", 0))[0] == state else (state, now)
            for key, state in look.items()
        }
        note(window_of(windows, "state", PLACE), since, now)
        kept = windows.take_changed()
        entries = [one for window in windows.all_of("doubts") for one in window.entries]
        windows = Windows([*entries, *kept])
        assert recall(window_of(windows, "state", PLACE), now) == since
