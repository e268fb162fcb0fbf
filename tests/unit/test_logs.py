"""Log lines: one event each, whatever the message held, and no secret by way of a traceback."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from monitor.logs import printable, set_up

EVIL = "x\x1b[2K\r\nforged line\u202e\x9b\x00\u2028y"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def break_with_a_secret(password: str) -> None:
    assert password
    raise RuntimeError(EVIL)


def lines(monkeypatch: pytest.MonkeyPatch, form: str, error: io.StringIO) -> list[str]:
    """What three loggings leave on stderr."""
    monkeypatch.setattr("sys.stderr", error)
    set_up("info", form)  # type: ignore[arg-type]
    log = structlog.get_logger("test")
    with structlog.contextvars.bound_contextvars(delivery=EVIL):
        log.info("seen", actor=EVIL, count=3)
    log.debug("not shown")
    logging.getLogger("library").warning("from %s", EVIL)
    try:
        break_with_a_secret("hunter2" + "!")
    except RuntimeError:
        log.exception("broke")
    return error.getvalue().splitlines()


def test_where_nobody_looks_each_line_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    error = io.StringIO()
    found = [json.loads(line) for line in lines(monkeypatch, "auto", error)]
    assert [one["event"] for one in found] == ["seen", f"from {EVIL}", "broke"]
    assert found[0] | {"timestamp": ""} == {
        "event": "seen",
        "actor": EVIL,
        "count": 3,
        "delivery": EVIL,
        "level": "info",
        "logger": "test",
        "timestamp": "",
    }
    assert found[0]["timestamp"].endswith("Z")
    assert found[1]["logger"] == "library"
    assert "RuntimeError" in found[2]["exception"]
    assert "hunter2!" not in error.getvalue()


@pytest.mark.parametrize("form", ["text", "auto"])
def test_on_a_terminal_no_value_moves_the_cursor_or_forges_a_line(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    error = Terminal()
    found = lines(monkeypatch, form, error)
    text = error.getvalue()
    for character in "\r\x00\x9b\u202e\u2028":
        assert character not in text
    assert "\x1b[2K" not in text
    assert not any(line.startswith("forged") for line in found)
    assert "seen" in found[0]
    assert "hunter2!" not in text


def test_a_pipe_gets_text_if_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lines(monkeypatch, "text", io.StringIO())[0].startswith("{")


def test_printable_keeps_all_that_people_write() -> None:
    assert printable("Žofie ändert 鍵 \U0001f511") == "Žofie ändert 鍵 \U0001f511"
    assert printable("a\tb\nc\x7f") == "a?b?c?"


def test_libraries_that_would_log_credentials_are_quiet_even_at_debug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    set_up("debug", "json")
    for name in ("botocore", "botocore.auth", "aiobotocore", "urllib3", "aiohttp.access"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    assert logging.getLogger("monitor").isEnabledFor(logging.DEBUG)
