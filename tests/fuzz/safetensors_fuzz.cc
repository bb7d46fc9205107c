#include "worker/models/safetensors.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/finding.h"

// Input: a safetensors file. What is accepted can be read in full, and says the
// same after it was written again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attune::fuzz::kOrigin;
  using attune::fuzz::Require;
  using attune::worker::Safetensors;

  const auto file = Safetensors::FromBytes(
      std::string(reinterpret_cast<const char*>(data), size), kOrigin);
  if (!file.ok()) {
    attune::fuzz::RequireFileError(file.status(), kOrigin);
    return 0;
  }
  attune::worker::TensorMap tensors;
  for (const auto& [name, entry] : file->entries()) {
    auto tensor = file->Get(name);
    Require(tensor.ok(), "a tensor of an accepted file can't be read");
    tensors[name] = *std::move(tensor);
  }
  const auto bytes =
      attune::worker::WriteSafetensors(tensors, file->metadata());
  Require(bytes.ok(), "an accepted file can't be written");
  const auto again = Safetensors::FromBytes(*bytes, kOrigin);
  Require(again.ok(), "a written file is not accepted");
  Require(again->metadata() == file->metadata(), "metadata differs");
  for (const auto& [name, entry] : file->entries()) {
    const auto it = again->entries().find(name);
    Require(it != again->entries().end() && it->second.shape == entry.shape &&
                it->second.dtype == entry.dtype,
            "a tensor differs after writing");
  }
  return 0;
}
