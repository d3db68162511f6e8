"""What Debian's package manager brings."""

import os
import shutil
import subprocess

from demonstration.servers import Failure

from .bed import say


def install(*packages, when_missing):
    """Installs packages unless the program is there already; returns its path."""
    if not shutil.which(when_missing):
        names = " and ".join(packages)
        say(f"installing {names}")
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        for step in (["update"], ["-y", "--no-install-recommends", "install", *packages]):
            try:
                done = subprocess.run(
                    [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *step],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                )
            except FileNotFoundError as missing:
                raise Failure(f"{names} could not be installed: there is no {missing.filename}") from None
        if done.returncode:
            raise Failure(f"{names} could not be installed: {done.stderr.strip()[-500:]}")
    return shutil.which(when_missing)
