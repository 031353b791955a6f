"""aiortc as a sender: one encoded track for all viewers, passed through its relay."""

import argparse
import asyncio
import fractions
import json
import sys
import time

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamTrack

# Pictures of the clip begin with an access unit delimiter.
DELIMITER = b"\0\0\0\1\x09"


class Clip(MediaStreamTrack):
    """The clip's pictures, each at its time, without end."""

    kind = "video"

    def __init__(self, path, fps):
        super().__init__()
        with open(path, "rb") as file:
            self.pictures = [DELIMITER + part for part in file.read().split(DELIMITER)[1:]]
        self.fps = fps
        self.index = 0
        self.due = time.monotonic()

    async def recv(self):
        self.due += 1 / self.fps
        await asyncio.sleep(max(0.0, self.due - time.monotonic()))
        packet = av.Packet(self.pictures[self.index % len(self.pictures)])
        packet.pts = packet.dts = self.index
        packet.time_base = fractions.Fraction(1, self.fps)
        self.index += 1
        return packet


class Peer:
    """All viewers; the clip runs while there are some."""

    def __init__(self, args):
        self.args = args
        self.viewers = {}
        self.relay = self.clip = None

    async def offer(self, name, sdp):
        if not self.viewers:
            self.relay = MediaRelay()
            self.clip = Clip(self.args.clip, self.args.fps)
        # Without servers: its default asks one on the internet.
        connection = self.viewers[name] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(self.relay.subscribe(self.clip))
        await connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        print(json.dumps({"id": name, "answer": connection.localDescription.sdp}), flush=True)

    async def bye(self, name):
        connection = self.viewers.pop(name, None)
        if connection:
            await connection.close()
        if not self.viewers and self.clip:
            self.clip.stop()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address")
    parser.add_argument("--clip", required=True)
    parser.add_argument("--fps", type=int, default=30)
    peer = Peer(parser.parse_args())
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        if request.get("offer"):
            await peer.offer(request["id"], request["offer"])
        elif request.get("bye"):
            await peer.bye(request["id"])


asyncio.run(main())
