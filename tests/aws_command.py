"""What the `aws` command knows: `python -m tests.aws_command` answers in a process of its own.

Whoever imports awscli gets its botocore in the place of ours.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import msgspec


class Known(msgspec.Struct, frozen=True):
    """The options of one operation, without their dashes."""

    options: frozenset[str]
    needed: frozenset[str]


def known(asked: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    """What is known of each `(service, operation)`; what the command does not know is left out."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.aws_command"],
        input=json.dumps(sorted(set(asked))),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = msgspec.json.decode(done.stdout, type=list[tuple[str, str, Known]])
    return {(service, operation): found for service, operation, found in answers}


def answer(asked: list[list[str]]) -> list[tuple[str, str, dict[str, list[str]]]]:
    from awscli.clidriver import create_clidriver  # noqa: PLC0415 - see above

    services: Any = create_clidriver()._get_command_table()
    found = []
    for service, operation in asked:
        command = services[service]
        table = command.subcommand_table if service == "s3" else command._get_command_table()
        if operation in table:
            options = table[operation].arg_table
            # What stands without its name, as a file to write, is no option.
            needed = [
                name for name, one in options.items() if one.required and one.cli_name[0] == "-"
            ]
            found.append((service, operation, {"options": list(options), "needed": needed}))
    return found


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
