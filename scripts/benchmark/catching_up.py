"""Catching up with what was written meanwhile, beside PostgreSQL's own logical replication."""

import os
import time

from demonstration.servers import Failure

from .bed import ROOT, same, say
from .table import Table, ratio, spread

SQL = os.path.join(ROOT, "scripts", "demonstration")
LOGICAL = "wal_level = logical\n"
LIMIT_SECONDS = 900

WIDE = """
CREATE TABLE wide (id bigint PRIMARY KEY, who int NOT NULL, at timestamptz NOT NULL DEFAULT now(), note text);
"""
FILL = "INSERT INTO wide SELECT i, i % 1000, now(), repeat(md5(i::text), 8) FROM generate_series({}, {}) i"
PGBENCH = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers")


class Work:
    """What is written while nobody carries it over: its name, how many changes, and how."""

    def __init__(self, name, changes, write, tables):
        self.name, self.changes, self.write, self.tables = name, changes, write, tables


def works(bed, options):
    """The kinds of writing."""
    rows = options.changes

    def bank(source):
        bed.pgbench(source, "-n", "-c", "4", "-t", str(options.transactions // 4))

    return (
        Work(f"{options.transactions:,} pgbench transactions", options.transactions, bank, (*PGBENCH, "pgbench_history")),
        Work(f"{rows:,} updated rows", rows,
             lambda source: source.query("UPDATE wide SET who = who + 1, note = reverse(note)"), ("wide",)),
        Work(f"{rows:,} inserted rows", rows,
             lambda source: source.query(FILL.format(rows + 1, 2 * rows)), ("wide",)),
    )


def fill(server, options, with_rows):
    """The tables, on the source with their rows."""
    server.load(os.path.join(SQL, "pgbench.sql"), scale=options.scale)
    # Logical replication needs a key to find rows by; pgbench has none here.
    server.query("ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY")
    server.query(WIDE)
    if with_rows:
        server.query(FILL.format(1, options.changes))
    else:
        server.query("TRUNCATE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history")
    server.query("VACUUM ANALYZE")


def tool_seconds(bed, work, options):
    """`sync` of what was written since the copy."""
    with bed.servers("source", "destination") as (source, destination):
        fill(source, options, True)
        fill(destination, options, False)
        bed.tool(source, destination, "init", "-q")
        bed.tool(source, destination, "copy", "-q")
        bed.tool(source, destination, "sync", "-q")
        work.write(source)
        seconds = bed.tool(source, destination, "sync", "-q")[1]
        same(source, destination, work.tables)
        return seconds


def native_seconds(bed, work, options):
    """An enabled subscription, until it has confirmed the source's last position."""
    with bed.servers("source", "destination", settings=LOGICAL) as (source, destination):
        fill(source, options, True)
        fill(destination, options, False)
        source.query("CREATE PUBLICATION everything FOR ALL TABLES")
        conninfo = f"{source.uri}?passfile={bed.home.file('pgpass')}"
        # The server reads the file of passwords itself, as its own user.
        conninfo = f"host=127.0.0.1 port={source.port} dbname=shop user=postgres password={bed.home.password}"
        destination.query(f"CREATE SUBSCRIPTION everything CONNECTION '{conninfo}' PUBLICATION everything")
        wait(destination, "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel", "t")
        destination.query("ALTER SUBSCRIPTION everything DISABLE")
        wait(source, "SELECT count(*) FROM pg_replication_slots WHERE active", "0")
        work.write(source)
        position = source.query("SELECT pg_current_wal_insert_lsn()")
        began = time.monotonic()
        destination.query("ALTER SUBSCRIPTION everything ENABLE")
        wait(source, f"SELECT bool_and(confirmed_flush_lsn >= '{position}') FROM pg_replication_slots", "t")
        seconds = time.monotonic() - began
        same(source, destination, work.tables)
        return seconds


def wait(server, sql, answer):
    """Asks until the answer comes."""
    end = time.monotonic() + LIMIT_SECONDS
    while server.query(sql) != answer:
        if time.monotonic() > end:
            raise Failure(f"{server.side} did not come to {answer}: {sql}")
        time.sleep(0.05)


def run(bed, options):
    """Prints the table."""
    table = Table("Catching up: changes per second, until both sides are the same",
                  "written meanwhile", "pg_switchover", "logical replication", "ratio")
    for work in works(bed, options):
        rates = {tool_seconds: [], native_seconds: []}
        for turn in range(options.rounds):
            for peer, found in rates.items():
                say(f"catch-up, round {turn + 1}: {work.name}, {peer.__name__.split('_')[0]}")
                found.append(work.changes / peer(bed, work, options))
        ours, theirs = rates.values()
        table.row(work.name, spread(ours, digits=0), spread(theirs, digits=0), ratio(ours, theirs))
    table.print()
