"""The most memory that the tool has at once, whatever the backlog and however large a row."""

import os
import subprocess
import tempfile

from demonstration.servers import Failure

from .bed import say
from .table import Table

# A tenth of the rows have 1 kB and are updated; the others are small and deleted: as many keys in a tenth of the space.
ROWS = "CREATE TABLE wide (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, note text)"
FILL = """
INSERT INTO wide SELECT i, 0, CASE WHEN i % 10 = 0 THEN repeat(md5(i::text), 30) END FROM generate_series(1, {}) i
"""
CHANGE = "UPDATE wide SET n = n + 1 WHERE id % 10 = 0; DELETE FROM wide WHERE id % 10 <> 0"

LARGE = """
CREATE TABLE large (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, body bytea);
ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
"""
FILL_LARGE = "INSERT INTO large VALUES (1, 0, decode(repeat('0123456789abcdef', {} * 131072), 'hex'))"
CHANGE_LARGE = "UPDATE large SET n = n + 1"

# No figure of time is told.
SETTINGS = "synchronous_commit = off\nautovacuum = off\n"


def peak(bed, source, destination, *arguments):
    """Runs the tool; MB of its largest resident set."""
    # To a file: a pipe that nobody reads, or that is read before the end is waited for, could hold it up.
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [bed.program, *arguments], env=bed.environment(source, destination), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise Failure(f"pg_switchover {' '.join(arguments)} ended with {process.returncode}:\n{said.read()}")
    return usage.ru_maxrss / 1024


def pending(source):
    """Distinct keys that wait to be carried over."""
    return int(source.query("SELECT count(DISTINCT row_id) FROM switchover.change_log"))


def run(bed, options):
    """Prints the table."""
    table = Table("Peak of resident memory (MB)", "", "copy", "sync", "verify")
    works = (
        (f"{options.keys:,} pending keys, rows of 1 kB", ROWS, FILL.format(options.keys), CHANGE, options.keys),
        (f"a row of {options.large} MB", LARGE, FILL_LARGE.format(options.large), CHANGE_LARGE, 1),
    )
    for name, schema, fill, change, keys in works:
        with bed.servers("source", "destination", settings=SETTINGS) as (source, destination):
            for server in (source, destination):
                server.query(schema)
            source.query(fill)
            bed.tool(source, destination, "init", "-q")
            peaks = {"copy": peak(bed, source, destination, "copy", "-q")}
            source.query(change)
            if pending(source) != keys:
                raise Failure(f"{pending(source)} keys are pending, not {keys}")
            peaks["sync"] = peak(bed, source, destination, "sync", "-q")
            # Fails if anything differs.
            peaks["verify"] = peak(bed, source, destination, "verify", "-q")
        say(f"memory, {name}: " + ", ".join(f"{command} {found:.0f} MB" for command, found in peaks.items()))
        table.row(name, *(f"{found:.0f}" for found in peaks.values()))
    table.print()
