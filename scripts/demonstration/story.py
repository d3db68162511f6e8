"""What the demo prints."""

import os
import shutil
import sys
import textwrap

from .writers import NEW, OLD

LABEL = 11
WIDTH = 105


class Story:
    """Standard output: a label on the left, text on the right, a line that changes while there is a terminal."""

    def __init__(self):
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and "NO_COLOR" not in os.environ

    def _paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _clear(self):
        if self._live:
            sys.stdout.write("\r\x1b[K")

    def title(self, text):
        """The first line."""
        self._clear()
        print(self._paint("1", text), end="\n\n", flush=True)

    def tell(self, label, text):
        """A paragraph with its label, or without one."""
        self._clear()
        lines = [part for line in text.split("\n") for part in textwrap.wrap(line, WIDTH - LABEL) or [""]]
        for number, line in enumerate(lines):
            head = self._paint("36", f"{label:<{LABEL}}") if number == 0 else " " * LABEL
            print(head + line)
        sys.stdout.flush()

    def finding(self, holds, text):
        """A statement that was checked."""
        mark = self._paint("32", "ok") if holds else self._paint("31", "NO")
        self._clear()
        first, *rest = textwrap.wrap(text, WIDTH - LABEL)
        print(f"{' ' * (LABEL - 4)}{mark}  {first}")
        for line in rest:
            print(f"{' ' * LABEL}{line}")

    def verdict(self, holds, text):
        """The last sentence."""
        self._clear()
        print("\n" + self._paint("1;32" if holds else "1;31", text), flush=True)

    def now(self, text):
        """What is going on, on a terminal; gone with the next line."""
        if self._live:
            columns = shutil.get_terminal_size().columns
            sys.stdout.write("\r\x1b[K" + self._paint("2", text[: columns - 1]))
            sys.stdout.flush()

    def plain(self, text=""):
        """A line as it is."""
        self._clear()
        print(text, flush=True)


def milliseconds(seconds):
    """Seconds as text in milliseconds."""
    return f"{seconds * 1000:.1f} ms"


def copied(run, status):
    """What the copy brought."""
    tables, rows, megabytes, seconds = run.copied()
    largest = max(status["tables"], key=lambda table: table["copied_rows"] or 0)
    return (
        f"{tables:.0f} tables, {rows:,.0f} rows, {megabytes:,.1f} MB in {seconds:.1f} s, with the schema, indexes and "
        f"constraints;\nthe largest, {largest['schema']}.{largest['table']}, has {largest['copied_rows']:,} rows"
    )


def lag(status, verified):
    """A line per cycle: what had changed since the one before. Verify compared the result of one of them."""
    lines = []
    for cycle in sorted(status["last_cycles"], key=lambda cycle: cycle["cycle"]):
        milliseconds_in_all = cycle["read_ms"] + cycle["apply_ms"]
        what = {verified: "compared by verify", (verified or -2) + 1: "written during verify"}.get(cycle["cycle"], "")
        if cycle["final"]:
            what = "under the lock"
        lines.append(
            f"cycle {cycle['cycle']:<3}{cycle['keys']:>9,} changed rows in {cycle['tables']:>2} tables"
            f"{milliseconds_in_all:>10,.0f} ms  {what}".rstrip()
        )
    return "\n".join(lines)


def window(run):
    """The window by its parts."""
    total, lock, read, apply, flip, rows = run.window()
    return (
        f"the window, in which no write was taken: {total:.1f} ms\n"
        f"lock {lock:.1f} ms (wait for running writers), read {read:.1f} ms, apply {apply:.1f} ms, flip {flip:.1f} ms; "
        f"{rows:,.0f} rows carried over in it"
    )


def felt(writers, gap_at_switch):
    """What the writers noticed."""
    (longest, ended), (one, _) = writers.longest_gap(), writers.longest_gap_of_one()
    where = "at the switch" if ended == gap_at_switch[1] else (
        f"{ended - writers.began:.1f} s after the writers' start; at the switch {milliseconds(gap_at_switch[0])}"
    )
    return (
        f"longest gap between two acknowledged writes: {milliseconds(longest)} ({where})\n"
        f"the writer that had to wait longest for its next acknowledgement: {milliseconds(one)}"
    )


def rate(writers):
    """Acknowledged transactions per second, and what has been acknowledged by which server."""
    everything = writers.acknowledged()
    seconds = everything[-1][1] - everything[0][1] if len(everything) > 1 else 1
    count = {side: len(writers.acknowledged(side)) for side in (OLD, NEW)}
    return len(everything) / seconds, count
