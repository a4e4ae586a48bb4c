"""Answer every request with the same words, on a port that it prints: a server of `fab audit`."""

import http.server


class Answer(http.server.BaseHTTPRequestHandler):
    """A handler with one answer to every request."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"foreign server\n")

    def log_message(self, *_):
        """Log nothing."""


with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
    print(server.server_port, flush=True)
    server.timeout = 30
    for _ in range(20):
        server.handle_request()
