#include "worker/inference/batch_runner.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "worker/inference/answer_pass.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

attune::v1::PredictResult TextResult(const WorkItem& item) {
  attune::v1::PredictResult result = item.MakeResult();
  attune::v1::TextAnswer& answer = *result.mutable_answer()->mutable_text();
  answer.set_text(item.generation->text());
  answer.set_finish_reason(item.generation->finish_reason());
  answer.set_num_generated_tokens(item.generation->num_generated_tokens());
  return result;
}

// Runs the next steps of `items` in one forward -> for each item the logits
// behind its steps, [steps, vocab], fp32 on the CPU. After an error the
// generations are as they were.
absl::StatusOr<std::vector<at::Tensor>> NextLogits(
    const LanguageModel& model,
    absl::Span<const std::unique_ptr<WorkItem>> items) {
  LanguageBatch batch(model);
  std::vector<int64_t> last_rows;
  std::vector<int64_t> counts;  // of each item's steps
  std::vector<std::pair<KvSequence*, int64_t>> lengths;
  counts.reserve(items.size());
  for (const auto& item : items) {
    const std::vector<DecodingStep> steps = item->generation->Steps();
    counts.push_back(static_cast<int64_t>(steps.size()));
    for (const DecodingStep& step : steps) {
      const int segment =
          batch.AddStep(step.ids, item->target->attached(), step.sequence,
                        item->generation->memory());
      last_rows.push_back(batch.LastRowOf(segment));
      lengths.emplace_back(step.sequence, step.sequence->length());
    }
  }
  absl::StatusOr<at::Tensor> logits =
      CatchTorchErrors(kEnginePass, [&]() -> absl::StatusOr<at::Tensor> {
        ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, batch.Run(last_rows));
        return model.Logits(hidden).cpu().contiguous();
      });
  if (!logits.ok()) {
    for (const auto& [sequence, length] : lengths) sequence->Truncate(length);
    return logits.status();
  }
  return logits->split_with_sizes(counts);
}

// Has an encoder read the inputs of `items`.
absl::Status ReadApart(const EncoderDecoderModel& model,
                       absl::Span<const std::unique_ptr<WorkItem>> items) {
  return CatchTorchErrors(kEnginePass, [&]() -> absl::Status {
    std::vector<MemoryText> texts;
    for (const auto& item : items) {
      const auto input = item->generation->input();
      texts.push_back({{input.data(), input.size()}, item->target->attached()});
    }
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<std::shared_ptr<const KvBlock>> memories,
        EncodeMemories(model, texts));
    for (size_t i = 0; i < items.size(); ++i) {
      items[i]->generation->BeginApart(memories[i],
                                       model.config().decoder_start_token_id);
    }
    return absl::OkStatus();
  });
}

}  // namespace

absl::Status DrainingError() {
  return MakeError(Reason::kDraining,
                   "the worker shuts down: send the request again");
}

BatchRunner::BatchRunner(const BatchLimits& limits, const Clock& clock)
    : limits_(limits), clock_(clock) {}

BatchRunner::~BatchRunner() {
  for (Lane& lane : lanes_) {
    lane.series->waiting.Set(0);
    lane.series->running.Set(0);
    for (auto& item : lane.waiting) {
      item->Finish(DrainingError(), clock_.Monotonic());
    }
    for (auto& item : lane.running) {
      item->Finish(DrainingError(), clock_.Monotonic());
    }
  }
}

void BatchRunner::Add(std::unique_ptr<WorkItem> item) {
  const std::shared_ptr<const BaseModel> model =
      item->target->computing_model();
  auto lane =
      std::find_if(lanes_.begin(), lanes_.end(),
                   [&](const Lane& other) { return other.model == model; });
  if (lane == lanes_.end()) {
    lanes_.push_back({.model = model, .series = item->series});
    lane = std::prev(lanes_.end());
  }
  lane->waiting.push_back(std::move(item));
  ShowWork(*lane);
}

void BatchRunner::ShowWork(const Lane& lane) const {
  size_t waiting = lane.waiting.size();
  size_t running = lane.running.size();
  for (const Lane& other : lanes_) {
    if (&other == &lane || other.series != lane.series) continue;
    waiting += other.waiting.size();
    running += other.running.size();
  }
  lane.series->waiting.Set(static_cast<double>(waiting));
  lane.series->running.Set(static_cast<double>(running));
}

void BatchRunner::DropAbandoned(Lane& lane) {
  const absl::Time now = clock_.Now();
  const auto drop = [&](std::unique_ptr<WorkItem>& item) {
    absl::Status status = item->origin.context->Check(now);
    if (status.ok()) {
      return false;
    }
    item->Finish(std::move(status), clock_.Monotonic());
    return true;
  };
  std::erase_if(lane.waiting, drop);
  std::erase_if(lane.running, drop);
}

BatchRunner::Items BatchRunner::TakeChosen(Lane& lane) {
  std::vector<WaitingInput> waiting;
  waiting.reserve(lane.waiting.size());
  for (const auto& item : lane.waiting) {
    waiting.push_back({item->rows, item->num_sequences()});
  }
  int64_t running = 0;
  for (const auto& item : lane.running) running += item->num_sequences();
  Items chosen;
  for (size_t index : ChooseInputs(waiting, running, limits_)) {
    chosen.push_back(std::move(lane.waiting[index]));
  }
  std::erase(lane.waiting, nullptr);
  const absl::Duration now = clock_.Monotonic();
  for (auto& item : chosen) {
    item->origin.place.reset();
    item->series->queue_seconds.Observe(
        absl::ToDoubleSeconds(now - item->origin.arrival));
    item->series->prompt_tokens->Increment(
        static_cast<double>(item->input.num_tokens()));
  }
  return chosen;
}

void BatchRunner::Step() {
  if (lanes_.empty()) {
    return;
  }
  c10::InferenceMode inference_mode;
  Lane lane = std::move(lanes_.front());
  lanes_.pop_front();
  DropAbandoned(lane);
  // What is no generation takes one forward for each form of answers.
  std::map<AnswerForm, Items> scored;
  Items generations;
  size_t size = lane.running.size();
  for (auto& item : TakeChosen(lane)) {
    ++size;
    if (!item->is_generation()) {
      scored[item->form()].push_back(std::move(item));
      continue;
    }
    item->generation = std::make_unique<Generation>(
        *item->target->model, item->input.ids, item->decoding,
        item->target->program->end_token());
    generations.push_back(std::move(item));
  }
  ShowWork(lane);
  if (size > 0) lane.series->batch_size.Observe(static_cast<double>(size));
  for (auto& [form, items] : scored) Classify(lane, std::move(items));
  if (!generations.empty()) {
    Begin(lane, generations);
    std::move(generations.begin(), generations.end(),
              std::back_inserter(lane.running));
  }
  if (!lane.running.empty()) {
    ShowWork(lane);
    Generate(lane);
  }
  ShowWork(lane);
  if (!lane.waiting.empty() || !lane.running.empty()) {
    lanes_.push_back(std::move(lane));
  }
}

void BatchRunner::Classify(const Lane& lane, Items items) {
  auto all = RunAnswerPass(*lane.model, items);
  for (size_t i = 0; i < items.size(); ++i) {
    if (all.ok()) {
      items[i]->Finish(std::move((*all)[i]), clock_.Monotonic());
      continue;
    }
    // One of them spoils the batch: find out which by running each alone.
    auto one =
        items.size() == 1
            ? std::move(all)
            : RunAnswerPass(*lane.model, absl::MakeConstSpan(&items[i], 1));
    items[i]->Finish(one.ok() ? std::move(one->front()) : one.status(),
                     clock_.Monotonic());
  }
}

void BatchRunner::Begin(const Lane& lane, Items& items) {
  if (lane.model->config().kind != ModelKind::kEncoderDecoder) return;
  const EncoderDecoderModel& model = AsEncoderDecoder(*lane.model);
  const absl::Status all = ReadApart(model, items);
  if (all.ok()) return;
  // As in Classify: only those that fail alone end.
  for (auto& item : items) {
    const absl::Status status =
        items.size() == 1 ? all
                          : ReadApart(model, absl::MakeConstSpan(&item, 1));
    if (status.ok()) continue;
    item->Finish(status, clock_.Monotonic());
    item = nullptr;
  }
  std::erase(items, nullptr);
}

void BatchRunner::Generate(Lane& lane) {
  const LanguageModel& model = AsLanguage(*lane.model);
  const absl::Span<const std::unique_ptr<WorkItem>> items = lane.running;
  const auto all = NextLogits(model, items);
  for (size_t i = 0; i < items.size(); ++i) {
    const absl::Status status =
        CatchTorchErrors(kEnginePass, [&]() -> absl::Status {
          if (all.ok()) {
            return Advance(*items[i], (*all)[i]);
          }
          if (items.size() == 1) {
            return all.status();
          }
          // As in Classify: only those that fail alone end.
          ATTUNE_ASSIGN_OR_RETURN(const std::vector<at::Tensor> one,
                                  NextLogits(model, items.subspan(i, 1)));
          return Advance(*items[i], one.front());
        });
    if (!status.ok()) {
      items[i]->Finish(status, clock_.Monotonic());
    }
  }
  std::erase_if(lane.running, [&](std::unique_ptr<WorkItem>& item) {
    if (item->origin.done == nullptr) {
      return true;  // it has failed
    }
    if (!item->generation->finished()) {
      return false;
    }
    item->Finish(TextResult(*item), clock_.Monotonic());
    return true;
  });
}

absl::Status BatchRunner::Advance(WorkItem& item, const at::Tensor& logits) {
  Generation& generation = *item.generation;
  const bool first = generation.num_generated_tokens() == 0;
  const int tokens_before = generation.num_generated_tokens();
  ATTUNE_ASSIGN_OR_RETURN(
      std::string text,
      generation.Advance({logits.const_data_ptr<float>(),
                          static_cast<size_t>(logits.numel())}));
  // The tokens of a beam search come when it has chosen its text.
  if (generation.is_beam_search() && !generation.finished()) {
    return absl::OkStatus();
  }
  const absl::Duration now = clock_.Monotonic();
  item.series->generated_tokens->Increment(generation.num_generated_tokens() -
                                           tokens_before);
  (first ? item.series->first_token_seconds : item.series->inter_token_seconds)
      .Observe(absl::ToDoubleSeconds(
          now - (first ? item.origin.arrival : item.last_token)));
  item.last_token = now;
  if (item.origin.on_piece && !text.empty()) {
    item.origin.on_piece({std::move(text), generation.num_generated_tokens(),
                          generation.num_input_tokens()});
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
