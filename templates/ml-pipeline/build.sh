#!/bin/sh
# Builds the functions and puts each beside the workflow file, as the package that is deployed:
# functions/<name>/bootstrap, and functions/workloads-prepare.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../build-rust.sh"

for name in pca train test; do
    copy "$built/ml-pipeline-$name" "$here/functions/$name/bootstrap"
done
copy "$built/workloads-prepare" "$here/functions/workloads-prepare"
