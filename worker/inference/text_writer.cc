#include "worker/inference/text_writer.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/item_answers.h"
#include "worker/inference/work_item.h"
#include "worker/models/model_config.h"
#include "worker/tasks/pass_size.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;

// A model goes on behind a dash without a space: the space belongs to the next
// word's token.
constexpr char kListTemplate[] = "{{ heading }}\n{{ shown }}\n-";
constexpr char kHeadingField[] = "heading";
constexpr char kShownField[] = "shown";

// A longer list shows nothing more of what texts are like.
constexpr int64_t kMaxListTokens = 1024;
// Texts that are written at once, and the places of their lists and of what
// they may become: these bound the memory of their keys and values.
constexpr size_t kMaxTextsAtOnce = 32;
constexpr int64_t kMaxPlacesAtOnce = 4096;

TaskSpec ListTask(const attune::v1::Decoding& decoding, int64_t context) {
  TaskSpec task;
  task.set_type(attune::v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_(kListTemplate);
  *task.mutable_decoding() = decoding;
  task.mutable_decoding()->add_stop("\n");
  attune::v1::Truncation& truncation = *task.mutable_truncation();
  truncation.set_side(attune::v1::TRUNCATION_SIDE_LEFT);
  truncation.set_field(kShownField);
  truncation.set_max_input_tokens(
      static_cast<int32_t>(std::min(kMaxListTokens, context)));
  return task;
}

InferenceInput InputOf(const WritingOrder& order) {
  InferenceInput input;
  auto& fields = *input.fields.mutable_fields();
  fields[kHeadingField].set_string_value(
      Concat("Here are different texts of the kind \"", order.kind, "\":"));
  std::string shown;
  for (const std::string& text : order.shown) {
    shown += Concat(shown.empty() ? "- " : "\n- ", text);
  }
  fields[kShownField].set_string_value(shown);
  input.decoding.set_seed(order.seed);
  return input;
}

}  // namespace

absl::StatusOr<TextWriter> TextWriter::Create(
    const std::string& model, const attune::v1::Decoding& decoding,
    TargetResolver& resolver, InferenceMetrics& metrics) {
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const LoadedModel> loaded,
                          resolver.LoadModel(model));
  const ModelConfig& config = loaded->info.config;
  if (config.kind == ModelKind::kEncoder) {
    return InvalidField("generator",
                        Concat(model, " (", config.family,
                               ") is an encoder, which generates no text: name "
                               "a base model that predicts tokens"));
  }
  InferenceTarget target;
  target.model = model;
  target.task = ListTask(decoding, config.context_length);
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const ResolvedTarget> resolved,
                          resolver.Resolve(target));
  return TextWriter(std::move(resolved), resolver.clock(), metrics);
}

absl::StatusOr<std::vector<WrittenText>> TextWriter::Write(
    absl::Span<const WritingOrder> orders,
    const std::function<absl::Status()>& pause) const {
  std::vector<std::unique_ptr<WorkItem>> items;
  items.reserve(orders.size());
  for (const WritingOrder& order : orders) {
    ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<WorkItem> item,
                            PrepareWork(target_, InputOf(order), *metrics_));
    items.push_back(std::move(item));
  }
  std::vector<WrittenText> texts;
  texts.reserve(items.size());
  for (size_t begin = 0; begin < items.size();) {
    const auto rest = absl::MakeConstSpan(items).subspan(begin);
    const size_t size =
        PassSize(rest.first(std::min(rest.size(), kMaxTextsAtOnce)),
                 kMaxPlacesAtOnce, [](const std::unique_ptr<WorkItem>& item) {
                   return item->rows + item->decoding.max_new_tokens;
                 });
    std::vector<std::unique_ptr<WorkItem>> part(
        std::make_move_iterator(items.begin() + begin),
        std::make_move_iterator(items.begin() + begin + size));
    begin += size;
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<attune::v1::PredictResult> answers,
        AnswerItems(std::move(part), {.max_generations = kMaxTextsAtOnce},
                    *clock_, pause));
    for (const attune::v1::PredictResult& answer : answers) {
      const attune::v1::TextAnswer& written = answer.answer().text();
      texts.push_back({written.text(), written.finish_reason() ==
                                           attune::v1::FINISH_REASON_STOP});
    }
  }
  return texts;
}

}  // namespace attune::worker
