#include "worker/models/gguf_blocks.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

// tests/golden/make_gguf_blocks_golden.py says what is in it.
constexpr char kGoldenBlocks[] = "tests/golden/gguf_blocks.safetensors";

constexpr uint32_t kSupported[] = {0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30};

TEST(GgufBlocks, EqualTheReferenceBitForBit) {
  const auto golden = Safetensors::Open(kGoldenBlocks);
  ASSERT_OK(golden);
  for (const uint32_t id : kSupported) {
    const GgufBlockType* type = FindGgufBlockType(id);
    ASSERT_NE(type, nullptr) << id;
    const auto bytes = golden->View(std::string(type->name) + ".bytes");
    const auto values = golden->View(std::string(type->name) + ".values");
    ASSERT_OK(bytes);
    ASSERT_OK(values);
    const size_t num_blocks = bytes->nbytes() / type->block_bytes;
    std::vector<float> decoded(num_blocks * type->block_size);
    for (size_t i = 0; i < num_blocks; ++i) {
      type->decode(bytes->const_data_ptr<uint8_t>() + i * type->block_bytes,
                   decoded.data() + i * type->block_size);
    }
    const float* expected = values->const_data_ptr<float>();
    EXPECT_THAT(decoded, testing::ElementsAreArray(expected, decoded.size()))
        << type->name;
  }
}

TEST(GgufBlocks, OtherTypesAreNotSupported) {
  for (const uint32_t id : {4u, 9u, 10u, 11u, 15u, 16u, 29u, 31u, 1000u}) {
    EXPECT_EQ(FindGgufBlockType(id), nullptr) << id;
  }
}

TEST(GgufBlocks, BlocksOfAllZeroBitsAreZero) {
  for (const uint32_t id : kSupported) {
    const GgufBlockType* type = FindGgufBlockType(id);
    const std::vector<uint8_t> block(type->block_bytes, 0);
    std::vector<float> out(type->block_size, 1.0f);
    type->decode(block.data(), out.data());
    EXPECT_THAT(out, testing::Each(0.0f)) << type->name;
  }
}

}  // namespace
}  // namespace attune::worker
