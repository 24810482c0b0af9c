"""An origin that a scene writes itself: a handler of http.server behind a port, on threads."""

import http.server
import threading


class HandlerOrigin:
    """`bind` is its address. Handlers speak HTTP/1.1 and log nothing."""

    def __init__(self, handler):
        quiet = type("Quiet", (handler,), {"protocol_version": "HTTP/1.1", "log_message": lambda *_: None})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), quiet)
        self.bind = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
