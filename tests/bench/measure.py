# SPDX-License-Identifier: MIT
"""What is measured of a process, and the table of it all."""

import dataclasses
import os
import pathlib
import statistics

from lib.process import tree_of


def cpu_usec(pid):
    """CPU that the process and its children used so far, user and system, all threads.

    From schedstat, which counts nanoseconds where stat counts ticks of 10 ms. Threads that have
    ended are not in it.
    """
    nsec = 0
    for process in tree_of(pid):
        for task in pathlib.Path(f"/proc/{process}/task").glob("*/schedstat"):
            nsec += int(task.read_text().split()[0])
    return nsec / 1000


def pss_mib(pid):
    """Memory of the process and its children; shared pages in equal parts to all who share."""
    kib = 0
    for process in tree_of(pid):
        for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024


def pin(pid, cpu):
    """Keeps all threads on one CPU: the measured on the last, the load on the first."""
    cpus = sorted(os.sched_getaffinity(0))
    for process in tree_of(pid):
        for task in os.listdir(f"/proc/{process}/task"):
            os.sched_setaffinity(int(task), {cpus[cpu]})


def alternate(rounds, subjects, measure):
    """measure(subject) for each subject in turn, again and again: {name: [value of each round]}.

    What the machine does beside, it does to all of them alike.
    """
    values = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            values[subject.name].append(measure(subject))
    return values


@dataclasses.dataclass
class Row:
    """One figure of each column, as the values of all rounds; vitald is held against one of them.

    must: of the ratio (against="limit" or "haproxy") or, without against, of the figure itself;
    None: nothing is demanded.
    """
    what: str
    values: dict
    must: float = None
    against: str = None
    digits: int = 1
    must_also: tuple = ()       # (against, ratio)

    def middle(self, name):
        values = self.values.get(name)
        return statistics.median(values) if values else None

    def ratio(self, against):
        """The median of what the rounds say, each by itself."""
        ours, theirs = self.values.get("vitald"), self.values.get(against)
        if not ours or not theirs:
            return None
        if len(ours) != len(theirs):
            return statistics.median(ours) / statistics.median(theirs)
        return statistics.median(a / b for a, b in zip(ours, theirs))

    def demands(self):
        """[(against, must)]"""
        return [] if self.must is None else [(self.against, self.must), *self.must_also]

    def verdict(self):
        """"?": the bare limit misses the figure as well, so the machine is too busy to tell."""
        figures = [self.ratio(against) if against else self.middle("vitald")
                   for against, _ in self.demands()]
        if not figures or None in figures:
            return ""
        if all(figure <= must for figure, (_, must) in zip(figures, self.demands())):
            return "yes"
        return "?" if not self.against and (self.middle("limit") or 0) > self.must else "NO"

    def demands_text(self):
        return ", ".join(f"{must:g} x {against}" if against else f"{must:g}"
                         for against, must in self.demands()) or "-"

    def ratios(self):
        names = [self.against or "limit", *(against for against, _ in self.must_also)]
        ratios = [self.ratio(name) for name in names]
        return " ".join(f"{ratio:.2f}" for ratio in ratios if ratio is not None) or "-"

    def cells(self):
        def text(name):
            middle = self.middle(name)
            return "-" if middle is None else f"{middle:.{self.digits}f}"
        return [self.what, text("limit"), text("nginx"), text("haproxy"), text("vitald"),
                self.ratios(), self.demands_text(), self.verdict()]


HEAD = ["what", "limit", "nginx", "haproxy", "vitald", "ratio", "must reach", "ok"]


def table(rows):
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]

    def text(line):
        first = line[0].ljust(widths[0])
        numbers = [cell.rjust(width) for cell, width in zip(line[1:6], widths[1:6])]
        rest = [cell.ljust(width) for cell, width in zip(line[6:], widths[6:])]
        return "  ".join([first, *numbers, *rest]).rstrip()
    return "\n".join([text(HEAD), "-" * len(text(HEAD)), *map(text, lines[1:])])
