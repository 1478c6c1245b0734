#!/bin/sh
# Puts each function beside the workflow file, as the package that is deployed: functions/<name>/,
# and functions/stock-prepare. Python and Node packages are the sources without their tests; what
# they import beyond that, the runtime supplies.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
root=$(CDPATH= cd -- "$here/../.." && pwd -P)
cd -- "$root"

# The whole workspace at once: any smaller selection would resolve other features of its
# dependencies and compile the AWS SDK again.
cargo build --release --workspace --bins

host=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-$root/target}/$host/release

# Leaves an equal copy alone, and replaces another in one step, so that nobody finds half of one.
copy() {
    if ! cmp -s -- "$1" "$2"; then
        mkdir -p -- "$(dirname -- "$2")"
        cp -p -- "$1" "$2.new.$$"
        mv -f -- "$2.new.$$" "$2"
    fi
}

copy "$built/stock" "$here/functions/stock/bootstrap"
copy "$built/stock-prepare" "$here/functions/stock-prepare"
cd -- "$here"
for source in checkout/app.js checkout/lib/*.js price/app.py price/pricing/*.py notify/*.py; do
    copy "$source" "functions/$source"
done
# A source that was renamed or removed is no part of its function any more.
find functions/checkout functions/price functions/notify -type f | while read -r copied; do
    [ -e "${copied#functions/}" ] || rm -f -- "$copied"
done
