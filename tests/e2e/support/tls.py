"""Certificates made with the openssl program, and openssl s_client as a client."""

import re
import subprocess


KINDS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


def make_certificate(directory, name, names=None, kind="ecdsa", label=None):
    """A self-signed certificate; returns the paths of chain and key, which are called LABEL."""
    chain, key = directory / f"{label or name}.pem", directory / f"{label or name}.key"
    alternatives = ",".join(f"DNS:{entry}" for entry in names or [name])
    command = ["openssl", "req", "-x509", "-newkey", *KINDS[kind], "-nodes"]
    command += ["-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternatives}"]
    subprocess.run([*command, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


def listener(directory, name, *more):
    """TOML of a listener on a free port with a certificate of its own; `more` are further lines of it."""
    chain, key = make_certificate(directory, name)
    lines = "\n".join(['[[listener]]', 'address = "127.0.0.2:0"', "tls = true", *more])
    return f'{lines}\n[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n'


class Handshake:
    """What one run of s_client saw; `text` is all it printed."""

    def __init__(self, address, *arguments, request=b""):
        """With a `request`, which has the server close in the end, it reads all that is answered."""
        host, port = address
        command = ["openssl", "s_client", "-connect", f"{host}:{port}", *map(str, arguments)]
        if request:
            command.append("-ign_eof")
        done = subprocess.run(command, input=request, capture_output=True, timeout=30)
        self.text = (done.stdout + done.stderr).decode("utf-8", "replace")
        self.ok = done.returncode == 0 and "Cipher is (NONE)" not in self.text

    def _find(self, pattern):
        match = re.search(pattern, self.text)
        return match[1].strip() if match else None

    @property
    def common_name(self):
        return self._find(r"subject=.*?CN = ([^\n,]+)")

    @property
    def version(self):
        return self._find(r"New, (TLSv[\d.]+)") if "New, TLS" in self.text else None

    @property
    def resumed(self):
        return "\nReused, TLS" in self.text

    @property
    def cipher(self):
        return self._find(r"Cipher is (\S+)")

    @property
    def key_kind(self):
        """Of the server's certificate: "ECDSA" or "RSA"."""
        return {"RSA-PSS": "RSA"}.get(found := self._find(r"Peer signature type: (\S+)"), found)

    @property
    def alpn(self):
        return self._find(r"ALPN protocol: (\S+)")

    @property
    def verified(self):
        return self._find(r"Verify return code: (\d+)") == "0"
