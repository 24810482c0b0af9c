"""Requests as bytes with the answers that they must get, and how they are made up and judged."""

import concurrent.futures

from .raw import RawClient

HOST = b"Host: t.local\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\nHost: t.local\r\n\r\n"


class Case:
    """`statuses` are the answers to `data`; a case that keeps its connection is followed by BEHIND."""

    def __init__(self, data, *statuses, keeps=False, head_only=False):
        self.data, self.statuses, self.keeps, self.head_only = data, statuses, keeps, head_only

    def __repr__(self):
        return f"{self.data[:200]!r}{'...' if len(self.data) > 200 else ''}"


def bad(data, status=400):
    return Case(data, status)


def good(data, *statuses, **options):
    return Case(data, *(statuses or (200,)), keeps=True, **options)


def line(text):
    return text + b"\r\n" + HOST + b"\r\n"


def get(target):
    return line(b"GET " + target + b" HTTP/1.1")


def fields(text, method=b"GET"):
    return method + b" /a HTTP/1.1\r\n" + HOST + text + b"\r\n\r\n"


def post(text, body=b""):
    return fields(text, b"POST") + body


def host(value):
    return b"GET /a HTTP/1.1\r\nHost:" + value + b"\r\n\r\n"


def chunks(body):
    return post(b"Transfer-Encoding: chunked", body)


def problem_of(case, address):
    """What is wrong with the answers to a case, or None."""
    with RawClient(address) as client:
        client.send(case.data + BEHIND)
        for status in case.statuses:
            reply = client.reply(case.head_only)
            if reply is None or not reply.whole:
                return f"answered {reply}, not {status}"
            if reply.status not in (status if isinstance(status, tuple) else (status,)):
                return f"{reply.status}, not {status}: {reply.body[:80]!r}"
        if case.keeps:
            behind = client.reply()
            right = behind is not None and behind.status == 200 and behind.body == b"GET /behind "
            return None if right else f"behind it: {behind}"
        if reply.fields.get("connection") != "close":
            return "no Connection: close"
        return None if client.at_end() else "more came behind the last answer"


def wrong_cases(cases, address):
    def judged(case):
        try:
            return problem_of(case, address)
        except (AssertionError, OSError) as error:
            return f"{type(error).__name__}: {error}"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [f"{case}: {problem}" for case, problem in zip(cases, pool.map(judged, cases)) if problem]
