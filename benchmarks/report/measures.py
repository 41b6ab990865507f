"""What the report on scripts/bench says, computed from its records: ratios, means, costs, slopes, targets, memory."""

import math
import re

from records import geometric_mean

OURS = "seqgpu"
KEY = ("workload", "pass", "threads")
PLACE = ("group", "scale")  # a workload may stand in several

def name_of(timing):
    return timing["contestant"] + (" " + timing["variant"] if timing["variant"] else "")


def of_pytorch(ours, peers):
    """PyTorch's best time over ours."""
    return min((t["median"] for t in peers if t["contestant"] == "pytorch"), default=0) / ours["median"] or None


def memory_ratio(ours, peers):
    """PyTorch's peak over ours."""
    peaks = [t["peak_bytes"] for t in peers if t["contestant"] == "pytorch" and t.get("peak_bytes", -1) > 0]
    return min(peaks) / ours["peak_bytes"] if peaks and ours.get("peak_bytes", -1) > 0 else None


def compare(timings, limits, trips=()):
    """One row a workload, pass and thread count that we were timed at."""
    limits = {tuple(r[k] for k in KEY): r for r in limits}
    trips = {tuple(r.get(k) for k in (*KEY, *PLACE)): r["seconds"] for r in trips}
    groups = {}
    for t in timings:
        groups.setdefault(tuple(t.get(k) for k in (*KEY, *PLACE)), []).append(t)
    rows = []
    for place, group in groups.items():
        key = place[:len(KEY)]
        ours = [t for t in group if t["contestant"] == OURS]
        if not ours:
            continue
        ours, peers = ours[-1], [t for t in group if t["contestant"] != OURS]
        best = min(peers, key=lambda t: t["median"], default=None)
        limit = limits.get(key)
        more = ("group", "row_kind", "cell", "model", "T", "N", "I", "H", "ragged", "option", "over", "scale")
        rows.append({
            **dict(zip(KEY, key)), **{k: ours[k] for k in more if k in ours}, "ours": ours, "peers": peers,
            "best": best and name_of(best),
            "ratio": best and best["median"] / ours["median"],
            "ratio_min": best and min(t["min"] for t in peers) / ours["min"],
            "of_pytorch": of_pytorch(ours, peers),
            "memory_ratio": memory_ratio(ours, peers) if key[1] == "train" else None,
            "limit": limit,
            "round_trips": trips.get(place, []),
            "over_limit": limit and ours["median"] / limit["seconds"],
            "best_over_limit": limit and best and best["median"] / limit["seconds"],
        })  # fmt: skip
    return rows


def summarize(rows):
    """Geometric means of the ratios, by group, pass and threads, and of all rows by threads."""
    groups = {}
    for r in rows:
        if r["ratio"]:
            groups.setdefault((r["group"], r["pass"], r["threads"]), []).append(r)
            groups.setdefault(("all", "all", r["threads"]), []).append(r)
    lines = []
    for (group, step, threads), members in sorted(groups.items(), key=lambda item: (item[0][0] == "all", item[0])):
        ratios = [r["ratio"] for r in members]
        lines.append({"group": group, "pass": step, "threads": threads, "of": len(ratios), "least": min(ratios),
                      "mean": geometric_mean(ratios), "mean_min": geometric_mean([r["ratio_min"] for r in members]),
                      "most": max(ratios), "lost": sum(r < 1 for r in ratios)})  # fmt: skip
    return lines


def costs(rows):
    """What an option adds to the plain layer, ours alone."""
    found = []
    plain = {tuple(r[k] for k in KEY): r for r in rows}
    for r in rows:
        other = plain.get((r["workload"].removesuffix("_" + r["option"]), r["pass"], r["threads"])) if r["option"] else None
        if other:
            found.append({**{k: r[k] for k in KEY}, "group": r["group"], "option": r["option"],
                          "cost": r["ours"]["median"] / other["ours"]["median"],
                          "cost_min": r["ours"]["min"] / other["ours"]["min"], "same_bits": r["ours"].get("same_bits"),
                          "planned_bytes": [c["ours"].get("planned_bytes") for c in (other, r)]})  # fmt: skip
    return found


def ragged_costs(rows):
    """What ragged lengths cost beyond their valid steps: our time over that of the same layer at full length, ours too,
    times the share of its work that is left."""
    found = []
    plain = {tuple(r[k] for k in KEY): r for r in rows if r["limit"]}
    for r in plain.values():
        full = plain.get((r["workload"].removesuffix("_ragged"), r["pass"], r["threads"])) if r["group"] == "ragged" else None
        if full:
            share = r["limit"]["flops"] / full["limit"]["flops"]
            found.append({**{k: r[k] for k in KEY}, "cost": r["ours"]["median"] / (full["ours"]["median"] * share)})
    return found


SATURATED = 1.15  # of the least time per sequence
LINEAR = (0.9, 1.1)


def exponent(points):
    """p of time ~ size^p, by least squares in logarithms."""
    points = [(math.log(size), math.log(seconds)) for size, seconds in points]
    mean_x, mean_y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def beyond_saturation(points):
    """From the first size on whose time per sequence is near the least of all, but three sizes at least."""
    least = min(seconds / size for size, seconds in points)
    first = next(i for i, (size, seconds) in enumerate(points) if seconds / size <= SATURATED * least)
    return points[min(first, max(0, len(points) - 3)):]


def slopes(rows):
    """The exponent p of time ~ size^p of the minima, ours: 1 is linear. H has no such goal, as products grow with H^2."""
    series = {}
    for r in rows:
        if r.get("scale"):
            series.setdefault((r["cell"], r["scale"], r["pass"], r["threads"]), []).append((r[r["scale"]], r["ours"]["min"]))
    found = []
    for (cell, axis, step, threads), points in series.items():
        if len(points) < 2:
            continue
        fitted = beyond_saturation(sorted(points)) if axis == "N" else sorted(points)
        slope = exponent(fitted)
        found.append({"cell": cell, "axis": axis, "pass": step, "threads": threads, "slope": slope,
                      "sizes": [size for size, _ in fitted], "all_sizes": sorted(size for size, _ in points),
                      "linear": None if axis == "H" else LINEAR[0] <= slope <= LINEAR[1]})  # fmt: skip
    return found


def targets(rows):
    """What the CPU device is to reach, row by row: (which rows, the figure, its bound, whether more is better)."""
    bound_by_products = lambda r: r["H"] >= 256 and r["N"] >= 32  # noqa: E731
    layers = [r for r in rows if r["group"] in ("layers", "ragged", "scaling")]
    full = [r for r in layers if r["group"] != "ragged"]
    ragged = [r for r in layers if r["group"] == "ragged"]
    training = [r for r in rows if r["pass"] == "train"]
    costs_at_most = [{**c, "workload": c["workload"]} for c in costs(rows) if c["option"] in ("peephole", "projection", "dropout")]
    bf16 = [{**c, "gain": 1 / c["cost"]} for c in costs(rows) if c["option"] == "bf16"]
    budget = [c for c in costs(rows) if c["option"] == "budget"]
    wanted = [
        ("the best peer's time over ours", rows, "ratio", 1.0, True),
        ("ours over the limit, H >= 256 and N >= 32", [r for r in full if bound_by_products(r)], "over_limit", 1.1, False),
        ("ours over the limit, other layers", [r for r in full if not bound_by_products(r)], "over_limit", 1.5, False),
        ("PyTorch's time over ours, training", training, "of_pytorch", 1.5, True),
        ("PyTorch's time over ours, training, N = 1", [r for r in training if r.get("N") == 1], "of_pytorch", 5.0, True),
        ("ragged: the best peer's time over ours", ragged, "ratio", 3.0, True),
        ("ragged: times the full-length layer's time for the valid steps", ragged_costs(rows), "cost", 1.2, False),
        ("ragged: ours over the limit of the valid steps", ragged, "over_limit", 1.2, False),
        ("peephole, projection, dropout: times the plain layer", costs_at_most, "cost", 1.2, False),
        ("bf16: the plain layer's time over it", bf16, "gain", 1.6, True),
        ("a tenth of the memory: times the plain step", budget, "cost", 1.5, False),
        ("PyTorch's peak memory over ours, training", training, "memory_ratio", 1.0, True),
    ]
    found = []
    for what, members, figure, bound, more in wanted:
        for threads in sorted({r["threads"] for r in members}):
            values = [(r[figure], r) for r in members if r["threads"] == threads and r.get(figure)]
            if not values:
                continue
            worst, row = (min if more else max)(values, key=lambda v: v[0])
            met = sum(v >= bound if more else v <= bound for v, _ in values)
            found.append({"target": what, "threads": threads, "bound": bound, "at_least": more, "of": len(values), "met": met,
                          "worst": worst, "workload": row["workload"], "pass": row["pass"]})  # fmt: skip
    return found


def reason_for(row, reasons):
    """Why we lose a row: the first of reasons.json whose pattern is found in group/workload/pass."""
    name = f"{row['group']}/{row['workload']}/{row['pass']}"
    for reason in reasons:
        if re.search(reason["rows"], name) and reason.get("threads", row["threads"]) == row["threads"]:
            return reason["why"]
    return "not known"
