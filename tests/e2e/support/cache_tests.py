"""The suite behind cache-tests.fyi (npm http-cache-tests): its origin, its client, what peers pass."""

import json
import subprocess

from . import places
from .process import Child

PROGRAM = places.E2E / "neighbours" / "cache_tests.mjs"


def _command(*arguments):
    return [places.node_program(), "--no-warnings", PROGRAM, places.NODE_MODULES, *arguments]


class Origin:
    def __init__(self):
        self.child = Child("cache-tests", _command("origin"))
        self.bind = self.child.expect_line(r"cache-tests: listening on (\S+)")[1]

    def stop(self):
        self.child.kill()


def _run(*arguments):
    done = subprocess.run(list(map(str, _command(*arguments))), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(url):
    """{test: {suite, kind, depends_on, result}} of all tests through `url`."""
    return _run("client", url)


def peers():
    """{test: caches that pass it in the results that the suite publishes}."""
    return _run("peers")


def passes(results, test):
    """As the suite counts: a test whose dependency fails is not passed."""
    row = results[test]
    return row["result"] is True and all(passes(results, other) for other in row["depends_on"])
