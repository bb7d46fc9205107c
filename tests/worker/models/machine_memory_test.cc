#include "worker/models/machine_memory.h"

#include <filesystem>
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kGigabyte = int64_t{1} << 30;

// A machine of 16 GiB.
class MachineMemoryTest : public testing::Test {
 protected:
  MachineMemoryTest() {
    Write("/proc/meminfo",
          "MemTotal:       16777216 kB\nMemFree:         1024 kB\n");
  }

  void Write(const std::string& path, std::string_view text) {
    const std::filesystem::path full = root_.path() + path;
    std::filesystem::create_directories(full.parent_path());
    WriteBytes(full, text);
  }

  // In GiB; -1 for an error.
  int64_t Gigabytes() {
    const auto bytes = MachineMemory(root_.path());
    EXPECT_OK(bytes);
    return bytes.ok() ? *bytes / kGigabyte : -1;
  }

  TempDirectory root_;
};

TEST_F(MachineMemoryTest, IsTheMachinesWithoutControlGroups) {
  EXPECT_EQ(Gigabytes(), 16);
}

TEST_F(MachineMemoryTest, AContainerSeesItsLimitAtTheRoot) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "4294967296\n");

  EXPECT_EQ(Gigabytes(), 4);
}

TEST_F(MachineMemoryTest, TheTightestGroupAroundTheProcessCounts) {
  Write("/proc/self/cgroup", "0::/pods/one/main\n");
  Write("/sys/fs/cgroup/pods/memory.max", "8589934592\n");
  Write("/sys/fs/cgroup/pods/one/memory.max", "2147483648\n");
  Write("/sys/fs/cgroup/pods/one/main/memory.max", "max\n");

  EXPECT_EQ(Gigabytes(), 2);
}

TEST_F(MachineMemoryTest, ALimitBeyondTheMachineIsNone) {
  Write("/proc/self/cgroup", "0::/big\n");
  Write("/sys/fs/cgroup/big/memory.max", "1099511627776\n");

  EXPECT_EQ(Gigabytes(), 16);
}

TEST_F(MachineMemoryTest, ReadsVersionOneWhereItHasTheMemoryController) {
  Write("/proc/self/cgroup",
        "12:cpu,cpuacct:/docker/a\n9:memory:/docker/a\n0::/docker/a\n");
  Write("/sys/fs/cgroup/cpu/docker/a/memory.limit_in_bytes", "1\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3221225472\n");

  EXPECT_EQ(Gigabytes(), 3);
}

TEST_F(MachineMemoryTest, NoLimitOfVersionOneIsAHugeNumber) {
  Write("/proc/self/cgroup", "9:memory:/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");

  EXPECT_EQ(Gigabytes(), 16);
}

TEST_F(MachineMemoryTest, ASystemThatDoesNotSayIsNamed) {
  const TempDirectory empty;

  EXPECT_THAT(MachineMemory(empty.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("/proc/meminfo")));
}

TEST(MachineMemory, KnowsThisMachine) {
  const auto bytes = MachineMemory();

  ASSERT_OK(bytes);
  EXPECT_GT(*bytes, int64_t{64} << 20);
}

}  // namespace
}  // namespace attune::worker
