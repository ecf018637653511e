import pytest

from loadtests.foundation.errors import InputError
from loadtests.foundation.server_access import Access, Header, parse_header, tls_context


def test_a_header_s_value_comes_from_the_environment_and_is_in_no_text(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "Bearer geheim\n")
    access = Access((parse_header("Authorization: env:SECRET_TOKEN"), parse_header("X-Team: a: b")))
    assert access.header_values() == {"Authorization": "Bearer geheim", "X-Team": "a: b"}
    assert "geheim" not in str(access.to_dict()) + repr(access)
    assert Access.from_dict(access.to_dict()) == access


def test_all_missing_variables_are_in_one_error(monkeypatch):
    monkeypatch.delenv("ABSENT_A", raising=False)
    monkeypatch.setenv("ABSENT_B", "")
    access = Access((Header("A", "env:ABSENT_A"), Header("B", "env:ABSENT_B")))
    with pytest.raises(InputError, match=r"ABSENT_A \(header A\) is not set; ABSENT_B \(header B\) is not set"):
        access.header_values()


def test_a_value_that_would_split_the_header_is_refused_and_not_repeated(monkeypatch):
    monkeypatch.setenv("SPLIT", "geheim\r\nX-Evil: 1")
    with pytest.raises(InputError, match="characters that a header cannot carry") as caught:
        Access((Header("A", "env:SPLIT"),)).header_values()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["no colon", ": value", "a b: c", "Host: other", "Content-Length: 3", "X: a\nb", "X: env:", "Ä: 1", "X: ☃"]
)
def test_a_header_that_cannot_be_is_refused(text):
    with pytest.raises(InputError):
        parse_header(text)


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Proxy-Authorization"])
def test_a_literal_credential_is_refused_and_not_repeated(name):
    with pytest.raises(InputError, match=f"write '{name}: env:VARIABLE'") as caught:
        parse_header(f"{name}: geheim")
    assert "geheim" not in str(caught.value)


def test_all_that_contradicts_itself_is_in_one_error(tmp_path):
    with pytest.raises(InputError) as caught:
        Access((Header("A", "1"), Header("a", "2")), ca=tmp_path / "none", is_insecure=True, key=tmp_path / "key")
    for part in (
        "header a is given more",
        "give one of the two",
        "without its client certificate",
        "none does not",
        "key does",
    ):
        assert part in str(caught.value)


def test_files_that_are_no_certificates_are_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(InputError, match=r"ca file .*ca.pem cannot be read as PEM"):
        tls_context(Access(ca=tmp_path / "ca.pem"))
    with pytest.raises(InputError, match=r"client certificate .*ca.pem and its key"):
        tls_context(Access(certificate=tmp_path / "ca.pem"))
