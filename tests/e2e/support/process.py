"""A child process in its own group, whose output is kept and can be waited for."""

import os
import queue
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

START_SECONDS = 30


def wait_until(condition, seconds, what):
    """The first true value of condition(); fails with `what` when it stays false for `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Child:
    """Output lines (stdout and stderr together) are collected by a thread for as long as it lives."""

    def __init__(self, name, command, env=None, cwd=None):
        self.name = name
        self.lines = []
        self._unread = queue.Queue()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self):
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.lines.append(line)
            self._unread.put(line)
        self._unread.put(None)

    def expect_line(self, pattern, seconds=START_SECONDS):
        """Waits for a line (not seen by an earlier call) that matches; returns the match."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._unread.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.name}: no line like /{pattern}/ in {seconds} s\n{self.tail()}") from None
            assert line is not None, f"{self.name} ended before a line like /{pattern}/\n{self.tail()}"
            match = re.search(pattern, line)
            if match:
                return match

    def tail(self, count=40):
        return "\n".join(f"  {self.name}| {line}" for line in self.lines[-count:])

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def signal_group(self, number):
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def wait(self, seconds):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds} s\n{self.tail()}") from None
        self._reader.join(5)
        return code

    def kill(self):
        self.signal_group(signal.SIGKILL)
        self.wait(10)

    def stop(self, seconds=20):
        """SIGTERM; the exit code. Whatever is left of the group is killed."""
        if self.running():
            self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        finally:
            self.signal_group(signal.SIGKILL)


def rss_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid):
    """Direct children, by pid."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry.name))
    return sorted(found)


def cpu_ticks(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


class RssWatch:
    """Samples the resident set of a process in a thread; `growth()` is the peak over the start."""

    def __init__(self, pid):
        self.pid = pid
        self.start = rss_bytes(pid)
        self.peak = self.start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self):
        while not self._stop.wait(0.05):
            try:
                self.peak = max(self.peak, rss_bytes(self.pid))
            except OSError:
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def growth(self):
        return self.peak - self.start
