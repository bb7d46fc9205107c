// Many random kills in a row, while jobs run and rows come in. The seed and the
// number of kills can be given: ATTUNE_CRASH_SEED, ATTUNE_CRASH_KILLS.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::IsEmpty;

constexpr int kJobSteps = 1000;
constexpr int kRowsPerAppend = 3;
constexpr int kMaxUnfinishedJobs = 2;

uint64_t EnvironmentNumber(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number
                                                            : otherwise;
}

// A client that never stops: it appends rows, moves aliases and creates jobs,
// and repeats each call with its request_id until it is acknowledged. What was
// acknowledged is what must be there at the end. Thread-safe; owns its thread.
class Traffic {
 public:
  Traffic(const ServicePair& pair, uint64_t seed)
      : api_(pair.NewChannel()), random_(seed) {
    const auto created = Acknowledged([this] {
      return api_.CreateDataset("stream",
                                "7d444840-9dc0-11d1-b245-5ffdce74fad2");
    });
    EXPECT_TRUE(created.ok()) << created.failure();
    thread_ = std::thread([this] { Work(); });
  }
  ~Traffic() { Stop(); }

  // Lets `count` more calls be made; false when they are not acknowledged in
  // time.
  bool MakeCalls(int count) {
    absl::MutexLock lock(&mutex_);
    allowed_ += count;
    const int target = allowed_ - 1;  // the last one races with the kill
    const auto made = [this, target]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return calls_ >= target;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&made), kPatience);
  }

  void Stop() {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  void JobEnded() {
    absl::MutexLock lock(&mutex_);
    --unfinished_;
  }

  // The acknowledged jobs in order, with their request ids.
  struct Job {
    std::string name;
    std::string request_id;
    v1::TuningJobSpec spec;
  };
  std::vector<Job> jobs() {
    absl::MutexLock lock(&mutex_);
    return jobs_;
  }
  // Waits for the job of this index.
  Job WaitForJob(size_t index) {
    absl::MutexLock lock(&mutex_);
    const auto there = [this, index]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return jobs_.size() > index;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience)
               ? jobs_[index]
               : Job{};
  }

  // For after Stop.
  int acknowledged_rows() const { return acknowledged_rows_; }
  const std::map<std::string, int64_t>& aliases() const { return aliases_; }
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  void Work() {
    while (WaitForTurn()) {
      const bool wants_job = [this] {
        absl::MutexLock lock(&mutex_);
        return unfinished_ < kMaxUnfinishedJobs;
      }();
      if (wants_job) {
        CreateJob();
      } else if (random_() % 4 == 0) {
        MoveAlias();
      } else {
        AppendRows();
      }
      absl::MutexLock lock(&mutex_);
      ++calls_;
    }
  }

  bool WaitForTurn() {
    absl::MutexLock lock(&mutex_);
    const auto turn = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopping_ || calls_ < allowed_ || unfinished_ < kMaxUnfinishedJobs;
    };
    mutex_.Await(absl::Condition(&turn));
    return !stopping_;
  }

  // Repeats `call` while the server is away.
  template <typename Call>
  auto Acknowledged(Call call) -> decltype(call()) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (true) {
      auto result = call();
      if (result.status.error_code() != grpc::StatusCode::UNAVAILABLE ||
          absl::Now() > deadline) {
        return result;
      }
    }
  }

  void CreateJob() {
    Job job;
    job.request_id = NewRequestId();
    job.spec = LongReviewJob(absl::StrCat("loop-", random_() % 3), kJobSteps);
    job.spec.mutable_training()->set_seed(random_());
    const auto created = Acknowledged(
        [&] { return api_.CreateJob(job.spec, "", job.request_id); });
    if (!created.ok()) return Record("create job", created.failure());
    job.name = created.value.name();
    absl::MutexLock lock(&mutex_);
    jobs_.push_back(job);
    ++unfinished_;
  }

  void AppendRows() {
    std::vector<std::string> rows;
    for (int i = 0; i < kRowsPerAppend; ++i) {
      rows.push_back(ReviewRowJson(acknowledged_rows_ + i));
    }
    const std::string request_id = NewRequestId();
    const auto appended =
        Acknowledged([&] { return api_.Append("stream", rows, request_id); });
    if (!appended.ok()) return Record("append", appended.failure());
    acknowledged_rows_ += kRowsPerAppend;
  }

  void MoveAlias() {
    const std::string prompt = absl::StrCat("prompts/loop-", random_() % 3);
    const auto latest = Acknowledged([&] { return api_.GetPrompt(prompt); });
    if (!latest.ok()) return;  // its first job has not ended yet
    const int64_t version =
        1 + static_cast<int64_t>(random_() % latest.value.num_versions());
    const auto moved = Acknowledged([&] {
      return api_.SetAlias(prompt, "prod",
                           absl::StrCat(prompt, "/versions/", version));
    });
    if (!moved.ok()) return Record("set alias", moved.failure());
    aliases_[prompt] = version;
  }

  void Record(const std::string& call, const Failure& failure) {
    errors_.push_back(absl::StrCat(call, ": ", failure.code, " ",
                                   failure.reason, " ", failure.message));
  }

  ApiClient api_;
  // Of the thread alone until Stop.
  std::mt19937_64 random_;
  int acknowledged_rows_ = 0;
  std::map<std::string, int64_t> aliases_;
  std::vector<std::string> errors_;

  absl::Mutex mutex_;
  int allowed_ ABSL_GUARDED_BY(mutex_) = 0;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int unfinished_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class CrashLoop : public ServiceTest {
 protected:
  void SetUp() override { ASSERT_TRUE(Start({})); }

  // Follows the jobs in their order until one of them made progress that this
  // test has not seen, so that each round of kills is one that a service can
  // survive: an attempt that always dies before its first checkpoint fails.
  bool WaitForNewProgress(Traffic& traffic) {
    while (true) {
      if (followed_.size() <= current_) {
        const Traffic::Job job = traffic.WaitForJob(current_);
        if (job.name.empty()) return false;
        followed_.emplace_back(pair().channel(), job.name);
        wanted_step_ = kCheckpointInterval + 1;
      }
      JobFollower& follower = followed_.back();
      const auto event = follower.WaitFor(
          [this](const v1::TuningEvent& seen) {
            return seen.progress().step() >= wanted_step_ ||
                   IsFinal(seen.state_change().state());
          },
          kPatience);
      if (!event.ok()) {
        ADD_FAILURE() << event.status();
        return false;
      }
      if (!follower.ended()) {
        wanted_step_ = event->progress().step() + kCheckpointInterval + 1;
        return true;
      }
      ++current_;
      traffic.JobEnded();
    }
  }

  void ExpectNothingLost(Traffic& traffic) {
    EXPECT_THAT(traffic.errors(), IsEmpty());
    EXPECT_EQ(api().GetDataset("stream").value.num_rows(),
              traffic.acknowledged_rows());
    const auto listed = api().ListJobs();
    ASSERT_TRUE(listed.ok()) << listed.failure();
    EXPECT_EQ(listed.value.size(), traffic.jobs().size());
    std::map<std::string, std::string> version_of_job;
    for (const Traffic::Job& made : traffic.jobs()) {
      const auto replay = api().CreateJob(made.spec, "", made.request_id);
      EXPECT_EQ(replay.value.name(), made.name) << replay.failure();
      const auto job = api().GetJob(made.name);
      ASSERT_TRUE(job.ok()) << job.failure();
      EXPECT_EQ(job.value.state(), v1::TuningJob::STATE_SUCCEEDED)
          << job.value.error().ShortDebugString();
      version_of_job[made.name] = job.value.prompt_version();
    }
    EXPECT_EQ(api().ListJobs().value.size(), traffic.jobs().size())
        << "a repeated request made another job";
    ExpectVersions(version_of_job);
    for (const auto& [prompt, version] : traffic.aliases()) {
      EXPECT_EQ(api().GetPrompt(prompt).value.aliases().at("prod"), version);
    }
  }

  // That the versions there are, are those of the jobs, each once and whole.
  void ExpectVersions(
      const std::map<std::string, std::string>& version_of_job) {
    std::set<std::string> prompts;
    for (const auto& [job, version] : version_of_job) {
      prompts.insert(version.substr(0, version.find("/versions/")));
    }
    size_t num_versions = 0;
    for (const std::string& prompt : prompts) {
      const auto versions = api().ListVersions(prompt);
      ASSERT_TRUE(versions.ok()) << versions.failure();
      num_versions += versions.value.size();
      for (const v1::PromptVersion& version : versions.value) {
        const auto found = version_of_job.find(version.tuning_job());
        ASSERT_NE(found, version_of_job.end()) << version.tuning_job();
        EXPECT_EQ(found->second, version.name());
        const auto download = api().DownloadVersion(version.name());
        ASSERT_TRUE(download.ok()) << download.failure();
        EXPECT_THAT(download.value.wrong, IsEmpty());
        EXPECT_EQ(download.value.files.size(), 4u);
      }
    }
    EXPECT_EQ(num_versions, version_of_job.size());
  }

  // Followers of the jobs in their order; the last one is not done.
  std::deque<JobFollower> followed_;
  size_t current_ = 0;
  int wanted_step_ = 0;
};

TEST_F(CrashLoop, RandomKillsLoseNothing) {
  const uint64_t seed =
      EnvironmentNumber("ATTUNE_CRASH_SEED", std::random_device{}());
  const int kills =
      static_cast<int>(EnvironmentNumber("ATTUNE_CRASH_KILLS", 20));
  std::cout << "ATTUNE_CRASH_SEED=" << seed << " ATTUNE_CRASH_KILLS=" << kills
            << std::endl;
  RecordProperty("seed", absl::StrCat(seed));
  std::mt19937_64 random(seed);
  Traffic traffic(pair(), random());

  for (int kill = 0; kill < kills; ++kill) {
    ASSERT_TRUE(WaitForNewProgress(traffic)) << "before kill " << kill;
    ASSERT_TRUE(traffic.MakeCalls(1 + static_cast<int>(random() % 20)));
    const bool kill_server = random() % 2 == 0;
    const bool kill_worker = !kill_server || random() % 3 == 0;
    if (kill_server) pair().KillServer();
    if (kill_worker) pair().KillWorker();
    const absl::Status server =
        kill_server ? pair().StartServer() : absl::OkStatus();
    ASSERT_TRUE(server.ok()) << server;
    const absl::Status worker =
        kill_worker ? pair().StartWorker() : absl::OkStatus();
    ASSERT_TRUE(worker.ok()) << worker;
  }
  traffic.Stop();

  const std::vector<Traffic::Job> jobs = traffic.jobs();
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (i >= followed_.size()) {
      followed_.emplace_back(pair().channel(), jobs[i].name);
    }
    const auto end = followed_[i].WaitForEnd(kPatience);
    ASSERT_TRUE(end.ok()) << end.status();
    ExpectSoundEvents(followed_[i].events());
  }
  ExpectNothingLost(traffic);
  std::cout << jobs.size() << " jobs, " << traffic.acknowledged_rows()
            << " appended rows" << std::endl;
}

}  // namespace
}  // namespace attune::integration
