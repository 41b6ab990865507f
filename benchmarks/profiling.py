"""Where our time goes: samples that our contestant takes of itself, grouped by a table of its functions' names.

A contestant answers "profile" with places in its program (support/profiler.hpp). Here they become functions, by the
program's symbol table, and functions become groups, by GROUPS. Standard library only. Used by contest.py --profile.
"""

import bisect
import re
import statistics
import struct

# (group, pattern of the source file or library, pattern of the mangled symbol), the first that fits. A function that the
# compiler inlines counts for the one that it is inlined into; product() exists once for the large products (gemm_kernels)
# and once for the scan's (recurrent_kernels). Templates and public functions have no file.
GROUPS = (
    ("products of all steps", r"^gemm_kernels", r"product|multiply"),  # x W, dx, dW, dR; matmul
    ("products of all steps", r"", r"gemm_packed|3cpu4gemmI"),
    ("products of a step", r"^recurrent_kernels", r"product|multiply|for_each_block"),  # h R, da R^T, the projection's
    ("gates forward", r"^recurrent_kernels", r"forward|enter_block|leave_block"),
    ("gates backward", r"^recurrent_kernels", r"backward"),
    ("packing", r"", r"pack|transpose"),  # weights and operands into the layouts of the products
    ("CTC", r"^ctc", r""),
    ("CTC", r"", r"3cpu\d+(ctc_|Ctc)|3cpu7computeI.EEvRKNS_2op\d+Ctc"),
    ("waiting", r"", r"4Team|5Lanes|sched_yield|syscall|futex"),  # for the other thread
    ("copies, states, padding", r"^recurrent|^libc\.", r""),
    ("copies, states, padding", r"", r"7ForwardI|8BackwardI|ForwardPass|BackwardPass|gather_step|5Order"),
    ("loss, norm, update, other operations", r"^elementwise|^loss|^optim|^shape_ops", r""),
    ("loss, norm, update, other operations", r"", r"3cpu7computeI"),
)
OTHER = "other"


class Symbols:
    """The functions of an ELF64 program and, of local ones, the source file that each is from."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        if data[:5] != b"\x7fELF\x02":
            raise ValueError(f"{path} is not an ELF64 program")
        start, = struct.unpack_from("<Q", data, 0x28)
        size, count = struct.unpack_from("<HH", data, 0x3A)
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + i * size) for i in range(count)]
        found = {}
        for section in (s for s in sections if s[1] == 2):  # SHT_SYMTAB
            names, source = sections[section[6]][4], ""
            for at in range(section[4], section[4] + section[5], 24):
                name, info, _, where, value, length = struct.unpack_from("<IBBHQQ", data, at)
                text = data[names + name:data.index(b"\0", names + name)].decode("ascii", "replace")
                if info & 15 == 4:  # STT_FILE
                    source = text
                elif info & 15 == 2 and where:  # STT_FUNC, defined
                    found[value] = (max(length, 1), source if info >> 4 == 0 else "", text)
        self.starts = sorted(found)
        self.functions = [found[s] for s in self.starts]

    def at(self, offset):
        """(source file, symbol)"""
        i = bisect.bisect_right(self.starts, offset) - 1
        if i >= 0 and offset < self.starts[i] + self.functions[i][0]:
            return self.functions[i][1:]
        return "", ""


def group_of(source, symbol):
    for group, file, name in GROUPS:
        if re.search(file, source) and re.search(name, symbol):
            return group
    return OTHER


def shares(samples, symbols):
    """({group: share}, {(source, symbol): samples of no group})"""
    groups, other = {}, {}
    for library, place, count in samples:
        source, symbol = (library, place) if library else symbols.at(int(place))
        group = group_of(source, symbol)
        groups[group] = groups.get(group, 0) + count
        if group == OTHER:
            other[source, symbol] = other.get((source, symbol), 0) + count
    total = sum(groups.values())
    return {g: n / total for g, n in groups.items()}, other


def table(rows):
    """Markdown: a line a profile, a column a group that has a percent of any."""
    names = list(dict.fromkeys(group for group, _, _ in GROUPS)) + [OTHER]
    names = [n for n in names if any(r["shares"].get(n, 0) >= 0.01 for r in rows)]
    head = ["workload", "pass", "threads", "ms", *(n + " %" for n in names), "samples"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        parts = [f"{100 * r['shares'].get(n, 0):.0f}" for n in names]
        lines.append("| " + " | ".join([r["workload"], r["pass"], str(r["threads"]), f"{1e3 * r['median']:.4g}", *parts,
                                         str(r["samples"])]) + " |")  # fmt: skip
    return lines


def take(contestant, row, seconds, symbols):
    """A profile of one row. @throws ValueError with why there is none"""
    for request in ({"what": "prepare", "row": row}, {"what": "profile", "seconds": seconds}):
        reply = contestant.ask(**request)
        why = reply.get("unsupported") or reply.get("failed")
        if why:
            raise ValueError(why)
    if not reply["samples"]:
        raise ValueError("no sample fell into it")
    parts, other = shares(reply["samples"], symbols)
    contestant.ask("release")
    return {"median": statistics.median(reply["seconds"]), "min": min(reply["seconds"]), "shares": parts,
            "samples": sum(count for _, _, count in reply["samples"]),
            "of_no_group": sorted(([n, *place] for place, n in other.items()), reverse=True)[:5]}  # fmt: skip
