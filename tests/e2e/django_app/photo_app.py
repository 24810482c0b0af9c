"""A small Django app behind gunicorn: what the node's app servers are in the end-to-end tests.

Every answer names its server (X-Server, from SERVER_NAME_FOR_TESTS), its process (X-Pid) and how many health
probes the process had answered by then (X-Probes), so that a test can tell who answered and since when it was up.
"""

import gzip
import hashlib
import json
import os
import threading
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import etag

NAME = os.environ.get("SERVER_NAME_FOR_TESTS", "app")
PIECE = bytes(range(256)) * 256  # 64 KiB

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    MIDDLEWARE=[f"{__name__}.name_the_server", "django.middleware.common.CommonMiddleware"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)

_lock = threading.Lock()
_counts = {}


def count(name):
    with _lock:
        _counts[name] = _counts.get(name, 0) + 1
        return _counts[name]


def name_the_server(get_response):
    def middleware(request):
        count("probes" if request.path == "/healthz" else "requests")
        count(f"{request.method} {request.path}")
        response = get_response(request)
        response["X-Server"] = NAME
        response["X-Pid"] = str(os.getpid())
        response["X-Probes"] = str(_counts.get("probes", 0))
        return response

    return middleware


def healthz(request):
    return HttpResponse("ok\n", content_type="text/plain")


def hello(request):
    return HttpResponse(f"hello from {NAME}\n", content_type="text/plain")


def counts(request):
    with _lock:
        return JsonResponse(_counts)


def pieces(total):
    while total > 0:
        yield PIECE[: min(total, len(PIECE))]
        total -= len(PIECE)


def size(request, total):
    """`total` bytes; ?cache=SECONDS makes them cacheable, ?chunked=1 leaves the length out."""
    response = StreamingHttpResponse(pieces(total), content_type="application/octet-stream")
    if "chunked" not in request.GET:
        response["Content-Length"] = str(total)
    if "cache" in request.GET:
        response["Cache-Control"] = f"public, max-age={int(request.GET['cache'])}"
        response["ETag"] = f'"{total}"'
    return response


def echo(request):
    """Reads the upload to its end and answers its length and SHA-256."""
    digest = hashlib.sha256()
    total = 0
    body = request.environ["wsgi.input"]  # Django's own stream is empty when there is no Content-Length
    while piece := body.read(256 * 1024):
        digest.update(piece)
        total += len(piece)
    return JsonResponse({"method": request.method, "bytes": total, "sha256": digest.hexdigest()})


def slow(request):
    time.sleep(int(request.GET.get("ms", "1000")) / 1000)
    return HttpResponse("slow\n", content_type="text/plain")


def headers(request):
    return JsonResponse({"path": request.get_full_path(), "headers": dict(request.headers)})


@etag(lambda request: '"page"')
def page(request):
    """20 KiB of HTML with a strong tag; ?cache=SECONDS makes it cacheable, ?gzip=1 sends it compressed, unasked."""
    html = "".join(f"<p>{i} {i * 7919}</p>\n" for i in range(1200)).encode()
    if "gzip" in request.GET:
        html = gzip.compress(html)
    response = HttpResponse(html, content_type="text/html; charset=utf-8")
    if "gzip" in request.GET:
        response["Content-Encoding"] = "gzip"
    if "cache" in request.GET:
        response["Cache-Control"] = f"public, max-age={int(request.GET['cache'])}"
    return response


def status(request, code):
    return HttpResponse(f"status {code}\n", status=code, content_type="text/plain")


def cookie(request):
    response = HttpResponse(json.dumps(request.COOKIES), content_type="application/json")
    response["Cache-Control"] = "public, max-age=60"
    response.set_cookie("visit", str(count("cookies")))
    return response


def fresh(request):
    """A cacheable answer that differs each time it is made."""
    response = HttpResponse(f"made {count('fresh')} by {NAME}\n", content_type="text/plain")
    response["Cache-Control"] = f"public, max-age={request.GET.get('age', '60')}"
    return response


urlpatterns = [
    path("healthz", healthz),
    path("hello", hello),
    path("counts", counts),
    path("size/<int:total>", size),
    path("echo", echo),
    path("slow", slow),
    path("headers", headers),
    path("page", page),
    path("status/<int:code>", status),
    path("cookie", cookie),
    path("fresh", fresh),
]

application = get_wsgi_application()
