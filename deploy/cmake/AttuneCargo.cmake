# attune_cargo_library(<name> CRATE dir LIB file.a)
# Builds a Rust static library with the committed Cargo.lock.
find_program(CARGO_EXECUTABLE cargo REQUIRED
  HINTS "$ENV{HOME}/.cargo/bin")

function(attune_cargo_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CRATE;LIB" "SRCS")
  # The Rust objects do not depend on the C++ build type, so all build trees
  # share one target directory and a second preset builds in seconds.
  set(target_dir "${PROJECT_SOURCE_DIR}/build/cargo")
  set(library "${target_dir}/release/${arg_LIB}")
  set(environment)
  set(profile release)
  if(ATTUNE_FUZZ)
    # Counters for libFuzzer, in the C library of the tokenizers too, and there
    # AddressSanitizer: for Rust it needs a nightly compiler.
    set(target_dir "${CMAKE_BINARY_DIR}/cargo")
    set(library "${target_dir}/fuzz/${arg_LIB}")
    set(environment "${CMAKE_COMMAND}" -E env
      "RUSTC_WRAPPER=${PROJECT_SOURCE_DIR}/deploy/cmake/fuzz_rustc.sh"
      "CC=clang-14" "CFLAGS=-fsanitize=address,fuzzer-no-link")
    set(profile fuzz)
  endif()
  add_custom_command(OUTPUT "${library}"
    COMMAND ${environment} "${CARGO_EXECUTABLE}" build --profile ${profile}
      --locked --quiet --manifest-path "${arg_CRATE}/Cargo.toml"
      --target-dir "${target_dir}"
    COMMAND "${CMAKE_COMMAND}" -E touch "${library}"
    DEPENDS ${arg_SRCS} "${arg_CRATE}/Cargo.toml" "${arg_CRATE}/Cargo.lock"
    COMMENT "Building ${arg_LIB} with cargo" VERBATIM)
  add_custom_target(attune_${name}_build DEPENDS "${library}")
  add_library(attune_${name} INTERFACE)
  add_library(attune::${name} ALIAS attune_${name})
  add_dependencies(attune_${name} attune_${name}_build)
  target_link_libraries(attune_${name} INTERFACE "${library}"
    Threads::Threads ${CMAKE_DL_LIBS} m)
endfunction()
