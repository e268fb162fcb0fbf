"""Runs the daemon as a container does, without an engine: `python -m tests.real.contained ...`

It has to be root, in a mount and a network namespace of its own (`unshare --mount --net`). The daemon
then gets an own process namespace in which it is process 1, a root that is read-only but for its state
and /tmp, an arbitrary user id without a name, no capabilities, no way to new ones, and no network
but loopback. The simulator runs beside it, outside of that root, and an attacker takes a key away.

Prints what came to light, as one line of JSON.
"""

import argparse
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import botocore.session

USER: Final = 1000650000
"""As OpenShift gives them."""
STATE: Final = "/var/lib/kms-monitor"
PROBES: Final = "http://127.0.0.1:8080"
SETTINGS: Final = """\
mode: enforce
accounts: [{{id: "111122223333", regions: [eu-west-1]}}]
queues: [{{url: "{queue_url}", region: eu-west-1, wait_seconds: 1}}]
responders: {{restore_key: {{}}}}
store: {{path: {state}/state.db}}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--image", type=Path, help="the root file system of an image")
    parser.add_argument("--tree", type=Path, action="append", default=[], help="else: what to bind")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    run("mount", "--make-rprivate", "/")
    loopback_up()
    root = given.scratch / "root"
    root.mkdir()
    settings = given.scratch / "settings"
    settings.mkdir()
    with simulator(given.scratch) as site:
        (settings / "kms-monitor.yaml").write_text(
            SETTINGS.format(queue_url=site["queue_url"], state=STATE), encoding="utf-8"
        )
        build_root(root, given.image, given.tree, settings)
        report = story(root, given.command, site["endpoint_url"], given.scratch)
    sys.stdout.write(json.dumps(report) + "\n")


def run(*command: str | Path) -> None:
    subprocess.run([str(one) for one in command], check=True)


def loopback_up() -> None:
    """As `ip link set lo up`: SIOCSIFFLAGS with IFF_UP and IFF_RUNNING."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))


def build_root(root: Path, image: Path | None, trees: list[Path], settings: Path) -> None:
    """A read-only root: an image's, or an empty one with the given trees at their own places."""
    if image is not None:
        run("mount", "--bind", image, root)
    else:
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root)
        for tree in trees:
            place = root / tree.relative_to("/")
            place.mkdir(parents=True, exist_ok=True)
            run("mount", "--bind", tree, place)
            run("mount", "-o", "remount,bind,ro", place)
    for name in ("proc", "dev", "tmp", "etc/kms-monitor", STATE[1:]):
        (root / name).mkdir(parents=True, exist_ok=True)
    run("mount", "-o", "remount,bind,ro", root)
    run("mount", "--bind", "/dev", root / "dev")
    run("mount", "-t", "tmpfs", "-o", "mode=1777,size=64m", "tmpfs", root / "tmp")
    # As a volume with an fsGroup: of root, and of a group that the process is in.
    run("mount", "-t", "tmpfs", "-o", "mode=2770,uid=0,gid=0,size=64m", "tmpfs", root / STATE[1:])
    run("mount", "--bind", settings, root / "etc/kms-monitor")
    run("mount", "-o", "remount,bind,ro", root / "etc/kms-monitor")


@contextmanager
def simulator(scratch: Path) -> Iterator[dict[str, Any]]:
    """A local AWS on this namespace's loopback; what it says about itself."""
    command = [sys.executable, "-m", "monitor", "simulate", "--port", "4566", "--json"]
    with (scratch / "simulator.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


class Contained:
    """One daemon in its container."""

    def __init__(self, root: Path, command: list[str], url: str, log: Path) -> None:
        environment = {
            "PATH": f"{Path(command[0]).parent}:/usr/bin:/bin",
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "kms-monitor",
            "AWS_SECRET_ACCESS_KEY": "any",
            "KMS_MONITOR_WEB__HOST": "0.0.0.0",
        }
        wrapped = [
            # As allowPrivilegeEscalation: false.
            *("setpriv", "--no-new-privs"),
            *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc=/proc"),
            *("--root", str(root), "--wd", STATE, "--setgid", "0", "--setuid", str(USER)),
            *command,
        ]
        with log.open("ab") as output:
            self.process = subprocess.Popen(wrapped, env=environment, stdout=output, stderr=output)

    def first(self) -> int | None:
        """The process that is number 1 in there, by its number out here."""
        number = self.process.pid
        children = (
            Path(f"/proc/{number}/task/{number}/children").read_text(encoding="ascii").split()
        )
        return int(children[0]) if children else None

    def status(self) -> dict[str, str]:
        text = Path(f"/proc/{self.first()}/status").read_text(encoding="utf-8")
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def stop(self) -> tuple[int, float]:
        """SIGTERM to process 1: its exit code, and how many seconds it took."""
        began = time.monotonic()
        first = self.first()
        assert first is not None
        os.kill(first, signal.SIGTERM)
        return self.process.wait(60), time.monotonic() - began


def story(root: Path, command: list[str], url: str, scratch: Path) -> dict[str, Any]:
    """An attack on a key, and what the container was like meanwhile."""
    log = scratch / "daemon.log"
    kms = {name: client(name, url) for name in ("admin", "mallory")}
    arn = kms["admin"].create_key()["KeyMetadata"]["Arn"]
    daemon = Contained(
        root, [*command, "run", "--config", "/etc/kms-monitor/kms-monitor.yaml"], url, log
    )
    try:
        wait_for(lambda: health(root, command, "/readyz") == 0, log)
        kms["mallory"].disable_key(KeyId=arn)
        state = ""

        def enabled() -> bool:
            nonlocal state
            state = str(kms["admin"].describe_key(KeyId=arn)["KeyMetadata"]["KeyState"])
            return state == "Enabled"

        wait_for(enabled, log)
        status = daemon.status()
        report = {
            "key": state,
            "health": health(root, command, "/healthz"),
            "uids": status["Uid"].split(),
            "groups": status["Groups"].split(),
            "capabilities": status["CapEff"].strip(),
            "no_new_privileges": status["NoNewPrivs"].strip(),
            "as_process": status["NSpid"].split()[-1],
            "rss_mib": int(status["VmRSS"].split()[0]) // 1024,
            "interfaces": sorted(name for _, name in socket.if_nameindex()),
            "written": sorted(one.name for one in (root / STATE[1:]).iterdir()),
            "in_tmp": sorted(one.name for one in (root / "tmp").iterdir()),
        }
        report["exit"], report["stop_seconds"] = daemon.stop()
    finally:
        daemon.process.kill()
        daemon.process.wait()
    early = scratch / "early.log"
    report["early_exit"] = stopped_at_once(root, command, url, early)
    report["early_log"] = early.read_text(encoding="utf-8")
    report["log"] = log.read_text(encoding="utf-8")[-4000:]
    return report


def stopped_at_once(root: Path, command: list[str], url: str, log: Path) -> int:
    """The exit code where SIGTERM comes before there is a loop to handle it."""
    daemon = Contained(
        root, [*command, "run", "--config", "/etc/kms-monitor/kms-monitor.yaml"], url, log
    )

    def handles_it() -> bool:
        # The signals that are caught, as a bit mask; SIGTERM is the 15th.
        return daemon.first() is not None and bool(int(daemon.status()["SigCgt"], 16) >> 14 & 1)

    try:
        wait_for(handles_it, log, pause=0.001)
        return daemon.stop()[0]
    finally:
        daemon.process.kill()
        daemon.process.wait()


def health(root: Path, command: list[str], path: str) -> int:
    """The image's HEALTHCHECK, run in the container's root by the same user."""
    wrapped = ["unshare", "--root", str(root), "--setgid", "0", "--setuid", str(USER), *command]
    return subprocess.run(
        [*wrapped, "health", "--url", PROBES + path],
        env={"PYTHONSAFEPATH": "1"},
        capture_output=True,
        timeout=30,
        check=False,
    ).returncode


def client(name: str, url: str) -> Any:
    session = botocore.session.Session()
    return session.create_client(
        "kms",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id=name,
        aws_secret_access_key="any",
    )


def wait_for(true: Callable[[], bool], log: Path, pause: float = 0.2) -> None:
    end = time.monotonic() + 120
    while not true():
        if time.monotonic() > end:
            sys.exit(
                f"not within 120 s; the daemon said:\n{log.read_text(encoding='utf-8')[-4000:]}"
            )
        time.sleep(pause)


if __name__ == "__main__":
    main()
