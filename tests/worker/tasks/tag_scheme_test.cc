#include "worker/tasks/tag_scheme.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using TagSet = std::vector<std::string>;
using TagRow = std::vector<int>;
using TagLogProbabilities = std::vector<std::vector<double>>;

TagScheme SchemeOf(const TagSet& tags) { return *TagScheme::Create(tags); }

// Entities as "type begin-end", of tags given by name.
std::string EntitiesIn(const TagSet& row) {
  const TagSet tags = {"O",   "B-A", "I-A", "E-A", "S-A",
                       "B-B", "I-B", "E-B", "S-B"};
  TagRow indices;
  for (const std::string& tag : row) {
    const auto place = std::find(tags.begin(), tags.end(), tag);
    indices.push_back(static_cast<int>(place - tags.begin()));
  }
  std::vector<std::string> entities;
  for (const TaggedSpan& span : SchemeOf(tags).EntitiesOf(indices)) {
    entities.push_back(Concat(span.type, " ", span.begin, "-", span.end));
  }
  return absl::StrJoin(entities, ", ");
}

TEST(TagScheme, RefusesWhatIsNoTag) {
  for (const char* text : {"", "B", "LOC", "B-", "BLOC", "b-LOC", "X-LOC",
                           "O-LOC", "o", "B-a place", "B-LOC\n"}) {
    EXPECT_FALSE(TagScheme::IsTag(text)) << text;
    EXPECT_THAT(TagScheme::Create({"O", "B-LOC", text}),
                ReasonIs(Reason::kInvalidData,
                         HasSubstr(Concat("tag '", text, "' is neither"))));
  }
}

TEST(TagScheme, RefusesFewerThanTwoTags) {
  EXPECT_THAT(TagScheme::Create({"O"}),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("at least two tags, not 1"),
                             HasSubstr("add those"))));
  EXPECT_THAT(TagScheme::Create({}),
              ReasonIs(Reason::kInvalidData, HasSubstr("not 0")));
}

TEST(TagScheme, RefusesATagGivenTwice) {
  EXPECT_THAT(
      TagScheme::Create({"B-LOC", "O", "B-LOC"}),
      ReasonIs(Reason::kInvalidData, HasSubstr("tag 'B-LOC' is given twice")));
}

TEST(TagScheme, RefusesTagsWithoutOneForWordsOutsideOfEntities) {
  EXPECT_THAT(TagScheme::Create({"B-LOC", "I-LOC"}),
              ReasonIs(Reason::kInvalidData,
                       HasSubstr("tag 'O' is missing among 2 tags")));
}

TEST(TagScheme, KnowsTheTagOfWordsOutsideOfEntities) {
  EXPECT_EQ(SchemeOf({"B-A", "I-A", "O"}).outside(), 2);
}

TEST(TagScheme, TypesHaveTheirDashesAndLetters) {
  const TagScheme scheme = SchemeOf({"O", "B-a-B-c", "I-a-B-c", "B-Ort"});

  const std::vector<TaggedSpan> spans = scheme.EntitiesOf({1, 2, 3});

  EXPECT_EQ(spans,
            (std::vector<TaggedSpan>{{.type = "a-B-c", .begin = 0, .end = 2},
                                     {.type = "Ort", .begin = 2, .end = 3}}));
}

TEST(TagScheme, EntitiesReachFromTheirBeginningToTheirEnd) {
  EXPECT_EQ(EntitiesIn({}), "");
  EXPECT_EQ(EntitiesIn({"O", "O"}), "");
  EXPECT_EQ(EntitiesIn({"B-A", "I-A", "O", "B-B"}), "A 0-2, B 3-4");
  EXPECT_EQ(EntitiesIn({"B-A", "B-A", "I-A"}), "A 0-1, A 1-3");
  EXPECT_EQ(EntitiesIn({"B-A", "I-A", "E-A", "S-A"}), "A 0-3, A 3-4");
}

TEST(TagScheme, TagsThatGoOnWithNothingBeginAnEntity) {
  EXPECT_EQ(EntitiesIn({"O", "I-A", "I-A"}), "A 1-3");
  EXPECT_EQ(EntitiesIn({"B-A", "I-B", "I-A"}), "A 0-1, B 1-2, A 2-3");
  EXPECT_EQ(EntitiesIn({"E-A", "E-A", "I-A", "E-A"}), "A 0-1, A 1-2, A 2-4");
  EXPECT_EQ(EntitiesIn({"S-A", "I-A", "S-A", "E-A"}),
            "A 0-1, A 1-2, A 2-3, A 3-4");
}

TEST(TagScheme, EntitiesEqualSeqevals) {
  std::ifstream file("tests/golden/entity_metrics.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json golden = nlohmann::json::parse(file);
  int num_rows = 0;
  for (const nlohmann::json& one : golden["cases"]) {
    if (!one.contains("spans")) continue;
    const nlohmann::json& tags = golden["tag_sets"][one["set"].get<size_t>()];
    const TagScheme scheme = SchemeOf(tags.get<TagSet>());
    for (const auto& [rows, spans] :
         {std::pair(one["right"], one["spans"][0]),
          std::pair(one["given"], one["spans"][1])}) {
      for (size_t i = 0; i < rows.size(); ++i, ++num_rows) {
        std::vector<TaggedSpan> expected;
        for (const nlohmann::json& span : spans[i]) {
          expected.push_back({.type = span[0],
                              .begin = span[1],
                              .end = span[2].get<int>() + 1});
        }
        EXPECT_EQ(scheme.EntitiesOf(rows[i].get<TagRow>()), expected)
            << tags << rows[i];
      }
    }
  }
  EXPECT_GT(num_rows, 1000);
}

// What a set of tags allows, written by hand: per tag whether it may be the
// first and the last, and ('x') which tags may follow it.
struct SchemeRules {
  const char* name;
  TagSet tags;
  std::string first;
  std::string last;
  std::vector<std::string> followers;
};

const SchemeRules kSchemeRules[] = {
    {.name = "BIO",
     .tags = {"O", "B-A", "I-A", "B-B", "I-B"},
     .first = "xx.x.",
     .last = "xxxxx",
     .followers = {"xx.x.", "xxxx.", "xxxx.", "xx.xx", "xx.xx"}},
    {.name = "BIOES",
     .tags = {"B-A", "I-A", "E-A", "S-A", "O"},
     .first = "x..xx",
     .last = "..xxx",
     .followers = {".xx..", ".xx..", "x..xx", "x..xx", "x..xx"}},
    {.name = "BIOES of two types",
     .tags = {"O", "B-A", "E-A", "B-B", "I-B", "E-B", "S-B"},
     .first = "xx.x..x",
     .last = "x.x..xx",
     .followers = {"xx.x..x", "..x....", "xx.x..x", "....xx.", "....xx.",
                   "xx.x..x", "xx.x..x"}},
    {.name = "a type without B-",
     .tags = {"O", "I-A", "B-B", "I-B"},
     .first = "xxx.",
     .last = "xxxx",
     .followers = {"xxx.", "xxx.", "xxxx", "xxxx"}},
    {.name = "IOE2",
     .tags = {"O", "I-A", "E-A"},
     .first = "xxx",
     .last = "x.x",
     .followers = {"xxx", ".xx", "xxx"}},
    {.name = "BIOES without E-",
     .tags = {"O", "B-A", "I-A", "S-A"},
     .first = "xx.x",
     .last = "xxxx",
     .followers = {"xx.x", "xxxx", "xxxx", "xx.x"}},
    {.name = "BIOES without I-",
     .tags = {"O", "B-A", "E-A", "S-A"},
     .first = "xx.x",
     .last = "x.xx",
     .followers = {"xx.x", "..x.", "xx.x", "xx.x"}},
    {.name = "BIOES where a type has but one tag",
     .tags = {"O", "E-A", "B-B", "I-C", "S-D"},
     .first = "xxxxx",
     .last = "xxxxx",
     .followers = {"xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
};

bool RulesAllow(const SchemeRules& rules, const TagRow& row) {
  if (rules.first[row.front()] != 'x') return false;
  if (rules.last[row.back()] != 'x') return false;
  for (size_t i = 1; i < row.size(); ++i) {
    if (rules.followers[row[i - 1]][row[i]] != 'x') return false;
  }
  return true;
}

double ScoreOfRow(const TagLogProbabilities& scores, const TagRow& row) {
  double sum = 0;
  for (size_t i = 0; i < row.size(); ++i) sum += scores[i][row[i]];
  return sum;
}

// The allowed row of the best score, by trying all; among equals the first in
// the order of their tags.
TagRow BestRowByTrying(const SchemeRules& rules,
                       const TagLogProbabilities& scores) {
  const int num_tags = static_cast<int>(rules.tags.size());
  TagRow best;
  TagRow row(scores.size(), 0);
  while (true) {
    if (RulesAllow(rules, row) &&
        (best.empty() || ScoreOfRow(scores, row) > ScoreOfRow(scores, best))) {
      best = row;
    }
    // Counts up, the last word fastest.
    size_t digits = row.size();
    while (digits > 0 && row[digits - 1] == num_tags - 1) row[--digits] = 0;
    if (digits == 0) return best;
    ++row[digits - 1];
  }
}

// Integers, so that sums are exact; few, so that many rows are equally good.
TagLogProbabilities WholeScores(int num_words, size_t num_tags, int num_values,
                                SeededRandom& random) {
  TagLogProbabilities scores(num_words, std::vector<double>(num_tags));
  for (std::vector<double>& word : scores) {
    for (double& score : word) {
      score = -static_cast<double>(random.Below(num_values));
    }
  }
  return scores;
}

TEST(TagScheme, DecodesTheBestOfAllAllowedSequences) {
  SeededRandom random(3, 0);
  for (const SchemeRules& rules : kSchemeRules) {
    const TagScheme scheme = SchemeOf(rules.tags);
    for (int round = 0; round < 60; ++round) {
      const int num_words = 1 + round % (rules.tags.size() > 5 ? 4 : 5);
      const TagLogProbabilities scores = WholeScores(
          num_words, rules.tags.size(), round < 40 ? 100000 : 3, random);

      const TagRow decoded = scheme.Decode(scores);

      EXPECT_EQ(decoded, BestRowByTrying(rules, scores))
          << rules.name << ", round " << round;
    }
  }
}

TEST(TagScheme, EveryTagOfASetCanBeDecoded) {
  for (const SchemeRules& rules : kSchemeRules) {
    const TagScheme scheme = SchemeOf(rules.tags);
    for (int tag = 0; tag < static_cast<int>(rules.tags.size()); ++tag) {
      TagLogProbabilities scores(3, std::vector<double>(rules.tags.size(), -1));
      scores[1][tag] = 5;

      EXPECT_EQ(scheme.Decode(scores)[1], tag) << rules.name;
    }
  }
}

TEST(TagScheme, DecodesNoWords) {
  EXPECT_EQ(SchemeOf({"O", "B-A"}).Decode({}), TagRow());
}

TEST(TagScheme, DecodesTheLowerOfEquallyLikelyTags) {
  const TagScheme scheme = SchemeOf({"B-A", "I-A", "O"});

  EXPECT_EQ(scheme.Decode(TagLogProbabilities(3, {-1, -1, -1})),
            (TagRow{0, 0, 0}));
}

TEST(TagScheme, DecodesAnEntityAsEndedBeforeAWordThatCanOnlyBeOutside) {
  const TagScheme scheme = SchemeOf({"O", "B-A", "E-A", "S-A"});
  const double never = -std::numeric_limits<double>::infinity();

  EXPECT_EQ(scheme.Decode(TagLogProbabilities{
                {-9, -1, -9, -5}, {0, never, never, never}, {-9, -9, -1, -5}}),
            (TagRow{3, 0, 3}));
}

TEST(TagScheme, DecodesAnAllowedSequenceWhereAllHaveProbabilityZero) {
  const TagScheme scheme = SchemeOf({"I-A", "E-A", "B-A", "O"});
  const double never = -std::numeric_limits<double>::infinity();

  EXPECT_EQ(scheme.Decode(TagLogProbabilities(3, {never, never, never, never})),
            (TagRow{2, 0, 1}));
}

TEST(TagScheme, DecodesAnAllowedSequenceOfWhatIsNoNumber) {
  const TagScheme scheme = SchemeOf({"O", "B-A", "E-A"});
  const double nan = std::numeric_limits<double>::quiet_NaN();

  EXPECT_EQ(scheme.Decode(TagLogProbabilities(2, {nan, nan, nan})),
            (TagRow{0, 0}));
}

}  // namespace
}  // namespace attune::worker
