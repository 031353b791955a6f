"""GStreamer's webrtcbin as a sender: the clip is cut into packets once, a tee hands them to each viewer's webrtcbin."""

import argparse
import hashlib
import json
import re
import ssl
import subprocess
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

# Pictures of the clip begin with an access unit delimiter.
DELIMITER = b"\0\0\0\1\x09"
# As in the viewers' offer: one payloader serves all of them.
PAYLOAD_TYPE = 96
TWCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

# Known before the first packet, so that the answer can say it.
SSRC = 1000

CAPS = f"application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload={PAYLOAD_TYPE},ssrc=(uint){SSRC}"
STREAM = (
    "appsrc name=source is-live=true format=time do-timestamp=true block=true max-bytes=4000000 "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au "
    "! h264parse config-interval=-1 "
    f"! rtph264pay name=pay pt={PAYLOAD_TYPE} ssrc={SSRC} mtu=1200 aggregate-mode=zero-latency "
    "! %s "
    "! tee name=tee allow-not-linked=true"
)


# The viewers' DTLS knows no RSA, of which GStreamer makes a certificate for each viewer otherwise (a second of CPU).
CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=bench -days 30 -keyout - -out -"
)


class Peer:
    """The stream and its viewers."""

    def __init__(self, args):
        self.fps = args.fps
        with open(args.clip, "rb") as file:
            self.pictures = [DELIMITER + part for part in file.read().split(DELIMITER)[1:]]
        made = subprocess.run(CERTIFICATE.split(), capture_output=True, text=True, check=True)
        self.certificate = made.stdout
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(made.stdout[made.stdout.index("-----BEGIN CERT"):])).hexdigest()
        self.fingerprint = ":".join(re.findall("..", digest.upper()))
        self.viewers = {}
        self.watched = threading.Event()
        self.pipeline = None

    def start(self, offer):
        """Builds the stream when the first offer has told the number of the header extension."""
        # The answer says what of the offer is taken up.
        feedback = ",rtcp-fb-nack=true,rtcp-fb-nack-pli=true,rtcp-fb-transport-cc=true"
        extension = ""
        for line in offer.splitlines():
            if line.startswith("a=extmap:") and TWCC in line:
                number = line.split(":", 1)[1].split()[0].split("/")[0]
                extension = f",extmap-{number}=(string){TWCC}"
        # The payloader's output has the extension alone.
        self.caps = CAPS + feedback + extension
        self.pipeline = Gst.parse_launch(STREAM % (CAPS + extension))
        self.tee = self.pipeline.get_by_name("tee")
        self.source = self.pipeline.get_by_name("source")
        self.pipeline.set_state(Gst.State.PLAYING)
        threading.Thread(target=self.feed, daemon=True).start()

    def feed(self):
        """Hands each picture over at its time; begins with the clip when the first viewer is there."""
        index, due = 0, 0.0
        while True:
            if not self.watched.is_set():
                self.watched.wait()
                index, due = 0, time.monotonic()
            self.source.emit("push-buffer", Gst.Buffer.new_wrapped(self.pictures[index % len(self.pictures)]))
            index += 1
            due += 1 / self.fps
            time.sleep(max(0.0, due - time.monotonic()))

    def offer(self, name, sdp):
        if self.pipeline is None:
            self.start(sdp)
        queue = Gst.ElementFactory.make("queue")
        queue.set_property("max-size-buffers", 1000)
        queue.set_property("max-size-bytes", 0)
        queue.set_property("leaky", 2)
        webrtc = Gst.ElementFactory.make("webrtcbin")
        webrtc.connect("deep-element-added", self.certify)
        webrtc.set_property("bundle-policy", "max-bundle")
        for element in (queue, webrtc):
            self.pipeline.add(element)
        queue.get_static_pad("src").link(webrtc.request_pad_simple("sink_0"))
        transceiver = webrtc.emit("get-transceiver", 0)
        transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        transceiver.set_property("do-nack", True)
        # Nothing flows yet that would say it.
        transceiver.set_property("codec-preferences", Gst.Caps.from_string(self.caps))
        self.viewers[name] = [queue, webrtc, None]
        webrtc.connect("notify::ice-gathering-state", self.gathered, name)
        webrtc.connect("notify::connection-state", self.changed, name)
        for element in (queue, webrtc):
            element.sync_state_with_parent()
        _, message = GstSdp.SDPMessage.new_from_text(sdp)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message)
        webrtc.emit("set-remote-description", description, Gst.Promise.new_with_change_func(self.described, name))

    def certify(self, _, __, element):
        factory = element.get_factory()
        if factory and factory.get_name() == "dtlsdec":
            element.set_property("pem", self.certificate)

    def described(self, promise, name):
        webrtc = self.viewers[name][1]
        webrtc.emit("create-answer", None, Gst.Promise.new_with_change_func(self.answered, name))

    def answered(self, promise, name):
        # The reply owns what is read from it: it has to live as long.
        reply = promise.get_reply()
        answer = reply.get_value("answer")
        self.viewers[name][1].emit("set-local-description", answer, None)

    def gathered(self, webrtc, _, name):
        if webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.tell, name)

    def tell(self, name):
        description = self.viewers[name][1].get_property("local-description")
        # webrtcbin read the fingerprint before the certificate was exchanged.
        mine = f"a=fingerprint:sha-256 {self.fingerprint}\r"
        answer = re.sub(r"a=fingerprint:[^\r\n]*\r", mine, description.sdp.as_text())
        print(json.dumps({"id": name, "answer": answer}), flush=True)
        return False

    def changed(self, webrtc, _, name):
        if webrtc.get_property("connection-state") == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            GLib.idle_add(self.join, name)

    def join(self, name):
        """A connected viewer gets what the tee has, from a key frame on."""
        viewer = self.viewers.get(name)
        if viewer and viewer[2] is None:
            viewer[2] = self.tee.request_pad_simple("src_%u")
            viewer[2].link(viewer[0].get_static_pad("sink"))
            self.watched.set()
        return False

    def bye(self, name):
        viewer = self.viewers.pop(name, None)
        if not viewer:
            return
        if not self.viewers:
            self.watched.clear()
        queue, webrtc, pad = viewer
        if pad:
            self.tee.release_request_pad(pad)
        for element in (queue, webrtc):
            element.set_state(Gst.State.NULL)
            self.pipeline.remove(element)

    def line(self, text):
        request = json.loads(text)
        if request.get("offer"):
            self.offer(request["id"], request["offer"])
        elif request.get("bye"):
            self.bye(request["id"])
        return False


def read(peer, loop):
    for text in sys.stdin:
        GLib.idle_add(peer.line, text)
    GLib.idle_add(loop.quit)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address")
    parser.add_argument("--clip", required=True)
    parser.add_argument("--fps", type=int, default=30)
    args = parser.parse_args()
    Gst.init(None)
    loop = GLib.MainLoop()
    threading.Thread(target=read, args=(Peer(args), loop), daemon=True).start()
    loop.run()


main()
