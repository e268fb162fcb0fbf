"""What detectors remember: by CloudTrail's time, each event once, each level told once."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor import windows as module
from monitor.windows import DAY, MOST_ENTRIES, MOST_SPANS, UNJUDGED, Entry, Window, Windows

WITHIN = 60.0


@dataclass(frozen=True)
class Seen:
    """One event, as a detector that counts distinct things would note it."""

    event_id: str
    at: float
    about: str


# Two records of one id are one record.
events = st.lists(
    st.builds(
        Seen, st.text("abcdef", min_size=1, max_size=2), st.integers(0, 200), st.sampled_from("xyz")
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda one: one.event_id,
)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Seen], list[Seen]]:
    """Events, and some order of them in which some come more than once."""
    once = draw(events)
    again = draw(st.lists(st.sampled_from(once), max_size=10))
    return once, draw(st.permutations(once + again))


def fresh() -> Window:
    return Windows().of("detector", "subject")


def note(window: Window, one: Seen) -> Window:
    return window.note(one.event_id, one.at, "seen", one.about, keep=WITHIN)


def judge(window: Window, one: Seen) -> int:
    """Two distinct things within a minute are level 1, three are level 2."""
    note(window, one)
    most = max(
        (len({x.about for x in span}) for span in window.spans(one.event_id, WITHIN)), default=0
    )
    return window.rises(one.event_id, most - 1, WITHIN)


def plain(window: Window) -> list[tuple[float, str, str]]:
    return [(one.at, one.event_id, one.about) for one in window.entries]


@given(arrivals())
def test_any_order_with_duplicates_notes_the_same(case: tuple[list[Seen], list[Seen]]) -> None:
    once, arriving = case
    window = fresh()
    for one in arriving:
        note(window, one)
    assert plain(window) == sorted((one.at, one.event_id, one.about) for one in once)
    assert len(window.windows.take_changed()) == len(once)
    assert window.windows.take_changed() == []


@settings(max_examples=200)
@given(arrivals())
def test_what_belongs_together_is_told_in_any_order_and_once(
    case: tuple[list[Seen], list[Seen]],
) -> None:
    once, arriving = case
    window = fresh()
    answers: dict[str, int] = {}
    for one in arriving:
        level = judge(window, one)
        assert answers.setdefault(one.event_id, level) == level
    # What is there at the end, whatever the way: every span with a level has it told nearby.
    for first in once:
        span = [one for one in once if first.at <= one.at <= first.at + WITHIN]
        level = len({one.about for one in span}) - 1
        assert level <= max(
            (answers[one.event_id] for one in once if abs(one.at - first.at) <= 2 * WITHIN),
            default=0,
        )
    assert {one.event_id: judge(window, one) for one in arriving} == answers


@given(arrivals(), st.integers(0, 30))
def test_a_restart_changes_nothing(case: tuple[list[Seen], list[Seen]], cut: int) -> None:
    _, arriving = case
    steady, before = fresh(), fresh()
    expected = [judge(steady, one) for one in arriving]
    found = [judge(before, one) for one in arriving[:cut]]
    after = Windows(before.windows.take_changed()).of("detector", "subject")
    found += [judge(after, one) for one in arriving[cut:]]
    assert found == expected
    assert after.entries == steady.entries


def test_the_ends_of_a_span_belong_to_it() -> None:
    window = fresh()
    for at in (0, 10, 20, 30):
        note(window, Seen(str(at), at, "x"))
    assert [one.at for one in window.between(10, 20)] == [10, 20]
    assert [one.at for one in window.between(10.5, 19.5)] == []
    assert [one.at for one in window.around("20", 10)] == [10, 20, 30]
    assert [[one.at for one in span] for span in window.spans("20", 10)] == [[10, 20], [20, 30]]
    assert window.around("none", 10) == []
    assert list(window.spans("none", 10)) == []


def test_a_level_is_told_once_and_by_the_event_that_raised_it() -> None:
    window = fresh()
    for number, level in enumerate((0, 1, 1, 2, 1)):
        note(window, Seen(str(number), number, "x"))
        assert window.rises(str(number), level, WITHIN) == (level if number in {1, 3} else 0)
    assert [window.rises(str(number), 9, WITHIN) for number in range(5)] == [0, 1, 0, 2, 0]


def test_far_away_it_is_told_anew() -> None:
    window = fresh()
    for at, told in ((0, 1), (60, 0), (121, 1), (61, 0)):
        note(window, Seen(str(at), at, "x"))
        assert window.rises(str(at), 1, WITHIN) == told


def test_what_was_not_noted_does_not_rise() -> None:
    assert fresh().rises("none", 5, WITHIN) == 0


def test_hundreds_of_one_kind_crowd_out_nothing_else() -> None:
    window = Windows().of("d", "actor")
    window.note("first", 0.0, "DisableKey", "key 1", keep=DAY)
    for number in range(MOST_ENTRIES + 5):
        window.note(f"junk {number}", 1.0 + number, "PutKeyPolicy", "key 2", keep=DAY)
    window.note("second", 2000.0, "DisableKey", "key 3", keep=DAY)
    assert len(window.entries) == MOST_ENTRIES
    assert [one.event_id for one in window.entries][:2] == ["first", "junk 7"]
    assert window.entries[-1].event_id == "second"
    again = Windows(window.entries).of("d", "actor")
    assert again.find("first") is not None


def test_a_full_window_forgets_its_oldest() -> None:
    window = fresh()
    for at in range(MOST_ENTRIES + 5):
        note(window, Seen(str(at), at, "x"))
    assert len(window.entries) == MOST_ENTRIES
    assert window.entries[0].at == 5
    window.windows.take_changed()
    note(window, Seen("late", 1, "x"))  # older than all that is left
    assert window.find("late") is None
    assert window.rises("late", 1, WITHIN) == 0
    assert window.windows.take_changed() == []


def test_many_subjects_of_one_detector_push_out_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WINDOWS", 3)
    windows = Windows()
    windows.of("quiet", "one").note("e", 0, "seen", keep=1)
    for subject in ("a", "b", "c"):
        windows.of("busy", subject).note("e", 0, "seen", keep=1)
    windows.of("busy", "a")  # used again
    windows.of("busy", "d")
    assert set(windows.by_detector["busy"]) == {"a", "c", "d"}
    assert windows.of("quiet", "one").entries


def test_what_has_run_out_is_forgotten_even_unwritten() -> None:
    windows = Windows()
    windows.of("detector", "one").note("old", 0, "seen", keep=10)
    windows.of("detector", "one").note("new", 5, "seen", keep=10)
    windows.of("detector", "two").note("old", 0, "seen", keep=10)
    windows.forget(10)
    assert len(windows.take_changed()) == 3
    windows.of("detector", "two").note("older", 0, "seen", keep=5)
    windows.forget(11)
    assert [one.event_id for one in windows.of("detector", "one").entries] == ["new"]
    assert set(windows.by_detector["detector"]) == {"one"}
    assert windows.take_changed() == []


def test_use_renews_but_not_by_less_than_a_day() -> None:
    window = fresh()
    note(window, Seen("a", 0, "x"))
    window.windows.take_changed()
    window.renew(window.entries[0], WITHIN + DAY - 1)
    assert window.windows.take_changed() == []
    window.renew(window.entries[0], WITHIN + DAY)
    (written,) = window.windows.take_changed()
    assert (written.at, written.until) == (0, WITHIN + DAY)
    assert window.entries == [written]


def test_what_another_replica_knows_is_joined_with_ours() -> None:
    ours = fresh()
    note(ours, Seen("a", 1, "x"))
    ours.rises("a", 1, WITHIN)
    entry = ours.entries[0]
    ours.windows.learn(
        [
            replace(entry, level=UNJUDGED, until=99.0),
            Entry(0.0, "b", "seen", "y", "detector|subject", 60.0, 2),
        ]
    )
    assert [(one.event_id, one.level, one.until) for one in ours.entries] == [
        ("b", 2, 60.0),
        ("a", 1, 99.0),
    ]
    ours.windows.learn([replace(entry, level=3, until=5.0)])
    assert (ours.entries[1].level, ours.entries[1].until) == (3, 99.0)


def test_a_subject_may_hold_anything() -> None:
    windows = Windows()
    windows.of("detector", "a|b|c").note("e", 0, "seen", keep=1)
    again = Windows(windows.take_changed())
    assert again.of("detector", "a|b|c").find("e") is not None


def test_a_flooded_window_is_looked_at_in_a_bounded_number_of_stretches() -> None:
    window = Windows().of("d", "s")
    for number in range(400):
        window.note(f"e{number}", float(number), "x", str(number), keep=1000)
    spans = list(window.spans("e399", 390))
    assert len(spans) == MOST_SPANS
    assert spans[0][0].at == 9.0  # the longest
    assert spans[-1] == [window.entries[-1]]
    assert all(span[-1].event_id == "e399" for span in spans)
