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
  set(command "${CARGO_EXECUTABLE}" build --release --locked --quiet
    --manifest-path "${arg_CRATE}/Cargo.toml" --target-dir "${target_dir}")
  if(ATTUNE_FUZZ)
    set(fuzz_dir "${CMAKE_BINARY_DIR}/cargo")
    set(library "${fuzz_dir}/release/${arg_LIB}")
    set(command "${CMAKE_COMMAND}" -E env "CARGO=${CARGO_EXECUTABLE}"
      "${PROJECT_SOURCE_DIR}/deploy/cmake/fuzz_cargo.sh"
      "${arg_CRATE}/Cargo.toml" "${fuzz_dir}" "${target_dir}")
  endif()
  add_custom_command(OUTPUT "${library}"
    COMMAND ${command}
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
