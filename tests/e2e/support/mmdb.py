"""Writes small MaxMind databases (the published MaxMind DB format 2.0, 24-bit records, IPv6 tree)."""

import ipaddress
import struct
import time

MARKER = b"\xab\xcd\xefMaxMind.com"
UINT16, UINT32, UINT64 = 5, 6, 9


def _sized(kind, size):
    assert size < 285
    extended = kind > 7
    top = 0 if extended else kind << 5
    head = bytes([top | (size if size < 29 else 29)])
    if extended:
        head += bytes([kind - 7])
    return head + (bytes([size - 29]) if size >= 29 else b"")


def _encode(value):
    if isinstance(value, str):
        data = value.encode()
        return _sized(2, len(data)) + data
    if isinstance(value, dict):
        return _sized(7, len(value)) + b"".join(_encode(k) + _encode(v) for k, v in value.items())
    if isinstance(value, list):
        return _sized(11, len(value)) + b"".join(_encode(v) for v in value)
    if isinstance(value, float):
        return _sized(3, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        value = (UINT32, value)
    kind, number = value
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return _sized(kind, len(data)) + data


def _insert(nodes, network, leaf):
    network = ipaddress.ip_network(network)
    bits, length = int(network.network_address), network.prefixlen
    if network.version == 4:
        length += 96  # ::/96 holds IPv4
    node = 0
    for depth in range(length):
        side = bits >> (127 - depth) & 1
        if depth == length - 1:
            nodes[node][side] = ("data", leaf)
            return
        if not isinstance(nodes[node][side], int):
            nodes.append([None, None])
            nodes[node][side] = len(nodes) - 1
        node = nodes[node][side]


def write_country_database(path, countries):
    """`countries` maps a network to an ISO code; networks must not overlap."""
    path.write_bytes(database({network: {"country": {"iso_code": code}} for network, code in countries.items()}))


def database(records, kind="GeoLite2-Country"):
    """The bytes of one; `records` maps networks that do not overlap to what is known of them."""
    nodes, data = [[None, None]], b""
    for network, record in records.items():
        _insert(nodes, network, len(data))
        data += _encode(record)
    tree = b""
    for node in nodes:
        for record in node:
            value = len(nodes) if record is None else record if isinstance(record, int) else len(nodes) + 16 + record[1]
            tree += value.to_bytes(3, "big")
    metadata = {
        "binary_format_major_version": (UINT16, 2),
        "binary_format_minor_version": (UINT16, 0),
        "build_epoch": (UINT64, int(time.time())),
        "database_type": kind,
        "description": {"en": "made for a test"},
        "ip_version": (UINT16, 6),
        "languages": ["en"],
        "node_count": (UINT32, len(nodes)),
        "record_size": (UINT16, 24),
    }
    return tree + b"\0" * 16 + data + MARKER + _encode(metadata)
