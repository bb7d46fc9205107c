#ifndef ATTUNE_WORKER_MODELS_GGUF_KEYS_H_
#define ATTUNE_WORKER_MODELS_GGUF_KEYS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/gguf.h"

namespace attune::worker {

// The metadata of one architecture in a GGUF file: the key "block_count" stands
// for "llama.block_count". Refers to the file, which must outlive it.
class GgufKeys {
 public:
  GgufKeys(const Gguf& gguf, std::string_view architecture)
      : gguf_(gguf), architecture_(architecture) {}

  const Gguf& gguf() const { return gguf_; }
  std::string Name(std::string_view key) const;
  bool Has(std::string_view key) const;

  // DataLoss naming the key if it is missing or no whole number.
  absl::StatusOr<int64_t> Size(std::string_view key) const;
  absl::StatusOr<int64_t> SizeOr(std::string_view key, int64_t otherwise) const;
  // A stored fp32 comes as the shortest decimal that means the same fp32: 1e-05
  // and not 9.999999747378752e-06. DataLoss naming the key if it is missing or
  // no finite number.
  absl::StatusOr<double> Number(std::string_view key) const;
  absl::StatusOr<double> NumberOr(std::string_view key, double otherwise) const;

  // Unimplemented naming key and value if the key is there and its value is
  // another number than `neutral`; true is 1.
  absl::Status RefuseUnless(std::string_view key, double neutral) const;
  // Unimplemented: "FILE: metadata key 'llama.KEY' = VALUE is not supported".
  // The key must be there.
  absl::Status Unsupported(std::string_view key) const;
  // DataLoss: "FILE: metadata key 'llama.KEY' WHAT".
  absl::Status Corrupt(std::string_view key, std::string_view what) const;

 private:
  const Gguf& gguf_;
  const std::string architecture_;
};

// A number of fp32 as the shortest decimal that means the same fp32.
double ShortestDecimal(double stored);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_KEYS_H_
