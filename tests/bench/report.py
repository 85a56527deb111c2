# SPDX-License-Identifier: GPL-3.0-or-later
"""Results: JSON lines while they come, a table of them and of the figures to reach at the end."""

import json
import statistics

import peers


def quantile(values, share):
    """The value below which share of the sorted values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def human(value, unit):
    """A number with its unit, for people."""
    if value is None:
        return "-"
    if unit == "bytes":
        for name in ("B", "KB", "MB"):
            if abs(value) < 1000:
                return f"{value:.0f} {name}" if name == "B" else f"{value:.1f} {name}"
            value /= 1000
        return f"{value:.2f} GB"
    if unit == "s" and value < 0.1:
        return f"{value * 1000:.2f} ms"
    return f"{value:.3g} {unit}".rstrip() if abs(value) < 1000 else f"{value:,.0f} {unit}"


class Report:
    """Collects records and figures; prints each record as a JSON line at once."""

    def __init__(self, stream, progress):
        self.stream = stream
        self.progress = progress
        self.records = {}
        self.figures = []

    def emit(self, **fields):
        """One JSON line."""
        self.stream.write(json.dumps(fields, ensure_ascii=False) + "\n")
        self.stream.flush()

    def note(self, text):
        """A line for the person waiting."""
        self.progress.write(f"# {text}\n")
        self.progress.flush()

    def add(self, bench, case, target, runs, unit="s", **more):
        """A measured case: the runs of one target. The median counts."""
        record = dict(bench=bench, case=case, target=target, unit=unit, runs=runs,
                      median=statistics.median(runs), **more)
        self.records[(bench, case, target)] = record
        self.emit(**record)
        return record["median"]

    def median(self, bench, case, target):
        """The median recorded, or None."""
        record = self.records.get((bench, case, target))
        return record and record["median"]

    def figure(self, name, value, goal, at_least=False, unit="", bare=None):
        """One of the figures to reach, and what bare FUSE reaches. value None: left out."""
        if value is None:
            return
        met = value >= goal if at_least else value <= goal
        self.figures.append((name, value, goal, at_least, unit, met, bare))
        self.emit(figure=name, value=value, goal=goal, direction=">=" if at_least else "<=",
                  unit=unit, met=met, **({} if bare is None else {"bare": bare}))

    def ratio(self, name, bench, case, peer, goal, at_least=False, target="emlfs"):
        """A figure that is target's median divided by peer's; bare FUSE's likewise beside it."""
        mine, other = self.median(bench, case, target), self.median(bench, case, peer)
        bare = self.median(bench, case, peers.BARE)
        if mine is not None and other:
            self.figure(name, mine / other, goal, at_least, "x", bare and bare / other)

    def missed(self):
        """Names of the figures not reached."""
        return [figure[0] for figure in self.figures if not figure[5]]

    def _case_rows(self):
        targets = []
        for _, _, target in self.records:
            if target not in targets:
                targets.append(target)
        yield ["bench", "case"] + targets
        cases = dict.fromkeys((bench, case) for bench, case, _ in self.records)
        for bench, case in cases:
            row = [bench, case]
            for target in targets:
                record = self.records.get((bench, case, target))
                row.append(human(record["median"], record["unit"]) if record else "")
            yield row

    def _figure_rows(self):
        yield ["figure", "value", "goal", "", peers.BARE]
        for name, value, goal, at_least, unit, met, bare in self.figures:
            yield [name, human(value, unit), (">= " if at_least else "<= ") + human(goal, unit),
                   "ok" if met else "MISSED", "" if bare is None else human(bare, unit)]

    def table(self):
        """All of it for people."""
        for rows in (list(self._case_rows()), list(self._figure_rows())):
            widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
            self.progress.write("\n")
            for number, row in enumerate(rows):
                cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths))]
                self.progress.write("  ".join(cells).rstrip() + "\n")
                if number == 0:
                    self.progress.write("  ".join("-" * width for width in widths) + "\n")
        self.progress.flush()
