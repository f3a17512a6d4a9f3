"""Why a connection to a Temporal server failed, in words that say what to do.

Temporal's SDK tells it as the text of its Rust core. What is final (a certificate, an API key) is told apart
from a server that is away, which may come back: workers wait for that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fanout.errors import FanoutError, NoServer, ServerRefuses, UsageError

_CUT_OFF = (
    r"(?i)AlertReceived|after connection.*(connection closed|unexpected.?eof|broken.?pipe|connection.?reset)"
)
_CERTIFICATE = "--tls-cert-path and --tls-key-path"


@dataclass(frozen=True)
class Attempt:
    """What was tried.

    Attributes:
        target: The server's address.
        tls: Whether it was encrypted.
        certificate: Whether this client has shown a certificate.
        api_key: Whether it has shown an API key.
    """

    target: str
    tls: bool
    certificate: bool
    api_key: bool


def explain(text: str, tried: Attempt) -> FanoutError:
    """Return the error to raise for a connection that failed.

    Args:
        text: What the SDK says.
        tried: What was tried.
    """
    if own := _own_fault(text):
        return UsageError(own)
    if reason := _refusal(text, tried):
        return ServerRefuses(f"the server at {tried.target} {reason}")
    why = "connection refused" if "refused" in text else text.partition("\n")[0]
    if not tried.tls and "connection closed" in text:
        why = "it ends the connection at once: it may want TLS, which --tls or an API key turns on"
    return NoServer(
        f"no Temporal server answers at {tried.target} ({why}); "
        "start one with `fanout dev`, or say where it is with --address or TEMPORAL_ADDRESS"
    )


def _own_fault(text: str) -> str | None:
    """Name what is wrong with the files of this client."""
    if "NoCertificatesPresented" in text:
        return "the client's certificate (--tls-cert-path) holds no certificate: it must be a PEM file"
    if "PrivateKeyParseError" in text:
        return "the client's private key (--tls-key-path) cannot be read: it must be an unencrypted PEM file"
    if "KeyMismatch" in text:
        return f"the private key does not belong to the client's certificate: {_CERTIFICATE} must be a pair"
    return None


def _refusal(text: str, tried: Attempt) -> str | None:
    """Name what the server, or what this client demands of it, makes impossible."""
    if re.search(r"code: (Unauthenticated|PermissionDenied)", text):
        return _denied(text, tried)
    if "InvalidCertificate" in text:
        return _distrusted(text)
    if "InvalidContentType" in text:
        return "does not speak TLS: leave out --tls and the certificates, or say --no-tls"
    # TLS 1.3 ends the handshake for the client before the server has looked at its certificate.
    if tried.tls and re.search(_CUT_OFF, text):
        if tried.certificate:
            return f"does not accept this client's certificate: see {_CERTIFICATE}, and who issued it"
        return f"ends the connection: it wants a certificate of this client, so say {_CERTIFICATE}"
    return None


def _denied(text: str, tried: Attempt) -> str:
    found = re.search(r'message: "(?P<said>[^"]*)"', text)
    said = f" ({found['said']})" if found and found["said"] else ""
    if tried.api_key:
        return f"refuses this API key{said}: it may have expired, or be one for another namespace or address"
    return f"refuses who shows no API key{said}: say --api-key, TEMPORAL_API_KEY or a --profile that has one"


def _distrusted(text: str) -> str:
    if "UnknownIssuer" in text:
        return "has a certificate from an authority that is not trusted here: name it with --tls-ca-path"
    if "NotValidForName" in text:
        presented = ", ".join(re.findall(r'DnsName\(\\?"([^"\\]+)\\?"\)', text.partition("presented")[2]))
        return f"has a certificate for other names ({presented or 'none'}): say --tls-server-name"
    if "Expired" in text:
        return "has a certificate that has expired"
    kind = re.search(r"InvalidCertificate\((\w+)", text)
    return f"has a certificate that is not valid ({kind[1] if kind else 'unknown reason'})"
