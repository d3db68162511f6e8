"""The most memory that the tool has at once, whatever the backlog and however large a row."""

import os
import subprocess

from demonstration.servers import Failure

from .bed import say
from .table import Table

ROWS = """
CREATE TABLE wide (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, note text);
"""
LARGE = """
CREATE TABLE large (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, body bytea);
ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
"""


def peak(bed, source, destination, *arguments):
    """Runs the tool; MB of its largest resident set, its own processes for pg_dump not counted."""
    process = subprocess.Popen(
        [bed.program, *arguments], env=bed.environment(source, destination), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise Failure(f"pg_switchover {' '.join(arguments)} failed:\n{said}")
    return usage.ru_maxrss / 1024


def run(bed, options):
    """Prints the table."""
    table = Table("Peak of resident memory (MB)", "", "copy", "sync", "verify")
    works = (
        (f"{options.keys:,} changed rows of 1 kB", ROWS,
         f"INSERT INTO wide SELECT i, 0, repeat(md5(i::text), 30) FROM generate_series(1, {options.keys}) i",
         "UPDATE wide SET n = n + 1"),
        (f"a row of {options.large} MB", LARGE,
         f"INSERT INTO large VALUES (1, 0, decode(repeat('0123456789abcdef', {options.large} * 131072), 'hex'))",
         "UPDATE large SET n = n + 1"),
    )
    for name, schema, fill, change in works:
        say(f"memory: {name}")
        with bed.servers("source", "destination", settings="synchronous_commit = off\n") as (source, destination):
            for server in (source, destination):
                server.query(schema)
            source.query(fill)
            bed.tool(source, destination, "init", "-q")
            copy = peak(bed, source, destination, "copy", "-q")
            source.query(change)
            sync = peak(bed, source, destination, "sync", "-q")
            verify = peak(bed, source, destination, "verify", "-q")
        table.row(name, f"{copy:.0f}", f"{sync:.0f}", f"{verify:.0f}")
    table.print()
