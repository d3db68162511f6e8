"""What costs next to nothing: a cycle without changes, and the start of the program."""

import os
import re
import signal
import subprocess
import time

from demonstration.servers import Failure

from .bed import say
from .table import Table, spread
from .window import script, tables

STARTS = 20


def idle_cycles(bed, source, destination):
    """Milliseconds of its one message, as the source's log has them; on the destination there is none."""
    options = "?options=-c%20log_min_duration_statement%3D0"
    following = subprocess.Popen(
        [bed.program, "sync", "--follow", "--interval=0.02", "-q", "-s", source.uri + options, "-d", destination.uri],
        env=bed.environment(source, destination), stdin=subprocess.DEVNULL,
    )
    time.sleep(3)
    following.send_signal(signal.SIGINT)
    if following.wait():
        raise Failure("sync --follow failed")
    with open(source.log) as log:
        return [float(one) for one in re.findall(r"duration: ([\d.]+) ms  statement: SELECT EXISTS \(SELECT FROM switchover", log.read())]


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
                script(bed, server, tables(count, 1))
            script(bed, destination, "".join(f"TRUNCATE t{i};\n" for i in range(count)))
            bed.tool(source, destination, "init", "-q")
            bed.tool(source, destination, "copy", "-q")
            bed.tool(source, destination, "sync", "-q")
            syncs = [bed.tool(source, destination, "sync", "-q")[1] * 1000 for _ in range(options.rounds)]
            cycles = idle_cycles(bed, source, destination)
        table.row(f"a whole sync with nothing to do, {count:,} tables", spread(syncs))
        table.row(f"a cycle with nothing to do in sync --follow, {count:,} tables, each with a sequence", spread(cycles, digits=2))
    table.print()
