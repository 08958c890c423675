# SPDX-License-Identifier: MIT
"""A certificate authority of our own, by openssl(1)."""

import dataclasses
import datetime
import pathlib
import ssl
import subprocess

from lib.process import CLEAN_ENVIRONMENT

CONFIGURATION = """\
[ca]
default_ca = this
[this]
new_certs_dir = {directory}
database = {directory}/index
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""

EC_KEY = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclasses.dataclass
class Certificate:
    """Paths of PEM files; ca is what a client must trust."""
    certificate: pathlib.Path
    key: pathlib.Path
    ca: pathlib.Path

    def server_context(self, client_ca=None, **attributes):
        """For lib.peers.HttpServer(tls=…); client_ca makes it ask for client certificates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        for name, value in attributes.items():
            setattr(context, name, value)
        return context


class Authority:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "index").touch()
        self.configuration = self.directory / "ca.cnf"
        self.configuration.write_text(CONFIGURATION.format(directory=self.directory))
        self.key, self.ca = self.directory / "ca.key", self.directory / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-subj", "/CN=vitald test authority", "-days", "30",
                "-keyout", self.key, "-out", self.ca)

    def issue(self, name="server", names=("DNS:localhost", "IP:127.0.0.1", "IP:::1"),
              starts=-1, ends=7, key_options=EC_KEY):
        """starts and ends are days from now: ends=-1 has expired, starts=1 is not yet valid."""
        key, request, pem, extensions = (self.directory / f"{name}.{suffix}"
                                         for suffix in ("key", "csr", "pem", "ext"))
        extensions.write_text(f"subjectAltName={','.join(names)}\nbasicConstraints=CA:false\n")
        openssl("req", "-newkey", *key_options, "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                "-out", request)
        openssl("ca", "-batch", "-notext", "-config", self.configuration, "-cert", self.ca,
                "-keyfile", self.key, "-in", request, "-out", pem, "-extfile", extensions,
                "-startdate", date(starts), "-enddate", date(ends))
        return Certificate(pem, key, self.ca)

    def revoke(self, certificate):
        openssl("ca", "-batch", "-config", self.configuration, "-cert", self.ca, "-keyfile",
                self.key, "-revoke", certificate.certificate)

    def revocation_list(self, ends=1):
        """The path of a list that is valid for so many days."""
        path = self.directory / "revoked.pem"
        openssl("ca", "-batch", "-config", self.configuration, "-cert", self.ca, "-keyfile",
                self.key, "-gencrl", "-crl_lastupdate", date(-9), "-crl_nextupdate", date(ends),
                "-out", path)
        return path

    def self_signed(self, name="selfsigned"):
        key, pem = self.directory / f"{name}.key", self.directory / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                "-days", "7", "-keyout", key, "-out", pem)
        return Certificate(pem, key, self.ca)


def date(days):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return when.strftime("%Y%m%d%H%M%SZ")


def openssl(*argv):
    subprocess.run(["/usr/bin/openssl", *map(str, argv)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=CLEAN_ENVIRONMENT)
