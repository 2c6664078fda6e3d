#!/bin/sh
# usage: run.sh TABLE IMAGE...   The images are of one study of one patient.
set -eu
table=$1
shift
mmtool index --model hog --table "$table" -o cases.mmidx
mmtool report "$@" --study --retrieve cases.mmidx --explain occlusion \
  --question "What modality is this?" --text "CT of the chest. No pleural effusion." --format all -o out
cat out/report.txt
