"""`kms-monitor health`, asked of small servers that answer as a daemon would."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.probe import ask


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/healthz"
        finally:
            server.shutdown()
            serving.join()


def test_all_is_well() -> None:
    with answering(200, b'{"status": "ok", "problems": {}}') as url:
        result = CliRunner().invoke(app, ["health", "--url", url])
    assert (result.exit_code, result.stdout) == (0, f"{url}: 200 ok\n")


def test_problems_are_named() -> None:
    body = b'{"status": "failing", "problems": {"queue a": "no receive for 400 s"}}'
    with answering(503, body) as url:
        result = CliRunner().invoke(app, ["health", "--url", url])
    assert result.exit_code == 1
    assert result.stderr == f"{url}: 503 failing; queue a: no receive for 400 s\n"


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"status": 1, "problems": 2}'])
def test_any_answer_of_anybody_is_survived(body: bytes) -> None:
    with answering(500, body) as url:
        well, text = ask(url)
    assert (well, text) == (False, f"{url}: 500")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ftp://127.0.0.1/x", "is not an http:// address"),
        ("127.0.0.1:8080", "is not an http:// address"),
        ("http://127.0.0.1:port/", "Port could not be cast"),
        ("http://127.0.0.1:1/healthz", "does not answer"),
    ],
)
def test_what_cannot_be_asked_is_not_well(url: str, text: str) -> None:
    well, said = ask(url)
    assert not well
    assert text in said
