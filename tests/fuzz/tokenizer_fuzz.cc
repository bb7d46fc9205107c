#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/fuzz/finding.h"
#include "tests/fuzz/text_input.h"
#include "worker/text/attune_text.h"
#include "worker/text/rust_buffer.h"

namespace attune::fuzz {
namespace {

using worker::RustBuffer;
using worker::RustBytes;

void EncodeAndDecode(const void* tokenizer, const std::vector<uint8_t>& text,
                     bool special_tokens) {
  AttuneEncoding encoding = {};
  RustBuffer error;
  if (!attune_tokenizer_encode(tokenizer, text.data(), text.size(),
                               special_tokens, &encoding, error.out())) {
    Require(!error.view().empty(), "encoding failed without a message");
    return;
  }
  for (size_t i = 0; i < encoding.size; ++i) {
    Require(encoding.begins[i] <= encoding.ends[i] &&
                encoding.ends[i] <= text.size(),
            "an offset is outside the text");
    RustBuffer token;
    attune_tokenizer_id_to_token(tokenizer, encoding.ids[i], token.out());
    attune_tokenizer_token_to_id(tokenizer, RustBytes(token.view()),
                                 token.view().size());
  }
  RustBuffer decoded;
  RustBuffer decode_error;
  Require(attune_tokenizer_decode(tokenizer, encoding.ids, encoding.size,
                                  special_tokens, decoded.out(),
                                  decode_error.out()) ||
              !decode_error.view().empty(),
          "decoding failed without a message");
  attune_encoding_free(encoding);
}

}  // namespace
}  // namespace attune::fuzz

// Input: a tokenizer.json, a zero byte, a text. A file that is accepted encodes
// the text within its bounds and decodes what came out, or says why not.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const attune::fuzz::TextInput input(data, size);
  void* tokenizer = nullptr;
  attune::worker::RustBuffer error;
  if (!attune_tokenizer_new(input.first.data(), input.first.size(), &tokenizer,
                            error.out())) {
    attune::fuzz::Require(!error.view().empty(),
                          "a file was refused without a message");
    return 0;
  }
  attune_tokenizer_vocab_size(tokenizer);
  attune::fuzz::EncodeAndDecode(tokenizer, input.second, true);
  attune::fuzz::EncodeAndDecode(tokenizer, input.second, false);
  attune_tokenizer_free(tokenizer);
  return 0;
}
