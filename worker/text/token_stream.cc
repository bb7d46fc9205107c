#include "worker/text/token_stream.h"

#include <algorithm>
#include <string_view>

#include "proto/cc/status_macros.h"

namespace attune::worker {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The part of `text` after `context`. A decoder may rewrite a little of what
// came before; then nothing of the context's length is repeated.
std::string_view After(std::string_view text, std::string_view context) {
  return text.substr(std::min(text.size(), context.size()));
}

}  // namespace

TokenStream::TokenStream(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens) {}

absl::StatusOr<std::string> TokenStream::Push(int64_t id) {
  ids_.push_back(id);
  ATTUNE_ASSIGN_OR_RETURN(std::string text,
                          tokenizer_.Decode(ids_, skip_special_tokens_));
  const std::string_view fresh = After(text, context_text_);
  // A replacement character at the end may be the begin of a character that
  // the next ids complete.
  if (fresh.empty() || fresh.ends_with(kReplacement)) return std::string();
  std::string piece(fresh);
  ids_.erase(ids_.begin(), ids_.begin() + num_context_ids_);
  num_context_ids_ = ids_.size();
  ATTUNE_ASSIGN_OR_RETURN(context_text_,
                          tokenizer_.Decode(ids_, skip_special_tokens_));
  return piece;
}

absl::StatusOr<std::string> TokenStream::Finish() {
  ATTUNE_ASSIGN_OR_RETURN(std::string text,
                          tokenizer_.Decode(ids_, skip_special_tokens_));
  return std::string(After(text, context_text_));
}

}  // namespace attune::worker
