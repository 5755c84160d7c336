// Runs in the browser: one receiving connection, driven by the test.
/* global window, document */
let pc;
window.webrtcPage = {
  async offer() {
    pc = new RTCPeerConnection();
    for (const kind of ["video", "audio"]) pc.addTransceiver(kind, { direction: "recvonly" });
    pc.addEventListener("track", ({ track }) => {
      const element = document.createElement(track.kind);
      element.muted = true;
      element.autoplay = true;
      element.srcObject = new MediaStream([track]);
      document.body.append(element);
    });
    await pc.setLocalDescription();
    return pc.localDescription.sdp;
  },
  answer: (sdp) => pc.setRemoteDescription({ type: "answer", sdp }),
  close: () => pc.close(),
  async stats() {
    const all = [...(await pc.getStats()).values()];
    const of = (type, kind) => all.find((entry) => entry.type === type && (!kind || entry.kind === kind)) ?? {};
    const [video, audio, transport] = [of("inbound-rtp", "video"), of("inbound-rtp", "audio"), of("transport")];
    const pair = all.find(({ id }) => id === transport.selectedCandidatePairId) ?? {};
    const remote = all.find(({ id }) => id === pair.remoteCandidateId) ?? {};
    return {
      framesDecoded: video.framesDecoded ?? 0,
      packetsLost: video.packetsLost ?? 0,
      audioPackets: audio.packetsReceived ?? 0,
      samples: audio.totalSamplesReceived ?? 0,
      srtpCipher: transport.srtpCipher ?? "",
      dtlsCipher: transport.dtlsCipher ?? "",
      protocol: remote.protocol ?? "",
      state: pc.connectionState,
    };
  },
};
