#include "worker/models/architectures.h"

#include <string>

#include "gtest/gtest.h"

namespace attune::worker {
namespace {

TEST(Architectures, AreFoundByModelType) {
  ASSERT_NE(FindArchitecture("qwen3"), nullptr);
  EXPECT_EQ(FindArchitecture("qwen3")->model_type, "qwen3");
  ASSERT_NE(FindArchitecture("electra"), nullptr);
  EXPECT_EQ(FindArchitecture("electra")->model_type, "electra");
  EXPECT_EQ(FindArchitecture("mamba"), nullptr);
}

TEST(Architectures, ListsEveryNameOnce) {
  const std::string names = ", " + ArchitectureNames() + ", ";

  for (const char* name : {"bert", "gpt2", "mt5", "t5", "xlm-roberta"}) {
    const std::string entry = ", " + std::string(name) + ", ";
    EXPECT_NE(names.find(entry), names.npos) << name;
    EXPECT_EQ(names.find(entry), names.rfind(entry)) << name;
  }
}

}  // namespace
}  // namespace attune::worker
