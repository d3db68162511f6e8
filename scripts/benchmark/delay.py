"""A TCP relay that delivers everything a while later than it came: a far server on one machine.

In a process of its own: beside a benchmark's writers it would wait for its turn in one interpreter, which a network
does not.
"""

import os
import queue
import socket
import subprocess
import sys
import threading
import time


class Delay:
    """Listens on a port of 127.0.0.1; each round trip takes `seconds` longer."""

    def __init__(self, port, seconds):
        command = [sys.executable, "-B", os.path.abspath(__file__), str(port), str(seconds)]
        # In a session of its own, so that Ctrl-C reaches it as the end of its input.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
        )
        self.port = int(self._process.stdout.readline())

    def close(self):
        """Cuts all connections."""
        self._process.stdin.close()
        self._process.wait()


def listen(port, seconds):
    """Relays to a port what comes to one that is printed, until its input ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener, port, seconds), daemon=True).start()
    sys.stdin.read()


def accept(listener, port, seconds):
    """Takes connections for as long as the process lives."""
    while True:
        client = listener.accept()[0]
        server = socket.create_connection(("127.0.0.1", port))
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The whole delay on the way there, none on the way back.
        relay(client, server, seconds)
        relay(server, client, 0)


def relay(source, sink, seconds):
    """Moves bytes from one socket to another, each `seconds` after it came."""
    waiting = queue.Queue()

    def read():
        while block := receive(source):
            waiting.put((time.monotonic() + seconds, block))
        waiting.put((0, b""))

    def write():
        while True:
            due, block = waiting.get()
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            try:
                if not block:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(block)
            except OSError:
                return

    for work in (read, write):
        threading.Thread(target=work, daemon=True).start()


def receive(source):
    """The next bytes; none at the end, whatever ended it."""
    try:
        return source.recv(1 << 16)
    except OSError:
        return b""


if __name__ == "__main__":
    listen(int(sys.argv[1]), float(sys.argv[2]))
