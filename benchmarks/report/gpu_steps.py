"""Whole training steps and streaming on a GPU: ours beside PyTorch's eager and captured ways."""

from records import number, table

WAYS = ("eager", "graph")


def compare(times):
    """One row a workload and precision, with ours and PyTorch's ways; ratio: PyTorch's best time over ours."""
    groups = {}
    for t in times:
        groups.setdefault((t["workload"], t["precision"]), []).append(t)
    rows = []
    for (workload, precision), group in groups.items():
        ours = next((t for t in group if t["contestant"] == "seqgpu"), None)
        row = {"workload": workload, "precision": precision, "ours": ours}
        for way in WAYS:
            row[way] = next((t for t in group if t["contestant"] == "pytorch" and t["variant"] == way), None)
        peers = [row[way] for way in WAYS if row[way]]
        best = min(peers, key=lambda t: t["us_median"], default=None)
        row["ratio"] = best["us_median"] / ours["us_median"] if best and ours else None
        tails = [t["us_p999"] for t in peers if "us_p999" in t]
        row["tail_ratio"] = min(tails) / ours["us_p999"] if tails and ours and "us_p999" in ours else None
        peaks = [t["peak_bytes"] for t in peers if t.get("peak_bytes", -1) > 0]
        known = ours and ours.get("peak_bytes", -1) > 0 and peaks
        row["memory_ratio"] = min(peaks) / ours["peak_bytes"] if known else None
        rows.append(row)
    return rows


def tokens_per_second(t):
    return "-" if t is None else f"{t['tokens'] / t['us_median'] * 1e6:.0f}"


def megabytes(t):
    return "-" if t is None or t.get("peak_bytes", -1) < 0 else f"{t['peak_bytes'] / 1e6:.1f}"


def tail(t):
    return "-" if t is None else f"{t['us_median']:.1f} / {t['us_p999']:.1f}"


def markdown(report):
    lines = []
    if report["steps"]:
        lines += ["## Whole training steps", "", "Tokens, or frames, a second; the call as a user makes it, with Adam and clipping, "
                  "until the loss is on the host. bf16: in ours the recurrent products, in PyTorch what autocast takes. A ratio "
                  "above 1 says that seqgpu is faster, or holds less, than the better of PyTorch's ways. Peak: device memory of "
                  "each library's allocator, MB.", ""]  # fmt: skip
        lines += table(["model", "precision", "seqgpu", "PyTorch", "PyTorch, graph", "ratio", "seqgpu MB", "PyTorch MB",
                        "PyTorch, graph, MB", "ratio"],
                       [[r["workload"], r["precision"], *(tokens_per_second(r[k]) for k in ("ours", *WAYS)), number(r["ratio"]),
                         *(megabytes(r[k]) for k in ("ours", *WAYS)), number(r["memory_ratio"])] for r in report["steps"]])  # fmt: skip
    if report["streams"]:
        lines += ["## Streaming", "", "One step of one sequence a call, x from the host and y to it: median / 99.9th percentile, "
                  "microseconds. Ours carries the state through the host as well, PyTorch leaves it on the device.", ""]  # fmt: skip
        lines += table(["workload", "seqgpu", "PyTorch", "PyTorch, graph", "ratio of medians", "ratio of percentiles"],
                       [[r["workload"], *(tail(r[k]) for k in ("ours", *WAYS)), number(r["ratio"]), number(r["tail_ratio"])]
                        for r in report["streams"]])  # fmt: skip
    return lines


def charts(report):
    found = []
    for r, unit in [(r, "us/step") for r in report["steps"]] + [(r, "us/call") for r in report["streams"]]:
        ways = (("seqgpu", "ours"), ("pytorch", "eager"), ("pytorch", "graph"))
        bars = [(who, who if key == "ours" else f"{who} {key}", r[key]["us_median"]) for who, key in ways if r[key]]
        ratio = r["ratio"]
        note = "" if ratio is None else f"the best of the others takes {ratio:.2f} times our time"
        found.append({"title": f"{r['workload']}, {r['precision']}", "unit": unit, "bars": bars, "note": note,
                      "lost": ratio is not None and ratio < 1})  # fmt: skip
    return found
