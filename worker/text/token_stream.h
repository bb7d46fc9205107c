#ifndef ATTUNE_WORKER_TEXT_TOKEN_STREAM_H_
#define ATTUNE_WORKER_TEXT_TOKEN_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// Turns generated ids into text piece by piece. A piece is given out only when
// it is complete UTF-8, so that a character spelt by several tokens is never
// torn; the pieces together equal Decode of all ids. One generation owns one
// stream. Not thread-safe.
class TokenStream {
 public:
  // `tokenizer` is borrowed and must outlive the stream.
  TokenStream(const Tokenizer& tokenizer, bool skip_special_tokens);

  // Returns the text that `id` completed; empty while a character is
  // unfinished.
  absl::StatusOr<std::string> Push(int64_t id);

  // Returns what is held back (an unfinished character becomes U+FFFD). The
  // stream may not be used afterwards.
  absl::StatusOr<std::string> Finish();

 private:
  const Tokenizer& tokenizer_;
  const bool skip_special_tokens_;
  // Decoding needs some context to the left (a leading space may depend on it):
  // ids_ holds the context, already given out, and after it the held-back ids.
  std::vector<int64_t> ids_;
  size_t num_context_ids_ = 0;
  std::string context_text_;  // Decode of the context alone
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TEXT_TOKEN_STREAM_H_
