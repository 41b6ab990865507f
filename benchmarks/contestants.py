"""A contestant of the contest: a child process that answers each line of JSON with one (support/contestant.hpp)."""

import contextlib
import json
import os
import select
import subprocess
import time

MOST_REST = 0.5  # seconds for everybody's threads to fall asleep


class Stopped(Exception):
    """A contestant that crashed or hung."""


class Contestant:
    """A child process that answers each line of JSON with one."""

    def __init__(self, name, command, cores, patience=600, clock="wall"):
        self.name = name
        self.patience = patience  # seconds for an answer
        self.buffer = b""
        everything = {
            **os.environ, "OMP_NUM_THREADS": str(len(cores)), "OMP_PROC_BIND": "true",
            "OMP_PLACES": ",".join("{%d}" % core for core in cores),
        }  # fmt: skip
        self.process = subprocess.Popen(
            command + ["--threads", str(len(cores)), "--clock", clock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=everything,
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if hasattr(os, "sched_setaffinity") else None,
        )  # fmt: skip
        self.hello = self.read()
        self.pin(cores)

    def pin(self, cores):
        """Threads of its own, each to its core, as OpenMP's are: a system may leave two on one core for long."""
        tasks = f"/proc/{self.process.pid}/task"
        threads = sorted(map(int, os.listdir(tasks))) if os.path.isdir(tasks) else []
        if len(threads) == len(cores):
            for thread, core in zip(threads, cores):
                os.sched_setaffinity(thread, {core})

    def is_asleep(self):
        """Whether none of its threads runs or wants to; True where the system does not say."""
        tasks = f"/proc/{self.process.pid}/task"
        for thread in os.listdir(tasks) if os.path.isdir(tasks) else []:
            with contextlib.suppress(OSError):  # it may end meanwhile
                with open(f"{tasks}/{thread}/stat", encoding="utf-8", errors="replace") as file:
                    if file.read().rpartition(")")[2].split()[0] == "R":
                        return False
        return True

    def read(self):
        deadline = time.monotonic() + self.patience
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 1 << 20) if ready else None
            if not piece:
                silent = piece is None
                self.stop()
                code = self.process.returncode
                raise Stopped(f"silent for {self.patience:g} s" if silent else f"ended with code {code}")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def ask(self, what, **more):
        if self.process.poll() is not None:
            raise Stopped("is not running any more")
        try:
            self.process.stdin.write((json.dumps({"do": what, **more}) + "\n").encode())
            self.process.stdin.flush()
        except OSError as error:
            raise Stopped(f"does not listen: {error}") from error
        return self.read()

    def stop(self):
        with contextlib.suppress(OSError):  # it may be gone already
            self.process.stdin.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def rest(contestants):
    """Until everybody's threads sleep, MOST_REST at most. Libraries let theirs spin after each call: whoever came next
    would share the cores with them."""
    end = time.monotonic() + MOST_REST
    time.sleep(0.003)
    while time.monotonic() < end and not all(c.is_asleep() for c in contestants):
        time.sleep(0.001)
