"""What capture costs the source: pgbench's rate, bulk UPDATE and COPY, with the triggers and without; and with those of
Slony-I, which notes whole rows.

With and without take turns, in an order that changes, each after a CHECKPOINT, and each turn gives one ratio: whatever
else is slow for a while is slow for both. What counts is the median of these ratios.
"""

import contextlib
import os
import time

from . import guarding, slony
from .bed import say, tps
from .table import Table, spread

CLIENTS = "8"
ROWS = 100_000
# So many clients must not wait for one another's branches: that would hide what a transaction costs.
LEAST_SCALE = 10

WITHOUT, OURS, SLONY = "without", "pg_switchover", "slony1-2"

BULK = f"""
CREATE TABLE bulk (id bigint PRIMARY KEY, n int NOT NULL, note text);
CREATE TABLE loaded (id bigint PRIMARY KEY, n int NOT NULL, note text);
INSERT INTO bulk SELECT i, 0, repeat('x', 100) FROM generate_series(1, {ROWS}) i;
COPY bulk TO '{{file}}';
"""


def rate(bed, source, commit, seconds):
    """pgbench's rate (TPC-B). Two threads: one could not keep eight clients busy beside the server on two cores."""
    source.query(f"ALTER DATABASE shop SET synchronous_commit = {commit}")
    source.query("TRUNCATE pgbench_history")
    source.query("CHECKPOINT")
    return tps(bed.pgbench(source, "-n", "-c", CLIENTS, "-j", "2", "-T", str(seconds)))


def timed(source, sql):
    """Seconds that statements take."""
    source.query("CHECKPOINT")
    began = time.monotonic()
    source.query(sql)
    return time.monotonic() - began


def measures(bed, source, file, options):
    """What is measured, by name."""
    seconds = max(options.seconds // 2, 1)
    return {
        "pgbench, synchronous_commit on, tps": lambda: rate(bed, source, "on", seconds),
        "pgbench, synchronous_commit off, tps": lambda: rate(bed, source, "off", seconds),
        f"UPDATE of {ROWS:,} rows, s": lambda: timed(source, "UPDATE bulk SET n = n + 1"),
        f"COPY of {ROWS:,} rows, s": lambda: timed(source, f"COPY loaded FROM '{file}'"),
    }


@contextlib.contextmanager
def with_tool(bed, source, destination):
    """From `init` to `drop`."""
    bed.tool(source, destination, "init", "-q")
    yield
    bed.tool(source, destination, "drop", "-q")


def turn(bed, source, destination, kind, work):
    """One turn of all measures."""
    captures = {OURS: with_tool(bed, source, destination), SLONY: slony.capturing(bed, source)}
    with captures.get(kind, contextlib.nullcontext()):
        source.query("TRUNCATE loaded")
        source.query("VACUUM")
        return {name: measure() for name, measure in work.items()}


def kinds(number, absent):
    """What is measured in a turn: Slony-I in half of them."""
    some = [WITHOUT, OURS] if number % 2 else [OURS, WITHOUT]
    return some if absent or number % 2 else [*some, SLONY]


def capture(bed, options):
    """Prints what capture costs."""
    scale, turns = max(options.scale, LEAST_SCALE), 2 * options.rounds
    absent = slony.missing(bed)
    found = []
    with bed.servers("source", "destination") as (source, destination):
        file = os.path.join(source.directory, "rows")
        for server in (source, destination):
            bed.pgbench(server, "-i", "-q", "-s", str(scale) if server is source else "1")
            # Slony-I wants one.
            server.query(guarding.KEY)
        source.query(BULK.format(file=file))
        destination.query(BULK.split("INSERT")[0])
        work = measures(bed, source, file, options)
        for number in range(turns):
            found.append({})
            for kind in kinds(number, absent):
                say(f"overhead, turn {number + 1} of {turns}: {kind}")
                found[-1][kind] = turn(bed, source, destination, kind, work)
    table = Table(f"Cost of capture on the source ({CLIENTS} clients, scale {scale})",
                  "", WITHOUT, OURS, "ratio", SLONY, "ratio ")
    for name in work:
        digits = 0 if name.endswith("tps") else 2
        cells = [spread([results[WITHOUT][name] for results in found], digits=digits)]
        for kind in (OURS, SLONY):
            pairs = [(results[WITHOUT][name], results[kind][name]) for results in found if kind in results]
            cells.append(spread([one for _, one in pairs], digits=digits) if pairs else "not installed")
            cells.append(spread([one / other for other, one in pairs], digits=2) if pairs else "-")
        table.row(name, *cells)
    table.print()
    if absent:
        print(f"\nslony1-2 is not compared: {absent}", flush=True)


def run(bed, options):
    """Prints both tables."""
    capture(bed, options)
    guarding.run(bed, options)
