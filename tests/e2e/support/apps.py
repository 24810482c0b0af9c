"""Gunicorn servers running the Django app, each in its own process group."""

import json
import socket
import urllib.request

from . import places
from .process import Child


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class AppServer:
    """`bind` is HOST:PORT or unix:PATH; None takes a free port of 127.0.0.1."""

    def __init__(self, name, bind=None, threads=16):
        self.name = name
        self.threads = threads
        # A port that is known before the start, so that the server can come back on it.
        self.bind = bind or f"127.0.0.1:{free_port()}"
        self.child = None

    def start(self):
        command = ["/usr/bin/python3", "/usr/bin/gunicorn", "photo_app:application", "--bind", self.bind]
        command += ["--workers", "1", "--threads", str(self.threads), "--worker-tmp-dir", "/dev/shm"]
        command += ["--log-level", "info", "--graceful-timeout", "1", "--backlog", "2048"]
        environment = {"SERVER_NAME_FOR_TESTS": self.name, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.child = Child(self.name, command, environment, cwd=places.E2E / "django_app")
        self.child.expect_line(r"Booting worker")
        return self

    def counts(self):
        """Asked directly, not through the node; only for servers on TCP."""
        with urllib.request.urlopen(f"http://{self.bind}/counts", timeout=10) as response:
            return json.load(response)

    def kill(self):
        """SIGKILL to master and workers at once, as a machine that dies."""
        self.child.kill()

    def stop(self):
        if self.child and self.child.running():
            self.child.kill()
