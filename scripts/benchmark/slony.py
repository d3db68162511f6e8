"""Slony-I, which captures with triggers as we do, but whole rows, and replays each change in its order.

Debian has it (slony1-2-bin, and a library for the server). One cluster of two nodes with one set: the source's daemon
makes events of what is committed, the destination's daemon fetches and replays.
"""

import contextlib
import glob
import os
import signal
import subprocess
import tempfile

from demonstration.servers import Failure

from .bed import DATABASE, VERSION, wait
from .debian import install

PACKAGES = ("slony1-2-bin", f"postgresql-{VERSION}-slony1-2")
CLUSTER = "bench"
SCHEMA = f"_{CLUSTER}"

# What was fastest here. Events often, so that a commit is small and its successor finds hot rows pruned: with the
# manual's advice for who is far behind, large groups, 100,000 pgbench transactions took three times as long. Vacuuming
# is not its business: everybody's tables are vacuumed before each measurement.
DAEMON = """
sync_interval = 100
sync_group_maxsize = 6
vac_frequency = 0
"""

NODES = """
INIT CLUSTER (ID = 1);
STORE NODE (ID = 2, EVENT NODE = 1);
STORE PATH (SERVER = 1, CLIENT = 2, CONNINFO = '{}');
STORE PATH (SERVER = 2, CLIENT = 1, CONNINFO = '{}');
"""

STOP_SECONDS = 30


def missing(bed):
    """Why it cannot be had here, or None once it is installed."""
    try:
        install(*PACKAGES, when_missing="slonik")
    except Failure as failure:
        return str(failure)
    libraries = os.path.join(os.path.dirname(bed.bin), "lib")
    if not glob.glob(os.path.join(libraries, "slony1_funcs*")):
        return f"the server's libraries, {libraries}, are not where Debian puts Slony-I's"
    return None


def conninfo(server):
    """Where a server is; the password is in the file that PGPASSFILE names."""
    return f"host=127.0.0.1 port={server.port} dbname={DATABASE} user=postgres"


def slonik(bed, source, destination, script):
    """Runs a script of its own language."""
    preamble = f"CLUSTER NAME = {CLUSTER};\nNODE 1 ADMIN CONNINFO = '{conninfo(source)}';\n"
    if destination:
        preamble += f"NODE 2 ADMIN CONNINFO = '{conninfo(destination)}';\n"
    with tempfile.NamedTemporaryFile("w", dir=bed.home.path) as file:
        file.write(preamble + script)
        file.flush()
        bed.run(["slonik", file.name])


def everything(source):
    """Statements that make a set of all tables and sequences of the source."""
    names = "SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = '{}' ORDER BY 1"
    script = "CREATE SET (ID = 1, ORIGIN = 1);\n"
    for kind, what in (("r", "TABLE"), ("S", "SEQUENCE")):
        for number, name in enumerate(source.query(names.format(kind)).splitlines(), 1):
            script += f"SET ADD {what} (SET ID = 1, ORIGIN = 1, ID = {number}, FULLY QUALIFIED NAME = 'public.{name}');\n"
    return script


@contextlib.contextmanager
def capturing(bed, source):
    """The triggers alone: a cluster of one node, with tables in a set, and no daemon at work."""
    slonik(bed, source, None, "INIT CLUSTER (ID = 1);\n" + everything(source))
    try:
        yield
    finally:
        slonik(bed, source, None, "UNINSTALL NODE (ID = 1);\n")


class Daemon:
    """The daemon of one node; it is started and stopped as one likes."""

    def __init__(self, bed, server):
        self._bed, self._server = bed, server
        self._settings = os.path.join(server.directory, "slon.conf")
        with open(self._settings, "w") as file:
            file.write(DAEMON)
        self._log = os.path.join(server.directory, "slon.log")
        self._process = None

    def start(self):
        """Starts it. It works in the server's directory, so that it ends with the bench even if that is killed."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                ["slon", "-f", self._settings, CLUSTER, conninfo(self._server)], cwd=self._server.directory,
                env=self._bed.home.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    def stop(self):
        """Ends it with its child, which does the work."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None


class Cluster:
    """Two nodes that are kept the same, the source being node 1."""

    def __init__(self, bed, source, destination):
        self._bed, self._source, self._destination = bed, source, destination
        self._daemons = Daemon(bed, source), Daemon(bed, destination)

    def begin(self):
        """Copies everything, and replicates from then on."""
        slonik(self._bed, self._source, self._destination, NODES.format(conninfo(self._source), conninfo(self._destination)))
        for daemon in self._daemons:
            daemon.start()
        # Nobody gets the changes from the destination: it need not keep them.
        subscribe = "SUBSCRIBE SET (ID = 1, PROVIDER = 1, RECEIVER = 2, FORWARD = NO);\n"
        slonik(self._bed, self._source, self._destination, everything(self._source) + subscribe)
        wait(self._destination, f"SELECT count(*) FROM {SCHEMA}.sl_subscribe WHERE sub_active", "1")

    def pause(self):
        """Ends the destination's daemon once it has nothing to do, and empties the source's log."""
        last = self._source.query(f"SELECT last_value FROM {SCHEMA}.sl_event_seq")
        confirmed = f"SELECT max(con_seqno) >= {last} FROM {SCHEMA}.sl_confirm WHERE con_origin = 1 AND con_received = 2"
        wait(self._source, confirmed, "t")
        self._daemons[1].stop()
        # Its successor wants the place of its sessions; the other daemon has some here, too.
        own = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^slon.(local|remoteWorker)'"
        wait(self._destination, own, "0")
        # Its two tables take turns: once to begin with the other one, once to empty the first.
        for _ in range(2):
            self._source.query(f"SET client_min_messages = error; SELECT {SCHEMA}.cleanupEvent('0')")

    def go_on(self):
        """Starts the destination's daemon again."""
        self._daemons[1].start()

    def stop(self):
        """Ends the daemons."""
        for daemon in self._daemons:
            daemon.stop()
