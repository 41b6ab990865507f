"""Records of scripts/gpu_check and of scripts/bench (lines of JSON) to report.json, report.md and report.html.

Usage: python3 benchmarks/report OUT [--reasons FILE] [RECORDS...]    without RECORDS, every *.jsonl in the folder OUT
--reasons: why rows are lost, [{"rows": REGEX of group/workload/pass, "threads": 1 or left out, "why": ...}], by default
reasons.json beside this file
"""

import argparse
import glob
import json
import os
import sys

import bars
import contest
import gpu
from records import of_kind, read_records


def main():
    parser = argparse.ArgumentParser(prog="report")
    parser.add_argument("out")
    parser.add_argument("records", nargs="*")
    parser.add_argument("--reasons", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "reasons.json"))
    arguments = parser.parse_intermixed_args()
    out = arguments.out
    paths = arguments.records or sorted(glob.glob(os.path.join(out, "*.jsonl")))
    if not paths:
        sys.exit(f"report: no records in {out}")
    records, broken = read_records(paths)
    report, pages, charts = {"broken_lines": broken}, [], []
    on_cpu = bool(of_kind(records, "contest"))
    if on_cpu:
        with open(arguments.reasons, encoding="utf-8") as file:
            report["contest"] = contest.build(records, json.load(file))
        pages.append(contest.markdown(report["contest"]))
        charts += contest.charts(report["contest"])
    on_gpu = ("time", "ctc time", "step time", "stream time", "gpu limit")
    if not on_cpu or any(of_kind(records, kind) for kind in on_gpu):
        report.update(gpu.build(records, broken))
        pages.append(gpu.markdown(report))
        charts += gpu.charts(report)
    written = {
        "report.json": json.dumps(report, indent=1) + "\n",
        "report.md": "\n".join(pages),
        "report.html": bars.page(pages[0].split("\n", 1)[0].lstrip("# "), charts),
    }
    for name, text in written.items():
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            file.write(text)
    print(os.path.join(out, "report.md"))


if __name__ == "__main__":
    main()
