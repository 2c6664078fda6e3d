"""Write ``docs/cli.md`` from the help of every command; ``--check`` only compares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from mmtool.cli.main import app

TARGET = Path(__file__).with_name("cli.md")
_HEAD = """# Commands

Made from `--help` by `python docs/generate_cli.py`; don't edit by hand.
"""


def commands() -> Iterator[list[str]]:
    """Every command and group, the root first."""

    def below(command: object, path: list[str]) -> Iterator[list[str]]:
        yield path
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, [*path, name])

    return below(get_command(app), [])


def help_of(path: list[str]) -> str:
    """Help text at a fixed width, whatever terminal and environment this runs in."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MMTOOL_", "_TYPER"))}
    done = subprocess.run(
        [sys.executable, "-m", "mmtool.cli", *path, "--help"],
        env=kept | {"COLUMNS": "90", "TERMINAL_WIDTH": "90", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.replace("python -m mmtool.cli", "mmtool").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip()


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for path in commands():
        name = " ".join(["mmtool", *path])
        parts.append(f"## {name}\n\n```text\n{help_of(path)}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write or check the page."""
    page = render()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text(encoding="utf-8") != page:
            print(f"{TARGET} is stale: run python docs/generate_cli.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
