"""The rules that every file of the tree keeps, as functions from a file's text to complaints.

The layer table is the one of the design: a folder sees the folders named beside it and no other. Third-party
headers have one home each. `check(root)` yields "path:line: complaint" strings.
"""

import os
import pathlib
import re

SKIPPED_FOLDERS = {".git", "build", "node_modules", "__pycache__", "results", ".cache"}
TEXT = {".cc", ".h", ".c", ".py", ".sh", ".js", ".mjs", ".md", ".toml", ".txt", ".cmake", ".json", ".html", ".css", ""}

# Folder -> the folders it may include. tests and bench may include everything.
LAYERS = {
    "base": set(),
    "net": {"base"},
    "http": {"base"},
    "geo": {"base"},
    "imaging": {"base"},
    "cache": {"base", "http"},
    "conf": {"base", "net", "http", "geo", "imaging", "cache"},
    "proxy": {"base", "net", "http", "geo", "imaging", "cache", "conf"},
}
FREE = {"tests", "bench", "cmake"}

# Third-party header -> the only places that include it. "*.cc" is a source file directly in that folder.
THIRD_PARTY = [
    (r"event2/|event\.h$|evutil\.h$|evhttp\.h$", r"net/"),
    (r"openssl/", r"net/"),
    (r"ares(_\w+)?\.h$", r"net/"),
    (r"nghttp2/", r"http/"),
    (r"vips/|jpeglib\.h$|turbojpeg\.h$|webp/|avif/|glib", r"imaging/engine/"),
    (r"maxminddb", r"geo/"),
    (r"toml\+\+/|toml\.hpp$", r"conf/[^/]+\.cc$"),
    (r"nettle/", r"base/[^/]+\.cc$"),
    (r"xxhash\.h$|xxh3\.h$", r"base/"),
    (r"fmt/", r""),
    (r"seccomp\.h$", r"imaging/"),
    (r"CLI/", r"proxy/"),
    (r"nlohmann/", r"proxy/|cache/"),
    (r"pugixml\.hpp$", r"proxy/origin/"),
    (r"jemalloc/", r"proxy/|base/"),
    (r"zlib\.h$|brotli/|zstd\.h$", r"proxy/|http/"),
]
IN_ONE_FILE = {"toml++": r"toml\+\+/|toml\.hpp$"}
# The system's own headers: C and C++ without a slash, and the kernel's and POSIX's folders.
SYSTEM = re.compile(
    r"^([a-z_0-9]+|(aio|arpa/\w+|assert|ctype|dirent|dlfcn|fnmatch|ftw|glob|iconv|libintl|regex|wordexp|utime|elf|endian|errno|execinfo|fcntl|getopt|grp|ifaddrs|"
    r"inttypes|libgen|limits|link|locale|malloc|math|memory|net/\w+|netdb|netinet/\w+|poll|pthread|pwd|sched|"
    r"semaphore|setjmp|signal|spawn|stdarg|stddef|stdint|stdio|stdlib|string|strings|sysexits|syslog|termios|time|"
    r"ucontext|unistd|linux/\w+|sys/\w+|asm/\w+|sanitizer/\w+|cxxabi|immintrin|x86intrin|emmintrin)\.h)$")

LONGEST = {"code": 500, "tests": 900}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def word(*parts):
    """A forbidden word in pieces, so that this file does not contain it."""
    return "".join(parts)


MARKERS = re.compile(r"\b(" + "|".join([word("TO", "DO"), word("FIX", "ME"), word("X", "XX"), word("HA", "CK")]) + r")\b")
NOLINT = re.compile(word("NO", "LINT"))
NOLINT_WITH_REASON = re.compile(word("NO", "LINT") + r"(NEXTLINE|BEGIN)?\([\w\-., *]+\):? +\S+.*|" + word("NO", "LINT") + "END")
MACHINE_PATH = re.compile(r"(?<![\w.}/])/(" + "|".join([word("wo", "rk/"), word("ho", r"me/\w"), word("ro", r"ot/\.")]) + r")")
HOSTS = re.compile("|".join([
    word("deb", r"\.debian\.org"), word("security", r"\.debian\.org"), word("snapshot", r"\.debian\.org"),
    word("registry", r"\.npmjs\.org"), word("registry", r"\.yarnpkg\.com"), word("npm", r"mirror\.com"),
    word("py", r"pi\.org"), word("files", r"\.pythonhosted"), word("proxy", r"\.golang\.org"),
    word("static", r"\.crates\.io")]))
# A thread's sleep. A strand that waits on the loop's timers (net::sleep_for) is what those tests are about.
SLEEP = re.compile(r"this_thread::sleep|\b(usleep|nanosleep)\s*\(|(?<![\w.>:])::sleep\s*\(")
SWITCHED_OFF = [
    (re.compile(r'(TEST_CASE|SCENARIO)\s*\([^)]*"[^"]*\[(\.|!hide|!mayfail|!shouldfail)'), {".cc", ".h"}),
    (re.compile(r"pytest\.(mark\.)?(skip|xfail|importorskip)"), {".py"}),
    (re.compile(r"@unittest\.skip"), {".py"}),
    (re.compile(r"\b(SKIP_RETURN_CODE|SKIP_REGULAR_EXPRESSION)\b|\bDISABLED\s+(TRUE|ON|1)"), {".txt", ".cmake"}),
]


def folder_of(path):
    return path.split("/")[0] if "/" in path else ""


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]


def check_include(path, header, quoted):
    """Complaint about one #include of the file `path`, or None."""
    here, there = folder_of(path), folder_of(header)
    if here in FREE:
        return None
    if there in LAYERS:
        if there != here and there not in LAYERS.get(here, set()):
            return f"{here}/ may not include {header}: the arrow points up or sideways"
        return None
    if there in FREE:
        return f"{here}/ may not include {header}"
    if quoted:
        return f'"{header}" is not written from the root of the tree'
    for pattern, home in THIRD_PARTY:
        if re.match(pattern, header):
            return None if re.match(home, path) else f"<{header}> has its home in {home or 'every folder'}"
    if SYSTEM.match(header):
        return None
    return f"<{header}> is unknown: give it a home in tests/rules/rules.py"


def check_text(path, text):
    """Complaints about the text of one file that need no other file."""
    suffix = pathlib.PurePath(path).suffix
    code = suffix in {".cc", ".h"}
    own_rules = path.startswith("tests/rules/")
    lines = text.splitlines()
    limit = LONGEST["tests" if folder_of(path) in FREE else "code"]
    if code and len(lines) > limit:
        yield len(lines), f"{len(lines)} lines; a file has at most {limit}"
    for number, line in enumerate(lines, 1):
        if MARKERS.search(line) and not own_rules:
            yield number, f"marker {MARKERS.search(line)[0]}: finish it or say it in plain words"
        if NOLINT.search(line) and not NOLINT_WITH_REASON.search(line) and not own_rules:
            yield number, "a suppression names the check and says why"
        if MACHINE_PATH.search(line) and not own_rules:
            yield number, "path of one machine"
        if HOSTS.search(line):
            yield number, "host name of a package registry"
        if code and folder_of(path) == "tests" and SLEEP.search(line.split("//")[0]):
            yield number, "a test does not sleep: use the manual clock or wait for the event"
        for pattern, suffixes in SWITCHED_OFF:
            if suffix in suffixes and not own_rules and pattern.search(line):
                yield number, "a test that is switched off"


def check_cycles(edges):
    """Complaints about folders (at any depth) that include each other. edges: (folder, folder) -> example.

    A folder and its own sub-folder are one whole and may."""
    for (a, b), example in sorted(edges.items()):
        if a < b and (b, a) in edges and not b.startswith(a + "/"):
            yield f"{example}: {a}/ and {b}/ include each other (see {edges[(b, a)]})"


def files_of(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(x for x in folders if x not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            if path.suffix in TEXT and not path.is_symlink() and name != "LICENSE":
                yield path.relative_to(root).as_posix(), path


def check(root):
    edges, homes = {}, {name: {} for name in IN_ONE_FILE}
    for path, full in files_of(root):
        try:
            text = full.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # bytes of a fixture, or a file that went away while we looked
        for number, complaint in check_text(path, text):
            yield f"{path}:{number}: {complaint}"
        if full.suffix not in {".cc", ".h"}:
            continue
        for number, kind, header in includes(text):
            complaint = check_include(path, header, kind == '"')
            if complaint:
                yield f"{path}:{number}: {complaint}"
            a, b = os.path.dirname(path), os.path.dirname(header)
            if kind == '"' and a != b and folder_of(path) in LAYERS and folder_of(header) in LAYERS:
                edges.setdefault((a, b), f"{path}:{number}")
            for name, pattern in IN_ONE_FILE.items():
                if re.match(pattern, header):
                    homes[name].setdefault(path, number)
    yield from check_cycles(edges)
    for name, users in homes.items():
        if len(users) > 1:
            yield f"{name} is included by {len(users)} files, not one: " + ", ".join(users)
