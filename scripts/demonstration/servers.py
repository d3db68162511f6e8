"""Throwaway PostgreSQL servers in one directory, which goes away with them, however the demo ends."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# Outlives the demo: when its standard input ends, even because the demo was killed, it stops every process
# that works inside directory $1 and removes the directory. The word "keep" sends it away.
KEEPER = r"""
word=; read -r word
[ "$word" != keep ] || exit 0
inside() { find /proc/[0-9]* -maxdepth 1 -name cwd -lname "$1/*" 2>/dev/null | cut -d / -f 3; }
n=0
while pids=$(inside "$1"); [ -n "$pids" ]; do
    n=$((n + 1))
    if [ $n -le 100 ]; then kill -QUIT $pids; else kill -KILL $pids; fi 2>/dev/null
    sleep 0.1
done
rm -rf "$1"
"""

# What is not PostgreSQL's default. fsync is on, so that the figures are honest.
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = on
shared_buffers = 256MB
max_wal_size = 4GB
log_line_prefix = '%m [%p] %a '
"""

START_SECONDS = 60


class Failure(Exception):
    """The demo cannot go on; the text says why."""


class Home:
    """The directory of everything that the demo makes, and the keeper that removes it."""

    def __init__(self):
        # A signal between the two steps would leave the directory behind.
        signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            # Not /tmp unless asked: it may be in memory, where writing durably costs nothing.
            self.path = tempfile.mkdtemp(prefix="pg_switchover-demo.", dir=os.environ.get("TMPDIR", "/var/tmp"))
            self._keeper = subprocess.Popen(
                ["sh", "-c", KEEPER, "keeper", self.path], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        os.chmod(self.path, 0o711)
        self.password = secrets.token_hex(16)
        self.environment = self._environment()

    def file(self, name):
        """The path of a file in the directory."""
        return os.path.join(self.path, name)

    def _environment(self):
        """The caller's environment, without what would lead PostgreSQL's programs elsewhere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return kept | {"PGPASSFILE": self.file("pgpass"), "PGCONNECT_TIMEOUT": "10"}

    def add_password(self, port):
        """Lets psql and pg_switchover find the password, which no command line shows."""
        with open(os.open(self.file("pgpass"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as passwords:
            passwords.write(f"127.0.0.1:{port}:*:postgres:{self.password}\n")

    def remove(self):
        """Stops the servers and removes the directory."""
        self._keeper.stdin.close()
        self._keeper.wait()

    def keep(self):
        """Leaves everything where it is."""
        self._keeper.stdin.write(b"keep\n")
        self.remove()


class Server:
    """A running server with the superuser postgres and the database "shop".

    With a model, a directory, it is a copy of that one, which the first makes: quicker than initdb. Copies have one
    system identifier, so both sides of a switchover must not be of the same model.
    """

    def __init__(self, home, side, bin_directory, psql, settings="", model=None):
        self.home, self.side, self._bin, self._psql = home, side, bin_directory, psql
        self._settings = SETTINGS + settings
        self.directory = home.file(side)
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "log")
        os.mkdir(self.directory, 0o700)
        if self._user():
            shutil.chown(self.directory, "postgres", "postgres")
        if model and os.path.exists(model):
            self._copy(model, self.data)
        else:
            self._create()
            if model:
                self._copy(self.data, model)
        self._start()
        self.version = self.query("SHOW server_version", database="postgres").split()[0]
        self.query("CREATE DATABASE shop", database="postgres")

    def _user(self):
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return {}
        postgres = pwd.getpwnam("postgres")
        return {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}

    def _spawn(self, arguments, **more):
        # A Ctrl-C at the terminal is for the demo, which ends its servers afterwards.
        return subprocess.Popen(
            arguments, cwd=self.directory, start_new_session=True, env=self.home.environment, **self._user(), **more
        )

    def _copy(self, one, other):
        """Copies files with their owners."""
        if subprocess.run(["cp", "-a", one, other]).returncode:
            raise Failure(f"{one} could not be copied")

    def _create(self):
        password = os.path.join(self.directory, "password")
        with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(self.home.password)
        if self._user():
            shutil.chown(password, "postgres", "postgres")
        initdb = self._spawn(
            [os.path.join(self._bin, "initdb"), "-D", self.data, "-U", "postgres", "-A", "scram-sha-256",
             f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        errors = initdb.communicate()[1].decode()
        os.remove(password)
        if initdb.returncode:
            raise Failure(f"initdb failed for the {self.side}:\n{errors}")

    def _start(self):
        for attempt in range(5):
            self.port = free_port()
            with open(os.path.join(self.data, "postgresql.conf"), "a") as settings:
                settings.write(f"{self._settings}port = {self.port}\n")
            if self._starts():
                self.home.add_password(self.port)
                return
        with open(self.log) as log:
            raise Failure(f"the {self.side} did not start:\n{log.read()[-2000:]}")

    def _starts(self):
        with open(self.log, "ab") as log:
            postmaster = self._spawn(
                [os.path.join(self._bin, "postgres"), "-D", self.data], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and postmaster.poll() is None:
            try:
                with open(os.path.join(self.data, "postmaster.pid")) as status:
                    if "ready" in status.read():
                        self._postmaster, self.pid = postmaster, postmaster.pid
                        return True
            except FileNotFoundError:
                pass
            time.sleep(0.02)
        return False

    def stop(self):
        """Ends the server, and its sessions with it."""
        self._postmaster.send_signal(signal.SIGINT)
        self._postmaster.wait()

    @property
    def uri(self):
        """How to connect; the password is in the file that PGPASSFILE names."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/shop"

    def psql(self, *options, database="shop"):
        """The command line of a psql that asks nothing and reads no settings of the user's."""
        return [self._psql, "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.uri.removesuffix("shop") + database, *options]

    def query(self, sql, database="shop"):
        """What a statement answers, as unaligned text."""
        return self._answer(self.psql("-c", sql, database=database))

    def load(self, path, **variables):
        """Runs a file of statements."""
        self._answer(self.psql("-f", path, *(f"-v{name}={value}" for name, value in variables.items())))

    def _answer(self, arguments):
        done = subprocess.run(
            arguments, env=self.home.environment, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True
        )
        if done.returncode:
            raise Failure(f"the {self.side} said: {done.stderr.decode().strip()}")
        return done.stdout.decode().rstrip("\n")


def free_port():
    """A TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
