#include "worker/models/torch_file.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/finding.h"

// Input: a file of torch.save. Every tensor of an accepted one can be read in
// full: none is larger than its storage, however its strides lie.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attune::fuzz::kOrigin;

  const auto file = attune::worker::TorchFile::FromBytes(
      std::string(reinterpret_cast<const char*>(data), size), kOrigin);
  if (!file.ok()) {
    attune::fuzz::RequireFileError(file.status(), kOrigin);
    return 0;
  }
  for (const auto& [name, entry] : file->entries()) {
    const auto tensor = file->Get(name);
    attune::fuzz::Require(tensor.ok() && tensor->sizes() == entry.shape,
                          "a tensor of an accepted file can't be read");
  }
  return 0;
}
