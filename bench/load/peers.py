"""The servers that benches compare, each alone on one core with one worker; the origin and the load run on the other.

A bench makes `Peers`, starts servers by name, measures CPU as utime + stime of a server's processes, and appends what it
found to bench/RESULTS.md. The peers' configurations are templates in bench/peers: @NAME@ is replaced.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
SOURCE = BENCH.parent
TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = "0", "1"


def fail(text):
    sys.exit(f"{Path(sys.argv[0]).name}: {text}")


def program(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return found or fail(f"{name} is missing; run bench/setup")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def tree_of(pid):
    """A process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += parents.get(current, [])
    return found


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue  # nginx's cache loader ends a minute after the start, with nothing used worth counting
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Server:
    """A process in its own group, pinned to the server core (or another); killed at the end."""

    def __init__(self, name, command, http, https=None, core=SERVER_CORE, log=None, environment=None):
        self.name, self.http, self.https = name, http, https
        output = open(log, "wb") if log else subprocess.PIPE
        self.process = subprocess.Popen(
            ["taskset", "-c", core, *map(str, command)], stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        self.log = log

    def wait_for_port(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.http), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        text = Path(self.log).read_text(errors="replace") if self.log else ""
        fail(f"{self.name} did not start\n{text}")

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Peers:
    """`cache` is the folder of what servers keep in files, `memory` the node's tier in MiB, `disk` its disk in MiB (0: none)."""

    def __init__(self, build, before=None, cache=None, memory=256, disk=0, nginx_aio="off", nginx_nopush="on"):
        self.build, self.before = Path(build), before
        self.directory = Path(tempfile.mkdtemp(prefix="vignette-bench-"))
        self.cache = Path(tempfile.mkdtemp(prefix="vignette-bench-", dir=cache or "/dev/shm"))
        self.memory, self.disk = memory, disk
        self.nginx_aio, self.nginx_nopush = nginx_aio, nginx_nopush
        self.servers = []
        self.origin = None

    def start(self, names):
        chain, key = self.directory / "chain.pem", self.directory / "key.pem"
        command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", "30", "-subj", "/CN=localhost", "-keyout", key, "-out", chain]
        subprocess.run(command, check=True, capture_output=True)
        (self.directory / "bundle.pem").write_text(chain.read_text() + key.read_text())
        self.origin = self.start_floor("origin", LOAD_CORE)
        for name in names:
            getattr(self, f"start_{name}")()

    def fill_in(self, name, target=None):
        """Copies a template with its names replaced; gives its path and the two ports in it."""
        http, https = free_port(), free_port()
        path = target or self.directory / name
        disk = f'disk = [{{ path = "{self.cache}/{path.stem}", size = "{self.disk}MiB" }}]' if self.disk else ""
        values = {
            "DIR": self.directory, "CACHE": self.cache, "ORIGIN": f"127.0.0.1:{self.origin.http}",
            "CHAIN": self.directory / "chain.pem", "KEY": self.directory / "key.pem", "BUNDLE": self.directory / "bundle.pem",
            "HTTP": http, "HTTPS": https, "MEMORY": self.memory,
            "MEMORY_BYTES": self.memory << 20, "DISK": disk, "DISK_MIB": self.disk,
            "AIO": self.nginx_aio, "NOPUSH": self.nginx_nopush,
        }
        text = (BENCH / "peers" / name).read_text()
        path.write_text(re.sub(r"@([A-Z_]+)@", lambda match: str(values[match[1]]) if match[1] in values else match[0], text))
        return path, http, https

    def add(self, name, command, http, https, environment=None):
        server = Server(name, command, http, https, log=self.directory / f"{name}.log", environment=environment)
        self.servers.append(server)
        server.wait_for_port()

    def bench_program(self, name):
        path = self.build / "bench" / name
        return path if path.exists() else fail(f"{path} is missing: cmake --build --preset release --target {name}")

    def start_floor(self, name="floor", core=SERVER_CORE):
        server = Server(name, [self.bench_program("bench_floor")], 0, core=core)
        line = server.process.stdout.readline().decode()
        server.http = int(line.rsplit(":", 1)[1])
        if name == "floor":
            self.servers.append(server)
        return server

    def start_nginx(self):
        path, http, https = self.fill_in("nginx.conf")
        command = [program("nginx"), "-c", path, "-p", self.directory, "-e", self.directory / "nginx-start.log"]
        self.add("nginx", [*command, "-g", "daemon off;"], http, https)

    def start_haproxy(self):
        path, http, https = self.fill_in("haproxy.cfg")
        self.add("haproxy", [program("haproxy"), "-f", path, "-db"], http, https)

    def start_trafficserver(self):
        """A root of its own, laid out as its runroot.yaml says; what we do not set is as Debian has it."""
        root, store = self.directory / "trafficserver", self.cache / "trafficserver"
        shutil.copytree("/etc/trafficserver", root / "etc", symlinks=False)
        for folder in (root / "run", root / "log", store):
            folder.mkdir(parents=True)
        for name in ("remap.config", "storage.config", "runroot.yaml"):
            self.fill_in(f"trafficserver/{name}", root / "etc" / name)
        _, http, _ = self.fill_in("trafficserver/records.config", root / "etc" / "records.config")
        self.add("trafficserver", [program("traffic_server"), f"--run-root={root}/etc/runroot.yaml"], http, None)

    def start_vignette(self, name="vignette", binary=None):
        binary = Path(binary or self.build / "vignette")
        if not binary.exists():
            fail(f"{binary} is missing: cmake --build --preset release --target vignette")
        path, http, https = self.fill_in("vignette.toml", self.directory / f"{name}.toml")
        self.add(name, [binary, "serve", "-c", path], http, https)

    def start_before(self):
        """The node as it was before a change: another program, in the same rounds."""
        self.start_vignette("before", self.before)

    def origin_count(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.origin.http}/count", timeout=5) as response:
            return int(response.read())

    def stop(self):
        for server in [*self.servers, self.origin]:
            if server:
                server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.cache, ignore_errors=True)


def version_of(name):
    command = {"trafficserver": ["traffic_server", "-V"], "wrk": ["wrk", "-v"]}.get(name, [name, "-v"])
    done = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True)
    return re.search(r"(\d+\.\d+(?:\.\d+)?)", done.stdout + done.stderr)[1]


def record(table, programs, how):
    """Appends a section: the commit, the command as it was given, the versions of `programs`, `how` it was measured."""
    commit = subprocess.run(["git", "-C", SOURCE, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    dirty = subprocess.run(["git", "-C", SOURCE, "status", "--porcelain", "-uno"], capture_output=True, text=True)
    mark = " with uncommitted changes" if dirty.stdout.strip() else ""
    command = " ".join([str(Path(sys.argv[0]).resolve().relative_to(SOURCE)), *(one for one in sys.argv[1:] if one != "--record")])
    versions = ", ".join(f"{name} {version_of(name)}" for name in programs)
    with open(BENCH / "RESULTS.md", "a") as out:
        out.write(
            f"\n## {time.strftime('%Y-%m-%d')}, commit {commit.stdout.strip()}{mark}\n\n"
            f"`{command}`: {how}, {os.cpu_count()} cores, {versions}.\n\n{table}\n"
        )
