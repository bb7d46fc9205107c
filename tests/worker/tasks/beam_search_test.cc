#include "worker/tasks/beam_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using BeamIds = std::vector<int64_t>;
// The logits behind a text.
using LogitsOf = std::function<std::vector<float>(const BeamIds& ids)>;

absl::StatusOr<bool> NeverEnds(const BeamIds&) { return false; }

absl::Status Step(const LogitsOf& logits_of, BeamSearch& search) {
  std::vector<float> logits;
  for (const BeamSearch::Beam& beam : search.beams()) {
    const std::vector<float> own = logits_of(beam.ids);
    logits.insert(logits.end(), own.begin(), own.end());
  }
  return search.Advance(logits, NeverEnds);
}

void RunToTheEnd(const LogitsOf& logits_of, BeamSearch& search) {
  while (!search.finished()) ASSERT_OK(Step(logits_of, search));
}

// Logits that are probabilities' logarithms.
std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  logits.reserve(probabilities.size());
  for (double one : probabilities) {
    logits.push_back(static_cast<float>(std::log(one)));
  }
  return logits;
}

// Token 0 ends a text. The likeliest first token, 1, leads to unlikely texts.
std::vector<float> Garden(const BeamIds& ids) {
  if (ids.empty()) return Logs({0.01, 0.59, 0.4});
  return ids.back() == 1 ? Logs({0.34, 0.33, 0.33}) : Logs({0.9, 0.05, 0.05});
}

TEST(BeamSearch, FindsATextThatBeginsLessLikely) {
  BeamSearch search({.num_beams = 2, .max_new_tokens = 2, .end_tokens = {0}});

  RunToTheEnd(Garden, search);

  const BeamSearch::Hypothesis& best = search.hypotheses().front();
  EXPECT_THAT(best.ids, ElementsAre(2));
  EXPECT_TRUE(best.ended);
  EXPECT_NEAR(best.score, std::log(0.4 * 0.9) / 2, 1e-6);
}

TEST(BeamSearch, BeamsAreTheLikeliestTextsAndKnowTheirParents) {
  BeamSearch search({.num_beams = 2, .max_new_tokens = 9, .end_tokens = {0}});
  EXPECT_THAT(search.beams(), SizeIs(1));

  ASSERT_OK(Step(Garden, search));

  ASSERT_THAT(search.beams(), SizeIs(2));
  EXPECT_THAT(search.beams()[0].ids, ElementsAre(1));
  EXPECT_THAT(search.beams()[1].ids, ElementsAre(2));
  EXPECT_NEAR(search.beams()[1].log_probability, std::log(0.4), 1e-6);

  ASSERT_OK(Step(Garden, search));

  // 2 0 and 1 0 have ended; 2 1 is less likely than both that go on.
  EXPECT_THAT(search.hypotheses(), SizeIs(2));
  ASSERT_THAT(search.beams(), SizeIs(2));
  EXPECT_THAT(search.beams()[0].ids, ElementsAre(1, 1));
  EXPECT_THAT(search.beams()[1].ids, ElementsAre(1, 2));
  EXPECT_EQ(search.beams()[1].parent, 0u);
}

TEST(BeamSearch, OfEqualTextsTheLowerIdsWin) {
  BeamSearch search({.num_beams = 2, .max_new_tokens = 5});
  const auto even = [](const BeamIds&) { return std::vector<float>(4, 0.5f); };

  ASSERT_OK(Step(even, search));
  ASSERT_OK(Step(even, search));

  EXPECT_THAT(search.beams()[0].ids, ElementsAre(0, 0));
  EXPECT_THAT(search.beams()[1].ids, ElementsAre(0, 1));
}

TEST(BeamSearch, WhatIsCutHasNotEnded) {
  BeamSearch search({.num_beams = 3, .max_new_tokens = 1});

  RunToTheEnd(Garden, search);

  EXPECT_THAT(search.beams(), IsEmpty());
  ASSERT_THAT(search.hypotheses(), SizeIs(3));
  EXPECT_THAT(search.hypotheses()[0].ids, ElementsAre(1));
  EXPECT_FALSE(search.hypotheses()[0].ended);
}

TEST(BeamSearch, ATextMayEndByNoEndToken) {
  BeamSearch search({.num_beams = 2, .max_new_tokens = 9});

  ASSERT_OK(search.Advance(Garden({}), [](const BeamIds& ids) {
    return absl::StatusOr<bool>(ids.back() == 1);
  }));

  ASSERT_THAT(search.hypotheses(), SizeIs(1));
  EXPECT_THAT(search.hypotheses()[0].ids, ElementsAre(1));
  EXPECT_TRUE(search.hypotheses()[0].ended);
  EXPECT_THAT(search.beams(), SizeIs(2));
}

TEST(BeamSearch, ItsErrorEndsTheStep) {
  BeamSearch search({});

  EXPECT_THAT(search.Advance(Garden({}),
                             [](const BeamIds&) -> absl::StatusOr<bool> {
                               return absl::DataLossError("no text");
                             }),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no text")));
}

TEST(BeamSearch, EnoughGoOnWhereThereAreSeveralEndTokens) {
  BeamSearch search(
      {.num_beams = 1, .max_new_tokens = 9, .end_tokens = {0, 1}});

  ASSERT_OK(search.Advance(std::vector<float>{5, 4, 3, 2, 1}, NeverEnds));

  ASSERT_THAT(search.beams(), SizeIs(1));
  EXPECT_THAT(search.beams()[0].ids, ElementsAre(2));
  EXPECT_THAT(search.hypotheses(), SizeIs(1));
}

TEST(BeamSearch, IsOverWhenNoBeamMayDoBetter) {
  // Both beams end at once with most of what there is.
  BeamSearch search({.num_beams = 2, .max_new_tokens = 99, .end_tokens = {0}});
  const auto ends = [](const BeamIds& ids) {
    return ids.empty() ? Logs({0.0001, 0.5, 0.4999}) : Logs({0.98, 0.01, 0.01});
  };

  ASSERT_OK(Step(ends, search));
  ASSERT_OK(Step(ends, search));

  EXPECT_TRUE(search.finished());
  EXPECT_THAT(search.hypotheses()[0].ids, ElementsAre(1));
}

TEST(BeamSearch, ATokenThatNeverFollowsIsNoCandidate) {
  BeamSearch search({.num_beams = 2, .max_new_tokens = 9});
  const float never = -std::numeric_limits<float>::infinity();

  ASSERT_OK(search.Advance(std::vector<float>{never, 1, never}, NeverEnds));

  ASSERT_THAT(search.beams(), SizeIs(1));
  EXPECT_THAT(search.beams()[0].ids, ElementsAre(1));
}

TEST(BeamSearch, LogitsThatAreNotFiniteAreAnError) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    BeamSearch search({});

    EXPECT_THAT(search.Advance(std::vector<float>{1, bad, 2}, NeverEnds),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("finite")));
  }
}

// Logits without any order, which differ from text to text.
std::vector<float> Scrambled(const BeamIds& ids) {
  uint32_t state = 17;
  for (int64_t id : ids) state = state * 747796405u + 2891336453u + id;
  std::vector<float> logits;
  for (int i = 0; i < 4; ++i) {
    state = state * 747796405u + 2891336453u;
    logits.push_back(static_cast<float>(state >> 16) / 16384.0f);
  }
  return logits;
}

struct Found {
  BeamIds ids;
  double score = -1e30;
  int count = 0;  // of all texts
};

// Tries every text of at most `most` tokens behind `ids`; token 0 ends one.
void TryAll(const BeamIds& ids, double log_probability, size_t most,
            double penalty, Found& found) {
  const std::vector<float> logits = Scrambled(ids);
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit);
  for (int64_t id = 0; id < 4; ++id) {
    const double total = log_probability + logits[id] - std::log(sum);
    BeamIds text = ids;
    if (id > 0) text.push_back(id);
    if (id > 0 && text.size() < most) {
      TryAll(text, total, most, penalty, found);
      continue;
    }
    ++found.count;
    const double score =
        total / std::pow(static_cast<double>(ids.size() + 1), penalty);
    if (score > found.score) {
      found.ids = text;
      found.score = score;
    }
  }
}

TEST(BeamSearch, WideEnoughItFindsTheBestOfAllTexts) {
  for (const double penalty : {0.0, 1.0, 2.0, -1.0}) {
    Found best;
    TryAll({}, 0, 4, penalty, best);
    ASSERT_EQ(best.count, 121);
    BeamSearch search({.num_beams = 130,
                       .length_penalty = penalty,
                       .max_new_tokens = 4,
                       .end_tokens = {0}});

    RunToTheEnd(Scrambled, search);

    EXPECT_THAT(search.hypotheses(), SizeIs(best.count));
    EXPECT_EQ(search.hypotheses()[0].ids, best.ids);
    EXPECT_NEAR(search.hypotheses()[0].score, best.score, 1e-9);
  }
}

}  // namespace
}  // namespace attune::worker
