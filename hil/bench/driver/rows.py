"""The rows that need no network but a cable: CPU, memory, first picture, packets a kernel call, size."""

import time
from statistics import median

import flame
import procs
from procs import Failure
from senders import wait_for_start
from viewers import Viewers

# After the last viewer is there: estimates and allocators settle.
SETTLE = 2.0
# Shares of the clip's pictures below which a sender did not do its work.
ENOUGH = 0.95
# Seconds that kernel calls are counted for.
CALLS_COUNTED = 2
# First pictures measured in one run.
FIRST_PICTURES = 5


class Bench:
    """Runs senders one after the other on the same cable."""

    def __init__(self, place, cable, logs, window, flames=None):
        self.place, self.cable, self.logs, self.window, self.flames = place, cable, logs, window, flames

    def run(self, kind, count, rows):
        """One run of one sender with `count` viewers: {figure: value}."""
        sender = kind(self.place)
        log = self.logs / f"{sender.name}-{count}.log"
        log.write_bytes(b"")
        viewers = None
        try:
            sender.start(self.cable, log)
            wait_for_start(sender)
            result = {"rest": procs.memory(sender.pid)}
            viewers = Viewers(self.place.rust / "bench-receiver", self.cable, sender.codec,
                              self.logs / f"{sender.name}-{count}-viewers.log")
            if count == 1 and "first" in rows and not sender.bare:
                result["first"] = self.first_pictures(sender, viewers)
            for number in range(count):
                viewers.open(sender)
                if number == 0:
                    time.sleep(SETTLE)
                    result["one"] = procs.memory(sender.pid)
            time.sleep(SETTLE)
            result.update(self.steady(sender, viewers, count))
            result["all"] = procs.memory(sender.pid)
            if "calls" in rows:
                result["calls"] = self.calls(sender, viewers)
            if self.flames:
                self.flame(sender, count, result["cpu"])
            return result
        finally:
            sender.end()
            if viewers:
                viewers.end()

    def first_pictures(self, sender, viewers):
        """Milliseconds from the offer to a connection and to the first picture, of viewers that come alone."""
        seen = []
        for _ in range(FIRST_PICTURES):
            name, steps = viewers.open(sender)
            seen.append((steps["connected"], steps["picture"]))
            viewers.close(name, sender)
            # Let the sender notice: the next one is to be the first again.
            time.sleep(0.3)
        return {"connected": median(step[0] for step in seen), "picture": median(step[1] for step in seen)}

    def steady(self, sender, viewers, count):
        """CPU and what the viewers got while nothing changes."""
        viewers.report()
        before, began = procs.cpu_times(sender.pid), time.monotonic()
        viewers_before = procs.cpu_times(viewers.program.pid)
        time.sleep(self.window)
        after, seconds = procs.cpu_times(sender.pid), time.monotonic() - began
        threads = procs.cpu_between(before, after)
        viewers_cpu = sum(procs.cpu_between(viewers_before, procs.cpu_times(viewers.program.pid)).values())
        report, report_seconds = viewers.report()
        each = list(report.values())
        if len(each) != count:
            raise Failure(f"{sender.name}: {len(each)} of {count} viewers are left")
        pictures = [one["pictures"] / report_seconds / self.place.fps for one in each]
        per_viewer_second = 1e3 / seconds / count
        encoding = sum(cpu for name, cpu in threads.items() if name.startswith(tuple(sender.encoder_threads)))
        result = {
            "cpu": sum(threads.values()) * per_viewer_second,
            "cpu_encoder": encoding * per_viewer_second if sender.encoder_threads else 0.0,
            "cpu_viewers": viewers_cpu * per_viewer_second,
            "cores": sum(threads.values()) / seconds,
            "threads": {name: cpu * per_viewer_second for name, cpu in threads.items() if cpu > 0},
            "pictures": median(pictures),
            "worst": min(pictures),
            "kbps": median(one["media_bytes"] * 8 / report_seconds / 1e3 for one in each),
            "wire_kbps": median(one["wire_bytes"] * 8 / report_seconds / 1e3 for one in each),
            "datagrams": median(one["datagrams"] / report_seconds for one in each),
            "queue_ms": median(one["queue_ms"][1] if one["queue_ms"] else 0.0 for one in each),
            "freezes": sum(one["freezes"] for one in each),
        }
        if result["pictures"] < ENOUGH:
            result["short"] = f"{result['pictures'] * 100:.0f} % of the pictures"
        return result

    def calls(self, sender, viewers):
        """Datagrams a kernel call, of what the viewers got; None if it cannot be counted here."""
        viewers.report()
        calls = procs.send_calls(sender.pid, CALLS_COUNTED)
        report, seconds = viewers.report()
        if not calls:
            return None
        return sum(one["datagrams"] for one in report.values()) / seconds / calls

    def flame(self, sender, count, cpu):
        """A flame graph of the same steady state, taken when all else is measured: sampling costs time of its own."""
        found = flame.stacks(sender.pid, self.window, self.logs / "perf.data")
        title = f"{sender.title} {sender.version()}, {count} viewers, {cpu:.1f} ms a viewer and second"
        (self.flames / f"{sender.name}-{count}.svg").write_text(flame.draw(title, found), encoding="utf-8")
        lines = [f"{share * 100:5.1f} %  {name}\n" for name, share in flame.shares(found) if share >= flame.LEAST]
        (self.flames / f"{sender.name}-{count}.txt").write_text("".join(lines), encoding="utf-8")


def aggregate(runs):
    """Medians of all figures over runs with the same viewers; the worst case of what may not happen."""
    out = {}
    for key in runs[0]:
        values = [run[key] for run in runs if run.get(key) is not None]
        if not values:
            out[key] = None
        elif key in ("rest", "one", "all"):
            out[key] = [median(value[part] for value in values) for part in range(2)]
        elif isinstance(values[0], dict):
            names = {name for value in values for name in value}
            out[key] = {name: median(value.get(name, 0.0) for value in values) for name in sorted(names)}
        elif isinstance(values[0], str):
            out[key] = values[0]
        else:
            out[key] = median(values)
    for run in runs:
        if "short" in run:
            out["short"] = run["short"]
    return out
