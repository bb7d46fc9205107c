#include "worker/tasks/nearest_demonstrations.h"

#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

using PlainVector = std::vector<double>;

std::vector<std::string> SomeTexts() {
  return {"where is my card",
          "the card that I asked for is not here",
          "what is the rate for pounds",
          "my top up was refused",
          "can I top up by bank transfer",
          "a stranger has taken money from me",
          "where is the nearest bank",
          "the rate of the exchange was not right",
          "the transfer to my friend has not come",
          "is there a fee for a top up",
          "I do not know my pin",
          "the machine kept the card"};
}

// The slow and plain way to embed texts: everything in doubles, and the first
// principal component by squaring the matrix of second moments over and over.
class PlainEmbedding {
 public:
  PlainEmbedding(const std::vector<std::string>& pool, const LoadedModel& model)
      : model_(model) {
    double total = 0;
    for (const std::string& text : pool) {
      for (const int64_t id : IdsOf(text)) {
        share_[id] += 1;
        total += 1;
      }
    }
    for (auto& [id, share] : share_) share /= total;
    std::vector<PlainVector> means;
    for (const std::string& text : pool) means.push_back(MeanOf(text));
    FindComponent(means);
    for (const PlainVector& mean : means) pool_.push_back(Centred(mean));
  }

  std::vector<size_t> Ranking(const std::string& text) const {
    const PlainVector query = Centred(MeanOf(text));
    PlainVector cosines;
    for (const PlainVector& one : pool_) {
      cosines.push_back(Product(one, query) /
                        std::sqrt(Product(one, one) * Product(query, query)));
    }
    std::vector<size_t> order(pool_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return cosines[a] > cosines[b];
    });
    return order;
  }

 private:
  std::vector<int64_t> IdsOf(const std::string& text) const {
    return model_.tokenizer->Encode(absl::StrCat(" ", text), false)->ids;
  }

  PlainVector MeanOf(const std::string& text) const {
    PlainVector mean(model_.model->config().embedding_dim, 0);
    const std::vector<int64_t> ids = IdsOf(text);
    for (const int64_t id : ids) {
      const at::Tensor row =
          model_.model->Embed(at::tensor(std::vector<int64_t>{id}))
              .contiguous();
      const auto share = share_.find(id);
      const double p = share == share_.end() ? 0 : share->second;
      for (size_t i = 0; i < mean.size(); ++i) {
        mean[i] += 1e-3 / (1e-3 + p) * row.data_ptr<float>()[i] /
                   static_cast<double>(ids.size());
      }
    }
    return mean;
  }

  void FindComponent(const std::vector<PlainVector>& vectors) {
    const size_t width = vectors[0].size();
    std::vector<PlainVector> matrix(width, PlainVector(width, 0));
    for (const PlainVector& one : vectors) {
      for (size_t i = 0; i < width; ++i) {
        for (size_t j = 0; j < width; ++j) matrix[i][j] += one[i] * one[j];
      }
    }
    for (int squarings = 0; squarings < 40; ++squarings) {
      double trace = 0;
      for (size_t i = 0; i < width; ++i) trace += matrix[i][i];
      std::vector<PlainVector> square(width, PlainVector(width, 0));
      for (size_t i = 0; i < width; ++i) {
        for (size_t k = 0; k < width; ++k) {
          for (size_t j = 0; j < width; ++j) {
            square[i][j] += matrix[i][k] * matrix[k][j] / (trace * trace);
          }
        }
      }
      matrix = std::move(square);
    }
    // All rows are multiples of it now.
    component_ =
        *std::max_element(matrix.begin(), matrix.end(),
                          [](const PlainVector& a, const PlainVector& b) {
                            return Product(a, a) < Product(b, b);
                          });
    const double length = std::sqrt(Product(component_, component_));
    for (double& value : component_) value /= length;
  }

  PlainVector Centred(PlainVector vector) const {
    const double along = Product(vector, component_);
    for (size_t i = 0; i < vector.size(); ++i) {
      vector[i] -= along * component_[i];
    }
    return vector;
  }

  static double Product(const PlainVector& a, const PlainVector& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  }

  const LoadedModel& model_;
  std::map<int64_t, double> share_;
  PlainVector component_;
  std::vector<PlainVector> pool_;
};

std::unique_ptr<const NearestDemonstrations> MakeNearest(
    const std::vector<std::string>& pool, const std::string& model = "tiny") {
  const auto loaded = TinyModel(model);
  auto nearest =
      NearestDemonstrations::Create(pool, *loaded->tokenizer, *loaded->model);
  EXPECT_OK(nearest);
  return *std::move(nearest);
}

TEST(NearestDemonstrations, AgreesWithThePlainWayOnModelsOfEveryKind) {
  const std::vector<std::string> pool = SomeTexts();
  for (const char* model : {"tiny", "t5", "encoder"}) {
    const auto nearest = MakeNearest(pool, model);
    const PlainEmbedding plain(pool, *TinyModel(model));
    for (const char* text :
         {"my card is not here", "a top up by card", "what is the fee",
          "unlike everything: 4711", "pounds"}) {
      const std::vector<size_t> ranking = plain.Ranking(text);

      EXPECT_EQ(*nearest->Nearest(text, pool.size()), ranking)
          << model << ": " << text;
      EXPECT_THAT(*nearest->Nearest(text, 2),
                  ElementsAre(ranking[0], ranking[1]));
    }
  }
}

TEST(NearestDemonstrations, WhatSaysTheSameIsLeftOut) {
  std::vector<std::string> pool = SomeTexts();
  pool.push_back(pool[3]);

  const std::vector<size_t> found =
      *MakeNearest(pool)->Nearest("  my top\n up  was refused ", pool.size());

  EXPECT_EQ(found.size(), pool.size() - 2);
  EXPECT_THAT(found, Not(Contains(3)));
  EXPECT_THAT(found, Not(Contains(12)));
}

TEST(NearestDemonstrations, OfEquallyNearOnesTheEarlierComesFirst) {
  std::vector<std::string> pool = SomeTexts();
  pool.insert(pool.begin(), pool[4]);
  pool.push_back(pool[0]);

  const std::vector<size_t> found =
      *MakeNearest(pool)->Nearest("top up by bank transfer now", pool.size());

  // 0, 5 and the last say the same.
  std::vector<size_t> equal;
  for (const size_t place : found) {
    if (pool[place] == pool[0]) equal.push_back(place);
  }
  EXPECT_THAT(equal, ElementsAre(0, 5, 13));
}

TEST(NearestDemonstrations, ATextWithoutTokensIsNearToNone) {
  const auto nearest = MakeNearest(SomeTexts());

  EXPECT_THAT(*nearest->Nearest("", 3), ElementsAre(0, 1, 2));
}

TEST(NearestDemonstrations, APoolThatIsAllAlikeHasNoDirections) {
  const auto nearest = MakeNearest({"the card", "the  card", "the card "});

  EXPECT_THAT(*nearest->Nearest("my bank", 2), ElementsAre(0, 1));
  EXPECT_THAT(*nearest->Nearest("the card", 2), IsEmpty());
}

TEST(NearestDemonstrations, OfAnEmptyPoolNothingIsNear) {
  EXPECT_THAT(*MakeNearest({})->Nearest("my bank", 2), IsEmpty());
}

TEST(NearestDemonstrations, LongTextsAreKnownByTheirBeginning) {
  std::vector<std::string> pool = SomeTexts();
  const std::string filling = std::string(size_t{1} << 16, '.');
  // A character of two bytes stands across the end of what is read.
  pool.push_back(absl::StrCat("x", filling.substr(2), "\xc3\xa4 one"));
  pool.push_back(absl::StrCat("x", filling.substr(2), "\xc3\xa4 two"));

  const std::vector<size_t> found =
      *MakeNearest(pool)->Nearest(absl::StrCat("x", filling), pool.size());

  EXPECT_THAT(std::vector<size_t>(found.begin(), found.begin() + 2),
              ElementsAre(12, 13));
}

TEST(NearestDemonstrations, TellsItsSize) {
  const size_t few = MakeNearest({"a", "b"})->num_bytes();
  std::vector<std::string> many(100, "a");

  // 98 more vectors of 32 floats.
  EXPECT_GT(MakeNearest(many)->num_bytes(), few + 98 * 32 * 4);
}

TEST(QuestionText, HasTextsAndNumbersOfTheNamedFieldsInTheirOrder) {
  const nlohmann::json fields = nlohmann::json::parse(
      R"({"b": ["y", {"k": 1.5, "l": null}], "a": "x z", "other": "no"})");

  EXPECT_EQ(QuestionText({"b", "a", "missing"}, fields), " x z y k 1.5 l null");
}

}  // namespace
}  // namespace attune::worker
