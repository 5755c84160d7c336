// Installs the programs that the tests drive and that npm cannot bring. Debian and its relatives only.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** A program the tests need: how to see that it is there, and the Debian packages that bring it. */
const tools = [
  { name: "ffmpeg", isThere: () => runs("ffmpeg", "-version"), packages: ["ffmpeg"] },
  { name: "redis-server", isThere: () => runs("redis-server", "--version"), packages: ["redis-server"] },
  { name: "systemd-analyze", isThere: () => runs("systemd-analyze", "--version"), packages: ["systemd"] },
  { name: "sysctl", isThere: () => runs("sysctl", "--version"), packages: ["procps"] },
  { name: "cloud-init", isThere: () => runs("cloud-init", "--version"), packages: ["cloud-init"] },
  { name: "shellcheck", isThere: () => runs("shellcheck", "--version"), packages: ["shellcheck"] },
  {
    name: "xz and curl",
    isThere: () => runs("xz", "--version") && runs("curl", "--version"),
    packages: ["xz-utils", "curl"],
  },
  { name: "python3", isThere: () => runs("python3", "--version"), packages: ["python3"] },
  { name: "promtool", isThere: () => runs("promtool", "--version"), packages: ["prometheus"] },
  { name: "gdnsd", isThere: () => existsSync("/usr/sbin/gdnsd"), packages: ["gdnsd"] },
  { name: "Chromium", isThere: () => existsSync("/usr/bin/chromium"), packages: ["chromium"] },
  { name: "Firefox", isThere: () => existsSync("/usr/bin/firefox-esr"), packages: ["firefox-esr"] },
  {
    name: "GStreamer's RTSP server",
    isThere: () =>
      runs(
        "/usr/bin/python3",
        "-c",
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer",
      ) && runs("gst-inspect-1.0", "x264enc"),
    packages: [
      "python3-gi",
      "gir1.2-gst-rtsp-server-1.0",
      "gstreamer1.0-tools",
      "gstreamer1.0-plugins-base",
      "gstreamer1.0-plugins-good",
      "gstreamer1.0-plugins-bad",
      "gstreamer1.0-plugins-ugly",
      "gstreamer1.0-libav",
    ],
  },
  {
    name: "GStreamer's webrtcbin",
    isThere: () =>
      runs(
        "/usr/bin/python3",
        "-c",
        "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC",
      ) && runs("gst-inspect-1.0", "nicesrc"),
    packages: ["python3-gi", "gir1.2-gst-plugins-bad-1.0", "gstreamer1.0-nice", "gstreamer1.0-plugins-bad"],
  },
  { name: "nginx", isThere: () => existsSync("/usr/sbin/nginx"), packages: ["nginx-light"] },
  { name: "VLC", isThere: () => existsSync("/usr/bin/cvlc"), packages: ["vlc-bin", "vlc-plugin-base"] },
] as const;

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

const missing = tools.filter((tool) => !tool.isThere());
if (missing.length > 0) install(missing.flatMap(({ packages }) => packages));
const stillMissing = tools.filter((tool) => !tool.isThere());
for (const { name, packages } of stillMissing) {
  console.error(
    `The tests need ${name}: install it with "apt-get install ${packages.join(" ")}", then run npm test again.`,
  );
}
process.exit(stillMissing.length > 0 ? 1 : 0);

function install(packages: readonly string[]): void {
  if (!existsSync("/usr/bin/apt-get")) return;
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const apt = (...args: string[]) => {
    const [command, ...rest] = [...asRoot, "apt-get", ...args];
    return spawnSync(command!, rest, {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  };
  console.error(`Hearth: installing for the tests (once): ${packages.join(" ")}`);
  apt("update", "-qq");
  apt("install", "-y", "-qq", "--no-install-recommends", ...packages);
}
