"""`simulate` as a process: ready line, options, ends."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

COMMAND = (sys.executable, "-m", "monitor.simulator")


@contextlib.asynccontextmanager
async def started(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def refused(*options: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_one_line_of_json_and_a_quick_end_even_while_somebody_waits() -> None:
    async with started("--json", "--port", "0", "--region", "eu-central-1") as (process, line):
        there_is: dict[str, Any] = json.loads(line)
        assert there_is["queue_url"] == f"{there_is['endpoint_url']}/111122223333/kms-monitor"
        assert there_is["dlq_url"].endswith("/kms-monitor-dlq")
        assert there_is["topic_arn"] == "arn:aws:sns:eu-central-1:111122223333:kms-monitor"
        assert there_is["accounts"] == ["111122223333", "444455556666"]
        assert there_is["regions"] == ["eu-central-1"]
        assert there_is["rule_name"] == there_is["trail_name"] == "kms-monitor"
        scope = "admin/20261120/eu-central-1/sqs/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=x, Signature=0",
            "X-Amz-Target": "AmazonSQS.ReceiveMessage",
            "Content-Type": "application/x-amz-json-1.0",
        }
        question = {"QueueUrl": there_is["queue_url"], "WaitTimeSeconds": 20}
        async with aiohttp.ClientSession() as http:
            poll = asyncio.create_task(
                _answer(http, there_is["endpoint_url"], headers=headers, json=question)
            )
            await asyncio.sleep(0.3)
            assert not poll.done()
            asked_to_end = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await poll == {}
            assert await process.wait() == 0
        assert time.monotonic() - asked_to_end < 10, "it waited for the poll"
        assert process.stdout is not None
        assert await process.stdout.read() == b""


async def _answer(http: aiohttp.ClientSession, url: str, **kwargs: Any) -> Any:
    async with http.post(url, **kwargs) as got:
        return json.loads(await got.read())


async def test_friendly_text_and_ctrl_c() -> None:
    async with started("--port", "0", "--deny", "mallory:kms:*") as (process, line):
        assert line.startswith("The simulator is ready at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_a_busy_port_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = await refused("--port", port)
    assert (code, out) == (2, "")
    assert err == (
        f"kms-monitor simulate: port {port} is taken: end what listens there, or choose another "
        "with --port\n"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--deny", "mallory"), "not WHO:SERVICE:ACTION"),
        (("--delay", "soon"), "neither seconds (2) nor a range"),
        (("--delay", "3-1"), "neither seconds (2) nor a range"),
        (("--account", "12"), "12 digits"),
    ],
)
async def test_wrong_options_are_one_line_and_exit_code_2(
    options: tuple[str, ...], text: str
) -> None:
    code, out, err = await refused(*options)
    assert (code, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1
