"""Programs of the benchmark: started in a namespace, spoken to in JSON lines, measured from outside."""

import json
import os
import queue
import signal
import subprocess
import threading
import time


class Failure(Exception):
    """Something in a measurement did not go as it must; the message says what."""


class Program:
    """A running program that speaks one JSON object a line on standard input and output."""

    def __init__(self, name, command, namespace, log, env=None):
        self.name = name
        self.log = log
        self.lines = queue.Queue()
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                [*inside, *[str(part) for part in command]],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                # A Ctrl-C reaches the driver alone, which ends its programs in order.
                start_new_session=True, env={**os.environ, **(env or {})},
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            line = line.strip()
            # Libraries print words of their own.
            if line.startswith("{"):
                self.lines.put(json.loads(line))
        self.lines.put(None)

    @property
    def pid(self):
        return self.process.pid

    def say(self, message):
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise Failure(f"{self.name} has ended: {self.last_words()}") from None

    def hear(self, deadline):
        """The next line, before a time of the monotonic clock."""
        try:
            line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise Failure(f"{self.name} said nothing in time") from None
        if line is None:
            raise Failure(f"{self.name} has ended: {self.last_words()}")
        return line

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = [line.strip() for line in log.read()[-2000:].splitlines() if line.strip()]
        return lines[-1] if lines else "without a word"

    def end(self):
        """Ends it: by the end of its input, or by force."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        for stop in (signal.SIGTERM, signal.SIGKILL):
            try:
                self.process.wait(timeout=2)
                break
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, stop)
        self.process.wait()


def family(pid):
    """A process and all that it started."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children", encoding="ascii") as children:
                    todo += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


def cpu_times(pid):
    """Seconds on a processor so far, by thread: {(process, thread): (name, seconds)}."""
    times = {}
    for process in family(pid):
        folder = f"/proc/{process}/task"
        try:
            tasks = os.listdir(folder)
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"{folder}/{task}/schedstat", encoding="ascii") as stat:
                    seconds = int(stat.read().split()[0]) / 1e9
                with open(f"{folder}/{task}/comm", encoding="utf-8", errors="replace") as comm:
                    times[process, task] = (comm.read().strip(), seconds)
            except OSError:
                pass
    return times


def cpu_between(before, after):
    """Seconds between two readings, by name of the thread."""
    names = {}
    for key, (name, seconds) in after.items():
        names[name] = names.get(name, 0.0) + seconds - before.get(key, (name, 0.0))[1]
    return names


def memory(pid):
    """KiB in memory: (resident, proportional)."""
    resident = proportional = 0
    for process in family(pid):
        try:
            with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as rollup:
                for line in rollup:
                    if line.startswith("Rss:"):
                        resident += int(line.split()[1])
                    elif line.startswith("Pss:"):
                        proportional += int(line.split()[1])
        except OSError:
            pass
    return resident, proportional


# Kernel calls with which a process sends UDP.
SEND_CALLS = ("sendmsg", "sendmmsg", "sendto")


def send_calls(pid, seconds):
    """Kernel calls a second with which a process sends, over so many seconds; None where perf cannot count them."""
    events = ",".join(f"syscalls:sys_enter_{call}" for call in SEND_CALLS)
    pids = ",".join(str(one) for one in family(pid))
    command = ["perf", "stat", "-x", ";", "-e", events, "-p", pids, "--", "sleep", str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    counts = [line.split(";")[0] for line in done.stderr.splitlines() if "sys_enter_" in line]
    if len(counts) != len(SEND_CALLS) or not all(count.isdigit() for count in counts):
        return None
    return sum(int(count) for count in counts) / seconds
