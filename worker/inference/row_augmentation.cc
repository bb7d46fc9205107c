#include "worker/inference/row_augmentation.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "proto/cc/metrics.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/inference/inference_metrics.h"
#include "worker/inference/item_answers.h"
#include "worker/inference/text_writer.h"
#include "worker/inference/work_item.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/label_texts.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/row_fields.h"
#include "worker/tasks/row_key.h"
#include "worker/tasks/seeded_random.h"
#include "worker/tasks/shown_text.h"

namespace attune::worker {
namespace {

using attune::v1::AugmentationCounts;
using attune::v1::AugmentDatasetResponse;
using attune::v1::RejectedText;

constexpr char kSplitField[] = "split";
constexpr char kOriginField[] = "origin";
// Keeps the drawing for each label apart from other uses of the same seed.
constexpr uint64_t kFirstLabelStream = 2'000'000;
// Texts that are written between two looks at what is there.
constexpr size_t kTextsOfARound = 32;
constexpr int kRejectedTextsOfAReason = 4;
constexpr int kLeastLetters = 3;

// A label and what became of it so far.
struct LabelWork {
  std::string label;
  std::string kind;                // its words
  std::vector<std::string> texts;  // to show, in an order that drawing changes
  SeededRandom random;
  AugmentationCounts counts = {};
};

// A text on its way to a row.
struct Draft {
  LabelWork* work = nullptr;
  std::string text = {};
  // Why it is no row; UNSPECIFIED as long as nothing speaks against it.
  RejectedText::Reason reason = RejectedText::REASON_UNSPECIFIED;
  std::string likeliest_label = {};
  double score = 0;
};

bool SaysSomething(std::string_view text) {
  int letters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) return true;
    letters += absl::ascii_isalnum(byte) ? 1 : 0;
  }
  return letters >= kLeastLetters;
}

void Count(RejectedText::Reason reason, AugmentationCounts& counts) {
  counts.set_num_generated(counts.num_generated() + 1);
  switch (reason) {
    case RejectedText::REASON_EMPTY:
      return counts.set_num_empty(counts.num_empty() + 1);
    case RejectedText::REASON_UNFINISHED:
      return counts.set_num_unfinished(counts.num_unfinished() + 1);
    case RejectedText::REASON_DUPLICATE:
      return counts.set_num_duplicate(counts.num_duplicate() + 1);
    case RejectedText::REASON_OTHER_LABEL:
      return counts.set_num_other_label(counts.num_other_label() + 1);
    case RejectedText::REASON_UNSURE:
      return counts.set_num_unsure(counts.num_unsure() + 1);
    default:
      return counts.set_num_kept(counts.num_kept() + 1);
  }
}

void AddCounts(const AugmentationCounts& from, AugmentationCounts& to) {
  to.set_num_generated(to.num_generated() + from.num_generated());
  to.set_num_kept(to.num_kept() + from.num_kept());
  to.set_num_empty(to.num_empty() + from.num_empty());
  to.set_num_unfinished(to.num_unfinished() + from.num_unfinished());
  to.set_num_duplicate(to.num_duplicate() + from.num_duplicate());
  to.set_num_other_label(to.num_other_label() + from.num_other_label());
  to.set_num_unsure(to.num_unsure() + from.num_unsure());
}

bool IsRowsOwnField(const std::string& field) {
  return field == kSplitField || field == kOriginField;
}

// The field that is written. INVALID_ARGUMENT naming the request's field.
absl::StatusOr<std::string> FindTextField(const TaskProgram& program,
                                          const std::string& asked) {
  constexpr char kPath[] = "text_field";
  const std::set<std::string>& read = program.fields_read();
  const std::string names = absl::StrJoin(read, "', '");
  if (read.empty()) {
    return InvalidField("classifier", "its template reads no field");
  }
  if (asked.empty() && read.size() > 1) {
    return InvalidField(
        kPath,
        Concat("is required: the classifier's template reads '", names, "'"));
  }
  const std::string& field = asked.empty() ? *read.begin() : asked;
  if (!read.contains(field)) {
    return InvalidField(
        kPath, Concat("the classifier's template does not read '", field,
                      "'; it reads '", names, "'"));
  }
  const std::string& answer_field = program.task().answer_field();
  if (IsRowsOwnField(field) || IsRowsOwnField(answer_field)) {
    return InvalidField(
        IsRowsOwnField(field) ? kPath : "classifier",
        Concat("every new row has '", kSplitField, "' and '", kOriginField,
               "' of its own: text and label must be in other fields"));
  }
  return field;
}

InferenceInput InputOfText(const std::string& field, const std::string& text) {
  InferenceInput input;
  (*input.fields.mutable_fields())[field].set_string_value(text);
  return input;
}

// `count` of the label's texts, each way to draw them equally likely, and the
// seed of what is written after them.
WritingOrder DrawOrder(int64_t count, LabelWork& work) {
  std::vector<std::string>& texts = work.texts;
  const size_t num_shown = std::min(static_cast<size_t>(count), texts.size());
  for (size_t i = 0; i < num_shown; ++i) {
    std::swap(texts[i], texts[i + work.random.Below(texts.size() - i)]);
  }
  WritingOrder order;
  order.kind = work.kind;
  order.shown.assign(texts.begin(), texts.begin() + num_shown);
  order.seed = work.random.Next();
  return order;
}

// One augmentation. Made for one call of AugmentRows.
class RowAugmentation {
 public:
  RowAugmentation(AugmentationCall call, TargetResolver& resolver,
                  const AugmentationHooks& hooks)
      : call_(std::move(call)), resolver_(resolver), hooks_(hooks) {}

  absl::StatusOr<AugmentDatasetResponse> Run() {
    ATTUNE_RETURN_IF_ERROR(hooks_.pause());
    ATTUNE_RETURN_IF_ERROR(PrepareClassifier());
    ATTUNE_RETURN_IF_ERROR(ReadRows());
    ATTUNE_RETURN_IF_ERROR(hooks_.pause());
    ATTUNE_ASSIGN_OR_RETURN(
        writer_, TextWriter::Create(call_.generator, call_.decoding, resolver_,
                                    metrics_));
    hooks_.on_progress(MakeProgress(), {});
    while (true) {
      ATTUNE_ASSIGN_OR_RETURN(std::vector<Draft> drafts, Write());
      if (drafts.empty()) break;
      ATTUNE_RETURN_IF_ERROR(Judge(drafts));
      std::vector<std::string> rows = Keep(drafts);
      hooks_.on_progress(MakeProgress(), std::move(rows));
    }
    return MakeResult();
  }

 private:
  const TaskProgram& program() const { return *classifier_->program; }

  absl::Status PrepareClassifier() {
    absl::StatusOr<std::shared_ptr<const ResolvedTarget>> resolved =
        resolver_.Resolve(call_.classifier);
    if (!resolved.ok()) return WithContext(resolved.status(), "classifier");
    classifier_ = *std::move(resolved);
    if (!program().is_classification()) {
      return InvalidField(
          "classifier",
          Concat("its task is ",
                 attune::v1::TaskType_Name(program().task().type()),
                 program().is_label_set() ? " with multi_label" : "",
                 "; a classification by one label is needed"));
    }
    for (const std::string& label : call_.labels) {
      if (!program().FindLabel(label).has_value()) {
        return InvalidField("labels", Concat("'", label,
                                             "' is not among the labels of the "
                                             "classifier's task"));
      }
    }
    ATTUNE_ASSIGN_OR_RETURN(text_field_,
                            FindTextField(program(), call_.text_field));
    // What a new row does not have, the template must do without.
    const absl::Status alone =
        PrepareWork(classifier_, InputOfText(text_field_, "text"), metrics_)
            .status();
    if (alone.ok()) return absl::OkStatus();
    return WithContext(
        alone, Concat("the classifier does not answer to the text_field '",
                      text_field_, "' alone"));
  }

  absl::Status ReadRows() {
    ATTUNE_ASSIGN_OR_RETURN(LabelTexts read,
                            ReadLabelTexts(program(), call_.rows, call_.labels,
                                           text_field_, hooks_.pause));
    std::vector<std::string>().swap(call_.rows);  // they may be many
    keys_ = std::move(read.keys);
    works_.reserve(call_.labels.size());
    for (size_t i = 0; i < call_.labels.size(); ++i) {
      const int place = *program().FindLabel(call_.labels[i]);
      const attune::v1::LabelWords& label = program().task().labels(place);
      works_.push_back(
          {.label = label.label(),
           .kind = label.words().empty() ? label.label() : label.words(0),
           .texts = std::move(read.texts[i]),
           // Its texts do not depend on the other labels that are asked for.
           .random = SeededRandom(call_.seed, kFirstLabelStream + place)});
    }
    return absl::OkStatus();
  }

  // The texts of the next round, none when each label has its rows or no more
  // attempts.
  absl::StatusOr<std::vector<Draft>> Write() {
    std::vector<WritingOrder> orders;
    std::vector<Draft> drafts;
    orders.reserve(kTextsOfARound);
    drafts.reserve(kTextsOfARound);
    for (LabelWork& work : works_) {
      const int64_t missing = call_.rows_per_label - work.counts.num_kept();
      const int64_t left = call_.rows_per_label * call_.max_attempts_per_row -
                           work.counts.num_generated();
      for (int64_t n = std::min(missing, left);
           n > 0 && orders.size() < kTextsOfARound; --n) {
        orders.push_back(DrawOrder(call_.num_demonstrations, work));
        drafts.push_back({.work = &work});
      }
    }
    if (drafts.empty()) return drafts;
    ATTUNE_ASSIGN_OR_RETURN(std::vector<WrittenText> texts,
                            writer_->Write(orders, hooks_.pause));
    for (size_t i = 0; i < drafts.size(); ++i) {
      drafts[i].text = OneSpaced(std::move(texts[i].text));
      if (!SaysSomething(drafts[i].text)) {
        drafts[i].reason = RejectedText::REASON_EMPTY;
      } else if (!texts[i].finished) {
        drafts[i].reason = RejectedText::REASON_UNFINISHED;
      } else if (keys_.contains(TextKey(drafts[i].text))) {
        drafts[i].reason = RejectedText::REASON_DUPLICATE;
      }
    }
    return drafts;
  }

  // Has the classifier read what nothing speaks against yet.
  absl::Status Judge(std::vector<Draft>& drafts) {
    std::vector<Draft*> asked;
    std::vector<std::unique_ptr<WorkItem>> items;
    asked.reserve(drafts.size());
    items.reserve(drafts.size());
    for (Draft& draft : drafts) {
      if (draft.reason != RejectedText::REASON_UNSPECIFIED) continue;
      absl::StatusOr<std::unique_ptr<WorkItem>> item = PrepareWork(
          classifier_, InputOfText(text_field_, draft.text), metrics_);
      if (absl::IsInvalidArgument(item.status())) {
        draft.reason = RejectedText::REASON_UNSURE;
        continue;
      }
      ATTUNE_RETURN_IF_ERROR(item.status());
      asked.push_back(&draft);
      items.push_back(*std::move(item));
    }
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<attune::v1::PredictResult> answers,
        AnswerItems(std::move(items), {}, resolver_.clock(), hooks_.pause));
    for (size_t i = 0; i < asked.size(); ++i) {
      Take(answers[i].answer().label(), *asked[i]);
    }
    return absl::OkStatus();
  }

  void Take(const attune::v1::LabelAnswer& answer, Draft& draft) const {
    draft.likeliest_label = answer.scores(0).label();
    draft.score = answer.score();
    if (draft.likeliest_label != draft.work->label) {
      draft.reason = RejectedText::REASON_OTHER_LABEL;
    } else if (answer.abstained() || answer.score() < call_.min_score) {
      draft.reason = RejectedText::REASON_UNSURE;
    }
  }

  // -> the rows that `drafts` become.
  std::vector<std::string> Keep(std::vector<Draft>& drafts) {
    std::vector<std::string> rows;
    rows.reserve(drafts.size());
    for (Draft& draft : drafts) {
      const bool keeps = draft.reason == RejectedText::REASON_UNSPECIFIED;
      // Two of a round may be the same.
      if (keeps && !keys_.insert(TextKey(draft.text)).second) {
        draft.reason = RejectedText::REASON_DUPLICATE;
      }
      Count(draft.reason, draft.work->counts);
      if (draft.reason == RejectedText::REASON_UNSPECIFIED) {
        rows.push_back(MakeRow(draft));
      } else {
        NoteRejected(draft);
      }
    }
    return rows;
  }

  std::string MakeRow(const Draft& draft) const {
    nlohmann::json row = nlohmann::json::object();
    row[text_field_] = draft.text;
    row[program().task().answer_field()] = draft.work->label;
    row[kOriginField] = "generated";
    row[kSplitField] = "train";
    return DumpFields(row);
  }

  void NoteRejected(const Draft& draft) {
    if (++num_rejected_[draft.reason] > kRejectedTextsOfAReason) return;
    RejectedText& text = rejected_.emplace_back();
    text.set_label(draft.work->label);
    text.set_text(Abbreviated(draft.text));
    text.set_reason(draft.reason);
    // Of a text that repeats another of its round the answer says nothing.
    if (draft.reason == RejectedText::REASON_DUPLICATE) return;
    text.set_likeliest_label(draft.likeliest_label);
    text.set_score(draft.score);
  }

  AugmentDatasetResponse MakeProgress() const {
    AugmentDatasetResponse progress;
    progress.set_num_rows_wanted(static_cast<int64_t>(works_.size()) *
                                 call_.rows_per_label);
    for (const LabelWork& work : works_) {
      AddCounts(work.counts, *progress.mutable_counts());
    }
    return progress;
  }

  AugmentDatasetResponse MakeResult() const {
    AugmentDatasetResponse result = MakeProgress();
    for (const LabelWork& work : works_) {
      attune::v1::LabelAugmentation& label = *result.add_labels();
      label.set_label(work.label);
      label.set_num_wanted(call_.rows_per_label);
      *label.mutable_counts() = work.counts;
    }
    for (const RejectedText& text : rejected_) {
      *result.add_rejected_texts() = text;
    }
    return result;
  }

  AugmentationCall call_;
  TargetResolver& resolver_;
  const AugmentationHooks& hooks_;
  // Texts that are written and judged here are no requests: what counts those
  // must not count these.
  Metrics own_metrics_;
  InferenceMetrics metrics_{own_metrics_};
  std::shared_ptr<const ResolvedTarget> classifier_;
  std::optional<TextWriter> writer_;
  std::string text_field_;
  std::vector<LabelWork> works_;
  std::unordered_set<RowKey, RowKeyHash> keys_;  // of all texts there are
  std::array<int, RejectedText::Reason_ARRAYSIZE> num_rejected_ = {};
  std::vector<RejectedText> rejected_;
};

}  // namespace

absl::StatusOr<AugmentDatasetResponse> AugmentRows(
    AugmentationCall call, TargetResolver& resolver,
    const AugmentationHooks& hooks) {
  return CatchTorchErrors("augmentation", [&] {
    return RowAugmentation(std::move(call), resolver, hooks).Run();
  });
}

}  // namespace attune::worker
