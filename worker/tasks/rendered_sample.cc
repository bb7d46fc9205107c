#include "worker/tasks/rendered_sample.h"

#include <algorithm>

#include "worker/tasks/shown_text.h"

namespace attune::worker {
namespace {

using attune::v1::RenderedSample;

constexpr size_t kMaxSampleBytes = 4'000;

}  // namespace

std::vector<RenderedSample> RenderSamples(
    const TaskProgram& program, const std::string& split,
    const std::vector<PreparedExample>& rows, int count) {
  const size_t shown = std::min(rows.size(), static_cast<size_t>(count));
  std::vector<RenderedSample> samples;
  samples.reserve(shown);
  for (size_t i = 0; i < shown; ++i) {
    const PreparedExample& row = rows[i * rows.size() / shown];
    RenderedSample& sample = samples.emplace_back();
    sample.set_split(split);
    sample.set_row(row.row);
    sample.set_input(
        Abbreviated(DecodedInput(program, row.input), kMaxSampleBytes));
    sample.set_answer(Abbreviated(RightText(program, row)));
    sample.set_num_tokens(static_cast<int64_t>(row.input.ids.size()));
    sample.set_truncated(row.input.truncated);
  }
  return samples;
}

}  // namespace attune::worker
