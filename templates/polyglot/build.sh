#!/bin/sh
# Puts each function beside the workflow file, as the package that is deployed: functions/<name>/,
# and functions/stock-prepare. Python and Node packages are the sources without their tests; what
# they import beyond that, the runtime supplies.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../build-rust.sh"

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
