"""What was tried for the triggers of the source: each way on a table of its own, beside one without any.

Single rows: every transaction of one pgbench takes one of the tables at random, so that whatever else is slow for a
while is slow for all; what counts is the first quartile of their times. Many rows: with and without in turn, the least.
"""

import collections
import glob
import os

from .bed import ROOT, say
from .table import Table

ROWS = 20_000
ROW = "CREATE TRIGGER t AFTER INSERT OR UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION way.%s()"
NEW = "; ".join(
    f"CREATE TRIGGER {event} AFTER {event} ON {{t}} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"
    " EXECUTE FUNCTION way.%s()" for event in ("insert", "update")
)
BOTH = (
    "CREATE TRIGGER t AFTER UPDATE ON {t} REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT"
    " EXECUTE FUNCTION way.%s()"
)
UPDATE = ROW.replace("INSERT OR ", "")
WHEN = ROW.replace("EXECUTE", "WHEN (current_setting('session_replication_role') = 'replica') EXECUTE")

WAYS = {
    "none": "SELECT",
    "row: an empty function": ROW % "nothing",
    "row: an entry and nothing else": ROW % "entry",
    "row: the same, key as bigint": ROW % "native",
    "row: a shared advisory lock only": ROW % "advisory",
    "row: a WHEN that is false": WHEN % "nothing",
    "row: an entry, by turns, behind the fence": ROW % "turns",
    "row: keys in one statement, no block": ROW % "one_statement",
    "row: what is used (keys in a block with EXCEPTION)": None,
    "row: as few expressions as can be (UPDATE only)": UPDATE % "one_event",
    "statement: NEW TABLE, an entry per row": NEW.replace("%s", "rows"),
    "statement: NEW TABLE, one array": NEW.replace("%s", "arrays"),
    "statement: both tables (UPDATE only)": BOTH % "rows_of_both",
}


def single(bed, source, tables, transactions):
    """Microseconds of a transaction that updates one row, by table."""
    scripts = []
    for table in tables:
        path = os.path.join(source.directory, f"{table}.sql")
        with open(path, "w") as script:
            script.write(f"\\set i random(1, {ROWS})\nUPDATE {table} SET n = n + 1 WHERE id = :i;\n")
        scripts += ["-f", path]
    prefix = os.path.join(source.directory, "times")
    bed.pgbench(source, "-n", "-M", "prepared", "-t", str(transactions * len(tables)), "-l", "--log-prefix", prefix, *scripts)
    times = collections.defaultdict(list)
    for path in glob.glob(prefix + ".*"):
        with open(path) as log:
            for line in log:
                _, _, time, script, *_ = line.split()
                times[tables[int(script)]].append(int(time))
    return {table: sorted(found)[len(found) // 4] for table, found in times.items()}


def many(source, table, statement, undo, rounds):
    """How many times as long a statement takes on a table as on the one without triggers."""
    least = {}
    for _ in range(rounds):
        for one in ("way0", table):
            seconds = float(source.query(f"SELECT way.timed($${statement.format(t=one)}$$)"))
            least[one] = min(seconds, least.get(one, seconds))
            source.query(undo.format(t=one))
    return least[table] / least["way0"]


def run(bed, options):
    """Prints the table."""
    with bed.servers("source", "destination", settings="synchronous_commit = off\nautovacuum = off\n") as (source, destination):
        source.load(os.path.join(ROOT, "scripts", "benchmark", "capturing.sql"))
        file = os.path.join(source.directory, "rows")
        tables = [f"way{number}" for number in range(len(WAYS))]
        for table, triggers in zip(tables, WAYS.values()):
            made = f"CREATE TABLE {table} (id bigint PRIMARY KEY, n int NOT NULL, note text) WITH (fillfactor = 50);"
            source.query(made + f"INSERT INTO {table} SELECT i, 0, repeat('x', 100) FROM generate_series(1, {ROWS}) i")
            if triggers:
                source.query(triggers.format(t=table))
            else:
                destination.query(made)
                bed.tool(source, destination, "init", "-q", "-t", f"public.{table}")
        source.query(f"COPY (SELECT id + {ROWS}, n, note FROM way0) TO '{file}'")
        source.query("VACUUM ANALYZE")
        source.query("CHECKPOINT")
        say("capture: single rows")
        times = single(bed, source, tables, 500 * options.rounds)
        found = Table("Ways to capture", "trigger", "single UPDATE, us more", f"UPDATE of {ROWS:,}, ratio", f"COPY of {ROWS:,}, ratio")
        for table, name in list(zip(tables, WAYS))[1:]:
            say(f"capture: many rows, {name}")
            update = many(source, table, "UPDATE {t} SET n = n + 1", "VACUUM {t}", options.rounds)
            copy = many(source, table, f"COPY {{t}} FROM '{file}'", f"DELETE FROM {{t}} WHERE id > {ROWS}", options.rounds)
            found.row(name, times[table] - times["way0"], f"{update:.2f}", f"{copy:.2f}")
        found.print()
