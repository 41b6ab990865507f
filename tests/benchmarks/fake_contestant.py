"""Stands in for a contestant of benchmarks/contest.py. Usage: fake_contestant.py NAME KIND SECONDS LOG --threads N

KIND: good, wrong (disagrees), unsupported, crashing (when timed), silent (when timed), restless (computes on for a
while when it has been timed, and logs the end of that), limit
Each request goes to the file LOG, one line, before it is answered.
"""

import json
import sys
import time

name, kind, seconds, log = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]


def answer(request):
    what = request["do"]
    if what == "limit":
        return {"seconds": seconds, "products": []}
    if what == "prepare":
        return {"unsupported": "not today"} if kind == "unsupported" else {}
    if what == "check":
        return {"error": 0.5 if kind == "wrong" else 1e-6, "worst": "y"}
    if what == "time":
        if kind == "crashing":
            sys.exit(3)
        if kind == "silent":
            time.sleep(60)
        return {"seconds": [seconds] * request["iterations"], "planned_bytes": 1000}
    if what == "profile":
        return {"seconds": [seconds], "samples": [["libc.so.6", "__sched_yield", 25], ["libc.so.6", "", 74], ["libx.so", "f", 1]]}
    if what == "memory":
        return {"peak_bytes": 2000000}
    return {}


def main():
    print(json.dumps({"contestant": name, "version": "made up"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{name} {request['do']}\n")
        print(json.dumps(answer(request)), flush=True)
        if kind == "restless" and request["do"] == "time":
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                pass
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{name} sleeps\n")


if __name__ == "__main__":
    main()
