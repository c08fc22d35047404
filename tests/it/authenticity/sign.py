"""Signs mails with dkimpy, an implementation of DKIM and ARC that shares nothing with ours.

One JSON object a line on standard input, one on standard output: {"mail": base64, "key": PEM, "selector", "domain", …} in,
{"mail": base64} out. `arc` seals as that host, by the Authentication-Results that already stand in the mail.
"""

import base64
import json
import sys

import dkim


def changed(fields, job):
    """The tags of the signature, with those of `tags` in their place: a null leaves one out."""
    tags = dict(job.get("tags") or {})
    kept = []
    for name, value in fields:
        if name.decode() in tags:
            value = tags.pop(name.decode())
            value = None if value is None else str(value).encode()
        if value is not None:
            kept.append((name, value))
    return [(name.encode(), str(value).encode()) for name, value in tags.items() if value is not None] + kept


def signer(kind, job):
    class Signer(kind):
        def gen_header(self, fields, include_headers, canon_policy, header_name, pk, standardize=False):
            if header_name != b"ARC-Message-Signature":
                fields = changed(fields, job)
            if "omit" in job:
                # dkimpy refuses to leave From out by itself.
                include_headers = [name for name in include_headers if name != job["omit"].encode()]
                fields = [(name, b":".join(include_headers) if name == b"h" else value) for name, value in fields]
            return super().gen_header(fields, include_headers, canon_policy, header_name, pk, standardize)

    return Signer


for line in sys.stdin:
    job = json.loads(line)
    mail = base64.b64decode(job["mail"])
    selector, domain, key = (job[name].encode() for name in ("selector", "domain", "key"))
    headers = job.get("headers")
    headers = headers and [name.encode() for name in headers]
    algorithm = job.get("algorithm", "rsa-sha256").encode()
    if "arc" in job:
        sealer = signer(dkim.ARC, job)(mail, signature_algorithm=algorithm, linesep=b"\r\n")
        fields = sealer.sign(selector, domain, key, job["arc"].encode(), include_headers=headers)
        signed = b"".join(fields) + mail
    else:
        simple = job.get("simple", False)
        ways = (b"simple", b"simple") if simple else (b"relaxed", b"relaxed")
        maker = signer(dkim.DKIM, job)(mail, signature_algorithm=algorithm, linesep=b"\r\n")
        field = maker.sign(selector, domain, key, canonicalize=ways, include_headers=headers, length=job.get("l", False))
        signed = field + mail
    print(json.dumps({"mail": base64.b64encode(signed).decode()}), flush=True)
