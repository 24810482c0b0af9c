"""The command line: check, version, status, and the quick start as a new user meets it."""

import itertools
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from support import config, mmdb, photos, places
from support.client import curl
from support.vignette import check

EXAMPLES = places.SOURCE / "conf" / "examples"


def run(*arguments):
    done = subprocess.run([places.binary(), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_check_finds_all_errors_in_one_run_with_their_places(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text(
        """[server]
wrokers = 2
[cache]
memory = "lots"
[[listener]]
address = "127.0.0.1:99999"
[origin.app]
servers = ["127.0.0.1:8001"]
[[site]]
hosts = ["*"]
[[site.route]]
path = "/*"
origin = "apq"
"""
    )
    code, output = check(broken)
    assert code == 1
    errors = re.findall(rf"^{re.escape(str(broken))}:(\d+):(\d+): error: (.*)$", output, re.MULTILINE)
    lines = {int(line): text for line, _, text in errors}
    assert {2, 4, 6, 13} <= set(lines), output
    assert "workers" in lines[2]  # did you mean
    assert "app" in lines[13]


def test_check_accepts_a_good_file_and_names_a_missing_one(tmp_path, apps):
    good = tmp_path / "good.toml"
    good.write_text(config.node(config.app_origin(apps), config.site(config.route("/*", origin='"app"'))))
    code, output = check(good)
    assert code == 0, output
    code, output = check(tmp_path / "missing.toml")
    assert code == 1 and "missing.toml" in output


def test_check_reports_a_broken_country_database(tmp_path, apps):
    database = tmp_path / "country.mmdb"
    database.write_bytes(b"not a database")
    path = tmp_path / "node.toml"
    geo = f'[geo]\ncountry = "{database}"\n'
    path.write_text(config.node(geo, config.app_origin(apps), config.site(config.route("/*", origin='"app"'))))
    code, output = check(path)
    assert code == 1 and "country.mmdb" in output


def plain_node(apps, *more, **options):
    return config.node(config.app_origin(apps), config.site(config.route("/*", origin='"app"')), *more, **options)


def with_state(apps, folder, **options):
    return plain_node(apps, **options).replace("[cache]", f'[cache]\nstate = "{folder}"')


def test_check_names_what_the_machine_does_not_have(tmp_path, apps):
    def checked(text):
        path = tmp_path / "node.toml"
        path.write_text(text)
        return check(path)

    code, output = checked(plain_node(apps, server='user = "nobody-at-all"'))
    assert code == 1 and "user nobody-at-all does not exist" in output
    code, output = checked(plain_node(apps, log='access = "none/access.log"'))
    assert code == 1 and "none: No such file or directory" in output
    code, output = checked(with_state(apps, tmp_path / "none" / "state"))
    assert code == 1 and "none: No such file or directory" in output
    disk = f'[[cache.disk]]\npath = "{tmp_path}/none/disk"\nsize = "1GiB"\n'
    code, output = checked(plain_node(apps, disk))
    assert code == 0 and re.search(r"warning: the folder .*none: No such file or directory", output)
    code, output = checked(plain_node(apps, '[spool]\npath = "/proc"\n'))
    assert code == 0 and "warning: [spool] path: /proc: " in output
    code, output = checked(with_state(apps, tmp_path / "state"))
    assert code == 0 and output.endswith(": ok\n")
    assert not (tmp_path / "none").exists() and not (tmp_path / "state").exists()


def test_check_tries_the_state_folder_as_the_nodes_user(apps):
    with tempfile.TemporaryDirectory(prefix="vignette-check-") as name:
        os.chmod(name, 0o755)
        path = Path(name) / "node.toml"
        for folder, owner, expected in (("roots", 0, 1), ("nobodys", 65534, 0)):
            state = Path(name) / folder
            state.mkdir()
            os.chown(state, owner, owner)
            path.write_text(with_state(apps, state, server='user = "nobody"'))
            code, output = check(path)
            assert code == expected, output
            assert ("Permission denied" in output) == (expected == 1)


def test_serve_refuses_a_wrong_file_and_says_why(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text("[server]\nwrokers = 1\n")
    code, output = run("serve", "-c", path)
    assert code != 0
    assert re.search(r"wrong\.toml:2:\d+: error:", output), output


def test_the_release_build_uses_jemalloc():
    code, output = run("--version")
    assert code == 0
    assert "jemalloc" in output
    for library in ("OpenSSL", "libevent", "c-ares"):
        assert library.lower() in output.lower(), output


def test_the_reference_in_the_tree_is_the_one_the_program_prints():
    code, output = run("reference")
    assert code == 0
    assert output == (places.SOURCE / "conf" / "REFERENCE.md").read_text()


@pytest.mark.parametrize("name", ["quickstart.toml", "photos-s3.toml", "django.toml", "everything.toml"])
def test_the_example_files_exist(name):
    assert (EXAMPLES / name).exists()


@pytest.fixture
def quickstart(start_node, tmp_path):
    """The quick start's own file; only its ports, its folder of photos and its database are replaced."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    photos.write_photos(folder, count=3)
    text = (EXAMPLES / "quickstart.toml").read_text()
    numbers = itertools.count(1)
    text = re.sub(r'"127\.0\.0\.1:\d+"', lambda _: f'"127.0.0.{next(numbers)}:0"', text)
    text, replaced = re.subn(r'(?m)^(\s*directory\s*=\s*)"[^"]*"', rf'\g<1>"{folder}"', text)
    assert replaced == 1
    countries = tmp_path / "countries.mmdb"
    mmdb.write_country_database(countries, {"2.125.160.216/29": "GB"})
    text, replaced = re.subn(r'(?m)^(\s*country\s*=\s*)"[^"]*"', rf'\g<1>"{countries}"', text)
    assert replaced == 1
    return start_node(text)


def test_a_quick_start_without_the_database_that_it_was_told_of_says_so(tmp_path):
    code, output = run("serve", "--photos", tmp_path, "--state", tmp_path, "--countries", tmp_path / "none.mmdb")
    assert code == 1 and "none.mmdb" in output


def test_the_quick_start_shows_a_gallery_whose_pictures_load(quickstart):
    page = curl(quickstart.url("/"))
    assert page.status == 200
    assert page.header("content-type").startswith("text/html")
    html = page.body.decode()
    assert html.count("srcset=") >= 3, html[:2000]
    urls = re.findall(r'(/i/[^\s"]+?) (\d+)w', html)
    assert len(urls) >= 6
    for url, width in urls[:6]:
        picture = curl(quickstart.url(url), "-H", "Accept: image/webp,*/*")
        assert picture.status == 200, url
        assert photos.opened(picture.body).width <= int(width)
        photos.assert_no_metadata(picture.body)


def test_the_quick_start_answers_over_tls_with_its_own_certificate(quickstart):
    host, port = quickstart.https()
    answer = curl(f"https://{host}:{port}/", "-k", "--http1.1")
    assert answer.status == 200


def test_status_and_metrics_are_told_to_the_operator(start_node, apps):
    node = start_node(config.node(config.app_origin(apps), config.site(config.route("/*", origin='"app"'))))
    assert curl(node.url("/hello")).status == 200
    assert isinstance(node.status(), dict)
    assert node.metric("vignette_connections_accepted_total") >= 1
    text = node.admin("/metrics")
    assert re.search(r"^vignette_\w*loop\w*lag\w*", text, re.MULTILINE), "no loop lag"
    assert "_bucket{" in text, "no histogram"
    code, output = run("status", "-c", node.path)
    if code != 0:
        code, output = run("status", "--admin", node.addresses["admin"][0])
    assert code == 0, output


def test_top_and_whatif_tell_what_the_traffic_is_made_of(start_node, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ["hot.txt", "warm.txt"]:
        (tmp_path / "photos" / name).write_bytes(b"x" * 1000)
    origin = f'[origin.local]\ndirectory = "{tmp_path / "photos"}"\n'
    node = start_node(config.node(origin, config.site(config.route("/*", origin='"local"'))))
    for name in ["hot.txt"] * 5 + ["warm.txt"] * 2:
        assert curl(node.url(f"/{name}")).status == 200
    admin = ["--admin", node.addresses["admin"][0]]
    code, output = run("top", *admin)
    lines = output.splitlines()
    assert code == 0 and lines[0].startswith("hits over the last "), output
    assert re.match(r"\s+4\s+/hot\.txt\s", lines[1]), output
    assert re.match(r"\s+1\s+/warm\.txt\s", lines[2]), output
    code, output = run("top", "--by", "misses", "--json", *admin)
    assert code == 0 and output.count('"count":1,"error":0') == 2, output
    assert run("top", "--by", "size", *admin)[0] != 0
    code, output = run("whatif", *admin)
    assert code == 0 and "0.25x" in output and "8x" in output, output


def test_the_admin_can_be_a_unix_socket(start_node, apps, tmp_path):
    setup = config.node(config.app_origin(apps), config.site(config.route("/*", origin='"app"')))
    socket = tmp_path / "admin.sock"
    node = start_node(setup.replace('"127.0.0.3:0"', f'"unix:{socket}"', 1))
    assert node.addresses["admin"] == [f"unix:{socket}"]
    assert isinstance(node.status(), dict)
