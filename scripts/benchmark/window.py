"""The window: what the tool measured, what the writers felt, and what the machine allows."""

import contextlib
import glob
import os
import random
import statistics
import tempfile
import threading
import time

from demonstration.servers import Failure
from demonstration.switchover import WINDOW
from demonstration.writers import NEW, OLD, Session, longest_gap

from .bed import say
from .delay import Delay
from .table import Table, ratio, spread

CLIENTS, RATE = 4, 500


def tables(count, rows=100):
    """Statements that create tables with a few rows and a sequence each."""
    return "\n".join(
        f"CREATE TABLE t{i} (id serial PRIMARY KEY, n int NOT NULL DEFAULT 0, note text);"
        f"INSERT INTO t{i} (note) SELECT md5(j::text) FROM generate_series(1, {rows}) j;"
        for i in range(count)
    )


class Writer(threading.Thread):
    """Updates at a steady rate; goes to the new server when the old one refuses."""

    def __init__(self, old, new, statement):
        super().__init__(daemon=True)
        self._sessions = {OLD: Session(old), NEW: Session(new)}
        # A pool that has read there before: what a fresh connection takes to look up its tables is not the switch's.
        self._sessions[NEW].run(f"EXPLAIN {statement()}")
        self._statement = statement
        self._ending = threading.Event()
        self.answered, self.server, self.trouble = [], OLD, None

    def run(self):
        due = time.monotonic()
        while not self._ending.is_set():
            self._write(self._statement())
            # Not faster afterwards for having waited.
            due = max(due + CLIENTS / RATE, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def _write(self, statement):
        while True:
            state, message = self._sessions[self.server].run(statement)
            if state == "00000":
                self.answered.append(time.monotonic())
                return
            if state != "25006" or self.server == NEW:
                self.trouble = f"{state} {message}"
                self._ending.set()
                return
            self.server = NEW

    def end(self):
        """Waits for its last statement."""
        self._ending.set()
        self.join(30)
        for session in self._sessions.values():
            session.close()


def single_rows(count):
    """Makes statements that change one row of one of the tables."""
    return lambda: f"UPDATE t{random.randrange(count)} SET n = n + 1 WHERE id = {random.randint(1, 100)};"


def many_rows(pending):
    """Makes statements that change so many rows of one table at once."""
    return lambda: f"UPDATE t0 SET n = n + 1 WHERE id <= {pending};"


@contextlib.contextmanager
def writers(old, new, clients, statement):
    """Writers at work."""
    some = [Writer(old, new, statement) for _ in range(clients)]
    for one in some:
        one.start()
    try:
        yield some
    finally:
        for one in some:
            one.end()
    if trouble := [one.trouble for one in some if one.trouble]:
        raise Failure(f"a writer was stopped: {trouble[0]}")


def script(bed, server, statements):
    """Runs statements one by one: a thousand tables are too many for a command line, and for one transaction."""
    with tempfile.NamedTemporaryFile("w", dir=bed.home.path) as file:
        file.write(statements)
        file.flush()
        server.load(file.name)


TRIP = "SELECT 1;"
COMMIT = "\\set id random(1, 1000)\nUPDATE commits SET n = n + 1 WHERE id = :id;"
COMMITS = "DROP TABLE IF EXISTS commits; CREATE TABLE commits AS SELECT i AS id, 0 AS n FROM generate_series(1, 1000) i;" \
    "ALTER TABLE commits ADD PRIMARY KEY (id);"


def limit(bed, source, destination):
    """Milliseconds of two commits and three round trips as one pgbench has them, beside whatever goes on meanwhile."""
    def median(server, script):
        with tempfile.TemporaryDirectory(dir=bed.home.path) as directory:
            with open(os.path.join(directory, "script"), "w") as file:
                file.write(script)
            bed.run([
                bed.path("pgbench"), "-n", "-c", "1", "-t", "200", "-f", "script", "-l", "--log-prefix=times",
                server.uri.removesuffix("shop") + "postgres",
            ], cwd=directory)
            logged, = glob.glob(os.path.join(directory, "times.*"))
            with open(logged) as file:
                return statistics.median(int(line.split()[2]) / 1000 for line in file)

    for server in (source, destination):
        # In another database: this one has triggers.
        server.query(COMMITS, database="postgres")
    # Each commit brings its round trip along.
    return median(source, COMMIT) + median(destination, COMMIT) + median(source, TRIP)


class Found:
    """What one switch showed, in ms."""

    def __init__(self, parts, rows, answered, switched, allowed):
        self.total, self.lock, self.read, self.apply, self.flip = parts
        self.rows, self.allowed = rows, allowed
        self.felt = longest_gap(answered)[0] * 1000
        # What the writers feel on this machine without a switch.
        self.usual = longest_gap([when for when in answered if switched - 1.5 < when < switched - 0.5])[0] * 1000


def measure(bed, schema, load=(0, None), delay=0.0, more=()):
    """A whole switchover of what the statements create; `load` is a number of writers and what they write."""
    with bed.servers("source", "destination") as (source, destination):
        for server in (source, destination):
            script(bed, server, schema)
        names = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^t[0-9]'"
        script(bed, destination, "".join(f"TRUNCATE {name};\n" for name in destination.query(names).split()))
        source.query("ANALYZE")
        bed.tool(source, destination, "init", "-q")
        bed.tool(source, destination, "copy", "-q")
        far = [Delay(server.port, delay) for server in (source, destination)] if delay else []
        with writers(source, destination, *load) as some:
            time.sleep(1 if some else 0)
            allowed = limit(bed, source, destination) if load[0] == CLIENTS else 0
            time.sleep(1 if some else 0)
            said = switch(bed, source, destination, far, more)
            switched = time.monotonic()
            time.sleep(1 if some else 0)
        for one in far:
            one.close()
        *parts, carried = (float(one) for one in WINDOW.search(said).groups())
        answered = sorted(when for one in some for when in one.answered)
        return Found(parts, carried, answered, switched, allowed + 3000 * delay)


def switch(bed, source, destination, far, more):
    """Runs `switch`, through the relays if there are any; what it said."""
    for relay, server in zip(far, (source, destination)):
        bed.home.add_password(relay.port)
        server.near, server.port = server.port, relay.port
    try:
        return bed.tool(source, destination, "switch", "--unverified", *more)[0]
    finally:
        for _, server in zip(far, (source, destination)):
            server.port = server.near


def under_load(bed, options):
    """100 tables and steady writers, near and far."""
    table = Table(
        f"The window under {RATE} transactions per second of {CLIENTS} clients, 100 tables (ms)",
        "", "window", "lock", "read", "apply", "flip", "rows", "writers felt", "longest gap otherwise",
        "2 commits + 3 round trips", "ratio",
    )
    for name, delay in (("loopback", 0.0), ("50 ms added per round trip", 0.05)):
        found = []
        for turn in range(options.rounds):
            say(f"window, {name}, round {turn + 1}")
            found.append(measure(bed, tables(100), (CLIENTS, single_rows(100)), delay))
        table.row(
            name, *timings(found, "total", "lock", "read", "apply", "flip", "rows", "felt", "usual", "allowed"),
            ratio([one.total for one in found], [one.allowed for one in found]),
        )
    table.print()


def growth(bed, options):
    """What the window grows with."""
    rounds = max(1, options.rounds - 1)

    def grows(what, numbers, schema, fields, load=lambda _: (0, None), more=lambda _: ()):
        table = Table(f"The window by {what} (ms)", *fields.values())
        for number in numbers:
            found = []
            for turn in range(rounds):
                say(f"window, {number} {fields['number']}, round {turn + 1}")
                found.append(measure(bed, schema(number), load(number), more=more(number)))
            timed = timings(found, *(field for field in fields if field not in ("number", "rows")))
            carried = [spread([one.rows for one in found], digits=0)] if "rows" in fields else []
            table.row(f"{number:,}", *carried, *timed)
        table.print()

    parts = {"total": "window", "read": "read", "apply": "apply", "flip": "flip"}
    grows("the number of tables, each with a sequence, nothing written", options.tables, tables, {"number": "tables"} | parts)
    grows("the number of sequences beside one table, nothing written", options.sequences,
          lambda count: tables(1) + "".join(f"CREATE SEQUENCE s{i};" for i in range(count)) + DRAWN,
          {"number": "sequences"} | parts)
    grows("the rows that it carries, of one writer that changes so many at once", options.pending,
          lambda rows: tables(1, max(rows, 100)), {"number": "rows", "rows": "carried"} | parts,
          lambda rows: (1, many_rows(rows)), lambda rows: (f"--max-pending={4 * rows}", "--lock-timeout=60000"))


# Sequences that were never called are few in real databases.
DRAWN = "SELECT nextval(oid::regclass) FROM pg_class WHERE relkind = 'S';"


def timings(found, *fields):
    """Cells for these fields of what was found."""
    return [spread([getattr(one, field) for one in found]) for field in fields]


def run(bed, options):
    """Prints the tables."""
    under_load(bed, options)
    growth(bed, options)
