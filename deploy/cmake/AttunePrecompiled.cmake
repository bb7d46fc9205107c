# Most of a source's compile time goes into the headers of gRPC, protobuf,
# LibTorch and GoogleTest. A family is a set of targets that share one
# precompiled header with these, and the flags that must be equal for it.
# Members of a test family link GoogleTest.
# A folder joins one with `set(ATTUNE_FAMILY <name>)`; sources still include all
# that they use, which builds with -DATTUNE_PRECOMPILED_HEADERS=OFF hold them to.
option(ATTUNE_PRECOMPILED_HEADERS "Precompile the headers of dependencies" ON)

# What families precompile, in parts: libraries, and the generated messages.
set(ATTUNE_STD_HEADERS <algorithm> <chrono> <cstdint> <filesystem> <fstream>
  <functional> <map> <memory> <optional> <set> <sstream> <string> <string_view>
  <thread> <utility> <variant> <vector>)
set(ATTUNE_ABSL_HEADERS <absl/base/thread_annotations.h> <absl/status/status.h>
  <absl/status/statusor.h> <absl/strings/str_cat.h>
  <absl/synchronization/mutex.h> <absl/time/clock.h> <absl/time/time.h>)
set(ATTUNE_RPC_HEADERS ${ATTUNE_ABSL_HEADERS} <grpcpp/grpcpp.h> <google/protobuf/util/json_util.h>
  <google/protobuf/util/message_differencer.h>
  <google/protobuf/util/time_util.h> <google/rpc/error_details.pb.h>
  <attune/v1/dataset_service.grpc.pb.h> <attune/v1/evaluation_service.grpc.pb.h>
  <attune/v1/inference_service.grpc.pb.h> <attune/v1/model_service.grpc.pb.h>
  <attune/v1/prompt_service.grpc.pb.h> <attune/v1/tuning_service.grpc.pb.h>)
set(ATTUNE_PRIVATE_RPC_HEADERS <attune/worker/v1/control.grpc.pb.h>
  <attune/worker/v1/engine.grpc.pb.h> <attune/worker/v1/manifest.pb.h>)
set(ATTUNE_TORCH_HEADERS <ATen/Parallel.h> <ATen/TensorOperators.h>
  <ATen/core/Tensor.h> <ATen/core/grad_mode.h> <ATen/ops/arange.h>
  <ATen/ops/cat.h> <ATen/ops/empty.h> <ATen/ops/tensor.h> <ATen/ops/zeros.h>
  <attune/v1/tuning_service.pb.h>)

# attune_family(<name> HEADERS ... DEPS ... OPTIONS ...)
function(attune_family name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;DEPS;OPTIONS")
  add_library(attune_family_${name} INTERFACE)
  target_compile_options(attune_family_${name} INTERFACE ${arg_OPTIONS})
  if(ATTUNE_PRECOMPILED_HEADERS)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/precompiled_${name}.cc")
    file(CONFIGURE OUTPUT "${source}" CONTENT "")
    add_library(attune_precompiled_${name} OBJECT "${source}")
    target_precompile_headers(attune_precompiled_${name} PRIVATE ${arg_HEADERS})
    target_link_libraries(attune_precompiled_${name} PRIVATE
      ${arg_DEPS} attune_options attune_family_${name})
  endif()
endfunction()

# Makes <target> a member of the family that its folder has joined, if any.
function(attune_join_family target)
  if(NOT ATTUNE_FAMILY)
    return()
  endif()
  target_link_libraries(${target} PRIVATE attune_family_${ATTUNE_FAMILY})
  if(ATTUNE_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM
      attune_precompiled_${ATTUNE_FAMILY})
  endif()
endfunction()
