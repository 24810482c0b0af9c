"""The real node: started with a configuration file on free ports, watched, signalled and stopped."""

import http.client
import json
import re
import signal
import socket
import subprocess
import urllib.request

from . import places
from .process import Child, wait_until

LISTENING = re.compile(r"vignette: listening on (\S+) \((http|https|admin)\)")


def check(path):
    """`vignette check FILE`: (exit code, output)."""
    done = subprocess.run([places.binary(), "check", path], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def split_address(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Vignette:
    """Listeners take port 0; the node says on its output where they are and when it is ready."""

    def __init__(self, directory, config, environment=None):
        self.directory = directory
        self.path = directory / "node.toml"
        self.path.write_text(config)
        self.child = Child("vignette", [places.binary(), "serve", "-c", self.path], environment, cwd=directory)
        self.addresses = {"http": [], "https": [], "admin": []}
        try:
            self._await_ready()
        except AssertionError:
            self.child.kill()
            raise

    def _await_ready(self):
        while True:
            match = self.child.expect_line(r"vignette: (ready|listening on .*)")
            if match[1] == "ready":
                return
            listening = LISTENING.search(match[0])
            assert listening, f"not understood: {match[0]}"
            self.addresses[listening[2]].append(listening[1])

    # Where it is.
    @property
    def pid(self):
        return self.child.pid

    def http(self, number=0):
        return split_address(self.addresses["http"][number])

    def https(self, number=0):
        return split_address(self.addresses["https"][number])

    def url(self, path, number=0):
        return f"http://{self.addresses['http'][number]}{path}"

    # What it says.
    def admin(self, path):
        """The text that GET PATH on the admin address answers; unix socket or TCP."""
        address = self.addresses["admin"][0]
        if not address.startswith("unix:"):
            with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as response:
                return response.read().decode()
        connection = http.client.HTTPConnection("admin", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(address.removeprefix("unix:"))
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        assert response.status == 200, (path, response.status, body)
        return body

    def status(self):
        return json.loads(self.admin("/v1/status"))

    def metrics(self):
        """{(name, frozenset of label pairs): value} of /metrics."""
        found = {}
        for line in self.admin("/metrics").splitlines():
            if line and not line.startswith("#"):
                match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
                assert match, f"not a metric: {line}"
                labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                found[match[1], labels] = float(match[3])
        return found

    def metric(self, name, /, **labels):
        """The sum of all series of a name that have these labels."""
        wanted = set(labels.items())
        values = [value for (series, have), value in self.metrics().items() if series == name and wanted <= have]
        assert values, f"no series {name} {labels}"
        return sum(values)

    # What is done to it.
    def reload(self, config=None):
        if config is not None:
            self.path.write_text(config)
        self.child.signal(signal.SIGHUP)

    def log_contains(self, text, seconds=10):
        return wait_until(lambda: any(text in line for line in self.child.lines), seconds, f"log line with {text!r}")

    def stop(self, expect=0):
        code = self.child.stop(40)
        assert code == expect, f"exit code {code}\n{self.child.tail()}"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if not self.child.running() and kind is None:
            return
        if kind is not None:
            print(self.child.tail(100))
            self.child.kill()
            return
        self.stop()
