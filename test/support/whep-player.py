"""A WHEP player on GStreamer's webrtcbin: plays URL for SECONDS, then prints what it decoded as JSON."""

import json
import sys
import urllib.error
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

CAPS = [
    "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1,profile-level-id=(string)42e01f,rtcp-fb-nack=true,rtcp-fb-nack-pli=true",
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2",
]
# Cipher AES-128-ICM, authentication HMAC-SHA1-80: what SDES and DTLS-SRTP call AES128_CM_SHA1_80.
CIPHERS = {(1, 2): "AES128_CM_SHA1_80", (1, 1): "AES128_CM_SHA1_32"}
DECODERS = {
    "H264": "queue ! rtph264depay ! h264parse ! avdec_h264 ! fakesink name=sink signal-handoffs=true sync=false",
    "OPUS": "queue ! rtpopusdepay ! opusdec ! fakesink name=sink signal-handoffs=true sync=false",
}


class Player:
    def __init__(self, url):
        self.url = url
        self.counts = {"H264": 0, "OPUS": 0}
        self.pipeline = Gst.Pipeline.new("player")
        self.webrtc = Gst.ElementFactory.make("webrtcbin")
        self.webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.webrtc)
        for caps in CAPS:
            self.webrtc.emit(
                "add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps)
            )
        self.webrtc.connect("notify::ice-gathering-state", self.on_gathering)
        self.webrtc.connect("pad-added", self.on_pad)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.on_offer))

    def on_offer(self, promise):
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.webrtc.emit("set-local-description", offer, None)

    def on_gathering(self, *_):
        if self.webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.post)

    def post(self):
        text = self.webrtc.get_property("local-description").sdp.as_text()
        with self.send(self.url, text) as response:
            answer = response.read().decode()
            self.location = response.headers["Location"]
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.webrtc.emit("set-remote-description", description, Gst.Promise.new())
        return False

    def send(self, url, text):
        """urllib follows no redirect of a POST; a router answers with one."""
        request = urllib.request.Request(
            url, data=text.encode(), method="POST", headers={"Content-Type": "application/sdp"}
        )
        try:
            return urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            if error.code not in (307, 308):
                raise
            return self.send(error.headers["Location"], text)

    def on_pad(self, _, pad):
        name = pad.get_current_caps().get_structure(0).get_string("encoding-name").upper()
        decoder = Gst.parse_bin_from_description(DECODERS[name], True)
        self.pipeline.add(decoder)
        decoder.get_by_name("sink").connect("handoff", lambda *_: self.count(name))
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def count(self, name):
        self.counts[name] += 1

    def ciphers(self):
        """What the handshake selected: the names of GstDtlsSrtpCipher and GstDtlsSrtpAuth."""
        found = set()
        elements = self.webrtc.iterate_recurse()
        while True:
            result, element = elements.next()
            if result != Gst.IteratorResult.OK:
                return sorted(found)
            factory = element.get_factory()
            if factory is not None and factory.get_name() == "dtlsdec":
                cipher, auth = element.get_property("srtp-cipher"), element.get_property("srtp-auth")
                found.add(CIPHERS.get((cipher, auth), f"{cipher} {auth}"))

    def stop(self):
        urllib.request.urlopen(urllib.request.Request(self.location, method="DELETE"))
        self.pipeline.set_state(Gst.State.NULL)


Gst.init(None)
loop = GLib.MainLoop()
player = Player(sys.argv[1])
GLib.timeout_add(int(float(sys.argv[2]) * 1000), loop.quit)
loop.run()
ciphers = player.ciphers()
player.stop()
print(json.dumps({**player.counts, "ciphers": ciphers}))
