#!/bin/sh
# Example of a script for a stick. It runs once, as root, with the stick as
# working directory, and it may be cut off at any line: the file is written
# beside its place, made durable, and only then renamed.
set -eu

target=/srv/example/station.conf

echo "installing $target"
mkdir -p "$(dirname "$target")"
cat >"$target.new" <<'CONF'
# written by a stick
max_current = 32
CONF
sync "$target.new" 2>/dev/null || sync
mv "$target.new" "$target"
sync
echo "done"
