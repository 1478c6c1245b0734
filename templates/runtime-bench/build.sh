#!/bin/sh
# Builds the Rust functions and puts them where calls.yaml and starts.yaml expect them.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
. "$here/../build-rust.sh"

copy "$built/runtime-bench" "$here/rust/bootstrap"
copy "$built/runtime-bench-idle" "$here/rust-idle/bootstrap"
