# LibTorch as an imported target. The wheel's own CMake config asks for a CUDA
# toolkit, so it is not used. Only libtorch_cpu and libc10 are linked; the CUDA
# library, where present, is opened at start (worker/models/device.h).

if(NOT EXISTS "${ATTUNE_TORCH_ROOT}/lib/libtorch_cpu.so")
  message(FATAL_ERROR
    "LibTorch not found in ${ATTUNE_TORCH_ROOT}. Run deploy/setup.sh, or set "
    "ATTUNE_TORCH_ROOT, or use the server-only preset.")
endif()
add_library(attune_torch INTERFACE)
add_library(attune::torch ALIAS attune_torch)
target_include_directories(attune_torch SYSTEM INTERFACE
  "${ATTUNE_TORCH_ROOT}/include"
  "${ATTUNE_TORCH_ROOT}/include/torch/csrc/api/include")
target_link_libraries(attune_torch INTERFACE
  "${ATTUNE_TORCH_ROOT}/lib/libtorch_cpu.so"
  "${ATTUNE_TORCH_ROOT}/lib/libc10.so")
# at::parallel_for is a loop without it.
target_compile_options(attune_torch INTERFACE -fopenmp)
# libtorch_cpu needs libcudart and libcupti of the two CUDA wheels.
file(GLOB attune_cuda_lib_dirs LIST_DIRECTORIES true
  "${ATTUNE_TORCH_ROOT}/../nvidia/*/lib")
foreach(dir IN LISTS attune_cuda_lib_dirs)
  target_link_options(attune_torch INTERFACE "LINKER:-rpath-link,${dir}")
endforeach()
