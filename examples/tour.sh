#!/bin/sh
# Archives an article, revises it, and reads it as it was in between. Needs only the Rust toolchain and a C compiler.
# The archive is created in target/tour, unless DATELINE_ARCHIVE names another directory.
set -eu
cd "$(dirname "$0")/.."
export DATELINE_ARCHIVE="${DATELINE_ARCHIVE:-$PWD/target/tour}"

cargo build --release --quiet
PATH="$PWD/target/release:$PATH"

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

article=port-kestrel-courier/harbour-bridge
run dateline add examples/articles/harbour-bridge.txt --article harbour-bridge --observed-at 2026-05-16T18:00:00Z
run dateline add examples/articles/harbour-bridge-revised.txt --article harbour-bridge --observed-at 2026-05-21T07:30:00Z
run dateline log "$article"
run dateline diff "$article"
run dateline show "$article" --at 2026-05-18

cat <<NEXT

The archive is in $DATELINE_ARCHIVE. Try a time of your own:
  export DATELINE_ARCHIVE=$DATELINE_ARCHIVE
  target/release/dateline show $article --at "2026-05-20T12:00:00Z"
  target/release/dateline --help

The article with its history, and what changed, in your browser:
  target/release/dateline open $article
NEXT
