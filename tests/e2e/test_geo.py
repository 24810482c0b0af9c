"""Where clients are, by the address that trusted hops report: rules, what apps are told, files that change."""

import json
import os
import shutil
import subprocess
import threading

import pytest

from support import config, mmdb, places
from support.client import curl
from support.process import wait_until

# Ranges and countries as in MaxMind's own test database.
COUNTRIES = {"2.125.160.216/29": "GB", "89.160.20.112/28": "SE", "216.160.83.56/29": "US", "2001:218::/32": "JP"}
BRITISH, SWEDISH, AMERICAN, JAPANESE, UNKNOWN = "2.125.160.217", "89.160.20.113", "216.160.83.57", "2001:218::1", "10.9.8.7"


MAXMIND = places.data("geo/GeoIP2-Country-Test.mmdb")


@pytest.fixture(params=["made", "maxmind"] if MAXMIND else ["made"])
def database(request, tmp_path):
    if request.param == "maxmind":
        return MAXMIND
    path = tmp_path / "country.mmdb"
    mmdb.write_country_database(path, COUNTRIES)
    return path


def setup_for(apps, database, trusted, more=""):
    return config.node(
        f'[geo]\ncountry = "{database}"\n{more}\n',
        config.app_origin(apps[:1]),
        config.site(
            config.route("/allowed/*", origin='"app"', strip_prefix="true", geo='{ allow_countries = ["GB", "JP"] }'),
            config.route("/denied/*", origin='"app"', strip_prefix="true", geo='{ deny_countries = ["SE"] }'),
            config.route("/told/*", origin='"app"', strip_prefix="true", geo="{ headers = true }"),
        ),
        server=f"trusted = [{trusted}]",
    )


def ask(node, path, address):
    return curl(node.url(path), "-H", f"X-Forwarded-For: {address}")


def test_countries_are_allowed_and_denied_by_route(start_node, apps, database, eventually):
    node = start_node(setup_for(apps, database, '"127.0.0.0/8"'))
    wanted = {
        "/allowed/hello": {BRITISH: 200, JAPANESE: 200, SWEDISH: 403, AMERICAN: 403, UNKNOWN: 403},
        "/denied/hello": {BRITISH: 200, JAPANESE: 200, SWEDISH: 403, AMERICAN: 200, UNKNOWN: 200},
    }
    for path, answers in wanted.items():
        for address, status in answers.items():
            assert ask(node, path, address).status == status, (path, address)
    told = json.loads(ask(node, "/told/headers", SWEDISH).body)["headers"]
    assert told["Cloudfront-Viewer-Country"] == "SE"
    assert told["X-Forwarded-For"] == f"{SWEDISH}, 127.0.0.1"
    log = node.directory / "access.log"
    eventually(lambda: '"SE"' in log.read_text() and '"GB"' in log.read_text(), 5, "countries in the access log")


def test_an_address_beyond_the_trusted_hop_is_not_believed(start_node, apps, database):
    node = start_node(setup_for(apps, database, '"127.0.0.0/8"'))
    assert ask(node, "/allowed/hello", f"{BRITISH}, {SWEDISH}").status == 403
    assert ask(node, "/allowed/hello", f"{SWEDISH}, {BRITISH}").status == 200
    assert ask(node, "/allowed/hello", f"{BRITISH}, 127.0.0.9").status == 200


def test_without_trusted_hops_nobody_chooses_his_country(start_node, apps, database):
    node = start_node(setup_for(apps, database, ""))
    assert ask(node, "/allowed/hello", BRITISH).status == 403
    assert ask(node, "/denied/hello", SWEDISH).status == 200
    told = json.loads(
        curl(node.url("/told/headers"), "-H", f"X-Forwarded-For: {SWEDISH}", "-H", "CloudFront-Viewer-Country: SE").body
    )["headers"]
    assert told.get("Cloudfront-Viewer-Country") != "SE"


def test_a_database_written_over_in_place_neither_kills_nor_changes_the_node_until_it_is_told(
    start_node, apps, database, tmp_path
):
    live = tmp_path / "live.mmdb"
    shutil.copyfile(database, live)
    node = start_node(setup_for(apps, live, '"127.0.0.0/8"'))
    assert ask(node, "/allowed/hello", BRITISH).status == 200
    reloads_failed = node.metric("vignette_reloads_failed_total")
    for content in (b"", b"not a database", database.read_bytes()[:1000]):
        live.write_bytes(content)  # the same file, cut and filled anew, as cp does it
        assert ask(node, "/allowed/hello", BRITISH).status == 200
        assert ask(node, "/allowed/hello", SWEDISH).status == 403
    node.reload()
    node.log_contains("live.mmdb")
    assert node.metric("vignette_reloads_failed_total") == reloads_failed + 1
    assert ask(node, "/allowed/hello", BRITISH).status == 200
    mmdb.write_country_database(live, {"89.160.20.112/28": "GB"})
    node.reload()
    wait_until(lambda: ask(node, "/allowed/hello", SWEDISH).status == 200, 10, "the new database")
    assert ask(node, "/allowed/hello", BRITISH).status == 403


def test_a_damaged_database_counts_as_unknown_and_says_so(start_node, apps, tmp_path):
    damaged = tmp_path / "damaged.mmdb"
    mmdb.write_country_database(damaged, {"2.125.160.216/29": "GB", "89.160.20.112/28": "s!"})
    node = start_node(setup_for(apps, damaged, '"127.0.0.0/8"'))
    assert ask(node, "/allowed/hello", BRITISH).status == 200
    assert node.metric("vignette_geo_bad_records_total") == 0
    for count in (1, 2):
        assert ask(node, "/allowed/hello", SWEDISH).status == 403
        assert node.metric("vignette_geo_bad_records_total") == count
    node.log_contains("damaged.mmdb is damaged")
    assert sum("is damaged" in line for line in node.child.lines) == 1


CITIES = {
    "2.125.160.216/29": {
        "city": {"names": {"en": "Boxford"}},
        "country": {"iso_code": "GB", "names": {"en": "United Kingdom"}},
        "location": {"latitude": 51.75, "longitude": -1.25, "time_zone": "Europe/London"},
        "postal": {"code": "OX1"},
        "subdivisions": [{"iso_code": "ENG", "names": {"en": "England"}}],
    },
    "89.160.20.112/28": {"city": {"names": {"en": "Link\u00f6ping"}}, "country": {"iso_code": "SE"}},
    "216.160.83.56/29": {"country": {"iso_code": "US"}, "location": {"metro_code": 819}},
}
SYSTEMS = {"2.125.160.216/29": {"autonomous_system_number": 64512}}


def put(path, content):
    """In place of the file, at once."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)


def countries_of(code):
    return mmdb.database({"2.125.160.216/29": {"country": {"iso_code": code}}})


def told(node, path, address, *more):
    headers = json.loads(curl(node.url(path), "-H", f"X-Forwarded-For: {address}", *more).body)["headers"]
    prefix = "Cloudfront-Viewer-"
    return {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}


def test_apps_are_told_where_clients_are_and_clients_cannot_say_so(start_node, apps, tmp_path):
    cities, systems = tmp_path / "city.mmdb", tmp_path / "asn.mmdb"
    cities.write_bytes(mmdb.database(CITIES, "GeoLite2-City"))
    systems.write_bytes(mmdb.database(SYSTEMS, "GeoLite2-ASN"))
    node = start_node(
        config.node(
            f'[geo]\ncity = "{cities}"\nasn = "{systems}"\n',
            config.app_origin(apps[:1]),
            config.site(
                config.route("/all/*", origin='"app"', strip_prefix="true", geo="{ headers = true }"),
                config.route(
                    "/city/*", origin='"app"', strip_prefix="true", geo='{ headers = ["CloudFront-Viewer-City"] }'
                ),
                config.route("/*", origin='"app"'),
            ),
            server='trusted = ["127.0.0.0/8"]',
        )
    )
    forged = []
    for name in ("City", "Country", "Address", "ASN", "TLS", "Anything"):
        forged += ["-H", f"CloudFront-Viewer-{name}: forged"]
    assert told(node, "/all/headers", BRITISH, *forged) == {
        "Asn": "64512",
        "City": "Boxford",
        "Country": "GB",
        "Country-Name": "United Kingdom",
        "Country-Region": "ENG",
        "Country-Region-Name": "England",
        "Latitude": "51.75000",
        "Longitude": "-1.25000",
        "Postal-Code": "OX1",
        "Time-Zone": "Europe/London",
    }
    assert told(node, "/all/headers", SWEDISH, *forged) == {"City": "Link%C3%B6ping", "Country": "SE"}
    assert told(node, "/all/headers", AMERICAN, *forged) == {"Country": "US", "Metro-Code": "819"}
    assert told(node, "/all/headers", UNKNOWN, *forged) == {}
    assert told(node, "/city/headers", BRITISH, *forged) == {"City": "Boxford"}
    assert told(node, "/headers", BRITISH, *forged) == {}
    direct = json.loads(curl(node.url("/all/headers"), *forged).body)["headers"]
    assert direct["Cloudfront-Viewer-Address"].startswith("127.0.0.1:")


def test_a_replaced_database_is_used_and_no_request_notices(start_node, apps, tmp_path):
    live = tmp_path / "live.mmdb"
    put(live, countries_of("GB"))
    node = start_node(setup_for(apps, live, '"127.0.0.0/8"', 'poll = "100ms"'))
    answers, stop = [], threading.Event()

    def ask_on():
        while not stop.is_set():
            answers.append(told(node, "/told/headers", BRITISH).get("Country"))

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        for code in ("SE", "JP", "US"):
            put(live, countries_of(code))
            wait_until(lambda: answers and answers[-1] == code, 10, f"{code} in use")
    finally:
        stop.set()
        asking.join()
    order = [code for at, code in enumerate(answers) if at == 0 or answers[at - 1] != code]
    assert order in (["GB", "SE", "JP", "US"], ["SE", "JP", "US"])
    assert node.metric("vignette_geo_replaced_total") == 3


def test_a_broken_database_is_refused_once_and_the_next_good_one_is_used(start_node, apps, tmp_path):
    live = tmp_path / "live.mmdb"
    put(live, countries_of("GB"))
    node = start_node(setup_for(apps, live, '"127.0.0.0/8"', 'poll = "100ms"'))
    assert told(node, "/told/headers", BRITISH)["Country"] == "GB"
    broken = [countries_of("SE")[:200], b"", b"not a database", mmdb.database(SYSTEMS, "GeoLite2-ASN")]
    for count, content in enumerate(broken, 1):
        put(live, content)
        wait_until(lambda: node.metric("vignette_geo_refused_total") == count, 10, "a refusal")
        assert told(node, "/told/headers", BRITISH)["Country"] == "GB"
    live.unlink()
    wait_until(lambda: node.metric("vignette_geo_refused_total") == 5, 10, "a refusal of nothing")
    put(live, countries_of("JP"))
    wait_until(lambda: told(node, "/told/headers", BRITISH)["Country"] == "JP", 10, "the next one")
    refusals = [line for line in node.child.lines if "going on with the one in use" in line]
    assert len(refusals) == 5 and all("live.mmdb" in line for line in refusals)


def test_a_reload_takes_a_new_database_at_once(start_node, apps, tmp_path):
    live = tmp_path / "live.mmdb"
    put(live, countries_of("GB"))
    node = start_node(setup_for(apps, live, '"127.0.0.0/8"', 'poll = "1h"'))
    put(live, countries_of("SE"))
    assert told(node, "/told/headers", BRITISH)["Country"] == "GB"
    node.reload()
    wait_until(lambda: told(node, "/told/headers", BRITISH)["Country"] == "SE", 10, "the new database")


def country_by_mmdblookup(database, address):
    done = subprocess.run(
        ["mmdblookup", "--file", database, "--ip", address, "country_code"], capture_output=True, text=True, timeout=60
    )
    return done.stdout.split('"')[1] if done.returncode == 0 else None


def test_the_quick_starts_database_of_the_world_says_what_an_independent_reader_says(start_node, apps):
    world = places.world_of_countries()
    if not world:
        return
    node = start_node(setup_for(apps, world, '"127.0.0.0/8"'))
    known = 0
    addresses = [f"{first}.{first}.1.1" for first in range(1, 224, 9)]
    for address in [*addresses, "2a00:1450:4001::1", "2001:218::1", "2c0f:fb50::1", "2001:db8::1"]:
        country = country_by_mmdblookup(world, address)
        assert told(node, "/told/headers", address).get("Country") == country, address
        known += country is not None
    assert known > 15
