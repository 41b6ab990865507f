"""One record of a suite's run from GoogleTest's JSON. Usage: test_records.py SUITE STATUS RESULTS.json"""

import json
import sys


def main():
    suite, status, path = sys.argv[1:4]
    record = {"kind": "suite", "suite": suite, "status": status, "passed": 0, "failed": 0, "skipped": 0, "failures": []}
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
    except (OSError, ValueError):  # it crashed or was stopped before it wrote them
        results = {"testsuites": []}
        record["failed"] = 1
        record["failures"] = [f"no results: {status}"]
    for group in results["testsuites"]:
        for test in group["testsuite"]:
            if test.get("failures"):
                record["failed"] += 1
                first = test["failures"][0]["failure"].strip().replace("\n", " ")
                record["failures"].append(f"{test['name']}: {first}"[:300])
            elif test.get("result") == "SKIPPED" or test.get("status") == "NOTRUN":
                record["skipped"] += 1
            else:
                record["passed"] += 1
    print(json.dumps(record))


if __name__ == "__main__":
    main()
