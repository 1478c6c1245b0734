# For the templates' build.sh, which set `here` to their folder and then source this: builds the Rust
# programs of the workspace, says in `built` where they are, and gives `copy`.

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
