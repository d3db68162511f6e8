"""A TCP relay that delivers everything a while later than it came: a far server on one machine."""

import queue
import socket
import threading
import time


class Delay:
    """Listens on a port of 127.0.0.1; each round trip takes `seconds` longer."""

    def __init__(self, port, seconds):
        self._port, self._seconds = port, seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The whole delay on the way there, none on the way back.
            relay(client, server, self._seconds)
            relay(server, client, 0)

    def close(self):
        """Takes no more connections."""
        self._listener.close()


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
