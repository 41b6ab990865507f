"""The report's half on scripts/bench: ours against the others and against the limit on a CPU."""

from measures import KEY, OURS, PLACE, compare, costs, name_of, reason_for, slopes, summarize, targets
from records import latest, number, of_kind, table

TITLES = {
    "layers": "Recurrent layers", "ragged": "The same, lengths uniform in [T/10, T]", "variants": "Variants of a layer",
    "memory": "Training within a memory budget",
    "scaling": "Scaling", "ctc": "CTC: loss and gradient from logits", "steps": "Whole training steps",
    "stream": "Streaming: one step, one sequence",
}  # fmt: skip


def build(records, reasons=()):
    timings = latest(of_kind(records, "timing"), ("contestant", "variant", *KEY, *PLACE))
    rows = compare(timings, of_kind(records, "limit"), of_kind(records, "round trip"))
    return {
        "machine": of_kind(records, "contest")[-1],
        "end": (of_kind(records, "contest ended") or [{}])[-1],
        "contestants": latest(of_kind(records, "contestant"), ("contestant", "version")),
        "absent": latest(of_kind(records, "absent"), ("contestant",)),
        "summary": summarize(rows),
        "rows": rows,
        "costs": costs(rows),
        "slopes": slopes(rows),
        "targets": targets(rows),
        "reasons": list(reasons),
        "left_out": [r for r in of_kind(records, "left out") if "threads" in r],
    }


# Markdown


def milliseconds(timing):
    """Median, and the quartiles where they are apart."""
    m, q1, q3 = (1e3 * timing[k] for k in ("median", "q1", "q3"))
    return f"{m:.4g} ({q1:.4g} to {q3:.4g})"


def result_table(rows, reasons=None):
    """@param reasons  adds a column: why we lose"""
    peers = sorted({name_of(t) for r in rows for t in r["peers"]})
    head = ["workload", "pass", "threads", "seqgpu ms", "least", *(p + " ms" for p in peers), "ratio by medians", "by minima",
            "limit ms", "seqgpu / limit", "best peer / limit"]  # fmt: skip
    between = any(r["round_trips"] for r in rows)
    head += ["core to core ns"] if between else []
    head += [] if reasons is None else ["why"]
    body = []
    for r in rows:
        by_name = {name_of(t): t for t in r["peers"]}
        shown = [f"{1e3 * by_name[p]['median']:.4g}" if p in by_name else "-" for p in peers]
        body.append([
            r["workload"], r["pass"], r["threads"], milliseconds(r["ours"]), f"{1e3 * r['ours']['min']:.4g}", *shown, number(r["ratio"]),
            number(r["ratio_min"]), f"{1e3 * r['limit']['seconds']:.4g}" if r["limit"] else "-",
            number(r["over_limit"]), number(r["best_over_limit"]),
            *([" to ".join(f"{1e9 * t:.0f}" for t in r["round_trips"]) or "-"] if between else []),
            *([] if reasons is None else [reason_for(r, reasons)]),
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
    if "seconds" in end:
        about.append(f"{end['seconds'] / 60:.0f} minutes")
    lines += ["; ".join(about) + ".", ""]
    if m.get("clock") == "cpu":
        lines += ["Seconds are those computed, not waited: taken while the machine had other work. Not to be published.", ""]
    trips = sorted(t for r in report["rows"] for t in r["round_trips"])
    if trips:
        lines += [f"A line of memory went from one core to the other and back in {1e9 * trips[0]:.0f} to {1e9 * trips[-1]:.0f} ns, "
                  f"half the times in {1e9 * trips[len(trips) // 2]:.0f} and less; the tables say what it was before and after each "
                  "row of two threads.", ""]  # fmt: skip
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
            lines += table(["workload", "pass", "threads", "times the plain one", "by minima", "planned MB, plain", "planned MB",
                            "results"],
                           [[c["workload"], c["pass"], c["threads"], number(c["cost"]), number(c["cost_min"]),
                             *(number(b and b / 1e6, 1) for b in c["planned_bytes"]),
                             "the same bits" if c["same_bits"] else "-"] for c in costs_here])  # fmt: skip
        if group == "scaling":
            lines += slope_table(report)
        if group in ("steps", "memory"):
            lines += rates_table(rows)
        if group == "stream":
            lines += latency_table(rows)
    return lines


def slope_table(report):
    says = {True: "yes", False: "NO", None: "-"}
    return [
        "The exponent p of time ~ size^p, ours, of the minima. T and N are linear where p is 0.9 to 1.1; N is fitted from the size "
        "on whose time per sequence is within 1.15 of the least, over three sizes at least; H has no such goal.", "",
        *table(["cell", "size", "fitted over", "pass", "threads", "p", "linear"],
               [[s["cell"], s["axis"], " ".join(map(str, s["sizes"])), s["pass"], s["threads"], number(s["slope"]), says[s["linear"]]]
                for s in report["slopes"]]),
    ]  # fmt: skip


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
    rows = [r for r in report["rows"] if r["pass"] == "train"]
    rows.sort(key=lambda r: (r["memory_ratio"] is None, r["memory_ratio"] or 0))  # lost ones first
    peers = sorted({name_of(t) for r in rows for t in r["peers"]})
    body = []
    for r in rows:
        by_name = {name_of(t): t for t in r["peers"]}
        planned = r["ours"].get("planned_bytes")
        body.append([r["workload"], r["threads"], number(planned and planned / 1e6, 1), megabytes(r["ours"]),
                     *(megabytes(by_name[p]) if p in by_name else "-" for p in peers), number(r["memory_ratio"])])  # fmt: skip
    return table(["workload", "threads", "seqgpu planned MB", "seqgpu MB", *(p + " MB" for p in peers), "PyTorch / seqgpu"], body)


def target_table(report):
    return table(["target", "threads", "bound", "rows", "met", "worst", "where"],
                 [[t["target"], t["threads"], f"{'>=' if t['at_least'] else '<='} {t['bound']:g}", t["of"], t["met"],
                   number(t["worst"]), f"{t['workload']} {t['pass']}"] for t in report["targets"]])  # fmt: skip


def markdown(report):
    lines = machine_lines(report)
    wrong = [r for r in report["left_out"] if r["status"] not in ("unsupported", "absent")]
    if wrong:
        lines += ["## Failures", ""]
        lines += table(["workload", "pass", "threads", "contestant", "status", "why"],
                       [[r["workload"], r["pass"], r["threads"], r["contestant"], r["status"], r["why"]] for r in wrong])  # fmt: skip
    lost = by_ratio([r for r in report["rows"] if r["ratio"] and r["ratio"] < 1])
    lines += ["## Rows where we lose", ""] + (result_table(lost, report["reasons"]) if lost else ["None.", ""])
    close = by_ratio([r for r in report["rows"] if r["ratio"] and r["ratio_min"] < 1 <= r["ratio"]])
    if close:
        lines += ["By the minima alone we lose these too:", ""] + result_table(close, report["reasons"])
    lines += ["## Summary", ""]
    lines += ["Ratio: the best peer's time over ours; above 1, seqgpu is faster by so much. Times are medians, with the "
              "quartiles of ours and the least of its repeats; the ratio by minima is that of the least times, which a "
              "machine that takes its cores away for a while does not change. Means are geometric.", ""]  # fmt: skip
    lines += table(["workloads", "pass", "threads", "mean ratio by medians", "by minima", "least", "most", "rows", "lost"],
                   [[TITLES.get(s["group"], s["group"]), s["pass"], s["threads"], number(s["mean"]), number(s["mean_min"]),
                     number(s["least"]), number(s["most"]), s["of"], s["lost"]] for s in report["summary"]])  # fmt: skip
    lines += ["## Targets", ""] + target_table(report)
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
