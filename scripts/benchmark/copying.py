"""The copy: from an empty destination to one that can be used, beside pgcopydb and pg_dump with pg_restore."""

import os
import shutil
from statistics import median

from demonstration.servers import Failure

from .bed import ROOT, say
from .debian import install
from .table import Table, ratio, spread

SQL = os.path.join(ROOT, "scripts", "demonstration")
JOBS = "2"

# The columns, then the rows.
COLUMNS = "(id bigint NOT NULL, at timestamptz NOT NULL, who int NOT NULL, amount numeric(12,2), note text)"
ROWS = """
INSERT INTO big SELECT i, timestamptz '2026-01-01' + i * interval '1 second', i % 1000, i / 7.0, repeat(md5(i::text), 3)
  FROM generate_series(1, {rows}) i;
"""
INDEXES = "ALTER TABLE big ADD PRIMARY KEY (id); CREATE INDEX ON big (who); CREATE INDEX ON big (at);"


def pgcopydb():
    """The path of pgcopydb."""
    return install("pgcopydb", when_missing="pgcopydb")


def with_tool(bed, source, destination):
    """init, and copy, which ends with the first cycle, foreign keys and statistics; drop for the next peer."""
    seconds = bed.tool(source, destination, "init", "-q")[1]
    seconds += bed.tool(source, destination, "copy", "--create-schema", "-q", "-j", JOBS)[1]
    bed.tool(source, destination, "drop", "-q")
    return seconds


def with_pgcopydb(bed, source, destination):
    """clone brings everything; it always runs VACUUM ANALYZE, which is more than is asked for."""
    directory = bed.home.file("pgcopydb")
    try:
        return bed.run([
            pgcopydb(), "clone", "--source", source.uri, "--target", destination.uri, "--dir", directory,
            "--table-jobs", JOBS, "--index-jobs", JOBS, "--no-owner", "--split-tables-larger-than", "50MB",
        ])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def with_pg_dump(bed, source, destination):
    """The directory format in parallel, not compressed, and the statistics, without which a database is not usable."""
    directory = bed.home.file("dump")
    try:
        return bed.run(
            f"pg_dump -Fd -Z0 -j{JOBS} -f {directory} '{source.uri}' && pg_restore -j{JOBS} -d '{destination.uri}' {directory}"
            f" && vacuumdb -q --analyze-only -j{JOBS} '{destination.uri}'", shell=True,
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


PEERS = {"pg_switchover": with_tool, "pgcopydb": with_pgcopydb, "pg_dump, pg_restore": with_pg_dump}


def sums(server):
    """A sum over the rows of each table, which tells whether two databases are the same."""
    tables = server.query(
        "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema|switchover)' ORDER BY n.nspname, c.relname"
    ).splitlines()
    # Sorted here: parallel workers answer in any order.
    return sorted(server.query(" UNION ALL ".join(
        f"(SELECT '{table}', count(*), COALESCE(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {table} t)"
        for table in tables
    )).splitlines())


def demand(server, expected):
    """What was fast and wrong is not fast."""
    if sums(server) != expected:
        raise Failure(f"the {server.side} has other rows than the source")


def whole(bed, source, options):
    """All tables with everything that belongs to them."""
    seconds = {name: [] for name in PEERS}
    expected = sums(source)
    for turn in range(options.rounds):
        for name, peer in PEERS.items():
            say(f"copy, round {turn + 1}: {name}")
            with bed.servers("destination") as (destination,):
                source.query("CHECKPOINT")
                seconds[name].append(peer(bed, source, destination))
                demand(destination, expected)
    size = source.query("SELECT pg_size_pretty(pg_database_size('shop'))")
    tables = len(expected)
    table = Table(
        f"Copy of a database of {size} in {tables} tables, from an empty destination to a usable one ({JOBS} jobs)",
        "", "seconds", "against the best peer",
    )
    best = min((seconds[name] for name in PEERS if name != "pg_switchover"), key=median)
    for name, values in seconds.items():
        table.row(name, spread(values, digits=2), ratio(values, best))
    table.print()


def one_table(bed, options):
    """The rows of one big table alone, beside a pipe of two psql; our part is the whole of `copy`, its statistics and
    its first cycle included."""
    seconds = {"pg_switchover copy": [], "psql | psql, binary": []}
    with bed.servers("source") as (source,):
        source.query(f"CREATE TABLE big {COLUMNS}")
        source.query(ROWS.format(rows=options.rows))
        source.query("VACUUM ANALYZE")
        expected = sums(source)
        size = source.query("SELECT pg_size_pretty(pg_relation_size('big'))")
        for turn in range(options.rounds):
            for name in seconds:
                say(f"one big table, round {turn + 1}: {name}")
                with bed.servers("destination") as (destination,):
                    destination.query(f"CREATE TABLE big {COLUMNS}")
                    source.query("CHECKPOINT")
                    if name.startswith("pg_switchover"):
                        bed.tool(source, destination, "init", "-q")
                        seconds[name].append(bed.tool(source, destination, "copy", "-q", "-j", JOBS)[1])
                        bed.tool(source, destination, "drop", "-q")
                    else:
                        out, into = (f"psql -Xq -d '{server.uri}' -c 'COPY big {way} (FORMAT binary)'"
                                     for server, way in ((source, "TO STDOUT"), (destination, "FROM STDIN")))
                        seconds[name].append(bed.run(f"set -o pipefail; {out} | {into}", shell=True))
                    demand(destination, expected)
    table = Table(f"One big table of {size}, {options.rows:,} rows, no index", "", "seconds", "against the pipe")
    for name, values in seconds.items():
        table.row(name, spread(values, digits=2), ratio(values, seconds["psql | psql, binary"]))
    table.print()


def run(bed, options):
    """Prints both tables."""
    rows = options.rows // 2
    with bed.servers("source") as (source,):
        source.load(os.path.join(SQL, "pgbench.sql"), scale=options.scale)
        source.load(os.path.join(SQL, "shop.sql"))
        source.query(f"CREATE TABLE big {COLUMNS}")
        source.query(ROWS.format(rows=rows))
        source.query(INDEXES)
        source.load(os.path.join(ROOT, "scripts", "benchmark", "copying.sql"), rows=rows)
        source.query("VACUUM ANALYZE")
        whole(bed, source, options)
    one_table(bed, options)
