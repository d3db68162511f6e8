"""Applications that write all the while, and write down what was acknowledged, when and by which server.

Each writer is a thread with two psql processes, one per server, like an application that holds a connection
to both. It writes to the old server until that refuses with SQLSTATE 25006; then it does the very same write
on the new one, and goes on there.
"""

import random
import subprocess
import threading
import time

OLD, NEW = "old", "new"

# The answers after which a transaction is tried again: serialization failure, deadlock.
TRY_AGAIN = ("40001", "40P01")
REFUSED = "25006"

# Between two transactions: some hundred a second, not as many as the machine can.
PAUSE = 0.004

# Tables whose rows the writers only update, under the same keys.
UPDATED = {
    "public.pgbench_accounts", "public.pgbench_branches", "public.pgbench_tellers", "shop.product", "shop.customer",
    "shop.team", "shop.member",
}
# Tables that they only add rows to.
GROWING = {"public.pgbench_history", "shop.journal", 'shop."Order"', "shop.order_line"}
# Tables whose rows come, go and change their keys. The writers leave the others alone.
CHURNING = {"shop.setting", "shop.event", "shop.employee"}

PRODUCT = "md5('product {}')::uuid"


class Lost(Exception):
    """A server ended the connection."""


class Session:
    """A psql that is fed line by line; a line goes to the server in one message."""

    MARK = "#"

    def __init__(self, server):
        self.server = server
        # What psql writes to standard error is never held back in a buffer.
        self._psql = subprocess.Popen(
            server.psql("-v", "ON_ERROR_STOP=0", "-v", "VERBOSITY=sqlstate"),
            env=server.home.environment | {"PGAPPNAME": "demo writer"}, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        self.run("SELECT 1;")

    def run(self, line):
        """Returns the SQLSTATE and the message, once the server has answered."""
        mark = self.MARK
        try:
            self._psql.stdin.write(f"{line}\n\\warn {mark} :SQLSTATE :LAST_ERROR_MESSAGE\n".encode())
            self._psql.stdin.flush()
        except BrokenPipeError:
            raise Lost(f"psql at the {self.server.side} has ended") from None
        last = ""
        while answer := self._psql.stderr.readline().decode():
            if answer.startswith(mark):
                _, state, *message = answer.split(maxsplit=2)
                return state, "".join(message).strip()
            last = answer
        raise Lost(f"connection to the {self.server.side} lost: {last.strip()}")

    def close(self):
        """Ends the psql."""
        try:
            self._psql.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._psql.wait(2)
        except subprocess.TimeoutExpired:
            self._psql.kill()
            self._psql.wait()


def one_message(*statements):
    """A transaction in one message."""
    return [" \\; ".join(("BEGIN", *statements, "COMMIT")) + ";"]


def many_messages(level, *statements):
    """A transaction in a message per statement."""
    return [f"BEGIN ISOLATION LEVEL {level};", *(f"{one};" for one in statements), "COMMIT;"]


def journal(number, _):
    """A single insert, without BEGIN."""
    return [f"{note(number)};"]


def bank(number, scale):
    """What pgbench does (TPC-B), statement by statement."""
    account, teller, branch = (random.randint(1, n * scale) for n in (100_000, 10, 1))
    delta = random.randint(-5000, 5000)
    return many_messages(
        "READ COMMITTED",
        f"UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {account}",
        f"SELECT abalance FROM pgbench_accounts WHERE aid = {account}",
        f"UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {teller}",
        f"UPDATE pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = {branch}",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) "
        f"VALUES ({teller}, {branch}, {account}, {delta}, CURRENT_TIMESTAMP)",
        note(number),
    )


def order(number, _):
    """An order with two lines; the stock follows."""
    customer, first = random.randint(1, 20000), random.randint(1, 4999)
    products = (PRODUCT.format(first), PRODUCT.format(first + 1))
    return one_message(
        f"""INSERT INTO shop."Order" (customer, state) VALUES ({customer}, 'paid')""",
        *(
            f"""INSERT INTO shop.order_line VALUES (currval('shop."Order_id_seq"'), {line}, {product}, {line + 1})"""
            for line, product in enumerate(products)
        ),
        *(
            f"UPDATE shop.product SET sold = sold + {line + 1}, stock = stock - {line + 1} WHERE id = {product}"
            for line, product in enumerate(products)
        ),
        """UPDATE shop.customer SET labels = labels || 'buyer "again"'::text, """
        """profile = jsonb_set(profile, '{visits}', to_jsonb((profile->>'visits')::int + 1)) """
        f"WHERE id = {customer}",
        note(number),
    )


def event(number, _):
    """Rows that come, go, change their keys and move between partitions."""
    key, day = random.randint(1, 1000), random.randint(0, 800)
    return many_messages(
        "REPEATABLE READ",
        "INSERT INTO shop.event (at, kind, payload) "
        f"""VALUES (TIMESTAMPTZ '2024-06-01 00:00Z' + {day} * INTERVAL '1 day', 'new', '{{"n": {key}}}')""",
        "UPDATE shop.event SET at = at + INTERVAL '1 year', kind = 'moved' "
        f"WHERE id = {random.randint(1, 60000)} AND at < '2025-01-01 00:00Z'",
        f"DELETE FROM shop.event WHERE id = {random.randint(1, 60000)} AND kind = 'kind 1'",
        f"UPDATE shop.setting SET name = name || '''', value = '{{\"by\": \"{number}\"}}' "
        f"WHERE name IN ('setting {key}', 'setting {key}''', 'setting {key}''''')",
        f"INSERT INTO shop.setting VALUES ('setting {number}', NULL)",
        note(number),
    )


def people(number, _):
    """A tree that grows and is cut, seats that are swapped, teams that change their head."""
    team, leaf = random.randint(0, 19), random.randint(1500, 2000)
    one, other = random.sample(range(20), 2)
    return many_messages(
        "SERIALIZABLE",
        f"INSERT INTO shop.employee (name, boss) VALUES ('joined in {number}', {random.randint(1, 200)})",
        f"UPDATE shop.employee SET boss = {random.randint(1, 200)} WHERE id = {leaf}",
        f"DELETE FROM shop.employee WHERE id = {leaf} AND {leaf} % 7 = 0",
        f"UPDATE shop.member SET seat = CASE seat WHEN {one} THEN {other} ELSE {one} END "
        f"WHERE team = 'team {team}' AND seat IN ({one}, {other})",
        f"UPDATE shop.team SET head = {team + 20 * one} WHERE name = 'team {team}'",
        note(number),
    )


def note(number):
    """The statement that leaves a transaction's id in the journal."""
    return f"INSERT INTO shop.journal (id) VALUES ('{number}')"


KINDS = (journal, journal, bank, bank, order, event, people)


class Writer(threading.Thread):
    """One application."""

    def __init__(self, number, kind, scale, old, new):
        super().__init__(daemon=True)
        self.number, self._kind, self._scale = number, kind, scale
        self._sessions = {OLD: Session(old), NEW: Session(new)}
        self._server = OLD
        self._ending = threading.Event()
        # (when sent, when answered, server, id)
        self.acknowledged = []
        # (when answered, message)
        self.refusals = []
        self.tried_again = 0
        self.trouble = None

    def run(self):
        turn = 0
        try:
            while not self._ending.is_set() and not self.trouble:
                turn += 1
                self._write(f"{self.number}-{turn}")
                time.sleep(PAUSE)
        except Lost as lost:
            self.trouble = str(lost)

    def _write(self, number):
        """Repeats one transaction until it is acknowledged."""
        script = self._kind(number, self._scale)
        while not self.trouble:
            sent, state, message = self._attempt(script)
            answered = time.monotonic()
            if state == "00000":
                self.acknowledged.append((sent, answered, self._server, number))
                return
            if state == REFUSED and self._server == OLD:
                self.refusals.append((answered, message))
                self._server = NEW
            elif state in TRY_AGAIN:
                self.tried_again += 1
            else:
                self.trouble = f"the {self._server} server answered {number} with {state}: {message}"

    def _attempt(self, script):
        """Sends a transaction; returns when its last message was sent, and the first bad answer or the last."""
        session = self._sessions[self._server]
        for message in script:
            sent = time.monotonic()
            state, text = session.run(message)
            if state != "00000":
                if len(script) > 1 or message.startswith("BEGIN"):
                    session.run("ROLLBACK;")
                break
        return sent, state, text

    def end(self):
        """Lets the transaction at hand finish, unless a server has stopped answering."""
        self._ending.set()
        self.join(10)
        for session in self._sessions.values():
            session.close()


class Writers:
    """All of them."""

    def __init__(self, old, new, scale):
        self._all = []
        for number, kind in enumerate(KINDS, 1):
            self._all.append(Writer(number, kind, scale, old, new))
        self.began = time.monotonic()
        for writer in self._all:
            writer.start()

    def end(self):
        """Ends the writers; may be called again."""
        for writer in self._all:
            writer._ending.set()
        for writer in self._all:
            writer.end()

    def __len__(self):
        return len(self._all)

    def __iter__(self):
        return iter(self._all)

    def acknowledged(self, server=None):
        """What was acknowledged, in the order of the answers."""
        every = (one for writer in self._all for one in list(writer.acknowledged))
        return sorted((one for one in every if server in (None, one[2])), key=lambda one: one[1])

    def refusals(self):
        """When writers were refused, and the message, in order."""
        return sorted(one for writer in self._all for one in writer.refusals)

    def trouble(self):
        """What no writer should have got."""
        return [writer.trouble for writer in self._all if writer.trouble]

    def longest_gap(self):
        """The longest time without any acknowledgement: its seconds and the time of its end."""
        return longest_gap([one[1] for one in self.acknowledged()])

    def longest_gap_of_one(self):
        """The same for the single writer that had to wait longest."""
        return max(longest_gap([one[1] for one in writer.acknowledged]) for writer in self._all)


def longest_gap(times):
    """The longest time between two of them, in seconds, and when it ended."""
    return max(((after - before, after) for before, after in zip(times, times[1:])), default=(0.0, 0.0))
