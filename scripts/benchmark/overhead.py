"""What capture costs the source: pgbench's rate, bulk UPDATE and COPY, with the triggers and without.

With and without take turns, in an order that changes, each after a CHECKPOINT, and each turn gives one ratio: whatever
else is slow for a while is slow for both. What counts is the median of these ratios.
"""

import os
import time

from .bed import say, tps
from .table import Table, spread

CLIENTS = "8"
ROWS = 100_000
# So many clients must not wait for one another's branches: that would hide what a transaction costs.
LEAST_SCALE = 10

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


def turn(bed, source, destination, captured, work):
    """One turn of all measures."""
    if captured:
        bed.tool(source, destination, "init", "-q")
    source.query("TRUNCATE loaded")
    source.query("VACUUM")
    result = {name: measure() for name, measure in work.items()}
    if captured:
        bed.tool(source, destination, "drop", "-q")
    return result


def run(bed, options):
    """Prints the table."""
    scale = max(options.scale, LEAST_SCALE)
    found = {}
    with bed.servers("source", "destination") as (source, destination):
        file = os.path.join(source.directory, "rows")
        for server in (source, destination):
            bed.pgbench(server, "-i", "-q", "-s", str(scale) if server is source else "1")
        source.query(BULK.format(file=file))
        destination.query(BULK.split("INSERT")[0])
        for number in range(2 * options.rounds):
            results = {}
            for captured in (False, True) if number % 2 else (True, False):
                say(f"overhead, turn {number + 1} of {2 * options.rounds}: {'with' if captured else 'without'} capture")
                results[captured] = turn(bed, source, destination, captured, measures(bed, source, file, options))
            for name in results[True]:
                found.setdefault(name, []).append((results[False][name], results[True][name]))
    table = Table(f"Cost of capture on the source ({CLIENTS} clients, scale {scale})", "", "without", "with", "ratio")
    for name, pairs in found.items():
        without, captured = zip(*pairs)
        digits = 0 if name.endswith("tps") else 2
        ratios = [one / other for other, one in pairs]
        table.row(name, spread(without, digits=digits), spread(captured, digits=digits), spread(ratios, digits=2))
    table.print()
