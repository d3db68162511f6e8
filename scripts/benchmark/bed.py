"""What every topic stands on: throwaway servers, the release build, and the peers' programs."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time

from demonstration.servers import Failure, Home, Server

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Both sides, so that every peer runs with its own clients of this version.
VERSION = "15"
DATABASE = "shop"
LIMIT_SECONDS = 300


def say(text):
    """Progress, for whoever watches."""
    print(f"  {text}", file=sys.stderr, flush=True)


def build():
    """The path of the release binary."""
    say("building pg_switchover")
    done = subprocess.run(
        ["cargo", "build", "--release", "--message-format=json-render-diagnostics"],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )
    if done.returncode:
        raise Failure("the build failed")
    for line in done.stdout.splitlines():
        if path := json.loads(line).get("executable"):
            return path
    raise Failure("cargo did not say where it put the program")


def bin_directory():
    """Where PostgreSQL's programs are."""
    done = subprocess.run(["scripts/postgres", VERSION], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failure("PostgreSQL could not be had")
    return done.stdout.split(" ", 1)[1].strip()


class Bed:
    """Two servers that are made anew for each measurement that changes them, and the programs."""

    def __init__(self):
        self.bin = bin_directory()
        self.program = build()
        self.home = Home()
        self._number = 0

    def path(self, name):
        """A program of PostgreSQL's."""
        return os.path.join(self.bin, name)

    @contextlib.contextmanager
    def servers(self, *sides, settings=""):
        """Running servers, gone afterwards."""
        self._number += 1
        made = []
        try:
            for side in sides:
                name = f"{side}{self._number}"
                model = self.home.file(f"model-{side}")
                made.append(Server(self.home, name, self.bin, self.path("psql"), settings, model))
            yield made
        finally:
            for server in made:
                stop(server)

    def tool(self, source, destination, *arguments, expect=0, **more):
        """Runs pg_switchover; its standard error and the seconds it took."""
        began = time.monotonic()
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment(source, destination), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more,
        )
        seconds = time.monotonic() - began
        if done.returncode != expect:
            raise Failure(f"pg_switchover {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done.stderr, seconds

    def environment(self, source, destination):
        """What leads the tool to the servers, and programs to PostgreSQL's clients."""
        both = {"PG_SWITCHOVER_SOURCE": source.uri, "PG_SWITCHOVER_DEST": destination.uri}
        return self.home.environment | both | {"PATH": f"{self.bin}:{os.environ.get('PATH', '')}"}

    def run(self, arguments, shell=False, **more):
        """Runs a peer's program and returns the seconds it took."""
        began = time.monotonic()
        environment = self.home.environment | {"PATH": f"{self.bin}:{os.environ.get('PATH', '')}"}
        done = subprocess.run(
            arguments, shell=shell, executable="/bin/bash" if shell else None, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more,
        )
        if done.returncode:
            what = arguments if shell else " ".join(arguments)
            raise Failure(f"{what} ended with {done.returncode}:\n{done.stdout[-2000:]}")
        return time.monotonic() - began

    def pgbench(self, server, *arguments, more=None):
        """Runs pgbench, with more in its environment, and returns what it printed."""
        done = subprocess.run(
            [self.path("pgbench"), *arguments, server.uri], env=self.home.environment | (more or {}),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode:
            raise Failure(f"pgbench ended with {done.returncode}:\n{done.stdout[-2000:]}")
        return done.stdout

    def remove(self):
        """Leaves nothing behind."""
        self.home.remove()


def stop(server):
    """Ends a server and gives its space back. The empty files stay until the end: ext4 passes over inodes that went
    within the last minutes one by one whenever a file is made, which costs the next peer up to a second."""
    server.stop()
    for directory, _, files in os.walk(server.directory):
        for file in files:
            os.truncate(os.path.join(directory, file), 0)


def tps(text):
    """Transactions per second, from what pgbench says."""
    return float(re.search(r"tps = ([\d.]+) \(without", text)[1])


def same(one, other, tables):
    """Demands that both servers have the same rows; what was fast and wrong is not fast."""
    for table in tables:
        sql = f"SELECT count(*), COALESCE(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {table} t"
        if one.query(sql) != other.query(sql):
            raise Failure(f"table {table} differs between {one.side} and {other.side}")


def wait(server, sql, answer):
    """Asks until the answer comes."""
    end = time.monotonic() + LIMIT_SECONDS
    while server.query(sql) != answer:
        if time.monotonic() > end:
            raise Failure(f"{server.side} did not come to {answer}: {sql}")
        time.sleep(0.05)
