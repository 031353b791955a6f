"""The viewers: one receiver program for all of them, and the connections that it makes with a sender."""

import time

from procs import Failure, Program

# From the offer to a connection; a sender on a busy machine needs some of it.
CONNECT = 20.0


class Viewers:
    """Up to 128 viewers of one sender."""

    def __init__(self, program, cable, codec, log):
        command = [program, "--address", cable.viewers_address, "--codec", codec]
        self.program = Program("the receiver", command, cable.viewers, log)
        self.pending = []
        self.events = {}
        self.count = 0

    def open(self, sender):
        """One more viewer: connected, with its first whole key frame. Milliseconds of each step from the offer on."""
        name = f"v{self.count}"
        self.count += 1
        deadline = time.monotonic() + CONNECT
        if sender.bare:
            self.program.say({"sink": name})
            sender.send_to(name, self._wait(lambda line: line.get("id") == name and "sink" in line, deadline)["sink"])
            self._wait(lambda _: "picture" in self.events.get(name, {}), deadline, sender)
            return name, self.events[name]
        self.program.say({"open": name})
        offer = self._wait(lambda line: line.get("id") == name and "offer" in line, deadline)["offer"]
        sender.offer(name, offer, deadline, lambda message: self.program.say({"id": name, **message}))
        self._wait(lambda _: "picture" in self.events.get(name, {}), deadline, sender)
        return name, self.events[name]

    def close(self, name, sender):
        self.program.say({"close": name})
        sender.bye(name)

    def report(self):
        """Counts of all viewers since the last report, and its length in seconds."""
        self.program.say({"report": True})
        line = self._wait(lambda line: "report" in line, time.monotonic() + 5)
        return line["report"], line["ms"] / 1e3

    def end(self):
        self.program.end()

    def _wait(self, fits, deadline, sender=None):
        while True:
            # Candidates of the sender go to the viewer as they come.
            step = min(deadline, time.monotonic() + 0.01) if sender else deadline
            if sender:
                sender.pump()
            try:
                line = self.program.hear(step)
            except Failure:
                if sender is None or time.monotonic() >= deadline or self.program.process.poll() is not None:
                    raise
                continue
            if "event" in line:
                self.events.setdefault(line["id"], {})[line["event"]] = line["ms"]
            if fits(line):
                return line
