"""Catching up with what was written meanwhile, beside PostgreSQL's own logical replication, and Slony-I.

Each peer has servers of its own, so that none pays for what another leaves on the source. All are caught up, then cut
off while the same things are written, and then timed until the destination is the same and has it on disk.
"""

import os
import tempfile
import time

from . import slony
from .bed import ROOT, same, say, wait
from .table import Table, ratio, spread

SQL = os.path.join(ROOT, "scripts", "demonstration")

# Autovacuum would come at any time; tables are vacuumed before each measurement instead.
BOTH = "autovacuum = off\n"
# What replication wants beside its defaults to be fast: large transactions stay in memory while they are decoded, and
# a worker that was ended a moment ago is started at once.
NATIVE = "wal_level = logical\nlogical_decoding_work_mem = '512MB'\nwal_retrieve_retry_interval = '50ms'\n"
# Values need no text on the way (14 and later). Of what was committed before, streaming=on makes nothing faster.
SUBSCRIPTION = "binary = true"

WIDE = """
CREATE TABLE wide (id bigint PRIMARY KEY, who int NOT NULL, at timestamptz NOT NULL DEFAULT now(), note text);
"""
FILL = "INSERT INTO wide SELECT i, i % 1000, now(), repeat(md5(i::text), 8) FROM generate_series({}, {}) i"
PGBENCH = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")
# What a transaction of pgbench writes, in one round trip: how fast the backlog is written is no matter.
BANK = '''
CREATE FUNCTION bank(a int, b int, t int, d int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    UPDATE pgbench_accounts SET abalance = abalance + d WHERE aid = a;
    UPDATE pgbench_tellers SET tbalance = tbalance + d WHERE tid = t;
    UPDATE pgbench_branches SET bbalance = bbalance + d WHERE bid = b;
    INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (t, b, a, d, now());
END $$;
'''
TRANSACTION = '''
\\set a random(1, 100000 * :scale)
\\set b random(1, :scale)
\\set t random(1, 10 * :scale)
\\set d random(-5000, 5000)
SELECT bank(:a, :b, :t, :d);
'''
# Written last: who has it has all that came before.
MARK = "CREATE TABLE mark (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());"
# The backlog is written without waiting for the disk, which is no part of what is measured.
QUICKLY = "SET synchronous_commit = off; {}"


class Work:
    """What is written while nobody carries it over: its name, how many rows it changes, and how."""

    def __init__(self, name, changes, write, tables):
        self.name, self.changes, self.write, self.tables = name, changes, write, tables


def works(bed, options):
    """The kinds of writing. They may be repeated."""
    rows = options.changes

    def bank(source):
        environment = {"PGOPTIONS": "-c synchronous_commit=off"}
        with tempfile.NamedTemporaryFile("w", dir=bed.home.path) as file:
            file.write(TRANSACTION)
            file.flush()
            scale, each = str(options.scale), str(options.transactions // 4)
            bed.pgbench(source, "-n", "-M", "prepared", "-c", "4", "-t", each, "-s", scale, "-f", file.name, more=environment)

    def insert(source):
        last = int(source.query("SELECT max(id) FROM wide"))
        source.query(QUICKLY.format(FILL.format(last + 1, last + rows)))

    def update(source):
        # The first so many rows, whatever was inserted by another round.
        source.query(QUICKLY.format(f"UPDATE wide SET who = who + 1, note = reverse(note) WHERE id <= {rows}"))

    def hot(source):
        each = "UPDATE wide SET who = who + 1 WHERE id <= 1000; COMMIT;"
        source.query(f"DO $$ BEGIN SET synchronous_commit = off; FOR i IN 1..{rows // 1000} LOOP {each} END LOOP; END $$")

    return (
        # A transaction changes three rows, two of them hot, and inserts one.
        Work(f"{options.transactions:,} pgbench transactions", 4 * options.transactions, bank, PGBENCH),
        Work(f"1,000 rows updated {rows // 1000:,} times", rows // 1000 * 1000, hot, ("wide",)),
        Work(f"{rows:,} updated rows", rows, update, ("wide",)),
        Work(f"{rows:,} inserted rows", rows, insert, ("wide",)),
    )


def fill(server, options, with_rows):
    """The tables, on the source with their rows. All have keys, which replication needs to find rows by."""
    server.load(os.path.join(SQL, "pgbench.sql"), scale=options.scale)
    server.query(BANK + WIDE + MARK)
    if with_rows:
        server.query(FILL.format(1, options.changes))
    else:
        server.query("TRUNCATE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history")


class Peer:
    """One way to catch up, between a source and a destination of its own."""

    def __init__(self, bed, source, destination):
        self.bed, self.source, self.destination = bed, source, destination
        self.marks = 0

    def measure(self, work):
        """Seconds until what the work has written is on the destination, durably."""
        for server in (self.source, self.destination):
            server.query("VACUUM ANALYZE")
        self.pause()
        work.write(self.source)
        self.marks += 1
        self.source.query(f"INSERT INTO mark VALUES ({self.marks})")
        # No write-out of what was prepared falls into what is measured.
        for server in (self.source, self.destination):
            server.query("CHECKPOINT")
        began = time.monotonic()
        self.catch_up()
        seconds = time.monotonic() - began
        same(self.source, self.destination, (*work.tables, "mark"))
        return seconds


class Tool(Peer):
    """`sync`, from the start of the program to its end."""

    name = "pg_switchover"

    def begin(self):
        """Copies everything."""
        self.bed.tool(self.source, self.destination, "init", "-q")
        self.bed.tool(self.source, self.destination, "copy", "-q")
        self.bed.tool(self.source, self.destination, "sync", "-q")

    def pause(self):
        """Nothing runs between two of them."""

    def catch_up(self):
        """Ends when the destination's commit, and the source's, are on disk."""
        self.bed.tool(self.source, self.destination, "sync", "-q")


class Native(Peer):
    """A subscription that was caught up and is enabled again."""

    name = "logical replication"

    def begin(self):
        """Copies everything."""
        self.source.query("CREATE PUBLICATION everything FOR ALL TABLES")
        # The server reads this itself, as its own user.
        conninfo = (f"host=127.0.0.1 port={self.source.port} dbname=shop user=postgres "
                    f"password={self.bed.home.password}")
        self.destination.query(f"CREATE SUBSCRIPTION everything CONNECTION '{conninfo}' PUBLICATION everything "
                               f"WITH ({SUBSCRIPTION})")
        wait(self.destination, "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel", "t")

    def pause(self):
        """Only a slot that is not active loses no time with what is written."""
        self.destination.query("ALTER SUBSCRIPTION everything DISABLE")
        wait(self.source, "SELECT count(*) FROM pg_replication_slots WHERE active", "0")

    def catch_up(self):
        """Its worker commits without waiting for the disk; a commit that waits flushes all before it."""
        self.destination.query("ALTER SUBSCRIPTION everything ENABLE")
        wait(self.destination, f"SELECT count(*) FROM mark WHERE id = {self.marks}", "1")
        self.destination.query("CREATE TABLE flush (); DROP TABLE flush")


class Slony(Peer):
    """Slony-I; the source's daemon makes events of what is written, the destination's is started again."""

    name = "slony1-2"

    def begin(self):
        """Copies everything."""
        self.cluster = slony.Cluster(self.bed, self.source, self.destination)
        self.cluster.begin()

    def pause(self):
        """Ends the destination's daemon."""
        self.cluster.pause()

    def catch_up(self):
        """Its daemon waits for the disk when it commits."""
        self.cluster.go_on()
        wait(self.destination, f"SELECT count(*) FROM mark WHERE id = {self.marks}", "1")

    def end(self):
        """Leaves no daemon behind."""
        self.cluster.stop()


def in_turn(peers, options, rounds):
    """Seconds that each of them takes for each kind of writing."""
    taken = {}
    for peer in peers:
        say(f"catch-up: {peer.name} begins")
        fill(peer.source, options, True)
        fill(peer.destination, options, False)
        peer.begin()
    for work in works(peers[0].bed, options):
        for turn in range(rounds):
            for peer in peers:
                seconds = peer.measure(work)
                say(f"catch-up, round {turn + 1}: {work.name}, {peer.name}: {seconds:.2f} s")
                taken.setdefault((work.name, type(peer)), []).append(seconds)
    return taken


def run(bed, options):
    """Prints the table."""
    absent = slony.missing(bed)
    with bed.servers("source", "destination", settings=BOTH) as ours, \
            bed.servers("publisher", "subscriber", settings=BOTH + NATIVE) as theirs:
        taken = in_turn((Tool(bed, *ours), Native(bed, *theirs)), options, options.rounds)
    if not absent:
        # By itself, and once: its daemons are never quite idle, and it takes its time.
        with bed.servers("source", "destination", settings=BOTH) as servers:
            peer = Slony(bed, *servers)
            try:
                taken |= in_turn((peer,), options, 1)
            finally:
                peer.end()
    table = Table("Catching up: changed rows per second, until both sides are the same and it is on disk",
                  "written meanwhile", "seconds", "pg_switchover", "seconds ", "logical replication", "ratio",
                  "seconds  ", "slony1-2, one round", "ratio ")
    for work in works(bed, options):
        cells, rates = [], {}
        for kind in (Tool, Native, Slony):
            if seconds := taken.get((work.name, kind)):
                rates[kind] = [work.changes / one for one in seconds]
                cells += [spread(seconds, digits=2), spread(rates[kind], digits=0)]
            else:
                cells += ["-", "not installed"]
            if kind is not Tool:
                cells.append(ratio(rates[Tool], rates[kind]) if kind in rates else "-")
        table.row(work.name, *cells)
    table.print()
    if absent:
        print(f"\nslony1-2 is not compared: {absent}", flush=True)
