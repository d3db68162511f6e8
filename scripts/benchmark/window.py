"""The window: what the tool measured, what the writers felt, and what the machine allows."""

import contextlib
import random
import statistics
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


def limit(source, destination):
    """Milliseconds of two commits and three round trips, one each side after the other, as a psql has them."""
    found = {}
    for server in (source, destination):
        server.query("CREATE TABLE IF NOT EXISTS commits (n int)")
        session = Session(server)
        for name, statement in (("trip", "SELECT 1;"), ("commit", "INSERT INTO commits VALUES (1);")):
            times = []
            for _ in range(200):
                began = time.monotonic()
                session.run(statement)
                times.append((time.monotonic() - began) * 1000)
            found[server, name] = statistics.median(times)
        session.close()
        server.query("DROP TABLE commits")
    # Each commit brings its round trip along.
    return found[source, "commit"] + found[destination, "commit"] + found[source, "trip"]


class Found:
    """What one switch showed, in ms."""

    def __init__(self, parts, rows, felt, allowed):
        self.total, self.lock, self.read, self.apply, self.flip = parts
        self.rows, self.felt, self.allowed = rows, felt, allowed


def measure(bed, count, load=(0, None), rows=100, delay=0.0, more=()):
    """A whole switchover of `count` tables of so many rows; `load` is a number of writers and what they write."""
    with bed.servers("source", "destination") as (source, destination):
        for server in (source, destination):
            server.query(tables(count, rows))
        destination.query("".join(f"TRUNCATE t{i};" for i in range(count)))
        source.query("ANALYZE")
        bed.tool(source, destination, "init", "-q")
        bed.tool(source, destination, "copy", "-q")
        allowed = limit(source, destination)
        far = [Delay(server.port, delay) for server in (source, destination)] if delay else []
        with writers(source, destination, *load) as some:
            time.sleep(2 if some else 0)
            said = switch(bed, source, destination, far, more)
            time.sleep(1 if some else 0)
        for one in far:
            one.close()
        *parts, carried = (float(one) for one in WINDOW.search(said).groups())
        answered = sorted(when for one in some for when in one.answered)
        return Found(parts, carried, longest_gap(answered)[0] * 1000, allowed + 3000 * delay)


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
        "", "window", "lock", "read", "apply", "flip", "rows", "writers felt", "2 commits + 3 round trips", "ratio",
    )
    for name, delay in (("loopback", 0.0), ("50 ms added per round trip", 0.05)):
        found = []
        for turn in range(options.rounds):
            say(f"window, {name}, round {turn + 1}")
            found.append(measure(bed, 100, (CLIENTS, single_rows(100)), delay=delay))
        table.row(
            name, *timings(found, "total", "lock", "read", "apply", "flip", "rows", "felt", "allowed"),
            ratio([one.total for one in found], [one.allowed for one in found]),
        )
    table.print()


def growth(bed, options):
    """What the window grows with."""
    table = Table("The window without load, by the number of tables, each with a sequence (ms)",
                  "tables", "window", "read", "apply", "flip")
    for count in options.tables:
        found = []
        for turn in range(options.rounds):
            say(f"window, {count} tables, round {turn + 1}")
            found.append(measure(bed, count))
        table.row(f"{count:,}", *timings(found, "total", "read", "apply", "flip"))
    table.print()
    table = Table("The window by the rows that it carries, of one writer that changes so many at once (ms)",
                  "rows", "carried", "window", "read", "apply", "flip")
    for rows in options.pending:
        found = []
        for turn in range(options.rounds):
            say(f"window, {rows} rows, round {turn + 1}")
            more = (f"--max-pending={4 * rows}", "--lock-timeout=60000")
            found.append(measure(bed, 1, (1, many_rows(rows)), rows=max(rows, 100), more=more))
        carried = spread([one.rows for one in found], digits=0)
        table.row(f"{rows:,}", carried, *timings(found, "total", "read", "apply", "flip"))
    table.print()


def timings(found, *fields):
    """Cells for these fields of what was found."""
    return [spread([getattr(one, field) for one in found]) for field in fields]


def run(bed, options):
    """Prints the tables."""
    under_load(bed, options)
    growth(bed, options)
