"""Certificates made with the openssl program, and openssl s_client as a client."""

import re
import subprocess


def make_certificate(directory, name, names=None):
    """A self-signed ECDSA certificate; returns the paths of chain and key."""
    chain, key = directory / f"{name}.pem", directory / f"{name}.key"
    alternatives = ",".join(f"DNS:{entry}" for entry in names or [name])
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
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

    def __init__(self, address, *arguments):
        host, port = address
        command = ["openssl", "s_client", "-connect", f"{host}:{port}", *map(str, arguments)]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=30)
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
    def cipher(self):
        return self._find(r"Cipher is (\S+)")

    @property
    def alpn(self):
        return self._find(r"ALPN protocol: (\S+)")

    @property
    def verified(self):
        return self._find(r"Verify return code: (\d+)") == "0"
