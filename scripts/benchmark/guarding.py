"""What the guard of the new server's tables costs the applications that have come over, until `drop` takes it away.

With and without take turns, in an order that changes; nothing waits for the disk, which would hide it.
"""

import tempfile

from .bed import say, tps
from .table import Table, spread

CLIENTS, SCALE = "8", 10
KEY = "ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY"
UPDATE = f"\\set id random(1, {SCALE * 100_000})\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :id;\n"
GUARDED = "SELECT format('ALTER TABLE %s {} TRIGGER %I;', tgrelid::regclass, tgname) FROM pg_trigger WHERE tgname = 'pg_switchover_guard'"


def measures(bed, server, file, seconds):
    """What is measured, by name."""
    return {
        f"pgbench, {CLIENTS} clients, tps":
            lambda: tps(bed.pgbench(server, "-n", "-c", CLIENTS, "-j", "2", "-T", seconds)),
        "an UPDATE of one row, 1 client, µs":
            lambda: 1e6 / tps(bed.pgbench(server, "-n", "-M", "prepared", "-T", seconds, "-f", file)),
    }


def switched(bed, source, destination):
    """Moves pgbench's tables to the destination."""
    bed.pgbench(source, "-i", "-q", "-s", str(SCALE))
    source.query(KEY)
    bed.tool(source, destination, "init", "-q")
    bed.tool(source, destination, "copy", "--create-schema", "-q")
    bed.tool(source, destination, "switch", "--unverified", "-q")
    destination.query("ALTER DATABASE shop SET synchronous_commit = off")


def run(bed, options):
    """Prints the table."""
    seconds = str(max(options.seconds // 5, 1))
    found = {}
    with bed.servers("source", "destination") as (source, destination), \
            tempfile.NamedTemporaryFile("w", dir=bed.home.path) as file:
        file.write(UPDATE)
        file.flush()
        switched(bed, source, destination)
        for number in range(options.rounds):
            say(f"guard, round {number + 1}")
            results = {}
            for guarded in (True, False) if number % 2 else (False, True):
                destination.query(destination.query(GUARDED.format("ENABLE" if guarded else "DISABLE")))
                destination.query("VACUUM")
                destination.query("CHECKPOINT")
                results[guarded] = {name: one() for name, one in measures(bed, destination, file.name, seconds).items()}
            for name in results[True]:
                found.setdefault(name, []).append((results[False][name], results[True][name]))
    table = Table("Cost of the guard on the new server, between the switch and drop (synchronous_commit off)",
                  "", "without", "with", "ratio")
    for name, pairs in found.items():
        without, guarded = zip(*pairs)
        digits = 0 if name.endswith("tps") else 1
        table.row(name, spread(without, digits=digits), spread(guarded, digits=digits),
                  spread([one / other for other, one in pairs], digits=2))
    table.print()
