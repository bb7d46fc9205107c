#include "worker/models/sentencepiece_model.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/finding.h"

// Input: a file of the sentencepiece library.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto model = attune::worker::ParseSentencePieceModel(
      std::string_view(reinterpret_cast<const char*>(data), size),
      attune::fuzz::kOrigin);
  if (model.ok()) {
    attune::fuzz::Require(model->pieces.size() <= size,
                          "more pieces than the file has bytes");
  } else {
    attune::fuzz::RequireFileError(model.status(), attune::fuzz::kOrigin);
  }
  return 0;
}
