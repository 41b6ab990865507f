"""What a GPU allows a row, from the records of benchmarks/gpu/limit.cpp: microseconds a time step.

    by products    all products at cuBLAS's best measured rates for their shapes, one of h R after the other
    persistent     the same, but steps by the model of a step whose weights stay on the chip (persistent_step.py)

Both add the bytes that must be moved at the measured rate of a copy. The limit is the lower of the two.
"""

import persistent_step
from records import number, table


def of_row(row, rates):
    """The limit of one record."""
    memory = row["bytes"] / rates["copy_gbps"] * 1e-3
    scan = persistent_step.scan_us(row, rates)
    products = row["at_once_us"] + row["steps_us"] + memory
    persistent = None if scan is None else row["at_once_us"] + scan + memory
    lower = products if persistent is None else min(products, persistent)
    return {
        "us_per_step": lower / row["T"],
        "by": "products" if lower == products else "persistent",
        "products_us_per_step": products / row["T"],
        "persistent_us_per_step": None if persistent is None else persistent / row["T"],
        "at_once_us_per_step": row["at_once_us"] / row["T"],
        "memory_us_per_step": memory / row["T"],
        "bytes": row["bytes"],
        "tflops": {p["what"]: p["tflops"] for p in row["products"]},
    }


def by_row(limits, rates):
    """(workload, pass, precision) -> limit; nothing where the device's own rates are not known."""
    if not rates:
        return {}
    return {(r["workload"], r["pass"], r["precision"]): of_row(r, rates) for r in limits}


def attach(rows, limits):
    """Gives each row of the comparison its limit, ours over it, and the share of a copy's rate that our bytes had."""
    for row in rows:
        limit = limits.get((row["workload"], row["pass"], row["precision"]))
        ours = row["ours"] and row["ours"]["us_per_step"]
        row["limit"] = limit
        row["over_limit"] = ours / limit["us_per_step"] if limit and ours else None
        row["of_copy"] = limit["memory_us_per_step"] / ours if limit and ours else None


def markdown(report):
    rates = report["rates"]
    if not rates:
        return ["## Limits", "", "Not measured.", ""]
    lines = ["## Limits", "", f"A copy on this device moves {rates['copy_gbps']:.0f} GB/s, read and written; "
             f"{rates['multiprocessors']} multiprocessors at {rates['sm_mhz']} MHz at most. Microseconds a time step. By products: every "
             "product at the best rate that cuBLAS reached for its shape in this run, h R once a step, and the bytes that must be "
             "moved at the rate of the copy. Persistent: the same with the steps by a model of a kernel that keeps the weights on the "
             "chip; a model, not a measurement. The limit is the lower one.", ""]  # fmt: skip
    body = []
    for r in report["comparison"]:
        limit = r["limit"]
        if limit:
            body.append([
                r["workload"], r["pass"], r["precision"], number(limit["products_us_per_step"], 3),
                number(limit["persistent_us_per_step"], 3), number(limit["at_once_us_per_step"], 3),
                number(limit["memory_us_per_step"], 3), number(limit["bytes"] / 1e6, 1),
                ", ".join(f"{what} {tflops:.3g}" for what, tflops in limit["tflops"].items()),
            ])  # fmt: skip
    return lines + table(["workload", "pass", "precision", "by products", "persistent", "products at once", "bytes as a copy",
                          "MB", "cuBLAS TFLOP/s"], body)  # fmt: skip
