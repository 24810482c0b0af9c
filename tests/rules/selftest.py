#!/usr/bin/env python3
"""selftest.py plants one breach of each rule in a small tree and fails unless rules.py names it."""

import pathlib
import sys
import tempfile

import rules

CLEAN = {
    "base/a.h": '#pragma once\n#include <vector>\n#include <sys/socket.h>\n#include <fmt/core.h>\n',
    "base/hmac.cc": '#include "base/a.h"\n#include <nettle/hmac.h>\n',
    "net/n.cc": '#include "base/a.h"\n#include <event2/event.h>\n#include <openssl/ssl.h>\n#include <ares.h>\n',
    "conf/toml.cc": '#include "base/a.h"\n#include <toml++/toml.h>\n',
    "proxy/client/c.cc": '#include "net/n.h"\n#include "cache/k.h"\n#include "proxy/route/r.h"\n',
    "imaging/engine/e.cc": "#include <vips/vips8>\n",
    "tests/unit/base/a_test.cc": '#include <catch2/catch.hpp>\nTEST_CASE("it holds [1]", "[base]") {}\n',
}
NOLINT = rules.word("NO", "LINT")
# What is planted: path, text, and a word of the complaint that must follow.
PLANTED = [
    ("base/up.h", '#include "net/n.h"\n', "arrow"),
    ("http/side.h", '#include "net/n.h"\n', "arrow"),
    ("cache/side.h", '#include "imaging/i.h"\n', "arrow"),
    ("imaging/side.h", '#include "cache/k.h"\n', "arrow"),
    ("conf/up.h", '#include "proxy/p.h"\n', "arrow"),
    ("base/test.h", '#include "tests/support/x.h"\n', "may not include"),
    ("cache/loop.cc", "#include <event2/event.h>\n", "home"),
    ("proxy/tls.cc", "#include <openssl/ssl.h>\n", "home"),
    ("proxy/dns.cc", "#include <ares.h>\n", "home"),
    ("proxy/h2.cc", "#include <nghttp2/nghttp2.h>\n", "home"),
    ("imaging/grammar.cc", "#include <vips/vips.h>\n", "home"),
    ("proxy/geo.cc", "#include <maxminddb.h>\n", "home"),
    ("conf/loader.h", "#include <toml++/toml.h>\n", "home"),
    ("base/hmac.h", "#include <nettle/hmac.h>\n", "home"),
    ("net/xml.cc", "#include <pugixml.hpp>\n", "home"),
    ("net/new.cc", "#include <boost/asio.hpp>\n", "unknown"),
    ("conf/second.cc", "#include <toml++/toml.h>\n", "not one"),
    ("net/relative.cc", '#include "n.h"\n', "root of the tree"),
    ("proxy/route/r.h", '#include "proxy/client/c.h"\n', "include each other"),
    ("base/long.cc", "int x;\n" * 501, "501 lines"),
    ("base/marker.cc", f"// {rules.word('TO', 'DO')} later\n", "marker"),
    ("scripts/marker", f"# {rules.word('FIX', 'ME')}\n", "marker"),
    ("base/lint.cc", f"int a;  // {NOLINT}\n", "suppression"),
    ("base/lint2.cc", f"int a;  // {NOLINT}(bugprone-x)\n", "suppression"),
    ("scripts/path", f"cd {rules.word('/wo', 'rk/')}main\n", "path of one machine"),
    ("scripts/host", f"curl {rules.word('registry', '.npmjs.org')}\n", "registry"),
    ("tests/unit/base/s_test.cc", "  std::this_thread::sleep_for(1ms);\n", "sleep"),
    ("tests/unit/base/s2_test.cc", "  ::sleep(1);\n", "sleep"),
    ("tests/unit/base/h_test.cc", 'TEST_CASE("hidden", "[.]") {}\n', "switched off"),
    ("tests/unit/base/m_test.cc", 'TEST_CASE("may fail", "[base][!mayfail]") {}\n', "switched off"),
    ("tests/e2e/x_test.py", "@pytest.mark.skip\n", "switched off"),
    ("tests/CMakeLists.txt", "set_tests_properties(a PROPERTIES DISABLED TRUE)\n", "switched off"),
]
HARMLESS = [
    ("base/lint.cc", f"int a;  // {NOLINT}(bugprone-x): the kernel wants it\n"),
    ("tests/unit/base/s_test.cc", "  co_await net::sleep_for(1ms);  // not this_thread::sleep_for\n"),
    ("base/words.cc", "// An XXXL shirt, todo lists and workers/ are only words.\n"),
]


def complaints_with(extra):
    with tempfile.TemporaryDirectory() as folder:
        for path, text in {**CLEAN, **extra}.items():
            full = pathlib.Path(folder, path)
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_text(text)
        return list(rules.check(folder))


failures = []
for path, text in [("base/a.h", CLEAN["base/a.h"]), *HARMLESS]:
    found = complaints_with({path: text})
    if found:
        failures.append(f"complains about a clean tree ({path}): {found}")
for path, text, expected in PLANTED:
    found = complaints_with({path: text})
    if not 1 <= len(found) <= 2 or expected not in found[0]:
        failures.append(f"planted {path} ({expected}): found {found}")
print("\n".join(failures))
print(f"{len(PLANTED)} breaches planted, {len(failures)} failures")
sys.exit(1 if failures else 0)
