"""A reader's shell: the commands of a page, run as they stand there, against the simulator."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from monitor.simulator.server import Simulator

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)( background)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
AWS = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
"""The aws command, version 1, ignores AWS_ENDPOINT_URL for SQS."""

Block = tuple[str, str, str]
"""Its language, whether it is marked as one that keeps running, its text."""


def blocks(page: str) -> list[Block]:
    return [(one[1], one[2] or "", one[3]) for one in BLOCK.finditer(page)]


def script(page: Iterable[Block], *, aws: str = AWS) -> str:
    """All the blocks as one shell script: YAML as files that say their names, the others as they stand."""
    lines = ["set -eu", aws, "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for language, background, text in page:
        if language == "yaml":
            name = text.removeprefix("# ").partition(".yaml")[0] + ".yaml"
            lines.append(f"cat > {name} <<'END_OF_FILE'\n{text}END_OF_FILE")
        elif language == "sh" and background:
            lines += [f"{text.strip()} >> background.log 2>&1 &", until_it_listens(text)]
        elif language == "sh":
            lines.append(text)
    return "\n".join(lines)


def until_it_listens(command: str) -> str:
    """A reader waits until it says so; on a busy machine that takes longer than on others."""
    port = re.search(r"--port (\d+)", command)
    if port is None:
        return "sleep 4"
    there = f"(: < /dev/tcp/127.0.0.1/{port[1]}) 2>/dev/null"
    return f"for _ in $(seq 150); do {there} && break; sleep 0.2; done"


def copy_tree(target: Path) -> None:
    """A clone as a reader has it, with the environment of the tests."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    # make must find its work done: it would install the copy into the environment of the tests.
    (target / ".venv").symlink_to(Path(sys.prefix))
    for name in ("pyproject.toml", "requirements/dev.txt"):
        os.utime(target / name, (0, 0))


async def run(
    script: str, folder: Path, simulator: Simulator, **more: str
) -> tuple[int | None, str]:
    """Exit code and output of bash in that folder. `more`: further variables.

    Of this process's own variables none is there, so that no credentials of its user are.
    """
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        cwd=folder,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "AWS_ENDPOINT_URL": simulator.endpoint_url,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "admin",
            "AWS_SECRET_ACCESS_KEY": "any",
            **more,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = (await shell.communicate())[0].decode()
    finally:
        if shell.returncode is None:
            os.killpg(shell.pid, signal.SIGKILL)
    return shell.returncode, output
