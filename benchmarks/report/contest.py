"""The report's half on scripts/bench: ours against the others and against the limit on a CPU."""

import math

from records import geometric_mean, latest, number, of_kind, table

OURS = "seqgpu"
KEY = ("workload", "pass", "threads")
TITLES = {
    "layers": "Recurrent layers", "ragged": "The same, lengths uniform in [T/10, T]", "variants": "Variants of a layer",
    "memory": "Training within a memory budget",
    "scaling": "Scaling", "ctc": "CTC: loss and gradient from logits", "steps": "Whole training steps",
    "stream": "Streaming: one step, one sequence",
}  # fmt: skip


def name_of(timing):
    return timing["contestant"] + (" " + timing["variant"] if timing["variant"] else "")


def compare(timings, limits):
    """One row a workload, pass and thread count that we were timed at."""
    limits = {tuple(r[k] for k in KEY): r for r in limits}
    groups = {}
    for t in timings:
        groups.setdefault(tuple(t[k] for k in KEY), []).append(t)
    rows = []
    for key, group in groups.items():
        ours = [t for t in group if t["contestant"] == OURS]
        if not ours:
            continue
        ours, peers = ours[-1], [t for t in group if t["contestant"] != OURS]
        best = min(peers, key=lambda t: t["median"], default=None)
        limit = limits.get(key)
        more = ("group", "row_kind", "cell", "model", "T", "N", "I", "H", "option", "over", "scale")
        rows.append({
            **dict(zip(KEY, key)), **{k: ours[k] for k in more if k in ours}, "ours": ours, "peers": peers,
            "best": best and name_of(best),
            "ratio": best and best["median"] / ours["median"],
            "ratio_min": best and min(t["min"] for t in peers) / ours["min"],
            "limit": limit,
            "over_limit": limit and ours["median"] / limit["seconds"],
            "best_over_limit": limit and best and best["median"] / limit["seconds"],
        })  # fmt: skip
    return rows


def summarize(rows):
    """Geometric means of the ratios, by group, pass and threads."""
    lines = []
    for group, step, threads in sorted({(r["group"], r["pass"], r["threads"]) for r in rows}):
        ratios = [r["ratio"] for r in rows if (r["group"], r["pass"], r["threads"]) == (group, step, threads) and r["ratio"]]
        if ratios:
            lines.append({"group": group, "pass": step, "threads": threads, "of": len(ratios), "least": min(ratios),
                          "mean": geometric_mean(ratios), "most": max(ratios), "lost": sum(r < 1 for r in ratios)})  # fmt: skip
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
                          "planned_bytes": [c["ours"].get("planned_bytes") for c in (other, r)]})  # fmt: skip
    return found


def slopes(rows):
    """The exponent p of time ~ size^p, fitted by least squares in logarithms: 1 is linear."""
    series = {}
    for r in rows:
        if r.get("scale"):
            series.setdefault((r["cell"], r["scale"], r["pass"], r["threads"]), []).append(r)
    found = []
    for (cell, axis, step, threads), group in series.items():
        if len(group) < 2:
            continue
        points = [(math.log(r[axis]), math.log(r["ours"]["median"])) for r in group]
        mean_x, mean_y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
        sizes = sorted(r[axis] for r in group)
        found.append({"cell": cell, "axis": axis, "pass": step, "threads": threads, "slope": slope, "from": sizes[0],
                      "to": sizes[-1], "of": len(group)})  # fmt: skip
    return found


def build(records):
    timings = latest(of_kind(records, "timing"), ("contestant", "variant", *KEY))
    rows = compare(timings, of_kind(records, "limit"))
    return {
        "machine": of_kind(records, "contest")[-1],
        "end": (of_kind(records, "contest ended") or [{}])[-1],
        "contestants": latest(of_kind(records, "contestant"), ("contestant",)),
        "absent": latest(of_kind(records, "absent"), ("contestant",)),
        "summary": summarize(rows),
        "rows": rows,
        "costs": costs(rows),
        "slopes": slopes(rows),
        "left_out": [r for r in of_kind(records, "left out") if "threads" in r],
    }


# Markdown


def milliseconds(timing):
    """Median, and the quartiles where they are apart."""
    m, q1, q3 = (1e3 * timing[k] for k in ("median", "q1", "q3"))
    return f"{m:.4g} ({q1:.4g} to {q3:.4g})"


def result_table(rows):
    peers = sorted({name_of(t) for r in rows for t in r["peers"]})
    head = ["workload", "pass", "threads", "seqgpu ms", *(p + " ms" for p in peers), "ratio", "of the minima", "limit ms",
            "seqgpu / limit", "best peer / limit"]  # fmt: skip
    body = []
    for r in rows:
        by_name = {name_of(t): t for t in r["peers"]}
        shown = [f"{1e3 * by_name[p]['median']:.4g}" if p in by_name else "-" for p in peers]
        body.append([
            r["workload"], r["pass"], r["threads"], milliseconds(r["ours"]), *shown, number(r["ratio"]),
            number(r["ratio_min"]), f"{1e3 * r['limit']['seconds']:.4g}" if r["limit"] else "-",
            number(r["over_limit"]), number(r["best_over_limit"]),
        ])  # fmt: skip
    return table(head, body)


def by_ratio(rows):
    return sorted(rows, key=lambda r: (r["ratio"] is None, r["ratio"] or 0))


def machine_lines(report):
    m, end = report["machine"], report["end"]
    threads = sorted({r["threads"] for r in report["rows"]})
    counts = " and ".join(f"{n} thread{'s' if n > 1 else ''}" for n in threads)
    lines = [f"# {m['cpu']}, {counts or 'nothing timed'}", "", "```sh", m["command"], "```", ""]
    about = [f"Instruction sets: {m['instructions']}; {m['cores']} cores", m["when"], f"commit {m['commit']} {m['tree']}".strip(),
             f"load {m['load_before']} before, {end.get('load_after', 'unknown')} after"]  # fmt: skip
    lines += ["; ".join(about) + ".", ""]
    if m.get("clock") == "cpu":
        lines += ["Seconds are those computed, not waited: taken while the machine had other work. Not to be published.", ""]
    lines += ["; ".join(f"{c['contestant']} {c['version']}".strip() for c in report["contestants"]) + "."]
    lines += [f"Left out: {a['contestant']} ({a['why']})." for a in report["absent"]]
    return [*lines, ""]


def group_tables(report):
    lines = []
    for group, title in TITLES.items():
        rows = [r for r in report["rows"] if r["group"] == group]
        if not rows:
            continue
        lines += [f"## {title}", ""] + result_table(by_ratio(rows))
        costs_here = [c for c in report["costs"] if c["group"] == group]
        if costs_here:
            lines += ["Our cost over the plain layer:", ""]
            lines += table(["workload", "pass", "threads", "times the plain one", "planned MB, plain", "planned MB"],
                           [[c["workload"], c["pass"], c["threads"], number(c["cost"]),
                             *(number(b and b / 1e6, 1) for b in c["planned_bytes"])] for c in costs_here])  # fmt: skip
        if group == "scaling":
            lines += ["The exponent p of time ~ size^p, ours; 1 is linear:", ""]
            lines += table(["cell", "size", "from", "to", "pass", "threads", "p"],
                           [[s["cell"], s["axis"], s["from"], s["to"], s["pass"], s["threads"], number(s["slope"])]
                            for s in report["slopes"]])  # fmt: skip
        if group == "steps":
            lines += rates_table(rows)
        if group == "stream":
            lines += latency_table(rows)
    return lines


def rates_table(rows):
    body = []
    for r in rows:
        for t in [r["ours"], *r["peers"]]:
            rate = t["tokens"] / t["median"] if "tokens" in t else None
            body.append([r["workload"], r["threads"], name_of(t), number(rate, 0), megabytes(t)])
    return table(["workload", "threads", "who", "tokens or frames a second", "peak MB above start"], body)


def latency_table(rows):
    body = [[r["workload"], r["threads"], name_of(t), f"{1e6 * t['sample_median']:.4g}", f"{1e6 * t['sample_p999']:.4g}",
             t["samples"]] for r in rows for t in [r["ours"], *r["peers"]] if "samples" in t]  # fmt: skip
    return table(["workload", "threads", "who", "median us", "99.9th percentile us", "steps"], body)


def megabytes(timing):
    return number(timing["peak_bytes"] / 1e6, 1) if timing.get("peak_bytes", -1) >= 0 else "-"


def memory_table(report):
    rows = [r for r in report["rows"] if r["pass"] == "train" and r["group"] in ("layers", "steps", "ctc")]
    peers = sorted({name_of(t) for r in rows for t in r["peers"]})
    body = []
    for r in rows:
        by_name = {name_of(t): t for t in r["peers"]}
        planned = r["ours"].get("planned_bytes")
        body.append([r["workload"], r["threads"], number(planned and planned / 1e6, 1), megabytes(r["ours"]),
                     *(megabytes(by_name[p]) if p in by_name else "-" for p in peers)])  # fmt: skip
    return table(["workload", "threads", "seqgpu planned MB", "seqgpu MB", *(p + " MB" for p in peers)], body)


def markdown(report):
    lines = machine_lines(report)
    wrong = [r for r in report["left_out"] if r["status"] not in ("unsupported", "absent")]
    if wrong:
        lines += ["## Failures", ""]
        lines += table(["workload", "pass", "threads", "contestant", "status", "why"],
                       [[r["workload"], r["pass"], r["threads"], r["contestant"], r["status"], r["why"]] for r in wrong])  # fmt: skip
    lost = by_ratio([r for r in report["rows"] if r["ratio"] and r["ratio"] < 1])
    lines += ["## Rows where we lose", ""] + (result_table(lost) if lost else ["None.", ""])
    lines += ["## Summary", ""]
    lines += ["Ratio: the best peer's time over ours; above 1, seqgpu is faster by so much. Times are medians, with the "
              "quartiles of ours.", ""]  # fmt: skip
    lines += table(["workloads", "pass", "threads", "mean ratio", "least", "most", "rows", "lost"],
                   [[TITLES.get(s["group"], s["group"]), s["pass"], s["threads"], number(s["mean"]), number(s["least"]),
                     number(s["most"]), s["of"], s["lost"]] for s in report["summary"]])  # fmt: skip
    lines += group_tables(report)
    lines += ["## Peak memory in training", ""]
    lines += ["What the process holds at its peak above what it held before the workload was prepared, its inputs and "
              "weights included (VmHWM, VmRSS); planned: what our scheduler laid out beforehand.", ""]  # fmt: skip
    lines += memory_table(report)
    counts = {}
    for r in report["left_out"]:
        key = (r["contestant"], r["group"], r["status"], r["why"])
        counts[key] = counts.get(key, 0) + 1
    lines += ["## Left out", ""]
    lines += table(["contestant", "workloads", "status", "why", "times"], [[*k, n] for k, n in sorted(counts.items())])
    return "\n".join(lines)


def charts(report):
    """For report.html."""
    found = []
    for r in by_ratio(report["rows"]):
        shown = sorted([r["ours"], *r["peers"]], key=lambda t: (t["contestant"] != OURS, t["median"]))
        note = f"{r['best']} takes {r['ratio']:.2f} times our time" if r["ratio"] else "nobody else does it"
        found.append({
            "title": f"{r['workload']} {r['pass']}, {r['threads']} thread{'s' if r['threads'] > 1 else ''}", "note": note,
            "unit": "ms", "bars": [(t["contestant"], name_of(t), 1e3 * t["median"]) for t in shown],
            "limit": r["limit"] and 1e3 * r["limit"]["seconds"], "lost": bool(r["ratio"] and r["ratio"] < 1),
        })  # fmt: skip
    return found
