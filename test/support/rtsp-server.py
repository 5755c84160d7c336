"""An RTSP server of GStreamer for tests: prints its port, serves until its input ends.

Mounts by path, each live from its own test sources:
/h264-aac /h264-opus /h264 /audio (AAC alone) /bframes /h265 /vp8 /pcmu /pcma /mp3 /latm
More of them by --mount; launch lines with "filesrc" play from the beginning for every client.
With --feedback they speak RTP/AVPF only.
With --user and --password every mount asks for digest authentication, with --basic for basic.
"""
import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--port", default="0")
parser.add_argument("--user")
parser.add_argument("--password")
parser.add_argument("--basic", action="store_true")
parser.add_argument("--mount", nargs=2, action="append", default=[], metavar=("PATH", "LAUNCH"))
parser.add_argument("--feedback", action="store_true", help="RTP/AVPF: takes wishes by RTCP")
parser.add_argument("--transport", choices=["tcp", "udp", "any"], default="any")
options = parser.parse_args()

Gst.init(None)

VIDEO = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! "
AUDIO = "audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate={rate},channels={channels} ! audioconvert ! "
H264 = VIDEO + "x264enc tune=zerolatency key-int-max=25 bitrate=400 speed-preset=ultrafast ! "
PAY_H264 = "rtph264pay name=pay0 pt=96 config-interval=-1"
MOUNTS = {
    "/h264-aac": f"{H264} {PAY_H264} "
    + AUDIO.format(rate=48000, channels=2)
    + "avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97",
    "/h264-opus": f"{H264} {PAY_H264} "
    + AUDIO.format(rate=48000, channels=2)
    + "opusenc ! rtpopuspay name=pay1 pt=97",
    "/h264": f"{H264} {PAY_H264}",
    "/audio": AUDIO.format(rate=44100, channels=2) + "avenc_aac ! aacparse ! rtpmp4gpay name=pay0 pt=97",
    "/bframes": VIDEO
    + "x264enc bframes=2 b-adapt=false key-int-max=25 bitrate=400 speed-preset=superfast sliced-threads=true"
    + " rc-lookahead=0 sync-lookahead=0 ! "
    + PAY_H264,
    "/h265": VIDEO + "x265enc tune=zerolatency key-int-max=25 bitrate=400 speed-preset=ultrafast ! h265parse ! rtph265pay name=pay0 pt=96",
    "/vp8": VIDEO + "vp8enc deadline=1 keyframe-max-dist=25 ! rtpvp8pay name=pay0 pt=96",
    "/pcmu": AUDIO.format(rate=8000, channels=1) + "mulawenc ! rtppcmupay name=pay0",
    "/pcma": AUDIO.format(rate=8000, channels=1) + "alawenc ! rtppcmapay name=pay0",
    "/mp3": AUDIO.format(rate=44100, channels=2) + "lamemp3enc ! mpegaudioparse ! rtpmpapay name=pay0",
    "/latm": AUDIO.format(rate=48000, channels=2) + "avenc_aac ! aacparse ! rtpmp4apay name=pay0 pt=97",
}

MOUNTS.update(options.mount)

server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service(options.port)
transports = {
    "tcp": GstRtsp.RTSPLowerTrans.TCP,
    "udp": GstRtsp.RTSPLowerTrans.UDP,
    "any": GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP,
}
for path, pipeline in MOUNTS.items():
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(f"( {pipeline} )")
    # Files begin anew for every client; live sources are one for all.
    factory.set_shared("filesrc" not in pipeline)
    factory.set_protocols(transports[options.transport])
    if options.feedback:
        factory.set_profiles(GstRtsp.RTSPProfile.AVPF)
    if options.user:
        permissions = GstRtspServer.RTSPPermissions.new()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory(path, factory)

if options.user:
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", "viewer")
    if options.basic:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token)
    server.set_auth(auth)


loop = GLib.MainLoop()
server.attach(None)
GLib.timeout_add_seconds(1, lambda: server.get_session_pool().cleanup() >= 0)
print(server.get_bound_port(), flush=True)


def end_with_input():
    sys.stdin.read()
    GLib.idle_add(loop.quit)


threading.Thread(target=end_with_input, daemon=True).start()
loop.run()
