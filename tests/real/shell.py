"""A reader's shell: the commands of a page, run as they stand there, against the simulator."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from monitor.simulator.server import Simulator


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
