#!/bin/sh
# Builds the functions and puts each beside the workflow file, as the package that is deployed:
# functions/<name>/bootstrap, and functions/trainticket-prepare.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../build-rust.sh"

for name in cancel-order get-order save-order refund; do
    copy "$built/$name" "$here/functions/$name/bootstrap"
done
copy "$built/trainticket-prepare" "$here/functions/trainticket-prepare"
