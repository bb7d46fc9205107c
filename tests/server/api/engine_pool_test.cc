#include "server/api/engine_pool.h"

#include "proto/cc/text.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

TEST(EnginePool, KeepsAConnectionForTheNextCall) {
  int connections = 0;
  EnginePool pool([&](const std::string& address) {
    ++connections;
    return EnginePool::Connect(address);
  });
  const auto first = pool.Get("127.0.0.1:1");

  EXPECT_EQ(pool.Get("127.0.0.1:1"), first);
  EXPECT_NE(pool.Get("127.0.0.1:2"), first);
  EXPECT_EQ(connections, 2);
}

TEST(EnginePool, DropsWhatNobodyUsesWhenThereAreMany) {
  int connections = 0;
  EnginePool pool([&](const std::string& address) {
    ++connections;
    return EnginePool::Connect(address);
  });
  const auto used = pool.Get("127.0.0.1:1");
  for (int port = 2; port < 70; ++port) pool.Get(Concat("127.0.0.1:", port));

  EXPECT_EQ(pool.Get("127.0.0.1:1"), used);
  const int before = connections;
  pool.Get("127.0.0.1:2");  // was dropped
  EXPECT_EQ(connections, before + 1);
}

}  // namespace
}  // namespace attune::server
