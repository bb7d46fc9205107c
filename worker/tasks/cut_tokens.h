#ifndef ATTUNE_WORKER_TASKS_CUT_TOKENS_H_
#define ATTUNE_WORKER_TASKS_CUT_TOKENS_H_

#include <cstddef>
#include <string>

#include "attune/v1/task.pb.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// `text` without at least `excess` of its tokens, which are `tokens`, at one
// end: whole characters, and always shorter unless it is empty.
std::string CutTokens(const std::string& text, const Encoding& tokens,
                      size_t excess, attune::v1::TruncationSide side);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_CUT_TOKENS_H_
