from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import NotAllowed, UsageError
from fanout.storage import roots
from fanout.storage.roots import Roots

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4))
def test_any_path_survives_the_way_to_a_url_and_back(names: list[str]) -> None:
    path = "/" + "/".join(names)
    url = roots.to_url(Path(path))
    assert str(roots.to_path(url)) == path
    assert roots.to_url(url) == url
    assert "#" not in url
    assert "?" not in url


def test_bytes_that_are_no_unicode_survive_in_paths() -> None:
    path = os.fsdecode(b"/data/caf\xe9")
    assert str(roots.to_path(roots.to_url(path))) == path


def test_a_relative_path_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert roots.to_url("in put/*.jsonl") == f"file://{tmp_path}/in%20put/*.jsonl"
    assert roots.display(roots.to_url("in put/*.jsonl")) == "in put/*.jsonl"
    assert roots.display("/data/x") == "/data/x"
    assert roots.to_url("a/../b/") == f"file://{tmp_path}/b"


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("s3://bucket/a b/#1?/", "s3://bucket/a b/#1?"),
        ("S3://bucket/", "s3://bucket"),
        ("gs://bucket/x", "gs://bucket/x"),
        ("az://container/x", "az://container/x"),
        ("HTTPS://Example.com:443/a b/", "https://example.com/a%20b"),
        ("http://example.com:8080/x?page=2#top", "http://example.com:8080/x?page=2"),
        ("file:///data/a%20b", "file:///data/a%20b"),
        ("file://localhost/data", "file:///data"),
        ("file:///data/../etc", "file:///etc"),
        ("//data//x", "file:///data/x"),
        ("/", "file:///"),
    ],
)
def test_urls_are_normalized(given_url: str, normal: str) -> None:
    assert roots.to_url(given_url) == normal


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ftp://host/x", "s3://"),
        ("s3://KEY:SECRET@bucket/x", "credentials"),
        ("https://user:SECRET@host/x", "credentials"),
        ("https://host/x?X-Amz-Signature=SECRET", "signature"),
        ("https://host/x?sv=1&sig=SECRET", "signature"),
        *(
            (f"https://host/x?{name}=SECRET", "signature or token")
            for name in (
                *("access_token", "accessToken", "private_token", "auth-token", "X-Amz-Security-Token"),
                *("client_secret", "password", "passwd", "api_key", "apikey", "AWSAccessKeyId", "auth"),
            )
        ),
        ("s3://", "bucket"),
        ("s3://bucket/a/../b", "'..'"),
        ("https://host/a/%2e%2e%2fb", "'..'"),
        ("https://host/a/..\\b", "'..'"),
        ("https:///x", "host"),
        ("https://host:port/x", "port"),
        ("file://host/x", "file:///absolute/path"),
        ("", "empty"),
        ("/a\0b", "NUL"),
    ],
)
def test_urls_that_cannot_be_used_are_refused_without_their_secrets(url: str, text: str) -> None:
    for refuse in (roots.to_url, roots.display, Roots(["/"]).check):
        with pytest.raises(UsageError) as caught:
            refuse(url)
        assert text in str(caught.value)
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["page", "page_token", "nextToken", "key", "author", "keyword", "signed", "design"]
)
def test_what_no_secret_has_as_its_name_may_be_in_a_query(name: str) -> None:
    url = f"https://host/x?{name}=2"
    assert roots.to_url(url) == url


def test_a_displayed_web_address_has_no_query() -> None:
    assert roots.display("https://host/x?page=2") == "https://host/x"


def test_names_are_joined_and_encoded_where_needed() -> None:
    assert roots.join("file:///data", "a b", "c/d") == "file:///data/a%20b/c/d"
    assert roots.join("file:///", "a") == "file:///a"
    assert roots.join("s3://bucket/", "a b") == "s3://bucket/a b"
    assert roots.join("https://host", "a b") == "https://host/a%20b"
    for name in ("../x", "/x", "", "a//b", ".", "a\nb"):
        with pytest.raises(UsageError):
            roots.join("s3://bucket", name)
    with pytest.raises(UsageError, match="query"):
        roots.join("https://host/x?page=1", "a")


def test_only_local_urls_have_a_path() -> None:
    with pytest.raises(UsageError, match="not a local file"):
        roots.to_path("s3://bucket/x")


def test_a_url_at_or_below_a_root_is_allowed(tmp_path: Path) -> None:
    allowed = Roots([str(tmp_path), "s3://bucket/data", "https://host"])
    assert allowed.check(str(tmp_path)) == roots.to_url(os.path.realpath(tmp_path))
    assert allowed.check(f"{tmp_path}/a/*.csv").endswith("/a/*.csv")
    assert allowed.check("s3://bucket/data/x") == "s3://bucket/data/x"
    assert allowed.check("https://host/x") == "https://host/x"
    assert Roots(["/"]).check("/etc/passwd") == "file:///etc/passwd"


def test_siblings_and_other_stores_are_refused_with_what_to_do(tmp_path: Path) -> None:
    data = tmp_path / "data"
    allowed = Roots([str(data), "s3://bucket/data", "https://host/data"])
    for url in (
        f"{data}-evil/x",
        f"{data}/../other",
        str(tmp_path),
        "s3://bucket/data-evil",
        "s3://bucket-evil/data",
        "gs://bucket/data",
        "https://host/data-evil",
        "https://host.evil/data",
        "http://host/data",
    ):
        with pytest.raises(NotAllowed) as caught:
            allowed.check(url)
        for text in (
            "data-evil" if "evil" in url and "host." not in url and "bucket-" not in url else "",
            "--allow-root",
            "FANOUT_ALLOWED_ROOTS",
            str(data),
        ):
            assert text in str(caught.value)


def test_no_roots_allow_nothing() -> None:
    with pytest.raises(NotAllowed, match="none"):
        Roots([]).check("/data")


def test_a_link_that_leads_out_of_its_root_is_refused(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    (root / "folder").symlink_to(secret)
    (root / "file").symlink_to(secret / "key")
    (root / "loop").symlink_to(root / "loop")
    (root / "inner").symlink_to(root / "data")
    allowed = Roots([str(root)])
    for name in ("folder", "folder/key", "file", "folder/*.csv", "folder/new/deep"):
        with pytest.raises(NotAllowed) as caught:
            allowed.check(str(root / name))
        assert str(secret) in str(caught.value)
    assert roots.to_path(allowed.check(str(root / "inner" / "x"))) == (root / "data" / "x").resolve()


def test_a_root_that_is_a_link_allows_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    allowed = Roots([str(tmp_path / "link")])
    assert allowed.check(str(tmp_path / "real" / "x")) == allowed.check(str(tmp_path / "link" / "x"))
