"""Roles, patterns of groups, and deriving role secrets."""

import subprocess
import sys
from pathlib import Path
from time import time

import pytest

from fleet.errors import ConfigError
from fleet.roles import CALLER, OPERATOR, READER, ROLES, Claim, claim_of, decode_claim, encode_claim
from fleet.secret import derive_secret, find_secret, new_secret, role_of

SECRET = new_secret()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fleet.cli", "secret", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("patterns", "group", "covers"),
    [
        ((), "anything", True),
        (("*",), "anything", True),
        (("acct/*",), "acct/1", True),
        (("acct/*",), "acct/", True),
        (("acct/*",), "acct", False),
        (("acct/*",), "ACCT/1", False),
        (("acct/*",), "x/acct/1", False),
        (("acct",), "acct", True),
        (("acct",), "acct/1", False),
        (("a[b]?",), "a[b]?", True),
        (("a[b]?",), "abc", False),
        (("x", "acct/*"), "acct/1", True),
    ],
)
def test_a_pattern_is_a_name_or_its_beginning(patterns: tuple[str, ...], group: str, covers: bool) -> None:
    claim = claim_of(READER, patterns)
    assert claim.covers(group) == covers and decode_claim(encode_claim(claim)) == claim


@pytest.mark.parametrize("pattern", ["", "*/acct", "a*b", "**", "x" * 1001])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="no pattern of groups"):
        claim_of(READER, (pattern,))


def test_there_is_no_role_but_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="reader, caller, deploy, operator; a node needs the cluster's"):
        claim_of("node")
    for data in (b"", b"\xc1", encode_claim(Claim("king")), encode_claim(Claim(READER, ("a*b",)))):
        with pytest.raises(ConfigError):
            decode_claim(data)


def test_a_role_secret_has_its_role_and_its_end() -> None:
    until = round(time() + 100)
    assert role_of(derive_secret(SECRET, CALLER, ["acct/*"], until=until)) == (
        Claim(CALLER, ("acct/*",)),
        until,
    )
    assert role_of(derive_secret(SECRET, OPERATOR)) == (Claim(OPERATOR), 0.0)
    assert role_of(SECRET) is None
    with pytest.raises(ConfigError, match="derived from the cluster's secret"):
        derive_secret(derive_secret(SECRET, OPERATOR), READER)


def test_a_file_may_hold_role_secrets(tmp_path: Path) -> None:
    lines = derive_secret(SECRET, READER), derive_secret(new_secret(), READER)
    ring = find_secret(secret_file=written(tmp_path / "role", *lines))
    assert ring.accepted == lines
    written(tmp_path / "role", lines[0][:-9])
    assert "derive another" in ring.reread() and ring.accepted == lines
    ended = derive_secret(SECRET, READER, until=time() - 5)
    with pytest.raises(ConfigError, match="the role reader ended at .* UTC: derive another one"):
        find_secret(secret_file=written(tmp_path / "ended", ended))


def test_the_command_derives_and_shows(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret", SECRET, new_secret())
    file = tmp_path / "role"
    words = "derive", "caller", str(file), "--groups", "acct/*", "--valid", "2d", "--secret-file", str(secret)
    made = run(*words)
    assert made.returncode == 0 and "caller of acct/*, until 20" in made.stdout, made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    held = find_secret(secret_file=file)
    assert len(held.accepted) == 2, "one of each: whichever nodes show by then"
    assert run(*words).returncode == 1 and find_secret(secret_file=file) == held
    shown = run("show", str(file))
    assert shown.stdout.count("caller of acct/*, until") == 2 and held.fingerprints()[0] in shown.stdout
    assert "everything" in run("show", str(secret)).stdout
    for one in held.accepted:
        assert one.decode() not in shown.stdout + made.stdout
    refused = run("derive", "reader", str(tmp_path / "x"), "--secret-file", str(file))
    assert refused.returncode == 2 and "derived from the cluster's secret" in refused.stderr
    refused = run("derive", "reader", str(tmp_path / "x"), "--groups", "a*b", "--secret-file", str(secret))
    assert refused.returncode == 2 and "no pattern" in refused.stderr and not (tmp_path / "x").exists()
    assert run("derive", "node", str(tmp_path / "x"), "--secret-file", str(secret)).returncode == 2


def test_the_commands_help_tells_each_role() -> None:
    told = run("derive", "--help").stdout
    assert all(f"\n  {role} " in told for role in ROLES)
