#include "worker/tuning/data_order.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/types/span.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

// Keeps the orders of passes apart from the seed's other uses.
constexpr uint64_t kFirstStream = 1'000;
// Batches whose rows are put together by length.
constexpr int64_t kBatchesInWindow = 16;

// Puts rows of about one length next to each other in runs of `batch_size`,
// which divides their number, and shuffles the runs.
void GroupByLength(const std::vector<int64_t>& lengths, int64_t batch_size,
                   SeededRandom& random, absl::Span<size_t> rows) {
  std::vector<size_t> sorted(rows.begin(), rows.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](size_t a, size_t b) { return lengths[a] < lengths[b]; });
  std::vector<int64_t> batches(rows.size() / batch_size);
  std::iota(batches.begin(), batches.end(), int64_t{0});
  random.Shuffle(batches);
  auto next = rows.begin();
  for (int64_t batch : batches) {
    next = std::copy_n(sorted.begin() + batch * batch_size, batch_size, next);
  }
}

std::vector<std::vector<size_t>> RowsByLabel(const std::vector<int>& labels) {
  std::vector<std::vector<size_t>> rows(
      labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end()) + 1);
  for (size_t row = 0; row < labels.size(); ++row) {
    rows[labels[row]].push_back(row);
  }
  return rows;
}

// All rows, each label's shuffled and spread evenly (systematic sampling).
std::vector<size_t> SpreadLabels(
    const std::vector<std::vector<size_t>>& rows_of_label,
    SeededRandom& random) {
  std::vector<std::pair<double, size_t>> places;
  for (std::vector<size_t> rows : rows_of_label) {
    random.Shuffle(rows);
    const double first = random.Uniform();
    for (size_t i = 0; i < rows.size(); ++i) {
      places.emplace_back(
          (static_cast<double>(i) + first) / static_cast<double>(rows.size()),
          rows[i]);
    }
  }
  std::sort(places.begin(), places.end());
  std::vector<size_t> order;
  order.reserve(places.size());
  for (const auto& [place, row] : places) order.push_back(row);
  return order;
}

}  // namespace

DataOrder::DataOrder(int64_t num_rows, uint64_t seed)
    : num_rows_(num_rows), seed_(seed), order_(num_rows) {}

DataOrder::DataOrder(std::vector<int64_t> lengths, int64_t batch_size,
                     uint64_t seed)
    : num_rows_(static_cast<int64_t>(lengths.size())),
      seed_(seed),
      lengths_(std::move(lengths)),
      batch_size_(batch_size),
      order_(num_rows_) {}

DataOrder::DataOrder(const std::vector<int>& labels, uint64_t seed)
    : num_rows_(static_cast<int64_t>(labels.size())),
      seed_(seed),
      rows_of_label_(RowsByLabel(labels)),
      order_(num_rows_) {}

std::vector<size_t> DataOrder::Take(int64_t rows_taken, int64_t count) {
  std::vector<size_t> rows;
  for (int64_t i = rows_taken; i < rows_taken + count; ++i) {
    if (i / num_rows_ != pass_) MakePass(i / num_rows_);
    rows.push_back(order_[i % num_rows_]);
  }
  return rows;
}

void DataOrder::MakePass(int64_t pass) {
  pass_ = pass;
  SeededRandom random(seed_, kFirstStream + static_cast<uint64_t>(pass));
  if (!rows_of_label_.empty()) {
    order_ = SpreadLabels(rows_of_label_, random);
    return;
  }
  std::iota(order_.begin(), order_.end(), size_t{0});
  random.Shuffle(order_);
  if (batch_size_ == 0) return;
  // The first rows complete a batch of the pass before, the last ones begin
  // one that the next pass completes.
  const int64_t taken = pass * num_rows_;
  int64_t begin = (batch_size_ - taken % batch_size_) % batch_size_;
  while (begin + batch_size_ <= num_rows_) {
    const int64_t batches =
        std::min(kBatchesInWindow, (num_rows_ - begin) / batch_size_);
    GroupByLength(lengths_, batch_size_, random,
                  absl::MakeSpan(order_).subspan(begin, batches * batch_size_));
    begin += batches * batch_size_;
  }
}

}  // namespace attune::worker
