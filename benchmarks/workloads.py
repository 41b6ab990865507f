"""Reads workloads.json, the one list of what is measured, for Python; support/workload.hpp does for C++."""

import json
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads.json")


def name_of(row):
    """lstm_T150_N16_I40_H128_L2_bi, as Workload::name; ctc_T150_N16_C30_U20; model_tagger, model_last_budget; stream_lstm_H128"""
    kind = row.get("kind", "layer")
    if kind == "ctc":
        return "ctc_T{T}_N{N}_C{C}_U{U}".format(**row)
    if kind == "model":
        return "model_" + row["model"] + ("_" + row["variant"] if row.get("variant") else "")
    if kind == "stream":
        return "stream_{cell}_H{H}".format(**row)
    name = "{cell}_T{T}_N{N}".format(**row)
    if row["I"] != row["H"]:
        name += f"_I{row['I']}"
    name += f"_H{row['H']}"
    if row.get("layers", 1) != 1:
        name += f"_L{row['layers']}"
    if row["directions"] == 2:
        name += "_bi"
    if row.get("ragged"):
        name += "_ragged"
    if row.get("variant"):
        name += "_" + row["variant"]
    return name


def read(path, device):
    """The rows meant for `device`; one that names none is meant for all."""
    with open(path, encoding="utf-8") as file:
        return [row for row in json.load(file) if row.get("on", device) == device]


def with_passes(rows):
    """One row for each pass, which it then names."""
    for row in rows:
        for step in row.get("passes", ["forward", "train"]):
            yield {**{k: v for k, v in row.items() if k != "passes"}, "pass": step}
