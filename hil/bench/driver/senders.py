"""The senders that are compared: how each is started, and what is to be known of it beside its figures."""

import json
import os
import queue
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from procs import Failure, Program

HERE = Path(__file__).resolve().parent.parent


@dataclass
class Place:
    """Where things are that were built or fetched for the benchmark."""

    target: Path
    agent: Path
    clip: Path
    mp4: Path
    fps: int = 30
    kbps: int = 2000
    rust: Path = field(init=False)

    def __post_init__(self):
        self.rust = self.target / "rust" / "release"


class Sender:
    """A sender that speaks the benchmark's own lines."""

    name = ""
    title = ""
    codec = "h264"
    # What a reader must know beside the figures.
    note = ""
    # Threads that encode, by the beginning of their names; their time is told apart.
    encoder_threads = ()
    # It can be told to fill the path with what its estimate allows.
    adapts = False
    # It makes no connection: packets only.
    bare = False

    def __init__(self, place):
        self.place = place
        self.program = None

    def command(self, address, fill):
        raise NotImplementedError

    def environment(self):
        return {}

    def version(self):
        raise NotImplementedError

    def files(self):
        """What has to be on a disk for it: files and folders of the library and what it loads."""
        return []

    def start(self, cable, log, fill=None):
        """Starts it; `fill` makes it send as much as its estimate allows, up to so many bits a second."""
        command = self.command(cable.sender_address, fill)
        self.program = Program(self.name, command, cable.sender, log, self.environment())

    @property
    def pid(self):
        return self.program.pid

    def offer(self, viewer, sdp, deadline, tell):
        self.program.say({"id": viewer, "offer": sdp})
        while True:
            line = self.program.hear(deadline)
            if line.get("id") == viewer and "answer" in line:
                return tell({"answer": line["answer"]})

    def send_to(self, viewer, address):
        """A viewer without a connection, for senders that are bare."""
        self.program.say({"id": viewer, "sink": address})

    def pump(self):
        """Passes on what it said since."""

    def bye(self, viewer):
        self.program.say({"id": viewer, "bye": True})

    def end(self):
        if self.program:
            self.program.end()
            self.program = None


class Agent(Sender):
    """The agent, by its own protocol over standard input and output."""

    name = "agent"
    title = "p2pcam-agent"
    adapts = True

    def command(self, address, fill):
        return [self.place.agent, "run"]

    def environment(self, source=None):
        state = self.place.target / "agent-state"
        state.mkdir(mode=0o700, exist_ok=True)
        return {
            "P2PCAM_DEVICE_STATE_DIR": str(state),
            "P2PCAM_VIDEO_SOURCE": source or f"file:{self.place.mp4}",
            "P2PCAM_VIDEO_FPS": str(self.place.fps),
            "P2PCAM_VIDEO_BITRATE_KBPS": str(self.place.kbps),
            "P2PCAM_AUDIO_SOURCE": "none",
            "P2PCAM_AUDIO_SINK": "none",
            "P2PCAM_SIGNALING_LINK": "stdio",
            "P2PCAM_ICE_POLICY": "host",
            "P2PCAM_ICE_PORT_MAPPING": "false",
            "P2PCAM_SESSION_MAX": "128",
            "P2PCAM_TELEMETRY_LISTEN": "",
            "P2PCAM_TELEMETRY_LOG": "warn",
            "NO_COLOR": "1",
        }

    def version(self):
        words = subprocess.run([self.place.agent, "--version"], capture_output=True, text=True, check=True)
        # "p2pcam-agent 0.1.0 (commit)".
        return words.stdout.split(maxsplit=1)[1].strip()

    def files(self):
        return [self.place.agent]

    def start(self, cable, log, fill=None):
        self.tells = {}
        super().start(cable, log, fill)

    def offer(self, viewer, sdp, deadline, tell):
        self.tells[viewer] = tell
        self.answered = None
        self.program.say({"session": viewer, "connect": {}})
        self.program.say({"session": viewer, "description": {"type": "offer", "sdp": sdp}})
        while self.answered != viewer:
            self._take(self.program.hear(deadline))

    def pump(self):
        while True:
            try:
                line = self.program.lines.get_nowait()
            except queue.Empty:
                return
            if line is None:
                raise Failure(f"{self.name} has ended: {self.program.last_words()}")
            self._take(line)

    def _take(self, line):
        if "error" in line:
            raise Failure(f"the agent refused: {line['error']['message']}")
        tell = self.tells.get(line.get("session"))
        if tell and "description" in line:
            tell({"answer": line["description"]["sdp"]})
            self.answered = line["session"]
        elif tell and line.get("candidate"):
            tell({"candidate": line["candidate"]["candidate"]})

    def bye(self, viewer):
        self.program.say({"session": viewer, "bye": {"reason": "measured"}})


class AgentEncoding(Agent):
    """The agent with its software encoder at work, for senders that cannot leave theirs out."""

    name = "agent-encoding"
    title = "p2pcam-agent, encoding"
    note = "one encode of the test pattern (OpenH264, 320x180) for all viewers"
    encoder_threads = ("video-",)
    # Pictures that fill their rate, if this agent has them; else the plain pattern, which is nearly still.
    source = "pattern:busy"
    fill = None

    def start(self, cable, log, fill=None):
        self.fill = fill
        super().start(cable, log, fill)

    def environment(self):
        size = {"P2PCAM_VIDEO_WIDTH": "320", "P2PCAM_VIDEO_HEIGHT": "180"}
        if self.fill:
            size = {"P2PCAM_VIDEO_WIDTH": "640", "P2PCAM_VIDEO_HEIGHT": "360",
                    "P2PCAM_VIDEO_BITRATE_KBPS": str(self.fill // 1000)}
        return {**super().environment(self.knows(self.source)), **size}

    def knows(self, source):
        """The source, or the plain pattern if this agent refuses it."""
        environment = {**os.environ, "P2PCAM_VIDEO_SOURCE": source}
        check = subprocess.run([self.place.agent, "config"], env=environment, capture_output=True, check=False)
        return source if check.returncode == 0 else "pattern"


class Rust(Sender):
    """A bare crate, in a program of this benchmark."""

    crate = ""
    adapts = True

    def command(self, address, fill):
        # As much in hand as browsers begin with; a clip needs its rate at once.
        more = ["--fill", fill, "--start", 300_000] if fill else []
        program = self.place.rust / f"bench-peer-{self.crate}"
        return [program, "--address", address, "--clip", self.place.clip, "--fps", self.place.fps, *more]

    def version(self):
        metadata = subprocess.run(
            ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", HERE / "Cargo.toml"],
            capture_output=True, text=True, check=True)
        packages = json.loads(metadata.stdout)["packages"]
        return next(package["version"] for package in packages if package["name"] == self.crate)

    def files(self):
        return [self.place.rust / f"bench-peer-{self.crate}"]


class Str0m(Rust):
    name = crate = "str0m"
    title = "str0m (bare crate)"
    note = "RTP mode, one thread, one socket, GSO, packets of a picture made once; estimation, pacing, NACK and RTX on"


class Webrtc(Rust):
    name = crate = "webrtc"
    title = "webrtc (bare crate)"
    note = "packets of a picture made once; GCC, pacer, NACK, reports"


class Floor(Rust):
    name = "floor"
    crate = "floor"
    title = "bare SRTP and sendmsg"
    note = "no sender: header, AES-128-GCM and a call a packet, nothing received; what others' packets cost at least"
    adapts = False
    bare = True
    more = []

    def command(self, address, fill):
        return [*super().command(address, None), *self.more]

    def version(self):
        return "-"


class FloorTrains(Floor):
    name = "floor-trains"
    title = "bare SRTP and sendmsg, a call a picture"
    note = "the same with UDP_SEGMENT"
    more = ["--trains"]


class Script(Sender):
    """A program of this benchmark in a scripting language."""

    def script(self, *more):
        return [HERE / "peers" / self.name / more[0], *more[1:]]

    def arguments(self, address):
        return ["--address", address, "--clip", self.place.clip, "--fps", self.place.fps]


class Node(Script):
    package = ""

    @property
    def folder(self):
        return self.place.target / "node" / self.name

    def command(self, address, fill):
        more = ["--fill", fill] if fill else []
        return [shutil.which("node") or "node", *self.script("peer.js"), *self.arguments(address), *more]

    def environment(self):
        return {"NODE_PATH": str(self.folder / "node_modules")}

    def version(self):
        text = (self.folder / "node_modules" / self.package / "package.json").read_text(encoding="utf-8")
        return json.loads(text)["version"]


class Libdatachannel(Node):
    name = "libdatachannel"
    title = "libdatachannel (node-datachannel)"
    package = "node-datachannel"
    note = "no transport-wide feedback, no estimate, no pacing; every viewer's packets are made anew"

    def files(self):
        return sorted(self.folder.glob("node_modules/@node-datachannel/*/*.node"))


class Libwebrtc(Node):
    name = "libwebrtc"
    title = "libwebrtc (@roamhq/wrtc)"
    package = "@roamhq/wrtc"
    codec = "vp8"
    adapts = True
    encoder_threads = ("EncoderQueue", "rtc-encoder", "vp8")
    note = "cannot send an encoded stream: encodes noise of 160x90 as VP8 for each viewer"

    def files(self):
        return sorted(self.folder.glob("node_modules/@roamhq/wrtc-*/*.node"))


class Aiortc(Script):
    name = "aiortc"
    title = "aiortc"
    note = "no transport-wide feedback, no estimate that moves an encoded stream, no pacing; NACK and RTX on"

    @property
    def folder(self):
        return self.place.target / "aiortc"

    def command(self, address, fill):
        return [self.folder / "bin" / "python3", *self.script("peer.py"), *self.arguments(address)]

    def version(self):
        code = "import importlib.metadata as m; print(m.version('aiortc'))"
        words = subprocess.run([self.folder / "bin" / "python3", "-c", code],
                               capture_output=True, text=True, check=True)
        return words.stdout.strip()

    def files(self):
        return [self.folder]


class Gstreamer(Script):
    name = "gstreamer"
    title = "GStreamer webrtcbin"
    note = "transport-wide numbers are sent; Debian has no element that estimates from them (rtpgccbwe), so no pacing"

    def command(self, address, fill):
        # Debian's own interpreter has the bindings.
        return ["/usr/bin/python3", *self.script("peer.py"), *self.arguments(address)]

    def version(self):
        words = subprocess.run(["gst-inspect-1.0", "--version"], capture_output=True, text=True, check=True)
        return words.stdout.splitlines()[0].split()[-1]


ALL = [Agent, AgentEncoding, Gstreamer, Libwebrtc, Libdatachannel, Aiortc, Str0m, Webrtc, Floor, FloorTrains]


def size_of(paths):
    """Bytes of files and folders."""
    total = 0
    for path in paths:
        for folder, _, names in os.walk(path) if Path(path).is_dir() else [(Path(path).parent, [], [Path(path).name])]:
            total += sum(os.path.getsize(Path(folder) / name) for name in names)
    return total


def wait_for_start(sender, seconds=1.0):
    """Gives a program time to load; raises if it ended instead."""
    time.sleep(seconds)
    if sender.program.process.poll() is not None:
        raise Failure(f"{sender.name} did not start: {sender.program.last_words()}")
