"""What scenes of purges share: a node with a disk, and orders by the command."""

import subprocess

from . import places
from .client import curl


def with_disk(text, size="256MiB"):
    return text.replace('memory = "256MiB"', f'memory = "256MiB"\ndisk = [{{ path = "disk", size = "{size}" }}]')


def purge_command(node, *arguments):
    return [places.binary(), "purge", "--admin", node.addresses["admin"][0], *map(str, arguments)]


def purge(node, *arguments, expect=0):
    done = subprocess.run(purge_command(node, *arguments), capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def ask(node, path):
    """By a name that a restart does not change, as it does the port."""
    return curl(node.url(path), "-H", "Host: test")


def serving(node):
    disks = node.status()["disks"]
    return bool(disks) and disks[0]["state"] == "serving"
