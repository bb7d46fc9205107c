#ifndef ATTUNE_WORKER_TOKENIZE_COMMAND_H_
#define ATTUNE_WORKER_TOKENIZE_COMMAND_H_

#include <ostream>

#include "absl/status/status.h"
#include "worker/options.h"

namespace attune::worker {

// attune-worker tokenize: reads rows {"text": ...} or {"text": ...,
// "text_pair": ...} and writes a line for each: {"ids": [...], "offsets":
// [[begin, end], ...], "tokens": [...], "type_ids": [...]}. Offsets count
// characters (Unicode code points) of the token's own text; [0, 0] for a token
// that was added. Other fields of a row do not count. InvalidArgument naming
// file and line for a row that is wrong; what was before it is written.
absl::Status RunTokenize(const TokenizeOptions& options, std::ostream& out);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TOKENIZE_COMMAND_H_
