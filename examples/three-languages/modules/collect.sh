#!/bin/sh
# A stage needs no library: inputs, outputs and metrics are files, and the variables say where.
set -eu

awk -v silent_file="$TMPDIR/silent" '
  BEGIN { print "time,sensor,celsius" }
  /^#/ { next }
  $3 ~ /C$/ { print $1 "," $2 "," substr($3, 1, length($3) - 1); next }
  $3 ~ /F$/ { printf "%s,%s,%.1f\n", $1, $2, (substr($3, 1, length($3) - 1) - 32) * 5 / 9; next }
  { silent += 1 }
  END { printf "%d", silent > silent_file }
' data/thermometers.log >"$GOLDFISH_OUTPUTS/readings.csv"

printf '{"name": "silent", "value": %s}\n' "$(cat "$TMPDIR/silent")" >>"$GOLDFISH_CONTROL/metrics.jsonl"
