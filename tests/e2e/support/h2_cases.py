"""Scripts of frames with what must come of each, and how that is judged."""

import concurrent.futures

from .h2_client import PROTOCOL_ERROR, H2Client


class Dies:
    """The connection ends, with a GOAWAY that has one of these codes; None: perhaps without one."""

    def __init__(self, *codes):
        self.codes = codes

    def problem(self, client):
        code = client.ended_with()
        return None if client.closed and code in self.codes else f"GOAWAY {code}, closed: {client.closed}"


class Resets:
    """A stream is reset with one of these codes, and the connection lives on; or it dies of the same."""

    def __init__(self, stream, *codes):
        self.stream, self.codes = stream, codes

    def problem(self, client):
        answer = client.answer(self.stream)
        if answer.reset is None:
            client.until(lambda: client.goaway is not None or answer.reset is not None)
        if client.goaway is not None:
            return None if client.ended_with() in self.codes else f"GOAWAY {client.goaway}"
        if answer.reset not in self.codes:
            return f"{answer}"
        return None if client.alive() else "the connection does not go on"


class Refuses:
    """A stream is reset as malformed or answered 400 (RFC 9113 section 8.1.1), and the connection lives on."""

    def __init__(self, stream):
        self.stream = stream

    def problem(self, client):
        answer = client.answer(self.stream)
        if answer.reset != PROTOCOL_ERROR and not (answer.ended and answer.status == 400):
            return f"{answer}, GOAWAY {client.goaway}"
        return None if client.alive() else "the connection does not go on"


class Answers:
    """A stream is answered so, and the connection lives on, unless it was to end."""

    def __init__(self, stream, status=200, body=None, lives=True):
        self.stream, self.status, self.body, self.lives = stream, status, body, lives

    def problem(self, client):
        answer = client.answer(self.stream)
        fine = answer.ended and answer.status == self.status and self.body in (None, answer.body)
        if not fine:
            return f"{answer}, GOAWAY {client.goaway}"
        return None if not self.lives or client.alive() else "the connection does not go on"


class Lives:
    """Nothing comes of it: the connection goes on, and so do new requests."""

    def problem(self, client):
        if not client.alive():
            return f"GOAWAY {client.goaway}, closed: {client.closed}"
        answer = client.ask(999)
        return None if answer.status == 200 and answer.ended else f"behind it: {answer}"


def problem_of(title, address, script, verdict, options):
    try:
        with H2Client(address, **options) as client:
            script(client)
            problem = verdict.problem(client)
    except (AssertionError, OSError, KeyError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    return problem and f"{title}: {problem}"


def wrong_cases(cases, address):
    """`cases` are (title, script(client), verdict[, options of H2Client])."""

    def judged(case):
        title, script, verdict, *options = case
        return problem_of(title, address, script, verdict, options[0] if options else {})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [problem for problem in pool.map(judged, cases) if problem]
