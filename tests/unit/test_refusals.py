"""What is made of the texts in which Temporal's SDK tells that a connection failed."""

from __future__ import annotations

import pytest

from fanout.errors import FanoutError, NoServer, ServerRefuses, UsageError
from fanout.refusals import Attempt, explain

BEFORE = "Failed client connect: Server connection error: tonic::transport::Error(Transport, "
INVALID = BEFORE + "ConnectError(Custom { kind: InvalidData, error: "
AFTER = "Failed client connect: `get_system_info` call error after connection: Status { code: "
CLOSED = (
    AFTER
    + 'Cancelled, message: "operation was canceled", source: Some(hyper::Error(Canceled, "connection closed")) }'
)


def attempt(*, tls: bool = True, certificate: bool = False, api_key: bool = False) -> Attempt:
    return Attempt("temporal:7233", tls, certificate, api_key)


@pytest.mark.parametrize(
    ("text", "tried", "kind", "says"),
    [
        (
            BEFORE + 'Os { code: 111, message: "Connection refused" })',
            attempt(),
            NoServer,
            "(connection refused)",
        ),
        (CLOSED, attempt(tls=False), NoServer, "it may want TLS"),
        (CLOSED, attempt(), ServerRefuses, "it wants a certificate of this client"),
        (
            AFTER + "Unknown, index.html#unexpected-eof }",
            attempt(certificate=True),
            ServerRefuses,
            "certificate",
        ),
        (BEFORE + "unexpected-eof)", attempt(certificate=True), NoServer, "no Temporal server answers"),
        (CLOSED, attempt(certificate=True), ServerRefuses, "does not accept this client's certificate"),
        (
            AFTER + 'Unauthenticated, message: "" }',
            attempt(),
            ServerRefuses,
            "refuses who shows no API key: say",
        ),
        (
            AFTER + 'PermissionDenied, message: "No." }',
            attempt(api_key=True),
            ServerRefuses,
            "this API key (No.)",
        ),
        (INVALID + "InvalidCertificate(UnknownIssuer) })", attempt(), ServerRefuses, "--tls-ca-path"),
        (
            INVALID + "InvalidCertificate(ExpiredContext { time: 3 }) })",
            attempt(),
            ServerRefuses,
            "has expired",
        ),
        (
            INVALID + "InvalidCertificate(BadSignature) })",
            attempt(),
            ServerRefuses,
            "not valid (BadSignature)",
        ),
        (
            INVALID + 'InvalidCertificate(NotValidForNameContext { expected: DnsName("a"), '
            'presented: ["DnsName(\\"b\\")"] }) })',
            attempt(),
            ServerRefuses,
            "for other names (b): say --tls-server-name",
        ),
        (INVALID + "InvalidMessage(InvalidContentType) })", attempt(), ServerRefuses, "does not speak TLS"),
        (BEFORE + "NoCertificatesPresented)", attempt(certificate=True), UsageError, "holds no certificate"),
        (BEFORE + "PrivateKeyParseError)", attempt(certificate=True), UsageError, "unencrypted PEM"),
        (BEFORE + "InconsistentKeys(KeyMismatch))", attempt(certificate=True), UsageError, "must be a pair"),
    ],
)
def test_each_reason_has_its_words(text: str, tried: Attempt, kind: type[FanoutError], says: str) -> None:
    error = explain(text, tried)
    assert type(error) is kind
    assert says in str(error)
    if kind is not UsageError:
        assert "temporal:7233" in str(error)
