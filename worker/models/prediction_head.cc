#include "worker/models/prediction_head.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/cc/status_macros.h"

namespace attune::worker {
namespace {

// How many labels transformers assumes where a config names none.
constexpr int64_t kDefaultLabels = 2;

constexpr std::pair<std::string_view, EncoderHead> kHeads[] = {
    {"ForMaskedLM", EncoderHead::kMaskedLanguage},
    {"ForSequenceClassification", EncoderHead::kSequence},
    {"ForTokenClassification", EncoderHead::kToken},
    {"ForQuestionAnswering", EncoderHead::kSpan},
    {"ElectraForPreTraining", EncoderHead::kDiscriminator},
    {"Model", EncoderHead::kNone},
};

absl::StatusOr<int64_t> CountLabels(const ConfigReader& reader) {
  ATTUNE_ASSIGN_OR_RETURN(const int64_t named, reader.NumKeys("id2label"));
  if (named > 0) return named;
  return reader.SizeOr("num_labels", kDefaultLabels);
}

}  // namespace

at::Tensor PredictionHead::Forward(const at::Tensor& hidden) const {
  at::Tensor x = hidden;
  if (dense.weight().defined()) x = Activate(dense.Forward(x), activation);
  if (norm.has_value()) x = norm->Forward(x);
  return output.Forward(x);
}

absl::Status ReadHead(const ConfigReader& reader, ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> classes,
                          reader.Texts("architectures"));
  if (classes.empty()) return absl::OkStatus();
  for (const auto& [suffix, head] : kHeads) {
    if (!classes[0].ends_with(suffix)) continue;
    config.head = head;
    if (head == EncoderHead::kSequence || head == EncoderHead::kToken) {
      ATTUNE_ASSIGN_OR_RETURN(config.num_labels, CountLabels(reader));
    }
    return absl::OkStatus();
  }
  return reader.Unsupported("architectures");
}

}  // namespace attune::worker
