"""User-data: what may be sent to guests, and what is said of anything else, at its line of the grid file."""

import gzip
import os
from pathlib import Path

import pytest

from overlayd.config.documents import DocumentError
from overlayd.config.gridfile import load_grid, load_with_files
from overlayd.config.userdata import UserDataError, fault, read_user_data
from protocol.grid.limits import ATTACHMENT_BYTES_MAX
from protocol.terms.ids import digest_of

GRID = """\
grid: star
clusters:
  head:
    image: debian
    cpus: 1
    memory: 1G
    user-data: head.yaml
  worker:
    image: debian
    cpus: 1
    memory: 1G
    user-data: {worker}
profiles:
  bare: {{clusters: {{head: {{user-data: ""}}}}}}
  other: {{clusters: {{head: {{user-data: other.sh}}}}}}
"""
CONFIG = b"#cloud-config\npackages: [nfs-common]\n"
SCRIPT = b"#!/bin/sh\necho hello\n"
ARCHIVE = (
    b'Content-Type: multipart/mixed; boundary="x"\nMIME-Version: 1.0\n\n'
    b"--x\nContent-Type: text/cloud-config\n\n#cloud-config\n--x--\n"
)


@pytest.mark.parametrize(
    "content",
    [
        CONFIG,
        SCRIPT,
        ARCHIVE,
        b"#cloud-config\n",
        b"#cloud-config\r\npackages: [a]\r\n",
        b"#! /usr/bin/env python3\nprint(1)\n",
        b"#!/bin/sh\n\xff\xfe binary behind it\n",
        b"## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}\n",
        ARCHIVE.replace(b"Content-Type: m", b"content-type: m", 1),
        b"#cloud-config\nruncmd:\n- !!str echo\n- [sh, -c, 'a: b']\n",
    ],
)
def test_what_a_guest_can_use_is_taken(content: bytes) -> None:
    assert fault(content) == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"packages: [nfs-common]\n", "begins with 'packages: [nfs-common]', by which no guest"),
        (b"# cloud-config\n", "begins with '# cloud-config'"),
        (b"\x7fELF\x02\x01\x01", "begins with '\\x7fELF"),
        (gzip.compress(CONFIG, mtime=0), "is compressed with gzip; uncompressed it would work"),
        (b"\xef\xbb\xbf" + CONFIG, "begins with a byte order mark"),
        ("#cloud-config\n".encode("utf-16"), "begins with a byte order mark"),
        (b"#cloud-config\nname: \xe9t\xe9\n", "is not UTF-8: it has the byte 0xe9 in line 2"),
        (b"#cloud-config\na: [b\n", "is no YAML in line 3"),
        (b"#cloud-config\na: \x00\n", "is no YAML: the character U+0000"),
        (b"#cloud-config\n" + b"[" * 20_000, "nested too deeply"),
        (b"#cloud-config\n- a\n- b\n", "without keys; it has to be a mapping"),
        (b"#!/bin/sh\r\necho\r\n", "CR LF, so /bin/sh would not be found"),
        (b"#!sh\necho\n", "a script names its interpreter by its path"),
        (b"#include\nhttp://example.org/x\n", "is a #include, which is not sent as it is"),
        (b"#cloud-boothook\n#!/bin/sh\n", "is a #cloud-boothook, which is not sent as it is"),
        (b"#cloud-config-archive\n- type: x\n", "is a #cloud-config-archive, which is not"),
        (b"## template: jinja\nhello\n", "begins with 'hello'"),
        (b"Content-Type: text/plain\n\nhello\n", "no multipart archive: it says text/plain"),
        (b'Content-Type: multipart/mixed; boundary="x"\n\n', "no multipart archive|without a part"),
    ],
)
def test_what_no_guest_could_use_is_refused_with_what_it_is(content: bytes, said: str) -> None:
    assert any(each in fault(content) for each in said.split("|")), fault(content)


def refused(path: Path) -> str:
    with pytest.raises(UserDataError) as error:
        read_user_data(path)
    return str(error.value)


def test_only_a_plain_file_of_a_bounded_size_is_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(SCRIPT + bytes(2 << 20))
    assert "has 2 MiB; at most 1 MiB are allowed" in refused(large)
    large.write_bytes(SCRIPT.ljust(ATTACHMENT_BYTES_MAX, b"\n"))
    assert len(read_user_data(large).content) == ATTACHMENT_BYTES_MAX
    assert "cannot be read: no such file" in refused(tmp_path / "none")
    assert "is a folder" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is no plain file" in refused(tmp_path / "pipe")
    assert "is no plain file" in refused(Path("/dev/zero"))
    closed = tmp_path / "closed" / "x"
    closed.parent.write_bytes(b"")
    assert "cannot be read: not a directory" in refused(closed)


def grid(folder: Path, worker: str = "worker.sh") -> Path:
    (folder / "head.yaml").write_bytes(CONFIG)
    (folder / "worker.sh").write_bytes(SCRIPT)
    (folder / "other.sh").write_bytes(b"#!/bin/bash\n")
    file = folder / "grid.yaml"
    file.write_text(GRID.format(worker=worker))
    return file


def test_files_are_beside_the_grid_file_and_named_by_their_digest(tmp_path: Path) -> None:
    spec, files = load_with_files(grid(tmp_path))
    assert [c.user_data for c in spec.clusters] == [digest_of(CONFIG), digest_of(SCRIPT)]
    assert [(f.digest, f.content) for f in files] == [
        (digest_of(CONFIG), CONFIG),
        (digest_of(SCRIPT), SCRIPT),
    ]


def test_two_clusters_with_one_file_send_it_once(tmp_path: Path) -> None:
    spec, files = load_with_files(grid(tmp_path, "head.yaml"))
    assert len({c.user_data for c in spec.clusters}) == 1
    assert len(files) == 1


def test_a_profile_may_name_another_or_none(tmp_path: Path) -> None:
    file = grid(tmp_path)
    spec, files = load_with_files(file, "other")
    assert spec.clusters[0].user_data == digest_of(b"#!/bin/bash\n")
    assert len(files) == 2, "what the profile does not use is not sent"
    assert load_grid(file, "bare").clusters[0].user_data == ""


def test_what_is_wrong_with_a_file_is_said_where_it_is_named(tmp_path: Path) -> None:
    file = grid(tmp_path)
    (tmp_path / "head.yaml").write_bytes(b"hello\n")
    (tmp_path / "worker.sh").unlink()
    (tmp_path / "other.sh").write_bytes(b"")
    with pytest.raises(DocumentError) as error:
        load_with_files(file)
    head, worker, other = error.value.problems
    assert (head.line, head.where) == (7, "clusters.head.user-data")
    assert head.message.startswith(f"{tmp_path}/head.yaml begins with 'hello'")
    assert (worker.line, worker.where) == (12, "clusters.worker.user-data")
    assert "cannot be read: no such file" in worker.message
    assert other.line == 15
    assert "other.sh is empty" in other.message
