// Random calls of users, workers and timers, lost answers, failed commits and
// restarts, against a model of a page. Each seed is a run of its own and is
// printed when it fails.

#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/jobs/job_manager.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using J = v1::TuningJob;
using worker::v1::FinishAttemptRequest;
using worker::v1::SynchronizeRequest;

constexpr int kNumJobs = 6;
constexpr int kNumWorkers = 3;
constexpr int kNumSlots = 2;  // of each
constexpr int kNumSteps = 200;

// A worker process as it sees itself.
struct Process {
  int instance = 1;
  std::map<std::string, int> jobs;  // that it works on, and the attempts
};

// What was last seen of a job.
struct Last {
  int attempt = 0;
  std::optional<J::State> final_state;
  int64_t sequence = 0;
  J::State state = J::STATE_UNSPECIFIED;
};

class Simulation {
 public:
  explicit Simulation(unsigned seed) : random_(seed) {}

  void Run() {
    for (int i = 0; i < kNumSteps && !testing::Test::HasFailure(); ++i) {
      Step();
      CheckInvariants();
    }
  }

 private:
  int Draw(int n) { return static_cast<int>(random_() % n); }
  std::string JobId() { return Concat("j", Draw(kNumJobs)); }

  void Step() {
    // Now and then the disk refuses.
    bool fail = Draw(12) == 0;
    state_.before_commit = [fail] {
      return fail ? MakeError(Reason::kStorageFull, "full") : absl::OkStatus();
    };
    switch (Draw(10)) {
      case 0:
        Create();
        break;
      case 1:
        Change(JobId());
        break;
      case 2:
      case 3:
      case 4:
        Synchronize(Draw(kNumWorkers));
        break;
      case 5:
      case 6:
        Finish(Draw(kNumWorkers));
        break;
      case 7:
        state_.clock.Advance(absl::Seconds(Draw(20)));
        state_.jobs->ExpireLeases().IgnoreError();
        break;
      case 8:
        state_.before_commit = nullptr;
        if (Draw(3) == 0) state_.Restart();
        break;
      case 9:
        if (Draw(3) == 0) {
          Process& process = processes_[Draw(kNumWorkers)];
          process = Process{process.instance + 1, {}};
        }
        break;
    }
    state_.before_commit = nullptr;
  }

  void Create() {
    std::string id = JobId();
    bool exists = state_.jobs->GetJob(id).ok();
    auto job = state_.jobs->CreateJob(MakeCreateRequest(id), MakeRows());
    if (job.ok()) {
      EXPECT_FALSE(exists);
      acknowledged_[id] = job->uid();
      last_[id] = {};
    }
  }

  void Change(const std::string& id) {
    auto before = state_.jobs->GetJob(id);
    if (!before.ok()) return;
    switch (Draw(3)) {
      case 0:
        state_.jobs->CancelJob(id).IgnoreError();
        break;
      case 1:
        if (state_.jobs->RetryJob(id).ok()) {
          EXPECT_TRUE(before->state() == J::STATE_FAILED ||
                      before->state() == J::STATE_CANCELLED);
          last_[id].final_state = std::nullopt;
        }
        break;
      case 2:
        if (state_.jobs->DeleteJob(id).ok()) {
          EXPECT_TRUE(IsFinal(before->state()));
          acknowledged_.erase(id);
        }
        break;
    }
  }

  void Synchronize(int index) {
    Process& process = processes_[index];
    SynchronizeRequest request;
    *request.mutable_worker() = MakeWorker(
        Concat("w", index), Concat("w", index, "-", process.instance));
    request.mutable_worker()->set_free_job_slots(
        kNumSlots - static_cast<int>(process.jobs.size()));
    for (const auto& [job, attempt] : process.jobs) {
      worker::v1::AttemptState& state = *request.add_attempts();
      state.set_tuning_job(Concat("tuningJobs/", job));
      state.set_attempt(attempt);
      state.mutable_progress()->set_step(Draw(1000));
      if (Draw(4) == 0) {
        ++step_;
        state.set_checkpoint_digest(
            state_.StoreArtifact(Concat("checkpoint ", step_)));
        state.set_checkpoint_step(step_);
      }
    }
    auto response = state_.jobs->Synchronize(request);
    if (!response.ok() || Draw(8) == 0) return;  // the answer is lost
    EXPECT_EQ(response->directives_size(), request.attempts_size());
    for (const auto& directive : response->directives()) {
      if (directive.action() == worker::v1::AttemptDirective::ACTION_ABANDON) {
        process.jobs.erase(directive.tuning_job().substr(11));
      }
    }
    if (response->has_assignment()) {
      EXPECT_GT(request.worker().free_job_slots(), 0);
      const std::string job =
          response->assignment().tuning_job().name().substr(11);
      EXPECT_EQ(process.jobs.count(job), 0u) << "it works on it already";
      process.jobs[job] = response->assignment().attempt();
    }
  }

  void Finish(int index) {
    Process& process = processes_[index];
    if (process.jobs.empty()) return;
    const auto [job, attempt] = *std::next(
        process.jobs.begin(), Draw(static_cast<int>(process.jobs.size())));
    auto current = state_.jobs->GetJob(job);
    FinishAttemptRequest request;
    switch (Draw(4)) {
      case 0:
      case 1:
        request = MakeSuccess(job, attempt,
                              state_.StoreArtifact(Concat(job, " ", attempt)));
        break;
      case 2:
        *request.mutable_failed() = ToRpcStatus(MakeError(
            Draw(2) == 0 ? Reason::kInternal : Reason::kInvalidData, "x"));
        break;
      case 3:
        request.mutable_released();
        break;
    }
    request.set_tuning_job(Concat("tuningJobs/", job));
    request.set_attempt(attempt);
    auto response = state_.jobs->FinishAttempt(request);
    if (response.ok()) {
      EXPECT_EQ(current->attempt(), attempt)
          << "only the current attempt may end";
      EXPECT_EQ(current->worker(), Concat("w", index));
      EXPECT_OK(state_.jobs->FinishAttempt(request)) << "and may say so again";
    }
    if (response.ok() || ReasonOf(response.status()) == Reason::kLeaseLost) {
      process.jobs.erase(job);
    }
  }

  void CheckInvariants() {
    std::map<std::string, int> held_by;
    for (const auto& [id, uid] : acknowledged_) {
      auto job = state_.jobs->GetJob(id);
      ASSERT_OK(job) << "an acknowledged job is lost: " << id;
      EXPECT_EQ(job->uid(), uid);
      Last& last = last_[id];
      EXPECT_GE(job->attempt(), last.attempt) << "attempts only grow";
      last.attempt = job->attempt();
      if (last.final_state) {
        EXPECT_EQ(job->state(), *last.final_state) << "final states are final";
      }
      if (IsFinal(job->state())) last.final_state = job->state();
      EXPECT_EQ(job->state() == J::STATE_SUCCEEDED,
                !job->prompt_version().empty());
      EXPECT_EQ(job->state() == J::STATE_FAILED, job->has_error());
      EXPECT_EQ(IsHeld(job->state()), !job->worker().empty());
      if (!job->worker().empty()) {
        EXPECT_LE(++held_by[job->worker()], kNumSlots)
            << "no worker gets more than it has room for";
      }
      CheckEvents(id, *job, last);
    }
    CheckCounts();
  }

  void CheckEvents(const std::string& id, const J& job, Last& last);
  void CheckCounts();

  std::mt19937 random_;
  ServerState state_;
  Process processes_[kNumWorkers];
  std::map<std::string, std::string> acknowledged_;  // id -> uid
  std::map<std::string, Last> last_;
  int step_ = 0;
};

// New events follow on the old ones without a gap and along the table.
void Simulation::CheckEvents(const std::string& id, const J& job, Last& last) {
  auto events = state_.jobs->EventsAfter(id, last.sequence, 1000);
  ASSERT_OK(events);
  for (const v1::TuningEvent& event : events->events) {
    EXPECT_EQ(event.sequence(), ++last.sequence);
    if (!event.has_state_change()) continue;
    J::State to = event.state_change().state();
    EXPECT_TRUE(last.state == J::STATE_UNSPECIFIED ? to == J::STATE_QUEUED
                                                   : MayAdvance(last.state, to))
        << JobStateName(last.state) << " to " << JobStateName(to);
    last.state = to;
  }
  EXPECT_EQ(last.state, job.state()) << "the events tell the state";
  EXPECT_EQ(last.sequence, job.last_sequence());
}

void Simulation::CheckCounts() {
  std::map<JobState, int64_t> counts;
  for (const auto& [state, count] : state_.jobs->Counts().by_state) {
    if (count != 0) counts[state] = count;
  }
  std::map<JobState, int64_t> expected;
  int64_t succeeded = 0;
  const auto page = state_.jobs->ListJobs({}).value();
  for (const J& job : page.items) {
    ++expected[job.state()];
    if (job.state() == J::STATE_SUCCEEDED) {
      ++succeeded;
      auto version = state_.registry->GetVersion(
          ParsePromptReference(job.prompt_version(), "x").value());
      ASSERT_OK(version) << "a success has its version";
      EXPECT_EQ(version->tuning_job(), job.name());
      EXPECT_OK(state_.artifacts->Verify(version->artifact_digest()));
    }
  }
  EXPECT_EQ(counts, expected);
  auto prompt = state_.registry->GetPrompt("intent");
  EXPECT_GE(prompt.ok() ? prompt->num_versions() : 0, succeeded);
}

class RandomOperations : public testing::TestWithParam<unsigned> {};

TEST_P(RandomOperations, KeepEveryPromise) {
  SCOPED_TRACE(Concat("seed ", GetParam()));
  Simulation(GetParam()).Run();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, testing::Range(1u, 9u));

}  // namespace
}  // namespace attune::server
