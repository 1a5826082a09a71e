"""The system's refusals in words: what, why, what to do."""

import errno
import os

import pytest

from gen.errors import UserError, describe


def test_a_users_error_speaks_for_itself() -> None:
    assert describe(UserError("No. Because. Do this.")) == "No. Because. Do this."


def test_an_error_of_the_program_has_no_paragraph() -> None:
    assert describe(TypeError("nonsense")) is None
    assert describe(OSError("without a number")) is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full: /w/file could not be written"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EACCES, "/w/file may not be read or written"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "/w/file is missing"),
        (errno.ENOTDIR, "/w/file is a file"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "failed to read or write /w/file"),
    ],
)
def test_the_systems_refusals_are_told_in_one_paragraph(number: int, words: str) -> None:
    told = describe(OSError(number, os.strerror(number), "/w/file"))
    assert told
    assert words in told
    assert "\n" not in told
