#include "worker/models/gguf_rotary.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/models/gguf_builder.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using RotaryJson = nlohmann::ordered_json;

constexpr int64_t kRotatedDim = 64;

absl::StatusOr<RotaryJson> RotaryOf(const GgufBuilder& builder) {
  const auto gguf = Gguf::FromBytes(builder.Build(), "m.gguf");
  if (!gguf.ok()) return gguf.status();
  RotaryJson config;
  const absl::Status status =
      WriteGgufRotary(GgufKeys(*gguf, "llama"), kRotatedDim, config);
  if (!status.ok()) return status;
  return config;
}

// What Llama 3.2 has: a factor of 32 over 8192 positions, in fp32.
std::vector<float> Llama32Divisors() {
  std::vector<float> divisors;
  for (int64_t i = 0; i < kRotatedDim; i += 2) {
    const float wavelength =
        2 * std::numbers::pi_v<float> *
        std::pow(500000.0f, static_cast<float>(i) / kRotatedDim);
    const float smooth = (8192 / wavelength - 1) / 3;
    divisors.push_back(wavelength < 2048   ? 1
                       : wavelength > 8192 ? 32
                                           : 1 / ((1 - smooth) / 32 + smooth));
  }
  return divisors;
}

GgufBuilder Llama32(const std::vector<float>& divisors) {
  GgufBuilder builder;
  builder.Set("llama.rope.freq_base", 500000.0f);
  std::string bytes;
  for (const float divisor : divisors) bytes += GgufBuilder::Raw(divisor);
  builder.Tensor("rope_freqs.weight", {divisors.size()}, GgufBuilder::kF32,
                 bytes);
  return builder;
}

TEST(GgufRotary, FindsLlama3sParametersAgain) {
  const auto config = RotaryOf(Llama32(Llama32Divisors()));

  ASSERT_OK(config);
  EXPECT_EQ((*config)["rope_theta"], 500000.0);
  EXPECT_EQ((*config)["rope_scaling"],
            RotaryJson::object({{"rope_type", "llama3"},
                                {"factor", 32.0},
                                {"low_freq_factor", 1.0},
                                {"high_freq_factor", 4.0},
                                {"original_max_position_embeddings", 8192}}));
}

TEST(GgufRotary, RefusesDivisorsThatNoParametersGive) {
  std::vector<float> divisors = Llama32Divisors();
  divisors[3] = 1.001f;
  EXPECT_THAT(RotaryOf(Llama32(divisors)),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("'rope_freqs.weight'"),
                             HasSubstr("1.001 at 3"))));

  for (const float wrong :
       {std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), 0.0f, -1.0f}) {
    divisors = std::vector<float>(kRotatedDim / 2, wrong);
    EXPECT_THAT(RotaryOf(Llama32(divisors)),
                StatusIs(absl::StatusCode::kUnimplemented,
                         HasSubstr("'rope_freqs.weight'")));
  }
}

TEST(GgufRotary, DivisorsAreThoseOfHalfAHead) {
  EXPECT_THAT(
      RotaryOf(Llama32(std::vector<float>(5, 1.0f))),
      ReasonIs(Reason::kCorruptModel,
               AllOf(HasSubstr("'rope_freqs.weight'"), HasSubstr("[32]"))));
}

TEST(GgufRotary, LinearScalingHasAFactor) {
  GgufBuilder builder;
  builder.Set("llama.rope.scaling.type", "linear");
  builder.Set("llama.rope.scaling.factor", 8.0f);
  EXPECT_EQ((*RotaryOf(builder))["rope_scaling"],
            RotaryJson::object({{"rope_type", "linear"}, {"factor", 8.0}}));

  builder = GgufBuilder();
  builder.Set("llama.rope.scale_linear", 4.0f);
  EXPECT_EQ((*RotaryOf(builder))["rope_scaling"]["factor"], 4.0);
}

TEST(GgufRotary, NoScalingIsNotWritten) {
  EXPECT_EQ(*RotaryOf(GgufBuilder()),
            RotaryJson::object({{"rope_theta", 10000.0}}));

  GgufBuilder builder;
  builder.Set("llama.rope.scaling.type", "none");
  builder.Set("llama.rope.scaling.factor", 8.0f);
  EXPECT_FALSE(RotaryOf(builder)->contains("rope_scaling"));
}

TEST(GgufRotary, NamesOtherScalings) {
  GgufBuilder builder;
  builder.Set("llama.rope.scaling.type", "yarn");
  EXPECT_THAT(RotaryOf(builder),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'llama.rope.scaling.type' = 'yarn'")));

  builder = GgufBuilder();
  builder.Set("llama.rope.dimension_count", 32u);
  EXPECT_THAT(RotaryOf(builder),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'llama.rope.dimension_count' = 32")));

  builder = Llama32(Llama32Divisors());
  builder.Set("llama.rope.scaling.factor", 2.0f);
  EXPECT_THAT(RotaryOf(builder),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("'llama.rope.scaling.factor' = 2")));
}

}  // namespace
}  // namespace attune::worker
