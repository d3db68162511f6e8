"""Prints what was measured: a table per topic, medians with the smallest and the largest."""

import statistics


def middle(values):
    """Median, smallest and largest of some numbers."""
    return statistics.median(values), min(values), max(values)


def spread(values, unit="", digits=1):
    """`median (smallest to largest) unit`."""
    median, least, most = middle(values)
    text = f"{median:,.{digits}f}"
    if len(values) > 1:
        text += f" ({least:,.{digits}f} to {most:,.{digits}f})"
    return f"{text} {unit}".rstrip()


def ratio(one, other):
    """How many times the median of the other the median of the one is."""
    below = statistics.median(other)
    return f"{statistics.median(one) / below:.2f}" if below else "-"


class Table:
    """Rows under a title; printed as a table of Markdown, so that it can be pasted."""

    def __init__(self, title, *columns):
        self._title, self._columns, self._rows = title, columns, []

    def row(self, *cells):
        """Adds a row."""
        self._rows.append([str(cell) for cell in cells])

    def print(self):
        """Prints it, the columns aligned."""
        lines = [list(self._columns), *self._rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self._columns))]
        print(f"\n{self._title}\n", flush=True)
        for number, line in enumerate(lines):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
            if number == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|", flush=True)
