# SPDX-License-Identifier: MIT
"""A real gRPC server, by Debian's python3-grpcio, that serves grpc.health.v1.

Without the generated code of the protocol: its messages are a few bytes, written here by hand. As a
program it is the server itself, which reads its settings as JSON from its only argument.
"""

import json
import pathlib
import sys

from lib.process import Process, Server, eventually, free_port, peers_of

STATUS = {"": 1, "orders": 1, "billing": 2, "odd": 7, "unset": 0, "gone": 3}


class GrpcServer(Server):
    """token: what must stand in the metadata `authorization`; tls: a lib.tls.Certificate."""

    def __init__(self, directory, tls=None, client_ca=None, token=None, unix_path=None):
        self.directory, self.port = pathlib.Path(directory), free_port()
        self.address = str(unix_path or f"127.0.0.1:{self.port}")
        self.settings = {"address": f"unix:{unix_path}" if unix_path else self.address,
                         "token": token, "client_ca": str(client_ca) if client_ca else None,
                         "key": str(tls.key) if tls else None,
                         "certificate": str(tls.certificate) if tls else None}
        self.ready = self.directory / "grpc.ready"

    def start(self):
        self.ready.unlink(missing_ok=True)
        self.process = Process(
            ["/usr/bin/python3", "-B", "-m", "lib.grpcserver",
             json.dumps(self.settings | {"ready": str(self.ready)})],
            self.directory / "grpc.log", cwd=pathlib.Path(__file__).parent.parent)
        eventually(self._is_ready, within=60, what="gRPC server")

    def _is_ready(self):
        assert self.process.exit_code is None, self.process.log
        return self.ready.exists()

    def connections(self):
        return len(self.peers())

    def peers(self):
        return peers_of(self.port)


def serve(settings):
    import concurrent.futures
    import time

    import grpc

    def check(request, context):
        if settings["token"] and ("authorization", settings["token"]) not in [
                tuple(m) for m in context.invocation_metadata()]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        service = request[2:].decode() if request else ""
        if request:
            assert request[0] == 0x0a
            if request[1] & 0x80:
                assert len(request) - 3 == (request[2] << 7 | request[1] & 0x7f)
                service = request[3:].decode()
            else:
                assert len(request) - 2 == request[1]
        if service == "slow":
            time.sleep(30)
        if service == "denied":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you \x1b[31m\u00e9")
        if service == "crash":
            raise ValueError("s3cret of the server")
        if service not in STATUS and service != 200 * "x":
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return bytes([0x08, STATUS.get(service, 1)])

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)})])
    if settings["key"]:
        def read(name):
            return pathlib.Path(settings[name]).read_bytes() if settings[name] else None
        server.add_secure_port(settings["address"], grpc.ssl_server_credentials(
            [(read("key"), read("certificate"))], read("client_ca"),
            require_client_auth=bool(settings["client_ca"])))
    else:
        assert server.add_insecure_port(settings["address"])
    server.start()
    pathlib.Path(settings["ready"]).touch()
    server.wait_for_termination()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
