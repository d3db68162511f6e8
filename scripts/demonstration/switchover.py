"""Runs pg_switchover and reads what it says."""

import json
import re
import subprocess
import threading
import time

from .servers import Failure

WINDOW = re.compile(r"window ([\d.]+) ms: lock ([\d.]+) ms, read ([\d.]+) ms, apply ([\d.]+) ms, flip ([\d.]+) ms \((\d+)")
COPIED = re.compile(r"copied (\d+) tables?: (\d+) rows?, ([\d.]+) MB in ([\d.]+) s")


class Run:
    """One `pg_switchover run`, while it runs and afterwards."""

    def __init__(self, program, home, old, new, bin_directory, on_line):
        self._base = [program]
        self._home = home
        self._both = {"PG_SWITCHOVER_SOURCE": old.uri, "PG_SWITCHOVER_DEST": new.uri}
        self._on_line = on_line
        # (when, text)
        self.lines = []
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [program, "run", "--create-schema", "--pg-bindir", bin_directory],
            env=home.environment | self._both, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, text=True, errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))
            self._on_line(line.rstrip("\n"))

    def poll(self):
        """The exit status, or None while it runs."""
        return self._process.poll()

    def finish(self):
        """Waits for what it wrote to be read; the exit status."""
        status = self._process.wait()
        self._reader.join(5)
        self.seconds = time.monotonic() - self.began
        return status

    def end(self):
        """Ends it, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def text(self):
        """Everything that it wrote."""
        return "\n".join(line for _, line in self.lines)

    def _find(self, pattern, what):
        for when, line in self.lines:
            if found := pattern.search(line):
                return when, [float(one) for one in found.groups()]
        raise Failure(f"pg_switchover did not say {what}; it said:\n{self.text()}")

    def window(self):
        """Milliseconds: total, lock, read, apply, flip; then the number of rows carried over in it."""
        return self._find(WINDOW, "how long the window was")[1]

    def copied(self):
        """Tables, rows, MB and seconds of the copy."""
        return self._find(COPIED, "what it copied")[1]

    def status(self):
        """What `pg_switchover status --json` says."""
        done = subprocess.run(
            [*self._base, "status", "--json"], env=self._home.environment | self._both, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, start_new_session=True,
        )
        if done.returncode:
            raise Failure(f"pg_switchover status failed: {done.stderr.strip()}")
        return json.loads(done.stdout)
