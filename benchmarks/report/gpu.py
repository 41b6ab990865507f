"""The report's half on scripts/gpu_check: its parts, tests and micro-measurements, and ours against theirs on a GPU."""

import json

import gpu_limits
import gpu_steps
from records import geometric_mean, latest, number, of_kind, table

# Ours in this precision against theirs in these: cuDNN's best 16-bit type counts, whichever it is.
CUDNN_PEERS = {"bf16": ("bf16", "f16"), "f32": ("f32",), "tf32": ("tf32", "f32")}


def per_step(record):
    return record["us_median"] / record["T"]


def best(times):
    return min(times, key=per_step, default=None)


def brief(record):
    if record is None:
        return None
    return {
        "us_per_step": per_step(record),
        "us_per_step_min": record["us_min"] / record["T"],
        "wall_us_per_step": record["wall_us_median"] / record["T"],
        "variant": record["variant"],
        "precision": record["precision"],
        "repeats": record["repeats"],
    }


def taken(group, choices, workload, step, precision):
    """Ours as the device chooses its strategy by itself; the best of all where that was not noted."""
    ours = [t for t in group if t["contestant"] == "seqgpu" and t["precision"] == precision]
    chosen = choices.get((workload, precision), {}).get(step)
    return best([t for t in ours if t["variant"] == chosen]) or best(ours)


def compare(times, choices):
    """One row for each workload, pass and precision of ours that anybody was timed at."""
    choices = {(c["workload"], c["precision"]): c for c in choices}
    shapes = {}
    for t in times:
        shapes.setdefault((t["workload"], t["pass"]), []).append(t)
    rows = []
    for (workload, step), group in shapes.items():
        for precision, cudnn_types in CUDNN_PEERS.items():
            ours = taken(group, choices, workload, step, precision)
            cudnn = best([t for t in group if t["contestant"] == "cudnn" and t["precision"] in cudnn_types])
            torch = [t for t in group if t["contestant"] == "pytorch" and t["precision"] == precision]
            eager = best([t for t in torch if t["variant"].startswith("eager")])  # of a ragged batch packed, or padded
            graph = best([t for t in torch if t["variant"].startswith("graph")])
            if not (ours or cudnn or torch):
                continue
            about = {k: group[0][k] for k in ("cell", "T", "N", "I", "H", "layers", "directions", "ragged") if k in group[0]}
            row = {"workload": workload, **about, "pass": step, "precision": precision, "ours": brief(ours)}
            for name, peer in (("cudnn", cudnn), ("pytorch_eager", eager), ("pytorch_graph", graph)):
                row[name] = brief(peer)
                row["ratio_" + name] = per_step(peer) / per_step(ours) if peer and ours else None
            rows.append(row)
    return rows


def summarize(rows):
    """Ratios of the shapes that the design speaks of, and of all."""
    small = ("LSTM, one direction, H <= 512, N <= 64", lambda r: r["cell"] == "lstm" and r["directions"] == 1 and
             r["H"] <= 512 and r["N"] <= 64)  # fmt: skip
    lines = []
    for title, chosen in (small, ("all workloads", lambda r: True)):
        for step in ("forward", "train"):
            for precision in CUDNN_PEERS:
                line = {"shapes": title, "pass": step, "precision": precision}
                for peer in ("cudnn", "pytorch_eager", "pytorch_graph"):
                    ratios = [
                        r["ratio_" + peer]
                        for r in rows
                        if chosen(r) and r["pass"] == step and r["precision"] == precision and r["ratio_" + peer]
                    ]
                    if ratios:
                        line[peer] = {
                            "least": min(ratios), "mean": geometric_mean(ratios), "most": max(ratios), "of": len(ratios),
                        }  # fmt: skip
                if len(line) > 3:
                    lines.append(line)
    return lines


def misjudged(times, choices):
    """Where the strategy that the device takes by itself was measured slower than another."""
    rows = []
    for choice in choices:
        for step in ("forward", "train"):
            group = [
                t
                for t in times
                if t["contestant"] == "seqgpu"
                and (t["workload"], t["pass"], t["precision"]) == (choice["workload"], step, choice["precision"])
            ]
            chosen = best([t for t in group if t["variant"] == choice[step]])
            fastest = best(group)
            if chosen and per_step(chosen) > 1.03 * per_step(fastest):
                rows.append({
                    "workload": choice["workload"], "pass": step, "precision": choice["precision"],
                    "taken": chosen["variant"], "us_per_step": per_step(chosen),
                    "faster": fastest["variant"], "faster_us_per_step": per_step(fastest),
                })  # fmt: skip
    return rows


def compare_ctc(times):
    """One row for each shape: ours, cuDNN's best algorithm, PyTorch's own kernels and its way to cuDNN."""
    shapes = {}
    for t in times:
        shapes.setdefault(t["workload"], []).append(t)
    rows = []
    for workload, group in shapes.items():

        def fastest(contestant, variant=None, group=group):
            found = [t for t in group if t["contestant"] == contestant and variant in (None, t["variant"])]
            return min(found, key=lambda t: t["us_median"], default=None)

        ours = fastest("seqgpu")
        row = {"workload": workload, "ours": ours}
        peers = {"cudnn": fastest("cudnn"), "pytorch": fastest("pytorch", "native"),
                 "pytorch_cudnn": fastest("pytorch", "cudnn")}  # fmt: skip
        for name, peer in peers.items():
            row[name] = peer
            row["ratio_" + name] = peer["us_median"] / ours["us_median"] if peer and ours else None
        rows.append(row)
    return rows


def build(records, broken):
    for r in of_kind(records, "micro"):
        r["parameters_key"] = json.dumps(r.get("parameters", {}), sort_keys=True)
    times = latest(of_kind(records, "time"), ("contestant", "workload", "pass", "precision", "variant"))
    choices = latest(of_kind(records, "choice"), ("workload", "precision"))
    rows = compare(times, choices)
    rates = (of_kind(records, "rates") or [{}])[-1]
    limits = latest(of_kind(records, "gpu limit"), ("workload", "pass", "precision"))
    gpu_limits.attach(rows, gpu_limits.by_row(limits, rates))
    machines = of_kind(records, "machine")
    left_out = latest(of_kind(records, "left out"), ("contestant", "workload", "pass", "precision", "variant"))
    micro = latest(of_kind(records, "micro"), ("id", "name", "parameters_key"))
    for r in micro:
        del r["parameters_key"]
    return {
        "machine": machines[-1] if machines else {},
        "device": (of_kind(records, "device") or [{}])[-1],
        "contestants": latest(of_kind(records, "contestant"), ("contestant",)),
        "parts": latest(of_kind(records, "part"), ("part",)),
        "clocks": of_kind(records, "clocks"),
        "suites": latest(of_kind(records, "suite"), ("suite",)),
        "sanitizers": latest(of_kind(records, "sanitizer"), ("tool",)),
        "micro": micro,
        "summary": summarize(rows),
        "comparison": rows,
        "rates": rates,
        "steps": gpu_steps.compare(latest(of_kind(records, "step time"), ("contestant", "workload", "precision", "variant"))),
        "streams": gpu_steps.compare(latest(of_kind(records, "stream time"), ("contestant", "workload", "precision", "variant"))),
        "ctc": compare_ctc(latest(of_kind(records, "ctc time"), ("contestant", "workload", "variant"))),
        "ctc_left_out": latest(of_kind(records, "ctc left out"), ("contestant", "workload", "variant")),
        "choices": choices,
        "misjudged": misjudged(times, choices),
        "left_out": left_out,
        "times": times,
        "broken_lines": broken,
    }


# Markdown


def timed(peer, with_type=False):
    if peer is None:
        return "-"
    about = peer["variant"] + (" " + peer["precision"] if with_type else "")
    return f"{number(peer['us_per_step'], 3)} ({about})"


def limit_cell(limit):
    return "-" if limit is None else f"{number(limit['us_per_step'], 3)} ({limit['by']})"


def comparison_table(rows, step):
    head = ["workload", "precision", "seqgpu us/step", "best cuDNN us/step", "ratio", "PyTorch us/step", "ratio",
            "PyTorch, graph, us/step", "ratio", "limit us/step", "ours over it", "bytes, of a copy's rate"]  # fmt: skip
    body = []
    for r in rows:
        if r["pass"] == step:
            eager, graph = r["pytorch_eager"], r["pytorch_graph"]
            body.append([
                r["workload"], r["precision"], timed(r["ours"]),
                timed(r["cudnn"], with_type=True), number(r["ratio_cudnn"]),
                number(eager and eager["us_per_step"], 3), number(r["ratio_pytorch_eager"]),
                number(graph and graph["us_per_step"], 3), number(r["ratio_pytorch_graph"]),
                limit_cell(r["limit"]), number(r["over_limit"]), "-" if r["of_copy"] is None else f"{r['of_copy']:.0%}",
            ])  # fmt: skip
    return table(head, body)


def spread(line, peer):
    s = line.get(peer)
    return "-" if s is None else f"{s['mean']:.2f} ({s['least']:.2f} to {s['most']:.2f}; {s['of']})"


def markdown(report):
    machine, device = report["machine"], report["device"]
    lines = [f"# {machine.get('gpu', 'No GPU named')}, {machine.get('when', 'no date')}", ""]
    about = [f"{k} {machine[k]}" for k in ("driver", "cuda", "arch", "commit", "tree") if machine.get(k)]
    about += [f"{device[k]} {k}" for k in ("multiprocessors",) if k in device]
    about += [f"{c['contestant']}: {c['version']}" for c in report["contestants"]]
    lines += ["; ".join(about) + ".", ""]
    lines += ["## Parts", ""]
    lines += table(["part", "status", "seconds", "why"],
                   [[p["part"], p["status"], p.get("seconds", ""), p.get("why", "")] for p in report["parts"]])  # fmt: skip
    if report["clocks"]:
        lines += ["## Clocks", ""]
        keys = ("part", "when", "sm_mhz", "memory_mhz", "celsius", "watts")
        lines += table(keys, [[c.get(k, "") for k in keys] for c in report["clocks"]])
    lines += tests_markdown(report)
    lines += ["## Ours against theirs", ""]
    lines += ["Microseconds a time step: the median of the repeats over T. A ratio above 1 says that seqgpu is faster by "
              "so much. seqgpu is charged for launching the program and waiting for it; the others for the GPU's time between "
              "events. seqgpu's strategy is the one it takes by itself.", ""]  # fmt: skip
    lines += ["Geometric mean of the ratios (least to most; how many shapes):", ""]
    lines += table(["shapes", "pass", "precision", "best cuDNN", "PyTorch", "PyTorch, graph"],
                   [[s["shapes"], s["pass"], s["precision"], spread(s, "cudnn"), spread(s, "pytorch_eager"),
                     spread(s, "pytorch_graph")] for s in report["summary"]])  # fmt: skip
    for step, title in (("forward", "### Forward"), ("train", "### Training step")):
        lines += [title, ""] + comparison_table(report["comparison"], step)
    lines += ["### Where another strategy than the one taken was faster", ""]
    lines += table(["workload", "pass", "precision", "taken", "us/step", "faster", "us/step"],
                   [[m["workload"], m["pass"], m["precision"], m["taken"], number(m["us_per_step"], 3), m["faster"],
                     number(m["faster_us_per_step"], 3)] for m in report["misjudged"]])  # fmt: skip
    lines += gpu_limits.markdown(report)
    lines += gpu_steps.markdown(report)
    lines += ctc_markdown(report)
    lines += ["## Micro-measurements", ""]
    lines += table(["id", "what", "parameters", "median", "min", "unit"],
                   [[m["id"], m["name"], ", ".join(f"{k} {v}" for k, v in m.get("parameters", {}).items()),
                     number(m.get("median"), 1), number(m.get("min"), 1), m.get("failed", m.get("unit", ""))]
                    for m in report["micro"]])  # fmt: skip
    lines += left_out_markdown(report)
    return "\n".join(lines)


def ctc_markdown(report):
    if not report["ctc"] and not report["ctc_left_out"]:
        return []
    lines = ["## CTC", "", "Loss and gradient by logits, microseconds a call; charged as above. Error: of the loss, relative, or the "
             "gradient, absolute, whichever is greater; ours and cuDNN's against our CPU's, PyTorch's against double. Peak: the larger "
             "workspace and what forward keeps for backward; in brackets, against PyTorch's tables of alpha and beta.", ""]  # fmt: skip
    peers = ("cudnn", "pytorch", "pytorch_cudnn")

    def cell(t):
        return "-" if t is None else f"{number(t['us_median'], 1)} ({t['variant']}; {t['error']:.1e})"

    def peak(t):
        if t is None or "peak_bytes" not in t:
            return "-"
        return f"{t['peak_bytes'] / 1e6:.2f} ({t['peak_bytes'] / t['table_bytes']:.0%})"

    lines += table(["shape", "seqgpu us", "cuDNN us", "ratio", "PyTorch us", "ratio", "PyTorch by cuDNN us", "ratio",
                    "seqgpu peak MB"],
                   [[r["workload"], cell(r["ours"])] + [c for p in peers for c in (cell(r[p]), number(r["ratio_" + p]))]
                    + [peak(r["ours"])] for r in report["ctc"]])  # fmt: skip
    if report["ctc_left_out"]:
        lines += ["Left out:", ""]
        keys = ("contestant", "workload", "variant", "status", "why")
        lines += table(keys, [[r[k] for k in keys] for r in report["ctc_left_out"]])
    return lines


def tests_markdown(report):
    suites = report["suites"]
    total = {k: sum(s.get(k, 0) for s in suites) for k in ("passed", "failed", "skipped")}
    lines = ["## Tests on the GPU", ""]
    if suites:
        lines += [", ".join(f"{v} {k}" for k, v in total.items()) + f", in {len(suites)} suites.", ""]
        bad = [s for s in suites if s.get("failed") or s.get("status") != "ended"]
        if bad:
            lines += table(["suite", "status", "failed", "first words"],
                           [[s["suite"], s.get("status", ""), s.get("failed", 0), "; ".join(s.get("failures", []))[:300]]
                            for s in bad])  # fmt: skip
    else:
        lines += ["Not run.", ""]
    lines += ["compute-sanitizer, over a short form:", ""]
    lines += table(["tool", "status", "errors", "tests", "why"],
                   [[s["tool"], s["status"], s.get("errors", ""), s.get("tests", ""), s.get("why", "")]
                    for s in report["sanitizers"]])  # fmt: skip
    return lines


def left_out_markdown(report):
    """How many combinations of each contestant were left out, by reason."""
    counts = {}
    for r in report["left_out"]:
        key = (r["contestant"], r["variant"], r["precision"], r["status"], r["why"])
        counts[key] = counts.get(key, 0) + 1
    rows = [list(key) + [n] for key, n in sorted(counts.items(), key=lambda item: (item[0][:4], -item[1]))]
    lines = ["## Left out", ""] + table(["contestant", "variant", "precision", "status", "why", "times"], rows)
    if report["broken_lines"]:
        lines += [f"{report['broken_lines']} broken lines of records were skipped.", ""]
    return lines


def charts(report):
    """For report.html: one chart for each row of the comparison that has a peer; the worst ratio first."""
    found = []
    for r in report["comparison"]:
        peers = (("seqgpu", "ours"), ("cudnn", "cudnn"), ("pytorch", "pytorch_eager"), ("pytorch", "pytorch_graph"))
        shown = [(who, f"{who} {r[key]['variant']}", r[key]["us_per_step"]) for who, key in peers if r[key]]
        ratios = [r["ratio_" + key] for _, key in peers[1:] if r["ratio_" + key]]
        worst = min(ratios, default=None)
        found.append((worst is None, worst or 0, {
            "title": f"{r['workload']} {r['pass']}, {r['precision']}", "unit": "us/step", "bars": shown,
            "note": "" if worst is None else f"the best of the others takes {worst:.2f} times our time",
            "lost": worst is not None and worst < 1, "limit": r["limit"] and r["limit"]["us_per_step"],
        }))  # fmt: skip
    return [c for _, _, c in sorted(found, key=lambda f: f[:2])] + gpu_steps.charts(report)
