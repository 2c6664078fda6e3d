"""A study beside an earlier report of the same patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmtool.reports import Change, Comparison, Finding, Report

_CHANGED = 5.0  # % from which on a volume is told as changed; below it is within what repeats


def compare(
    findings: Sequence[Finding], prior: Report, name: str, sha256: str, models: Sequence[str]
) -> Comparison:
    """What became of each finding.

    Args:
        findings: Of now.
        prior: The earlier report.
        name: Of its file.
        sha256: Of its bytes.
        models: Weights' hashes of the models of now.
    """
    before = {f.text: f for f in prior.findings}
    now = {f.text: f for f in findings}
    changes = [c for text, f in now.items() for c in _of(f, before.get(text))]
    gone = [f for text, f in before.items() if text not in now and f.probability is not None]
    changes += [
        Change(f.text, f.presence, "not told", f"{f.text}: told before, not told now.")
        for f in gone
    ]
    notes = []
    then = {m.weights_sha256 for m in prior.provenance.models}
    if then != set(models):
        notes.append("The prior was made with other models; a change may be theirs.")
    if not changes:
        notes.append("Nothing that both reports tell can be compared.")
    return Comparison(name, sha256, tuple(changes), tuple(notes))


def _of(now: Finding, before: Finding | None) -> Iterator[Change]:
    if now.measurements:
        if before is not None:
            yield from _numbers(now, before)
        return
    if before is None:
        yield Change(now.text, "not told", now.presence, f"{now.text}: new, {now.presence}.")
    elif before.presence != now.presence:
        words = f"{now.text}: {before.presence} before, {now.presence} now."
        yield Change(now.text, before.presence, now.presence, words)
    else:
        yield Change(now.text, now.presence, now.presence, f"{now.text}: {now.presence} as before.")


def _numbers(now: Finding, before: Finding) -> Iterator[Change]:
    earlier = {m.name: m for m in before.measurements}
    for m in now.measurements:
        old = earlier.get(m.name)
        if m.unit != "mL" or old is None or old.unit != "mL" or old.value <= 0:
            continue
        percent = 100 * (m.value / old.value - 1)
        told = "unchanged" if abs(percent) < _CHANGED else f"{percent:+.1f} %"
        what = " ".join(w for w in (m.name.removesuffix("volume").strip(), now.text) if w)
        values = f"{old.value:.2f} mL", f"{m.value:.2f} mL"
        yield Change(what, *values, f"{what}: {values[0]} before, {values[1]} now, {told}.")
