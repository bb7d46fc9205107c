#!/bin/sh
# Cargo's RUSTC_WRAPPER in the preset `fuzz`: libFuzzer's counters for the crates
# that read what comes from outside. In all of them they would cost a minute of
# compile time and slow down what is fuzzed elsewhere.
case " $* " in
  *" --crate-name attune_text "* | *" --crate-name minijinja "* | \
    *" --crate-name minijinja_contrib "* | *" --crate-name tokenizers "* | \
    *" --crate-name spm_precompiled "*)
    exec "$@" -Cpasses=sancov-module \
      -Cllvm-args=-sanitizer-coverage-level=3 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table \
      -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
