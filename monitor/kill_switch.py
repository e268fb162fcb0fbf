"""The kill switch: while it is on, nobody writes to a guarded account. All else goes on.

It is on while the settings say so, or while a file is there that they name. The file is looked for
before every writing call, so it takes effect at once, whatever else the daemon is busy with.
"""

from pathlib import Path

import structlog


class KillSwitch:
    """Kept by the app; asked by whoever is about to write."""

    def __init__(self, *, on: bool = False, file: Path | None = None) -> None:
        self.on = on
        self.file = file
        self.has_stopped = False
        """Whether anybody was told not to write, since this was last set to False."""
        self.trouble = ""
        self.log = structlog.get_logger("kill_switch")

    def may_write(self) -> str | None:
        """None where writing is allowed; else why not, for people. Never raises."""
        stopped = None
        if self.on:
            stopped = "the kill switch of the settings is on"
        elif self.file is not None and self.is_there(self.file):
            stopped = f"the kill switch is on: {self.file} is there"
        self.has_stopped = self.has_stopped or stopped is not None
        return stopped

    def is_there(self, file: Path) -> bool:
        """Whether anything of that name is there, even a link that leads nowhere."""
        try:
            file.lstat()
        except (FileNotFoundError, NotADirectoryError):
            self.trouble = ""
            return False
        except OSError as error:
            # A folder that cannot be read must not leave keys unrepaired without a word.
            if self.trouble != str(error):
                self.trouble = str(error)
                self.log.error("kill switch cannot be looked for", problem=self.trouble)
            return False
        self.trouble = ""
        return True
