#!/bin/sh
# fuzz_cargo.sh MANIFEST TARGET_DIR RELEASE_DIR
# Builds the Rust crate for fuzzing into TARGET_DIR/release: libFuzzer's counters
# for the crates that read what comes from outside, and these and
# AddressSanitizer in their C library (for Rust it needs a nightly compiler).
# What is not instrumented is taken from the build in RELEASE_DIR, if there is
# one: half of the time.
set -eu
manifest="$1" target="$2" release="$3"
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -e "$target" ] && [ -d "$release/release" ]; then
  mkdir -p "$target.new"
  cp -a "$release/release" "$target.new/"
  mv "$target.new" "$target"
fi
set --
for crate in attune_text minijinja minijinja-contrib spm_precompiled tokenizers; do
  # Another level of optimisation makes them other crates than those of the
  # release, and quicker to compile.
  set -- "$@" --config "profile.release.package.$crate.opt-level=1"
done
export RUSTC_WRAPPER="$here/fuzz_rustc.sh"
export CC=clang-14 CFLAGS="-fsanitize=address,fuzzer-no-link"
exec "${CARGO:-cargo}" build --release --locked --quiet "$@" \
  --manifest-path "$manifest" --target-dir "$target"
