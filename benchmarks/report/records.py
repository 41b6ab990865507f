"""Records (lines of JSON) and the pieces of Markdown that both halves of the report are made of."""

import json
import math


def read_records(paths):
    records, broken = [], 0
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    record = json.loads(line)
                    records.append(record if isinstance(record, dict) else {})
                except ValueError:  # a program was killed while it wrote
                    broken += bool(line.strip())
    return records, broken


def of_kind(records, kind):
    return [r for r in records if r.get("kind") == kind]


def latest(records, keys):
    """The last record of each key, in the order of the first: a part that was run again replaces what it said."""
    found = {}
    for record in records:
        found[tuple(record.get(k) for k in keys)] = record
    return list(found.values())


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def table(head, rows):
    if not rows:
        return ["(nothing)", ""]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(c).replace("|", "/") for c in row) + " |" for row in rows] + [""]


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"
