"""A model of one step of a recurrent layer whose recurrent weights stay on the chip: what a persistent kernel cannot be
much below. A model, not a measurement: latencies and widths are those published for, or derived from, Hopper (compute
capability 9.0); nothing in it was fitted to this library. All in cycles of a multiprocessor:

    step = wake + products + tail + sum + cell + exchange

A team of `team` multiprocessors shares the weights of one direction, the batch is shared out over teams; the fastest
team counts. Teams of up to 16 exchange h as a cluster through distributed shared memory, larger ones through L2, and all
together they may stream operands to the wide tensor instructions. Backward exchanges sums in single precision.
"""

import math

WAKE, TAIL, SUM_OF_SPLIT, SUM_ALONE = 50, 30, 90, 30
CELL = {"forward": 215, "backward": 150}  # gates, or their gradients, one after the other
UNITS_PER_CYCLE = 16 / 5  # special functions of a cell
MMA = 6.26  # m16n8k16 on one of four quarters
WIDE_MMA = {8: 18.9, 16: 20.7, 32: 24.7, 64: 32.8, 128: 65, 256: 129}  # m64nXk16, by columns
WIDE_MMA_CLOCK = 1.05 * 1.27  # issue, and the lower clock under such load
FMA_PER_CYCLE = 128
CLUSTERS = {1: None, 2: 66, 4: 31, 8: 15, 16: 7}  # that fit at once, of 132 multiprocessors
SHARED_READ = 128  # bytes a cycle
REGISTER_BYTES, CHIP_BYTES = 131e3, 353e3  # of weights a multiprocessor: in registers, and with shared memory
HOP = {"alone": 60, "cluster": 230, "L2": 900}
WIDTH = {"cluster": 14, "L2": 28}  # bytes a cycle into a multiprocessor
HIDDEN = {"cluster": 0.4, "L2": 0.5}  # of the products' time that an exchange overlaps
GRID_HOP, GRID_LOAD, GRID_WIDTH, GRID_TAIL = 1240, 700, 48, 300

BYTES = {"bf16": 2, "f16": 2, "tf32": 4, "f32": 4}
GATES = {"lstm": 4, "gru": 3, "elman": 1}


def product_cycles(gates, hidden, team, columns, precision):
    """One multiprocessor's share of R h for so many sequences, and whether its sum is split over K."""
    rows = gates * hidden / team
    if precision == "f32":
        products = rows * hidden * columns / FMA_PER_CYCLE
    else:
        tiles = math.ceil(rows / 16) * math.ceil(hidden / 16) * math.ceil(columns / 8)
        products = tiles / 4 * MMA * (2 if precision == "tf32" else 1)
    weights = rows * hidden * BYTES[precision]
    return max(products, max(0.0, weights - REGISTER_BYTES) / SHARED_READ)


def team_cycles(gates, hidden, team, columns, precision, step):
    products = product_cycles(gates, hidden, team, columns, precision)
    cell = CELL[step] + columns * hidden / team / UNITS_PER_CYCLE
    where = "alone" if team == 1 else "cluster" if team <= 16 else "L2"
    exchange = HOP[where]
    if where != "alone":
        sent = hidden * columns * (4 if step == "backward" or BYTES[precision] == 4 else 2)
        exchange += max(0.0, sent / WIDTH[where] - HIDDEN[where] * products)
    if where == "L2" and step == "backward":  # sums of a cluster's own before those of all
        exchange += HOP["cluster"]
    split = SUM_ALONE if team == 1 else SUM_OF_SPLIT
    return WAKE + products + TAIL + split + cell + exchange


def grid_cycles(gates, hidden, sequences, precision, step, multiprocessors):
    """All multiprocessors as tiles of rows by sequences, with the wide tensor instructions."""
    best = math.inf
    for columns in WIDE_MMA:
        tiles = math.ceil(gates * hidden / 64) * math.ceil(sequences / columns)
        each = math.ceil(tiles / multiprocessors)
        products = each * math.ceil(hidden / 16) * WIDE_MMA[columns] * WIDE_MMA_CLOCK
        products *= 2 if precision == "tf32" else 1
        gathered = min(columns, sequences) * hidden * BYTES[precision] / GRID_WIDTH
        cell = CELL[step] + sequences * hidden / multiprocessors / UNITS_PER_CYCLE
        best = min(best, GRID_HOP + GRID_LOAD + max(products, gathered) + GRID_TAIL + cell)
    return best


def step_cycles(cell, hidden, sequences, precision, step, multiprocessors, directions=1):
    """Of one step of all sequences, or None where no team of this chip holds the weights."""
    gates, own = GATES[cell], multiprocessors // directions
    found = []
    sizes = [1, 2, 4, 8, 16] + [p for p in (32, 64, 96, 128) if p <= own]
    for team in sizes:
        if gates * hidden * hidden * BYTES[precision] / team > CHIP_BYTES:
            continue
        if team in CLUSTERS and CLUSTERS[team]:
            teams = int(CLUSTERS[team] * own / 132)
        else:
            teams = own // team
        if teams > 0:
            found.append(team_cycles(gates, hidden, team, math.ceil(sequences / teams), precision, step))
    held = gates * hidden * hidden * BYTES[precision] <= CHIP_BYTES * own
    if held and precision != "f32":
        found.append(grid_cycles(gates, hidden, sequences, precision, step, own))
    return min(found, default=None)


def scan_us(row, rates):
    """Microseconds of all steps of a limit's row (one after another, layers too), or None."""
    total = 0.0
    for step in ("forward", "backward") if row["pass"] == "train" else ("forward",):
        cycles = step_cycles(row["cell"], row["H"], row["active"], row["precision"], step, rates["multiprocessors"],
                             row["directions"])  # fmt: skip
        if cycles is None:
            return None
        total += cycles / rates["sm_mhz"]
    return total * row["steps"] * row["layers"]
