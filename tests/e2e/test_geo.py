"""Country rules, by the client address that trusted hops report."""

import json
import shutil

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


def setup_for(apps, database, trusted):
    return config.node(
        f'[geo]\ncountry = "{database}"\n',
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
