#!/usr/bin/env bash
# Segment the T1 scan that nilearn ships (MNI152, 1 mm) with a short report as the text.
# Usage: examples/segment/demo.sh [OUTPUT]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="${1:-demo_out}"
data="$(python -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("nilearn").origin).parent / "datasets" / "data")')"
scan="$data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"

mmtool segment "$scan" --text "$here/report.txt" -o "$out" --overwrite
echo
echo "Results in $out:"
ls -1 "$out"
echo
cut -f 2,7 "$out/measurements.tsv" | head -n 12
echo
echo "Look at $out/preview.png, or open the scan with $out/segmentation.nii.gz on it in a viewer."
echo "Scan: $scan"
