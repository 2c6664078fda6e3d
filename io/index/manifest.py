"""What an index holds, in short: by what vectors it can be searched, and how many there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mmtool import __version__
from mmtool.io.index.layout import Space


def manifest_of(link: sqlite3.Connection, spaces: Mapping[str, Space]) -> dict[str, Any]:
    """The manifest by the database: versions, counts, and encoders with what was measured."""
    about = dict(link.execute("SELECT name, value FROM about"))
    kinds = dict(link.execute("SELECT kind, count(*) FROM items GROUP BY kind"))
    rows = dict(link.execute("SELECT space, sum(rows) FROM segments GROUP BY space"))
    dead = dict(link.execute("SELECT space, count(*) FROM dead GROUP BY space"))
    failures = link.execute("SELECT count(*) FROM failures").fetchone()[0]
    return {
        "schema_version": int(about["schema_version"]),
        "mmtool": __version__,
        "created": about["created"],
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "items": sum(kinds.values()),
        "kinds": kinds,
        "failures": failures,
        "spaces": {
            space.name: {
                "encoder": space.encoder,
                "sha256": space.sha256,
                "preprocessing": dict(space.preprocessing),
                "dim": space.dim,
                "metric": "cosine",
                "vectors": rows.get(space.name, 0),
                "removed_since_last_tidy": dead.get(space.name, 0),
                "measured": dict(space.measured),
            }
            for space in spaces.values()
        },
    }
