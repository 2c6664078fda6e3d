"""The errors that a user can meet, each with its exit code.

Rooms raise these; only ``cli/main.py`` catches them and prints one line and one hint.
Messages never hold patient data: name the file by its path, never quote a header value that
may identify a person.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_MODEL = 4
EXIT_DEVICE = 5
EXIT_PARTIAL = 6
EXIT_SIGINT = 130
EXIT_SIGTERM = 143


class MMToolError(Exception):
    """Base of all errors that are shown as one line.

    Args:
        message: What was given and what is wrong with it, one line.
        hint: What the user can do about it, one line, or empty.
    """

    exit_code = EXIT_UNEXPECTED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __reduce__(self) -> tuple[type[MMToolError], tuple[str, str]]:
        """Survive the trip out of a child process with message and hint."""
        return type(self), (self.message, self.hint)


class UsageError(MMToolError):
    """The command line itself is wrong (exit 2)."""

    exit_code = EXIT_USAGE


class InputError(MMToolError):
    """A file is missing, broken, hostile, or not what the command can use (exit 3)."""

    exit_code = EXIT_INPUT


class GeometryError(InputError):
    """The slices or the affine do not describe one regular box (exit 3)."""


class LimitError(InputError):
    """A file would exceed one of the reader's limits (exit 3)."""


class ModelError(MMToolError):
    """A model or its weights are absent, altered or unusable (exit 4)."""

    exit_code = EXIT_MODEL


class DeviceError(MMToolError):
    """The device that was asked for is absent, or memory ran out (exit 5)."""

    exit_code = EXIT_DEVICE
