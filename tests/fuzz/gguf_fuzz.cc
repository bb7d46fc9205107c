#include "worker/models/gguf.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/finding.h"
#include "worker/models/gguf_tokenizer.h"
#include "worker/text/tokenizer.h"

// Input: a GGUF file. Every tensor of an accepted one can be decoded, and what
// is built of its vocabulary is a tokenizer.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attune::fuzz::kOrigin;
  using attune::fuzz::Require;

  const auto gguf = attune::worker::Gguf::FromBytes(
      std::string(reinterpret_cast<const char*>(data), size), kOrigin);
  if (!gguf.ok()) {
    attune::fuzz::RequireFileError(gguf.status(), kOrigin);
    return 0;
  }
  for (const auto& [name, tensor] : gguf->tensors()) {
    Require(gguf->Decode(name).ok(), "an accepted tensor can't be decoded");
  }
  const auto files =
      attune::worker::ConvertTokenizer(*gguf, /*context_length=*/64);
  if (!files.ok()) {
    attune::fuzz::RequireFileError(files.status(), kOrigin);
    return 0;
  }
  const auto tokenizer =
      attune::worker::Tokenizer::FromJson(files->tokenizer_json);
  Require(tokenizer.ok(), "a converted tokenizer can't be read");
  (void)(*tokenizer)->Encode("the 12 <s>\n", /*add_special_tokens=*/true);
  return 0;
}
