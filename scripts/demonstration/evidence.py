"""What the demo finds out by itself, with psql alone: it takes nobody's word for it, least of all pg_switchover's."""

import collections
import re
import subprocess

from .servers import Failure
from .writers import CHURNING, GROWING, NEW, OLD, REFUSED, UPDATED

# Every ordinary table by its quoted name; a partitioned table is asked through its root.
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'shop') ORDER BY 1
"""

# Columns, constraints, indexes and sequences, in words that both versions use alike. Since 17 the partitions of a table
# with an identity column have it too, and 18 lists NOT NULL among the constraints, which every version shows for columns.
SHAPE = """
SELECT concat_ws(' ', 'column', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                 CASE WHEN NOT c.relispartition THEN a.attidentity END, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON (adrelid, adnum) = (attrelid, attnum)
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v')
   AND c.relnamespace::regnamespace::text IN ('public', 'shop')
UNION ALL
SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE contype <> 'n' AND connamespace::regnamespace::text IN ('public', 'shop')
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname IN ('public', 'shop')
UNION ALL
SELECT concat_ws(' ', 'sequence', schemaname, sequencename, data_type, increment_by, min_value, max_value, cycle)
  FROM pg_sequences WHERE schemaname IN ('public', 'shop')
ORDER BY 1
"""

# The transaction that brought the last rows: whatever a writer writes on the new server has a later one.
FLIP = "SELECT max(xmin::text::bigint) FROM switchover.confirmation WHERE final"

# pgbench's four sums are one number: every transaction adds the same to each.
BALANCES = """
SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),
       (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT COALESCE(sum(delta), 0) FROM pgbench_history)
"""
# What an order takes from the stock is in its lines. Answers the number of products where that is not so.
STOCK = """
SELECT count(*) FROM shop.product p
  LEFT JOIN (SELECT product, sum(quantity) AS quantity FROM shop.order_line GROUP BY product) l ON l.product = p.id
 WHERE (p.stock, p.sold) IS DISTINCT FROM (1000000 - COALESCE(l.quantity, 0), COALESCE(l.quantity, 0))
"""


class Evidence:
    """A list of statements, each true or false."""

    def __init__(self, old, new, writers):
        self._old, self._new, self._writers = old, new, writers
        # (holds, text)
        self.findings = []

    @property
    def holds(self):
        """Whether every statement is true."""
        return all(holds for holds, _ in self.findings)

    def _say(self, holds, text, otherwise=""):
        self.findings.append((bool(holds), text if holds else f"{text} -- NO: {otherwise}"))

    def gather(self):
        """Looks at everything, after the writers' end."""
        self._journal()
        self._order_of_servers()
        self._rows()
        self._sums()
        self._shape()
        self._fence()

    def _journal(self):
        by = {side: {one[3] for one in self._writers.acknowledged(side)} for side in (OLD, NEW)}
        there = {
            side: collections.Counter(server.query("SELECT id FROM shop.journal").split())
            for side, server in ((OLD, self._old), (NEW, self._new))
        }
        expected = by[OLD] | by[NEW]
        lost, twice = expected - there[NEW].keys(), [id for id, count in there[NEW].items() if count > 1]
        foreign = there[NEW].keys() - expected
        self._say(
            not (lost or twice or foreign or by[OLD] & by[NEW]),
            f"each of the {len(expected):,} acknowledged writes is on the new server, exactly once: "
            f"{len(by[OLD]):,} of the old one's, {len(by[NEW]):,} of its own",
            f"lost {some(lost)}, more than once {some(twice)}, never acknowledged {some(foreign)}",
        )
        self._say(
            there[OLD] == collections.Counter(by[OLD]),
            f"the old server has the {len(by[OLD]):,} that it acknowledged, and no other",
            f"it has {some(there[OLD].keys() - by[OLD])} more, and misses {some(by[OLD] - there[OLD].keys())}",
        )

    def _order_of_servers(self):
        refusals = self._writers.refusals()
        first = refusals[0][0] if refusals else float("inf")
        late = [one[3] for one in self._writers.acknowledged(OLD) if one[0] > first]
        moved = sum(1 for writer in self._writers if any(one[2] == NEW for one in writer.acknowledged))
        self._say(
            not late and moved == len(self._writers) == len(refusals),
            f"each of the {len(self._writers)} writers was refused once and went on at the new server; "
            "after the first refusal the old one took nothing",
            f"{len(refusals)} refusals, {moved} went on, taken too late: {some(late)}",
        )

    def _rows(self):
        """Every row that no writer has changed since the flip: the old server is as it was then."""
        flip = int(self._new.query(FLIP))
        tables = self._old.query(TABLES).split("\n")
        rows, wrong = 0, []
        for table in tables:
            there = lines(self._old, table)
            brought = lines(self._new, table, f"xmin::text::bigint <= {flip}")
            written = int(self._new.query(f"SELECT count(*) FROM {table} WHERE xmin::text::bigint > {flip}"))
            rows += len(brought)
            gone = len(there - brought)
            explained = {table in GROWING: gone == 0, table in UPDATED: gone == written, table in CHURNING: True}
            if brought - there or not explained.get(True, gone == written == 0):
                wrong.append(f"{table}: {gone} missing or different, {len(brought - there)} never there")
        left_alone = len(set(tables) - GROWING - UPDATED - CHURNING)
        self._say(
            not wrong,
            f"{rows:,} rows in {len(tables)} tables are byte for byte the same on both servers: all that no writer has changed "
            f"since the flip, and all of the {left_alone} tables that nobody writes to",
            "; ".join(wrong),
        )

    def _sums(self):
        sums = self._new.query(BALANCES).split("|")
        astray = int(self._new.query(STOCK))
        self._say(
            len(set(sums)) == 1 and astray == 0,
            f"pgbench's four sums agree on the new server ({int(sums[0]):,}), and the stock of every product with its orders",
            f"sums {sums}, {astray} products astray",
        )

    def _shape(self):
        old, new = (set(server.query(SHAPE).split("\n")) for server in (self._old, self._new))
        kinds = collections.Counter(line.split(" ", 1)[0] for line in old)
        self._say(
            old == new,
            "the schema is the same: " + ", ".join(f"{count} {kind}s" for kind, count in sorted(kinds.items()))
            .replace("indexs", "indexes"),
            f"only on the old {some(old - new)}, only on the new {some(new - old)}",
        )

    def _fence(self):
        answer = subprocess.run(
            self._old.psql("-v", "VERBOSITY=verbose", "-c", "INSERT INTO shop.journal (id) VALUES ('too late')"),
            env=self._old.home.environment, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True,
        ).stderr.decode()
        error, hint = (re.search(rf"^{word}:  (.*)$", answer, re.MULTILINE) for word in ("ERROR", "HINT"))
        self._say(
            error and error[1].startswith(REFUSED) and hint and f":{self._new.port}/" in hint[1],
            f"the old server refuses writes: ERROR {error and error[1]}. {hint and hint[1]}",
            "no such refusal",
        )


def lines(server, table, condition="true"):
    """The rows of a table as COPY writes them, by their hashes."""
    process = subprocess.Popen(
        # Whatever the version, and whatever the server's time zone.
        server.psql("-c", "SET TimeZone = 'UTC'; SET extra_float_digits = 1;",
                    "-c", f"COPY (SELECT * FROM {table} WHERE {condition}) TO STDOUT"),
        env=server.home.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )
    found = set(map(hash, process.stdout))
    if process.wait():
        raise Failure(f"could not read table {table} of the {server.side}")
    return found


def some(things):
    """The number of things and the first few."""
    return f"{len(things)}" + (f" ({', '.join(sorted(things)[:3])})" if things else "")
