# What comes from Debian packages; deploy/setup.sh installs them.

find_package(Threads REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Boost 1.74 CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
if(ATTUNE_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
  if(ATTUNE_BUILD_BENCHMARKS)
    find_package(benchmark CONFIG REQUIRED)
  endif()
endif()

# SOCI's package has no CMake config.
find_path(SOCI_INCLUDE_DIR soci/soci.h REQUIRED)
find_library(SOCI_CORE_LIBRARY soci_core REQUIRED)
find_library(SOCI_SQLITE3_LIBRARY soci_sqlite3 REQUIRED)
add_library(attune_soci INTERFACE)
add_library(attune::soci ALIAS attune_soci)
target_include_directories(attune_soci SYSTEM INTERFACE "${SOCI_INCLUDE_DIR}")
target_link_libraries(attune_soci INTERFACE
  "${SOCI_SQLITE3_LIBRARY}" "${SOCI_CORE_LIBRARY}" SQLite::SQLite3)

# The allocator of what computes, see worker/models/compute_threads.h. Its
# package has no CMake config. Sanitizers bring allocators of their own.
add_library(attune_allocator INTERFACE)
add_library(attune::allocator ALIAS attune_allocator)
if(ATTUNE_BUILD_WORKER AND NOT ATTUNE_SANITIZE)
  find_library(TCMALLOC_LIBRARY tcmalloc_minimal REQUIRED)
  # It replaces malloc without being called by name.
  target_link_options(attune_allocator INTERFACE
    "LINKER:--push-state,--no-as-needed" "${TCMALLOC_LIBRARY}"
    "LINKER:--pop-state")
endif()
