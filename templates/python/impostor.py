"""A server for one audit: it answers everything with one word, and prints the port that it has."""

import http.server


class Answer(http.server.BaseHTTPRequestHandler):
    """The same to whoever asks for whatever."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"impostor\n")

    def log_message(self, *_):
        """Say nothing."""


with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
    print(server.server_port, flush=True)
    server.timeout = 30
    for _ in range(20):
        server.handle_request()
