"""Waiting longer and longer, never too long, never all at once."""

from monitor.backoff import Backoff


def test_it_doubles_up_to_the_longest_with_jitter_and_begins_anew() -> None:
    backoff = Backoff(first=1, longest=60)
    for _ in range(3):
        for most in (1, 2, 4, 8, 16, 32, 60, 60):
            assert most / 2 <= backoff.next() <= most
        backoff.reset()


def test_after_ever_so_many_tries_it_is_still_a_number() -> None:
    backoff = Backoff(first=0.5, longest=10)
    backoff.tries = 10_000
    assert 5 <= backoff.next() <= 10


def test_two_that_wait_do_not_come_back_together() -> None:
    assert len({Backoff().next() for _ in range(20)}) > 1
