"""A certificate authority of openssl's own: issues, revokes, and says which certificates it has revoked."""

import subprocess

SETTINGS = """
[ca]
default_ca = here
[here]
dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
copy_extensions = copy
unique_subject = no
[any]
countryName = optional
organizationName = optional
commonName = supplied
[req]
distinguished_name = name
[name]
"""


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30, **options)


class Authority:
    def __init__(self, folder, name="authority.test"):
        folder.mkdir()
        self.folder = folder
        self.certificate, self.key = folder / "ca.pem", folder / "ca.key"
        self.settings = folder / "ca.cnf"
        self.settings.write_text(SETTINGS.format(folder=folder))
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")
        (folder / "crlnumber").write_text("01\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
        openssl("req", "-x509", *curve, "-subj", f"/CN={name}", *usage, "-days", "30", "-keyout", self.key,
                "-out", self.certificate)  # fmt: skip

    def issue(self, name, subject=None, extensions=()):
        """The paths of the certificate (with the authority's behind it) and of its key."""
        chain, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        more = [part for extension in (f"subjectAltName=DNS:{name}", *extensions) for part in ("-addext", extension)]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", *curve, "-subj", subject or f"/CN={name}", *more, "-keyout", key, "-out", request)
        openssl("ca", "-batch", "-notext", "-config", self.settings, "-in", request, "-out", chain)
        chain.write_text(chain.read_text() + self.certificate.read_text())
        return chain, key

    def revoke(self, chain):
        openssl("ca", "-config", self.settings, "-revoke", chain)

    def revocations(self, path):
        """Writes the list of what is revoked now, at once."""
        whole = path.with_suffix(".whole")
        openssl("ca", "-config", self.settings, "-gencrl", "-out", whole)
        whole.replace(path)
        return path
