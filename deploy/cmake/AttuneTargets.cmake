# The three functions every folder declares its targets with. Warnings, include
# paths and sanitizers travel with the targets, never through global flags.
add_library(attune_options INTERFACE)
target_compile_options(attune_options INTERFACE -Wall -Wextra
  $<$<BOOL:${ATTUNE_WERROR}>:-Werror>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
# The repository root: files include each other by their full path from it.
target_include_directories(attune_options INTERFACE "${PROJECT_SOURCE_DIR}")
if(ATTUNE_SANITIZE)
  target_compile_options(attune_options INTERFACE
    -fsanitize=${ATTUNE_SANITIZE} -fno-omit-frame-pointer -g1)
  target_link_options(attune_options INTERFACE -fsanitize=${ATTUNE_SANITIZE})
endif()

# attune_library(<name> SRCS ... HDRS ... DEPS ...)
# A static library attune_<name>, also known as attune::<name>.
function(attune_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SRCS;HDRS;DEPS")
  add_library(attune_${name} STATIC ${arg_SRCS} ${arg_HDRS})
  add_library(attune::${name} ALIAS attune_${name})
  target_link_libraries(attune_${name} PUBLIC ${arg_DEPS}
    PRIVATE attune_options)
endfunction()

# attune_binary(<name> SRCS ... DEPS ...)
function(attune_binary name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SRCS;DEPS")
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} attune_options)
endfunction()

# attune_test(<name> LABELS ... SRCS ... DEPS ... [TIMEOUT seconds])
# One GoogleTest executable <name>_test for a folder's tests, one CTest entry.
# Labels: unit; torch for what computes; integration for what starts processes.
function(attune_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LABELS;SRCS;DEPS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name}_test ${arg_SRCS})
  target_link_libraries(${name}_test PRIVATE ${arg_DEPS} attune_options
    GTest::gmock GTest::gtest GTest::gtest_main)
  # What a test computes is small: compile time counts more.
  target_compile_options(${name}_test PRIVATE -O1)
  set_target_properties(${name}_test PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name}_test
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  # Two teams of compute threads on the same cores slow each other down many
  # times over, so tests that compute never run side by side; and threads that
  # wait for others spin only briefly, which makes a machine that does something
  # else, too, slow and not useless.
  set(processors 1)
  if("torch" IN_LIST arg_LABELS OR "integration" IN_LIST arg_LABELS)
    set(processors 2)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}"
    TIMEOUT ${arg_TIMEOUT} PROCESSORS ${processors}
    ENVIRONMENT "ATTUNE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};OMP_NUM_THREADS=2;GOMP_SPINCOUNT=2000")
endfunction()
