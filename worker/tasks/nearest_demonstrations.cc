#include "worker/tasks/nearest_demonstrations.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/plain_text.h"

namespace attune::worker {
namespace {

using nlohmann::json;

// a of the weights.
constexpr double kSmoothing = 1e-3;
// What a longer text is about stands in its beginning.
constexpr size_t kMaxEmbeddedBytes = size_t{64} << 10;
// Numbers of the table that are read at once: too few for LibTorch to call for
// other threads.
constexpr size_t kMaxNumbersRead = 16'384;
// The power iteration ends when a step changes less than this (squared), which
// it does after some twenty where the vectors have much in common, as those of
// texts do.
constexpr double kLeastChange = 1e-20;
constexpr int kMaxPowerSteps = 500;
// Less than this part of a vector is what rounding leaves of it.
constexpr double kRoundingShare = 1e-6;

void AppendWords(const json& value, std::string& text) {
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      text += Concat(" ", key);
      AppendWords(item, text);
    }
  } else if (value.is_array()) {
    for (const json& item : value) AppendWords(item, text);
  } else if (value.is_string()) {
    text += Concat(" ", value.get_ref<const std::string&>());
  } else {
    text += Concat(" ", value.dump());
  }
}

double DotProduct(absl::Span<const float> a, absl::Span<const double> b) {
  // Four sums side by side, since one would wait for each of its additions.
  std::array<double, 4> sums = {};
  size_t i = 0;
  for (; i + sums.size() <= a.size(); i += sums.size()) {
    for (size_t k = 0; k < sums.size(); ++k) {
      sums[k] += static_cast<double>(a[i + k]) * b[i + k];
    }
  }
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void AddScaled(double scale, absl::Span<const float> row,
               std::vector<double>& sum) {
  for (size_t i = 0; i < sum.size(); ++i) {
    sum[i] += scale * static_cast<double>(row[i]);
  }
}

double LengthOf(const std::vector<double>& vector) {
  double squares = 0;
  for (const double value : vector) squares += value * value;
  return std::sqrt(squares);
}

// Brings a vector to length 1; false, and zeros, if it is not longer than
// `least` or no vector of numbers.
bool ScaleToUnit(double least, std::vector<double>& vector) {
  const double length = LengthOf(vector);
  const bool has_direction = std::isfinite(length) && length > least;
  for (double& value : vector) value = has_direction ? value / length : 0;
  return has_direction;
}

double SquaredDistance(const std::vector<double>& a,
                       const std::vector<double>& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    squares += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return squares;
}

// The first principal component of `vectors` [n, width], which are not centred:
// the unit vector along which the sum of their squares is largest. Zeros if
// there is none.
std::vector<double> FirstComponent(absl::Span<const float> vectors,
                                   size_t width) {
  const size_t count = vectors.size() / width;
  const auto row = [&](size_t i) { return vectors.subspan(i * width, width); };
  // What they have in common is mostly their sum.
  std::vector<double> component(width, 0);
  for (size_t i = 0; i < count; ++i) AddScaled(1, row(i), component);
  bool has_direction = ScaleToUnit(0, component);
  for (size_t i = 0; i < count && !has_direction; ++i) {
    AddScaled(1, row(i), component);
    has_direction = ScaleToUnit(0, component);
  }
  for (int step = 0; step < kMaxPowerSteps && has_direction; ++step) {
    std::vector<double> next(width, 0);
    for (size_t i = 0; i < count; ++i) {
      AddScaled(DotProduct(row(i), component), row(i), next);
    }
    has_direction = ScaleToUnit(0, next);
    const double change = SquaredDistance(next, component);
    component = std::move(next);
    if (change < kLeastChange) break;
  }
  return component;
}

}  // namespace

std::string QuestionText(const std::set<std::string>& names,
                         const json& fields) {
  std::string text;
  for (const std::string& name : names) {
    const auto field = fields.find(name);
    if (field != fields.end()) AppendWords(*field, text);
  }
  return text;
}

NearestDemonstrations::NearestDemonstrations(const Tokenizer& tokenizer,
                                             const BaseModel& model)
    : tokenizer_(tokenizer),
      model_(model),
      width_(static_cast<size_t>(model.config().embedding_dim)),
      common_(width_, 0) {}

absl::StatusOr<std::unique_ptr<const NearestDemonstrations>>
NearestDemonstrations::Create(const std::vector<std::string>& pool,
                              const Tokenizer& tokenizer,
                              const BaseModel& model) {
  std::unique_ptr<NearestDemonstrations> nearest(
      new NearestDemonstrations(tokenizer, model));
  ATTUNE_RETURN_IF_ERROR(nearest->AddTexts(pool));
  return std::unique_ptr<const NearestDemonstrations>(std::move(nearest));
}

absl::Status NearestDemonstrations::AddTexts(
    const std::vector<std::string>& pool) {
  std::vector<std::vector<TokenCount>> tokens;
  tokens.reserve(pool.size());
  texts_.reserve(pool.size());
  double total = 0;
  for (const std::string& text : pool) {
    texts_.push_back(OneSpaced(text));
    ATTUNE_ASSIGN_OR_RETURN(std::vector<TokenCount> counted,
                            CountTokens(texts_.back()));
    for (const TokenCount& one : counted) {
      shares_[one.id] += static_cast<double>(one.count);
      total += static_cast<double>(one.count);
    }
    tokens.push_back(std::move(counted));
  }
  for (auto& [id, share] : shares_) share /= total;
  vectors_.reserve(pool.size() * width_);
  for (const std::vector<TokenCount>& counted : tokens) {
    const std::vector<double> mean = MeanOf(counted);
    vectors_.insert(vectors_.end(), mean.begin(), mean.end());
  }
  common_ = FirstComponent(vectors_, width_);
  for (size_t i = 0; i < texts_.size(); ++i) {
    const absl::Span<float> row =
        absl::MakeSpan(vectors_).subspan(i * width_, width_);
    std::vector<double> vector(row.begin(), row.end());
    Finish(vector);
    std::copy(vector.begin(), vector.end(), row.begin());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NearestDemonstrations::TokenCount>>
NearestDemonstrations::CountTokens(const std::string& text) const {
  if (text.empty()) return std::vector<TokenCount>();
  // Behind a space, so that the first word is the token that it is elsewhere.
  absl::StatusOr<Encoding> tokens =
      tokenizer_.Encode(Concat(" ", BeginningOf(text, kMaxEmbeddedBytes)),
                        /*add_special_tokens=*/false);
  if (!tokens.ok()) {
    return MakeError(Reason::kInvalidData, ToStd(tokens.status().message()));
  }
  std::sort(tokens->ids.begin(), tokens->ids.end());
  std::vector<TokenCount> counted;
  for (const int64_t id : tokens->ids) {
    if (counted.empty() || counted.back().id != id) counted.push_back({id, 0});
    ++counted.back().count;
  }
  return counted;
}

std::vector<double> NearestDemonstrations::MeanOf(
    const std::vector<TokenCount>& tokens) const {
  const at::NoGradGuard no_grad;
  std::vector<double> mean(width_, 0);
  double total = 0;
  for (const TokenCount& one : tokens) total += static_cast<double>(one.count);
  const size_t step = std::max<size_t>(1, kMaxNumbersRead / width_);
  for (size_t begin = 0; begin < tokens.size(); begin += step) {
    const size_t end = std::min(begin + step, tokens.size());
    std::vector<int64_t> ids;
    ids.reserve(end - begin);
    for (size_t i = begin; i < end; ++i) ids.push_back(tokens[i].id);
    const at::Tensor rows =
        model_.Embed(at::tensor(ids, at::kLong).to(model_.device()))
            .to(at::kCPU)
            .contiguous();
    const absl::Span<const float> numbers(rows.data_ptr<float>(),
                                          ids.size() * width_);
    for (size_t i = begin; i < end; ++i) {
      const auto share = shares_.find(tokens[i].id);
      const double p = share == shares_.end() ? 0 : share->second;
      AddScaled(static_cast<double>(tokens[i].count) / total * kSmoothing /
                    (kSmoothing + p),
                numbers.subspan((i - begin) * width_, width_), mean);
    }
  }
  return mean;
}

void NearestDemonstrations::Finish(std::vector<double>& mean) const {
  const double least = kRoundingShare * LengthOf(mean);
  double along = 0;
  for (size_t i = 0; i < width_; ++i) along += mean[i] * common_[i];
  for (size_t i = 0; i < width_; ++i) mean[i] -= along * common_[i];
  ScaleToUnit(least, mean);
}

absl::StatusOr<std::vector<size_t>> NearestDemonstrations::Nearest(
    std::string_view text, size_t count) const {
  const std::string wanted = OneSpaced(std::string(text));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenCount> tokens,
                          CountTokens(wanted));
  std::vector<double> query = MeanOf(tokens);
  Finish(query);
  std::vector<double> cosines;
  cosines.reserve(texts_.size());
  std::vector<size_t> places;
  places.reserve(texts_.size());
  for (size_t i = 0; i < texts_.size(); ++i) {
    cosines.push_back(DotProduct(VectorAt(i), query));
    if (texts_[i] != wanted) places.push_back(i);
  }
  count = std::min(count, places.size());
  const auto end = places.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(places.begin(), end, places.end(), [&](size_t a, size_t b) {
    return cosines[a] != cosines[b] ? cosines[a] > cosines[b] : a < b;
  });
  places.erase(end, places.end());
  return places;
}

size_t NearestDemonstrations::num_bytes() const {
  constexpr size_t kBytesOfAShare = 48;  // with its node
  size_t bytes =
      vectors_.size() * sizeof(float) + shares_.size() * kBytesOfAShare;
  for (const std::string& text : texts_) bytes += sizeof(text) + text.size();
  return bytes;
}

}  // namespace attune::worker
