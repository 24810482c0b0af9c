"""The S3 server of a test: real signature checks, counts per key, and faults on demand."""

import json
import subprocess
import urllib.request

from . import places
from .process import Child

ACCESS_KEY = "S3RVER"
SECRET_KEY = "S3RVER"
BUCKET = "photos"


class S3Server:
    def __init__(self, directory):
        self.child = Child(
            "s3",
            [places.node_program(), places.E2E / "neighbours" / "s3_server.cjs", places.NODE_MODULES, directory, BUCKET],
        )
        self.address = self.child.expect_line(r"s3: listening on (\S+)")[1]
        self.endpoint = f"http://{self.address}"

    def environment(self, secret=SECRET_KEY):
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": ""}

    def curl(self, key, *arguments, secret=SECRET_KEY):
        """curl signs by itself: a witness that is not ours. Returns (status, body)."""
        command = ["curl", "-sS", "--path-as-is", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user"]
        # curl 7.88 does not name the hash of the payload by itself; this server wants it named.
        command += [f"{ACCESS_KEY}:{secret}", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        command += ["-w", "\n%{http_code}", *arguments, f"{self.endpoint}/{BUCKET}/{key}"]
        output = subprocess.run(command, check=True, capture_output=True).stdout
        body, _, status = output.rpartition(b"\n")
        return int(status), body

    def put(self, key, path, cache_control=None):
        arguments = ["-T", str(path), "-H", "Content-Type: image/jpeg"]
        if cache_control:
            arguments += ["-H", f"Cache-Control: {cache_control}"]
        status, body = self.curl(key, *arguments)
        assert status == 200, (status, body)

    def _control(self, path, method="GET"):
        request = urllib.request.Request(f"{self.endpoint}/-/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def gets(self, key):
        return self._control("counts").get(f"GET {key}", 0)

    def all_gets(self):
        return sum(n for name, n in self._control("counts").items() if name.startswith("GET "))

    def refused(self):
        return self._control("refused")

    def reset_counts(self):
        self._control("reset", "POST")

    def set(self, mode="ok", delay_ms=0):
        """mode: ok, slowdown (503), reset (RST), hang (no answer)."""
        self._control(f"set?mode={mode}&delay={delay_ms}", "POST")

    def stop(self):
        self.child.kill()
