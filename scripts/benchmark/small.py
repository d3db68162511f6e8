"""What costs next to nothing: a cycle without changes, and the start of the program."""

import os
import subprocess
import time

from .bed import say
from .table import Table, spread
from .window import tables

STARTS = 20


def run(bed, options):
    """Prints the table."""
    table = Table("Small things (ms)", "", "ms")
    starts = []
    for _ in range(STARTS):
        began = time.monotonic()
        subprocess.run([bed.program, "--version"], stdout=subprocess.DEVNULL)
        starts.append((time.monotonic() - began) * 1000)
    table.row(f"--version ({os.path.getsize(bed.program) / 1e6:.1f} MB on disk)", spread(starts))
    for count in (10, 1000):
        say(f"nothing to do, {count} tables")
        with bed.servers("source", "destination") as (source, destination):
            for server in (source, destination):
                server.query(tables(count, 1))
            destination.query("".join(f"TRUNCATE t{i};" for i in range(count)))
            bed.tool(source, destination, "init", "-q")
            bed.tool(source, destination, "copy", "-q")
            bed.tool(source, destination, "sync", "-q")
            syncs = [bed.tool(source, destination, "sync", "-q")[1] * 1000 for _ in range(options.rounds)]
        table.row(f"a whole sync with nothing to do, {count:,} tables", spread(syncs))
    table.print()
