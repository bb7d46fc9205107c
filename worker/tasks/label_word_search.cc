#include "worker/tasks/label_word_search.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/metrics/code_points.h"
#include "worker/models/encoder_model.h"
#include "worker/models/language_model.h"
#include "worker/models/model_store.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/encoder_batch.h"
#include "worker/tasks/language_batch.h"
#include "worker/tasks/pass_size.h"
#include "worker/tasks/spaced_answer.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

// Sums of log-probabilities that are kept: 64 MiB.
constexpr size_t kMaxWordSums = size_t{1} << 23;
// Examples whose logits, each as long as the vocabulary, are there at once.
constexpr size_t kVocabularyRows = 64;

constexpr size_t kMinLetters = 2;

struct CodePointRange {
  char32_t first = 0;
  char32_t last = 0;
};

// Where no letters are beyond ASCII, to be left out of label words. Signs of
// single scripts are not all among them.
constexpr CodePointRange kSigns[] = {
    {0x80, 0xBF},        // controls and signs of Latin-1
    {0xD7, 0xD7},        // multiplication
    {0xF7, 0xF7},        // division
    {0x2000, 0x2BFF},    // punctuation, currencies, arrows, symbols
    {0x3000, 0x303F},    // punctuation of Chinese and Japanese
    {0xE000, 0xF8FF},    // private use
    {0xFE00, 0xFE6F},    // variants and forms of punctuation
    {0xFF00, 0xFF20},    // full-width punctuation and digits
    {0xFFF0, 0xFFFF},    // U+FFFD stands for bytes that are no text
    {0x1F000, 0x1FFFF},  // pictographs
};

bool IsWordLetter(char32_t code_point) {
  if (code_point < 0x80) {
    return (code_point >= 'a' && code_point <= 'z') ||
           (code_point >= 'A' && code_point <= 'Z');
  }
  return std::none_of(std::begin(kSigns), std::end(kSigns),
                      [code_point](const CodePointRange& range) {
                        return code_point >= range.first &&
                               code_point <= range.last;
                      });
}

bool IsWholeWord(std::string_view text) {
  size_t letters = 0;
  while (!text.empty()) {
    if (!IsWordLetter(TakeCodePoint(text))) return false;
    ++letters;
  }
  return letters >= kMinLetters;
}

// The token that a word is as LabelTokens encodes it; -1 if it is several.
absl::StatusOr<int64_t> OnlyTokenOf(const Tokenizer& tokenizer,
                                    std::string_view word, bool bare) {
  ATTUNE_ASSIGN_OR_RETURN(const Encoding encoding,
                          tokenizer.Encode(SpacedAnswer(word, bare),
                                           /*add_special_tokens=*/false));
  return encoding.ids.size() == 1 ? encoding.ids.front() : int64_t{-1};
}

// Those of the task's words that are one token.
absl::StatusOr<std::unordered_set<int64_t>> TokensOfOwnWords(
    const TaskProgram& program, bool bare) {
  std::unordered_set<int64_t> tokens;
  for (const attune::v1::LabelWords& label : program.task().labels()) {
    for (const std::string& word : label.words()) {
      ATTUNE_ASSIGN_OR_RETURN(
          const int64_t token,
          OnlyTokenOf(*program.model().tokenizer, word, bare));
      tokens.insert(token);
    }
  }
  return tokens;
}

// Words that could be found.
struct WordCandidates {
  std::vector<std::string> words;
  // For each form that was asked for, of each word.
  std::vector<std::vector<int64_t>> tokens;
};

// At most `max_words`, in the order of their tokens. `forms`: whether words
// stand bare; one or both, false first.
absl::StatusOr<WordCandidates> FindWordCandidates(
    const TaskProgram& program, const std::vector<bool>& forms,
    size_t max_words) {
  const Tokenizer& tokenizer = *program.model().tokenizer;
  ATTUNE_ASSIGN_OR_RETURN(const std::unordered_set<int64_t> own,
                          TokensOfOwnWords(program, forms.front()));
  WordCandidates found;
  found.tokens.resize(forms.size());
  const int64_t vocab_size = program.model().info.config.vocab_size;
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (found.words.size() >= max_words) break;
    if (own.contains(id) || id == program.end_token()) continue;
    ATTUNE_ASSIGN_OR_RETURN(const std::string text,
                            tokenizer.Decode(std::span<const int64_t>(&id, 1),
                                             /*skip_special_tokens=*/true));
    std::string_view word = text;
    if (word.starts_with(' ')) word.remove_prefix(1);
    if (!IsWholeWord(word)) continue;
    std::vector<int64_t> tokens;
    tokens.reserve(forms.size());
    for (const bool bare : forms) {
      ATTUNE_ASSIGN_OR_RETURN(const int64_t token,
                              OnlyTokenOf(tokenizer, word, bare));
      tokens.push_back(token);
    }
    // Other tokens may be the same word, with a space or without.
    if (tokens.front() != id || tokens.back() < 0) continue;
    found.words.emplace_back(word);
    for (size_t form = 0; form < forms.size(); ++form) {
      found.tokens[form].push_back(tokens[form]);
    }
  }
  return found;
}

// Measures words on examples. Made for one call of FindLabelWords.
class LabelWordSearch {
 public:
  LabelWordSearch(const TaskProgram& program,
                  absl::Span<const PreparedExample> examples,
                  const LabelWordOptions& options)
      : program_(program), examples_(examples), options_(options) {}

  absl::StatusOr<std::vector<std::vector<std::string>>> Run() {
    std::vector<std::vector<std::string>> words(program_.labels().size());
    CountExamples();
    if (num_compared_ < 2) return words;
    ATTUNE_ASSIGN_OR_RETURN(
        candidates_,
        FindWordCandidates(program_, forms_,
                           kMaxWordSums / static_cast<size_t>(num_compared_)));
    if (candidates_.words.empty()) return words;
    ATTUNE_RETURN_IF_ERROR(MeasureAll());
    const std::vector<std::vector<size_t>> chosen =
        ChooseLabelWords(evidence_, options_.words_per_label);
    for (size_t label = 0; label < words.size(); ++label) {
      words[label].reserve(chosen[label].size());
      for (const size_t place : chosen[label]) {
        words[label].push_back(candidates_.words[place]);
      }
    }
    return words;
  }

 private:
  using Examples = absl::Span<const PreparedExample>;

  // Whether label words stand bare as the answer to `example`.
  bool IsBare(const PreparedExample& example) const {
    return program_.scores_behind_text() && example.input.bare_answer;
  }

  // Learns which labels have examples, and which forms their answers.
  void CountExamples() {
    evidence_.num_examples.assign(program_.labels().size(), 0);
    bool asked[] = {false, false};
    for (const PreparedExample& example : examples_) {
      ++evidence_.num_examples[example.label];
      asked[IsBare(example) ? 1 : 0] = true;
    }
    for (const bool bare : {false, true}) {
      if (asked[bare ? 1 : 0]) forms_.push_back(bare);
    }
    num_compared_ = std::count_if(
        evidence_.num_examples.begin(), evidence_.num_examples.end(),
        [](int64_t num_examples) { return num_examples > 0; });
  }

  absl::Status MeasureAll() {
    const size_t num_words = candidates_.words.size();
    evidence_.likelihoods.assign(num_words, 0);
    evidence_.sums.resize(evidence_.num_examples.size());
    for (size_t label = 0; label < evidence_.sums.size(); ++label) {
      if (evidence_.num_examples[label] == 0) continue;
      evidence_.sums[label].assign(num_words, 0);
    }
    for (Examples rest = examples_; !rest.empty();) {
      const size_t size =
          PassSize(rest, options_.max_rows, [](const PreparedExample& example) {
            return static_cast<int64_t>(example.input.ids.size());
          });
      if (options_.before_pass) {
        ATTUNE_RETURN_IF_ERROR(options_.before_pass(
            static_cast<int64_t>(examples_.size() - rest.size())));
      }
      ATTUNE_RETURN_IF_ERROR(RunPass(rest.first(size)));
      rest.remove_prefix(size);
    }
    return absl::OkStatus();
  }

  absl::Status RunPass(Examples batch) {
    return CatchTorchErrors("finding label words", [&]() -> absl::Status {
      const at::NoGradGuard no_grad;
      ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, HiddenAtAnswers(batch));
      for (size_t form = 0; form < forms_.size(); ++form) {
        const bool bare = forms_[form];
        std::vector<int64_t> places;
        for (size_t i = 0; i < batch.size(); ++i) {
          if (IsBare(batch[i]) != bare) continue;
          places.push_back(static_cast<int64_t>(i));
        }
        for (absl::Span<const int64_t> rest = places; !rest.empty();) {
          const size_t size = std::min(kVocabularyRows, rest.size());
          ATTUNE_RETURN_IF_ERROR(
              AddUp(hidden, batch, rest.first(size), candidates_.tokens[form]));
          rest.remove_prefix(size);
        }
      }
      return absl::OkStatus();
    });
  }

  // -> what predicts the answer to each example of `batch`: [examples, dim].
  absl::StatusOr<at::Tensor> HiddenAtAnswers(Examples batch) const {
    std::vector<int64_t> rows;
    rows.reserve(batch.size());
    if (program_.scores_at_mask()) {
      const EncoderModel& model = program_.model().encoder();
      EncoderBatch texts;
      for (const PreparedExample& example : batch) {
        texts.AddText(example.input.ids, /*rows=*/at::Tensor(),
                      /*prefix=*/nullptr);
        rows.push_back(texts.texts().back().text_begin() +
                       example.input.mask_place);
      }
      ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                              model.Forward(texts.Build(model)));
      return hidden.index_select(0, OnDevice(rows));
    }
    LanguageBatch texts(program_.model().language());
    std::vector<BatchText> added;
    added.reserve(batch.size());
    for (const PreparedExample& example : batch) {
      added.push_back({.text = example.input.ids});
    }
    for (const int segment : texts.AddTexts(added)) {
      rows.push_back(texts.RowBehindText(segment));
    }
    return texts.Run(std::move(rows));
  }

  // hidden: [n, dim] -> [n, vocab]
  absl::StatusOr<at::Tensor> LogitsOf(const at::Tensor& hidden) const {
    const LoadedModel& model = program_.model();
    if (program_.scores_at_mask()) return model.encoder().HeadLogits(hidden);
    return model.language().Logits(hidden);
  }

  // Adds the examples at `places` of `batch` to the evidence. hidden: of all of
  // it, [examples, dim]; tokens: of the words, as these examples have them.
  absl::Status AddUp(const at::Tensor& hidden, Examples batch,
                     absl::Span<const int64_t> places,
                     absl::Span<const int64_t> tokens) {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor logits,
                            LogitsOf(hidden.index_select(0, OnDevice(places))));
    const at::Tensor scores =
        (logits.index_select(1, OnDevice(tokens)).to(at::kCPU, at::kDouble) -
         logits.logsumexp(/*dim=*/1, /*keepdim=*/true)
             .to(at::kCPU, at::kDouble))
            .contiguous();
    const double* next = scores.const_data_ptr<double>();
    for (const int64_t place : places) {
      const int label = batch[place].label;
      std::vector<double>& sums = evidence_.sums[label];
      const double share =
          1.0 /
          static_cast<double>(evidence_.num_examples[label] * num_compared_);
      for (size_t word = 0; word < sums.size(); ++word) {
        sums[word] += next[word];
        evidence_.likelihoods[word] += share * std::exp(next[word]);
      }
      next += sums.size();
    }
    return absl::OkStatus();
  }

  at::Tensor OnDevice(absl::Span<const int64_t> values) const {
    return at::tensor(at::IntArrayRef(values.data(), values.size()), at::kLong)
        .to(program_.model().model->device());
  }

  const TaskProgram& program_;
  const Examples examples_;
  const LabelWordOptions& options_;
  std::vector<bool> forms_;   // of the examples' answers: whether they are bare
  int64_t num_compared_ = 0;  // labels with examples
  WordCandidates candidates_;
  LabelWordEvidence evidence_;
};

// The places of the likeliest words, in that order.
std::vector<size_t> LikeliestWords(const std::vector<double>& likelihoods) {
  std::vector<size_t> places;
  places.reserve(likelihoods.size());
  for (size_t place = 0; place < likelihoods.size(); ++place) {
    // NaN, which has no place in an order, is not.
    if (likelihoods[place] > 0) places.push_back(place);
  }
  const size_t size = std::min(kMaxLikelyWords, places.size());
  std::partial_sort(places.begin(), places.begin() + size, places.end(),
                    [&](size_t a, size_t b) {
                      return likelihoods[a] != likelihoods[b]
                                 ? likelihoods[a] > likelihoods[b]
                                 : a < b;
                    });
  places.resize(size);
  return places;
}

// What a word scores for the label that it suits best; none: 0.
struct BestLabel {
  size_t label = 0;
  double score = 0;
};

BestLabel BestLabelOf(const LabelWordEvidence& evidence, int64_t num_examples,
                      size_t word) {
  double total = 0;
  for (const std::vector<double>& sums : evidence.sums) {
    if (!sums.empty()) total += sums[word];
  }
  BestLabel best;
  for (size_t label = 0; label < evidence.sums.size(); ++label) {
    const int64_t count = evidence.num_examples[label];
    if (count == 0 || count == num_examples) continue;
    const double sum = evidence.sums[label][word];
    const double score =
        sum / static_cast<double>(count) -
        (total - sum) / static_cast<double>(num_examples - count);
    // Infinite where the model rules the word out.
    if (std::isfinite(score) && score > best.score) best = {label, score};
  }
  return best;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<std::string>>> FindLabelWords(
    const TaskProgram& program, absl::Span<const PreparedExample> examples,
    const LabelWordOptions& options) {
  return LabelWordSearch(program, examples, options).Run();
}

std::vector<std::vector<size_t>> ChooseLabelWords(
    const LabelWordEvidence& evidence, int words_per_label) {
  struct Scored {
    size_t word = 0;
    double score = 0;
  };
  const int64_t num_examples = std::accumulate(
      evidence.num_examples.begin(), evidence.num_examples.end(), int64_t{0});
  std::vector<std::vector<Scored>> scored(evidence.num_examples.size());
  for (const size_t word : LikeliestWords(evidence.likelihoods)) {
    const BestLabel best = BestLabelOf(evidence, num_examples, word);
    if (best.score > 0) scored[best.label].push_back({word, best.score});
  }
  std::vector<std::vector<size_t>> chosen(scored.size());
  for (size_t label = 0; label < scored.size(); ++label) {
    std::vector<Scored>& words = scored[label];
    std::sort(words.begin(), words.end(), [](const Scored& a, const Scored& b) {
      return a.score != b.score ? a.score > b.score : a.word < b.word;
    });
    words.resize(std::min(words.size(),
                          static_cast<size_t>(std::max(0, words_per_label))));
    chosen[label].reserve(words.size());
    for (const Scored& one : words) chosen[label].push_back(one.word);
  }
  return chosen;
}

}  // namespace attune::worker
