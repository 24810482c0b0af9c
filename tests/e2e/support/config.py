"""Configuration files for scenes, written as the user would write them."""


def node(*parts, workers=2, memory="256MiB", server="", log='access = "access.log"'):
    """A node with one plain listener and a TCP admin, all on free ports; `parts` are further TOML.

    Each takes an address of its own from 127/8, as two of the same address and port 0 would look like one.
    """
    head = f"""
[server]
workers = {workers}
admin   = "127.0.0.3:0"
{server}
[log]
{log}
[cache]
memory = "{memory}"
[[listener]]
address = "127.0.0.1:0"
"""
    return "\n".join([head, *parts])


def s3_origin(s3, name="photos"):
    return f"""
[origin.{name}]
s3 = {{ bucket = "photos", region = "us-east-1", endpoint = "{s3.endpoint}", path_style = true }}
"""


def app_origin(servers, name="app", health=None, **options):
    """`servers` have a `bind`; `health` is the inside of its table, without it checks are passive."""
    addresses = ", ".join(f'"{server.bind}"' for server in servers)
    more = "".join(f"{key} = {value}\n" for key, value in options.items())
    checks = f"health = {{ {health} }}\n" if health else ""
    return f"""
[origin.{name}]
servers = [{addresses}]
{checks}{more}"""


def site(*routes, hosts='"*"'):
    return "\n".join([f"[[site]]\nhosts = [{hosts}]\n", *routes])


def route(path, **options):
    """Values are TOML already: route("/*", origin='"app"')."""
    lines = "".join(f"{key} = {value}\n" for key, value in options.items())
    return f'[[site.route]]\npath = "{path}"\n{lines}'


UNSIGNED_IMAGES = '[images]\nunsigned = "on"\n'


def photo_site(s3, *more_routes):
    """Resizes under /i/, originals under /o/, both of the S3 bucket."""
    routes = [route("/i/*", images='"photos"'), route("/o/*", origin='"photos"'), *more_routes]
    return "\n".join([UNSIGNED_IMAGES, s3_origin(s3), site(*routes)])
