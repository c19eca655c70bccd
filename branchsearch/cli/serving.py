"""Optuna Dashboard over a home's studies."""

from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard
from optuna.storages import BaseStorage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def serve(storage: BaseStorage, host: str, port: int) -> None:
    """Serve until interrupted."""
    application = read_only(optuna_dashboard.wsgi(storage))
    with make_server(host, port, application, _Server, handler_class=_Quiet) as server:
        server.serve_forever()


def read_only(application: "WSGIApplication") -> "WSGIApplication":
    """Refuse whatever could change a study: the dashboard has no login, and can delete them."""

    def guarded(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start("405 Method Not Allowed", [("Content-Type", "application/json")])
            return [b'{"reason": "this dashboard is for reading only"}']
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # its static files fail without
        return application(environ, start)

    return guarded


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a page asks for its numbers every few seconds."""
