"""The rows that need a line: delay, loss and rate of the rig's own routers between a sender and one viewer."""

import os
import subprocess
import time
from pathlib import Path
from statistics import median

from procs import Failure, Program
from senders import AgentEncoding, wait_for_start
from viewers import Viewers

# What a sender may fill, bits a second.
MOST = 3_000_000
# Between two looks at what came.
STEP = 0.25
# The line of most scenarios, kbit/s: a little more than the senders may fill, since IP headers and feedback count too.
LINE = 3400
QUEUE_MS = 200
# A rate counts as reached from this share of it on.
REACHED = 0.9
# The lab's thread and devices.
LAB_START = 15.0


class Lab:
    """The rig's network, held by `p2pcam-hil hold` for a `with` block; looks like a cable to the senders."""

    def __init__(self, rig, plan, log):
        self.command, self.log, self.program = [rig, "hold", plan], log, None

    def __enter__(self):
        self.program = Program("the rig", self.command, None, self.log)
        try:
            there = self.program.hear(time.monotonic() + LAB_START)
        except BaseException:
            self.__exit__()
            raise
        self.sender, self.sender_address = there["device"]["namespace"], there["device"]["address"]
        self.viewers, self.viewers_address = there["viewer"]["namespace"], there["viewer"]["address"]
        return self

    def line(self, up=None, down=None):
        """Sets what the sender's line does in each direction."""
        self.program.say({"up": up or {}, "down": down or {}})

    def __exit__(self, *_):
        self.program.end()


class Scenario:
    """What happens on the line while one viewer watches, and what is taken from that."""

    name = title = ""
    head = []
    seconds = 20.0
    # Senders start with this much in hand before anything is measured.
    settle = 0.0
    # The rate of the line over time is worth a plot.
    plot = False

    def lines(self):
        """[(seconds from the first picture on, up, down)], the first at 0."""
        raise NotImplementedError

    def cells(self, samples):
        """Texts for the table from [(time, report of one viewer, seconds)]."""
        raise NotImplementedError


def rate(samples, begin=0.0, end=float("inf")):
    """Mean kbit/s of video in a time."""
    chosen = [sample for sample in samples if begin < sample[0] <= end]
    seconds = sum(sample[2] for sample in chosen)
    return sum(sample[1]["media_bytes"] for sample in chosen) * 8 / seconds / 1e3 if seconds else 0.0


def total(samples, what, begin=0.0, end=float("inf")):
    return sum(sample[1][what] for sample in samples if begin < sample[0] <= end)


def longest_gap(samples, begin=0.0, end=float("inf")):
    return max((sample[1]["gap_ms"] for sample in samples if begin < sample[0] <= end), default=0.0)


def reached(samples, kbps, begin=0.0):
    """Seconds from `begin` until a second of samples has this rate; None if never."""
    width = round(1 / STEP)
    for at in range(len(samples)):
        window = samples[at:at + width]
        if len(window) == width and window[0][0] > begin and rate(window) >= kbps:
            return window[-1][0] - begin
    return None


def seconds_text(value):
    return "never" if value is None else f"{value:.1f} s"


class Glass(Scenario):
    """Delay of pictures at a round trip."""

    head = ["median", "95 %", "most"]
    seconds = 10.0
    settle = 3.0

    def __init__(self, rtt):
        self.rtt = rtt
        self.name = f"delay-{rtt}"
        self.title = (f"Picture to whole picture at the viewer, ms, at a round trip of {rtt} ms (the time of the picture as "
                      "the sender's reports give it; decoding and showing are not in it)")

    def lines(self):
        one_way = {"delay_ms": self.rtt // 2}
        return [(0.0, one_way, one_way)]

    def cells(self, samples):
        spreads = [sample[1]["latency_ms"] for sample in samples if sample[0] > self.settle and sample[1]["latency_ms"]]
        if not spreads:
            return ["n/a"] * 3
        return [f"{median(spread[0] for spread in spreads):.0f}", f"{median(spread[1] for spread in spreads):.0f}",
                f"{max(spread[2] for spread in spreads):.0f}"]


class Ramp(Scenario):
    name = "ramp"
    title = f"From the first picture to {REACHED:.0%} of 3 Mbit/s, estimate beginning at 0.3 Mbit/s, round trip 40 ms"
    head = ["time to it", "rate after 20 s"]
    seconds = 25.0
    plot = True

    def lines(self):
        return [(0.0, {"delay_ms": 20, "rate_kbps": LINE, "queue_ms": QUEUE_MS}, {"delay_ms": 20})]

    def cells(self, samples):
        return [seconds_text(reached(samples, REACHED * MOST / 1e3)), f"{rate(samples, 20):.0f} kbit/s"]


class Loss(Scenario):
    """A line that loses packets."""

    head = ["rate", "of 3 Mbit/s", "freezes", "frozen", "longest gap"]
    seconds = 35.0
    settle = 15.0

    def __init__(self, percent):
        self.percent = percent
        self.name = f"loss-{percent}"
        self.title = f"{percent} % of the packets lost, 3 Mbit/s to be had, round trip 40 ms, after {self.settle:.0f} s"

    def lines(self):
        up = {"delay_ms": 20, "rate_kbps": LINE, "queue_ms": QUEUE_MS, "loss": self.percent / 100}
        return [(0.0, up, {"delay_ms": 20})]

    def cells(self, samples):
        mean = rate(samples, self.settle)
        return [f"{mean:.0f} kbit/s", f"{mean / MOST * 1e5:.0f} %", f"{total(samples, 'freezes', self.settle)}",
                f"{total(samples, 'frozen_ms', self.settle) / 1e3:.1f} s", f"{longest_gap(samples, self.settle):.0f} ms"]


class Step(Scenario):
    """The line shrinks to a sixth and grows again."""

    name = "step"
    title = "Line of 3, then 0.5, then 3 Mbit/s (at 15 and 30 s), round trip 40 ms"
    head = ["rate before", "in the narrow time", "longest gap there", "freezes from then on", "back to 90 % of before"]
    seconds = 55.0
    plot = True
    narrow, wide = 15.0, 30.0

    def lines(self):
        def line(kbps):
            return {"delay_ms": 20, "rate_kbps": kbps, "queue_ms": QUEUE_MS}

        down = {"delay_ms": 20}
        return [(0.0, line(3000), down), (self.narrow, line(500), down), (self.wide, line(3000), down)]

    def cells(self, samples):
        before = rate(samples, self.narrow - 5, self.narrow)
        # A freeze is known when it is over, which may be after the narrow time.
        return [f"{before:.0f} kbit/s", f"{rate(samples, self.narrow + 5, self.wide):.0f} kbit/s",
                f"{longest_gap(samples, self.narrow, self.wide):.0f} ms", f"{total(samples, 'freezes', self.narrow)}",
                seconds_text(reached(samples, REACHED * before, self.wide))]


# What `--rows` calls them.
ROWS = ["delay", "ramp", "loss", "step"]
SCENARIOS = [Glass(0), Glass(40), Ramp(), Loss(1), Loss(5), Step()]


def watch(kind, place, lab, scenario, log):
    """One sender, one viewer, one scenario: the samples."""
    sender = kind(place)
    viewers = None
    log.write_bytes(b"")
    changes = scenario.lines()
    lab.line(*changes[0][1:])
    try:
        sender.start(lab, log, MOST if sender.adapts else None)
        wait_for_start(sender)
        viewers = Viewers(place.rust / "bench-receiver", lab, sender.codec, log.with_suffix(".viewer.log"))
        name, _ = viewers.open(sender)
        began, samples, changes = time.monotonic(), [], changes[1:]
        viewers.report()
        while (at := time.monotonic() - began) < scenario.seconds:
            if changes and at >= changes[0][0]:
                lab.line(*changes.pop(0)[1:])
            step = (len(samples) + 1) * STEP
            time.sleep(max(0.0, began + step - time.monotonic()))
            report, seconds = viewers.report()
            samples.append((time.monotonic() - began, report[name], seconds))
        return samples
    finally:
        sender.end()
        if viewers:
            viewers.end()


def rig(tree, built, say):
    """The rig's program, built unless it was before."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", tree / "target"))
    program = target / "debug" / "p2pcam-hil"
    if built:
        return program
    say("the rig: cargo build --workspace --bins")
    done = subprocess.run(["nice", "-n", "10", "cargo", "build", "--locked", "--workspace", "--bins"],
                          cwd=tree, stdout=2, check=False)
    if done.returncode != 0:
        raise Failure("the rig could not be built; the compiler's words stand above")
    return program


def measure(args, place, logs, program, say):
    """All scenarios, all senders, interleaved; medians are by run, so the run in the middle stands for its sender."""
    kinds = chosen(args.on_line)
    results = []
    with Lab(program, Path(__file__).parent.parent / "line.toml", logs / "rig.log") as lab:
        for scenario in (one for one in SCENARIOS if one.name.split("-")[0] in args.rows):
            runs = {}
            for turn in range(args.network_rounds):
                for kind in kinds[turn % len(kinds):] + kinds[:turn % len(kinds)]:
                    try:
                        samples = watch(kind, place, lab, scenario, logs / f"{kind.name}-{scenario.name}.log")
                    except Failure as failure:
                        say(f"{kind.name} {scenario.name}: {failure}")
                        continue
                    say(f"{scenario.name}, {kind.name}: {', '.join(scenario.cells(samples))}")
                    runs.setdefault(kind.name, []).append(samples)
            results.append(collect(scenario, kinds, runs))
    return results


def collect(scenario, kinds, runs):
    """What the tables and plots take of a scenario."""
    senders, series = {}, {}
    adapting = {kind.name: kind.adapts for kind in kinds}
    titles = {kind.name: kind.title for kind in kinds}
    for name, all_samples in runs.items():
        # By the rate that came: one run as it was, not a mixture of several.
        middle = sorted(all_samples, key=rate)[len(all_samples) // 2]
        senders[name] = {"adapts": adapting[name], "cells": scenario.cells(middle),
                         "runs": [scenario.cells(samples) for samples in all_samples]}
        series[titles[name]] = [(at, report["media_bytes"] * 8 / seconds / 1e6) for at, report, seconds in middle]
    limit = [(at, line.get("rate_kbps", MOST / 1e3) / 1e3) for at, line, _ in scenario.lines()]
    stairs = []
    for number, (at, kbps) in enumerate(limit):
        until = limit[number + 1][0] if number + 1 < len(limit) else scenario.seconds
        stairs += [(at, kbps), (until, kbps)]
    return {"name": scenario.name, "title": scenario.title, "head": scenario.head, "senders": senders,
            "series": series if scenario.plot else None, "limit": stairs}


def chosen(kinds):
    """Of the agent the one that encodes stands here: a file has the rate that it has."""
    names = [kind.name for kind in kinds]
    if "agent" in names and "agent-encoding" not in names:
        kinds = [AgentEncoding, *kinds]
    return [kind for kind in kinds if kind.name != "agent" and not kind.bare]
