"""What scenes of a whole node share: start it with a file, stop it, look at its memory. Run against a release build."""

import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"
STOP_WAIT = 60

CONFIG = """[[listener]]
address = "127.0.0.1:0"
[log]
access = "off"
[cache]
{cache}
[origin.app]
servers = ["127.0.0.1:{origin}"]
[[site]]
hosts = ["*"]
[[site.route]]
path = "/*"
origin = "app"
"""


class Node:
    """A node in front of an origin on loopback. `cache` are lines of its table of that name."""

    def __init__(self, program, folder, origin_port, cache=""):
        config = pathlib.Path(folder, "node.toml")
        config.write_text(CONFIG.format(cache=cache, origin=origin_port))
        self.process = subprocess.Popen([program, "serve", "-c", config], stdout=subprocess.PIPE, text=True)
        self.port = None
        for line in self.process.stdout:
            if "listening on 127.0.0.1:" in line and "(http)" in line:
                self.port = int(line.split("127.0.0.1:")[1].split()[0])
            if "ready" in line:
                return
        sys.exit("the node did not start")

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_WAIT)
