"""Two network namespaces with a cable between them: a sender in one, its viewers in the other."""

import os
import subprocess

# Of the network for benchmarks (RFC 2544); nobody has them.
SENDER = "198.18.0.1"
VIEWERS = "198.18.0.2"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Cable:
    """The namespaces of one benchmark; a `with` block long."""

    def __init__(self):
        name = f"p2phil-bench-{os.getpid()}"
        self.sender, self.viewers = f"{name}-s", f"{name}-v"
        self.sender_address, self.viewers_address = SENDER, VIEWERS

    def __enter__(self):
        try:
            for namespace in (self.sender, self.viewers):
                ip("netns", "add", namespace)
            ip("link", "add", "bench0", "netns", self.sender, "type", "veth",
               "peer", "name", "bench0", "netns", self.viewers)
            for namespace, address in ((self.sender, SENDER), (self.viewers, VIEWERS)):
                ip("-n", namespace, "address", "add", f"{address}/24", "dev", "bench0")
                ip("-n", namespace, "link", "set", "bench0", "up")
                ip("-n", namespace, "link", "set", "lo", "up")
                # Libraries that look for the way out find one.
                other = VIEWERS if address == SENDER else SENDER
                ip("-n", namespace, "route", "add", "default", "via", other)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in (self.sender, self.viewers):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
