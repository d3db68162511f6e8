"""What capture costs the source: pgbench's rate, bulk UPDATE and COPY, with the triggers and without."""

import os
import time

from .bed import ROOT, say, tps
from .table import Table, ratio, spread

SQL = os.path.join(ROOT, "scripts", "demonstration")
CLIENTS = "8"
ROWS = 100_000

BULK = f"""
CREATE TABLE bulk (id bigint PRIMARY KEY, n int NOT NULL, note text);
CREATE TABLE loaded (id bigint PRIMARY KEY, n int NOT NULL, note text);
INSERT INTO bulk SELECT i, 0, repeat('x', 100) FROM generate_series(1, {ROWS}) i;
COPY bulk TO '{{file}}';
"""


def rate(bed, source, commit, options):
    """pgbench's rate (TPC-B)."""
    source.query(f"ALTER DATABASE shop SET synchronous_commit = {commit}")
    source.query("CHECKPOINT")
    return tps(bed.pgbench(source, "-n", "-c", CLIENTS, "-j", "2", "-T", str(options.seconds)))


def timed(source, sql):
    """Seconds that statements take."""
    source.query("CHECKPOINT")
    began = time.monotonic()
    source.query(sql)
    return time.monotonic() - began


def run(bed, options):
    """Prints the table. With and without take turns, so that nothing else that changes counts for one of them."""
    found = {}
    with bed.servers("source", "destination") as (source, destination):
        file = os.path.join(source.directory, "rows")
        for server in (source, destination):
            server.load(os.path.join(SQL, "pgbench.sql"), scale=options.scale)
        source.query(BULK.format(file=file))
        source.query("VACUUM ANALYZE")
        destination.query(BULK.split("INSERT")[0])
        for turn in range(options.rounds):
            for captured in (False, True):
                say(f"overhead, round {turn + 1}: {'with' if captured else 'without'} capture")
                if captured:
                    bed.tool(source, destination, "init", "-q")
                measures = (
                    ("pgbench, synchronous_commit on, tps", lambda: rate(bed, source, "on", options)),
                    ("pgbench, synchronous_commit off, tps", lambda: rate(bed, source, "off", options)),
                    (f"UPDATE of {ROWS:,} rows, s", lambda: timed(source, "UPDATE bulk SET n = n + 1")),
                    (f"COPY of {ROWS:,} rows, s", lambda: timed(source, f"COPY loaded FROM '{file}'")),
                )
                for name, measure in measures:
                    found.setdefault(name, ([], []))[captured].append(measure())
                if captured:
                    bed.tool(source, destination, "drop", "-q")
                source.query("TRUNCATE loaded")
                source.query("VACUUM bulk")
    table = Table(f"Cost of capture on the source ({CLIENTS} clients)", "", "without", "with", "ratio")
    for name, (without, captured) in found.items():
        digits = 0 if name.endswith("tps") else 2
        table.row(name, spread(without, digits=digits), spread(captured, digits=digits), ratio(captured, without))
    table.print()
