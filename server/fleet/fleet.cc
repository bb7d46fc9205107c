#include "server/fleet/fleet.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/fleet/worker_choice.h"

namespace attune::server {
namespace {

// Processes of one worker that are remembered as replaced.
constexpr size_t kMaxReplaced = 16;
// A worker that was gone for this many timeouts is forgotten.
constexpr int kForgetTimeouts = 30;

const v1::Model* FindModel(const worker::v1::WorkerState& state,
                           std::string_view name) {
  for (const v1::Model& model : state.models()) {
    if (model.name() == name) return &model;
  }
  return nullptr;
}

bool IsLoaded(const v1::Model& model) {
  return std::any_of(model.holders().begin(), model.holders().end(),
                     [](const v1::ModelHolder& h) { return h.loaded(); });
}

// "models/a and models/b", each once.
std::string JoinModels(absl::Span<const Fleet::Need> needs) {
  std::string joined;
  std::vector<std::string> named;
  named.reserve(needs.size());
  for (const Fleet::Need& need : needs) {
    if (std::find(named.begin(), named.end(), need.model) != named.end()) {
      continue;
    }
    named.push_back(need.model);
    joined += Concat(joined.empty() ? "" : " and ", need.model);
  }
  return joined;
}

}  // namespace

WorkerLoan::WorkerLoan(Fleet* fleet, std::string id, std::string instance_id,
                       std::string engine_address)
    : fleet_(fleet),
      id_(std::move(id)),
      instance_id_(std::move(instance_id)),
      engine_address_(std::move(engine_address)) {}

WorkerLoan::WorkerLoan(WorkerLoan&& other) noexcept
    : fleet_(std::exchange(other.fleet_, nullptr)),
      id_(std::move(other.id_)),
      instance_id_(std::move(other.instance_id_)),
      engine_address_(std::move(other.engine_address_)) {}

WorkerLoan::~WorkerLoan() {
  if (fleet_ != nullptr) fleet_->Return(*this);
}

void WorkerLoan::MarkSuspect() {
  if (fleet_ != nullptr) fleet_->MarkSuspect(*this);
}

Fleet::Fleet(Options options, const Clock& clock)
    : options_(options), clock_(clock) {}

Fleet::~Fleet() {
  const auto all_back = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return loans_ == 0;
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&all_back));
}

bool Fleet::IsLive(const Entry& entry, absl::Duration now) const {
  return now - entry.silent_from < options_.timeout;
}

bool Fleet::Serves(const Entry& entry, absl::Duration now) const {
  return IsLive(entry, now) && entry.state.accepts_jobs();
}

absl::Duration Fleet::Update(const worker::v1::WorkerState& state,
                             absl::Duration wait) {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mutex_);
  for (auto it = workers_.begin(); it != workers_.end();) {
    bool forget =
        now - it->second.silent_from > kForgetTimeouts * options_.timeout;
    it = forget ? workers_.erase(it) : std::next(it);
  }
  Entry& entry = workers_[state.id()];
  if (entry.state.instance_id() != state.instance_id()) {
    std::vector<std::string>& replaced = entry.replaced_instances;
    if (std::find(replaced.begin(), replaced.end(), state.instance_id()) !=
        replaced.end()) {
      return -absl::InfiniteDuration();
    }
    if (!entry.state.instance_id().empty()) {
      replaced.push_back(entry.state.instance_id());
      if (replaced.size() > kMaxReplaced) replaced.erase(replaced.begin());
    }
    entry.outstanding = 0;
  }
  entry.state = state;
  entry.warm.clear();
  entry.warm.insert(state.warm_artifacts().begin(),
                    state.warm_artifacts().end());
  entry.silent_from = now + wait;
  entry.suspect = false;
  return entry.silent_from;
}

void Fleet::EndWait(std::string_view id, absl::Duration mark) {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mutex_);
  auto found = workers_.find(std::string(id));
  if (found != workers_.end() && found->second.silent_from == mark) {
    found->second.silent_from = std::min(mark, now);
  }
}

void Fleet::Remove(std::string_view id, std::string_view instance_id) {
  absl::MutexLock lock(&mutex_);
  auto found = workers_.find(std::string(id));
  if (found != workers_.end() &&
      found->second.state.instance_id() == instance_id) {
    workers_.erase(found);
  }
}

absl::StatusOr<WorkerLoan> Fleet::Choose(std::string_view model,
                                         std::string_view fingerprint,
                                         std::string_view artifact_digest) {
  return ChooseForAll({{std::string(model), std::string(fingerprint),
                        std::string(artifact_digest)}});
}

std::optional<WorkerCandidate> Fleet::CandidateFor(const Entry& entry,
                                                   absl::Span<const Need> needs,
                                                   bool& other_weights) {
  WorkerCandidate candidate;
  candidate.id = entry.state.id();
  candidate.warm = true;
  candidate.loaded = true;
  for (const Need& need : needs) {
    const v1::Model* held = FindModel(entry.state, need.model);
    if (held == nullptr) return std::nullopt;
    // A worker that has not computed the fingerprint yet checks it itself.
    if (!need.fingerprint.empty() && !held->fingerprint().empty() &&
        held->fingerprint() != need.fingerprint) {
      other_weights = true;
      return std::nullopt;
    }
    candidate.warm = candidate.warm && !need.artifact_digest.empty() &&
                     entry.warm.contains(need.artifact_digest);
    candidate.loaded = candidate.loaded && IsLoaded(*held);
  }
  candidate.suspect = entry.suspect;
  candidate.outstanding = entry.outstanding;
  candidate.reported_waiting = entry.state.num_waiting_requests();
  return candidate;
}

absl::StatusOr<WorkerLoan> Fleet::ChooseForAll(absl::Span<const Need> needs) {
  const absl::Duration now = clock_.Monotonic();
  const std::string models = JoinModels(needs);
  absl::MutexLock lock(&mutex_);
  std::vector<WorkerCandidate> candidates;
  candidates.reserve(workers_.size());
  bool other_weights = false;
  for (const auto& [id, entry] : workers_) {
    if (!Serves(entry, now)) continue;
    std::optional<WorkerCandidate> candidate =
        CandidateFor(entry, needs, other_weights);
    if (candidate) candidates.push_back(*std::move(candidate));
  }
  std::optional<size_t> best = ChooseWorker(candidates);
  if (!best) {
    if (other_weights) {
      return MakeError(Reason::kModelMismatch,
                       Concat("every worker that holds ", models,
                              " has other weights than the prompt was made "
                              "for; tune it again"),
                       {{"model", models}});
    }
    return MakeError(Reason::kNoWorker,
                     Concat("no live worker holds ", models,
                            "; start one that does and try again"),
                     {{"model", models}});
  }
  Entry& entry = workers_[candidates[*best].id];
  ++entry.outstanding;
  ++loans_;
  return WorkerLoan(this, candidates[*best].id, entry.state.instance_id(),
                    entry.state.engine_address());
}

void Fleet::Return(const WorkerLoan& loan) {
  absl::MutexLock lock(&mutex_);
  --loans_;
  auto found = workers_.find(loan.id_);
  if (found == workers_.end()) return;
  Entry& entry = found->second;
  if (entry.state.instance_id() == loan.instance_id_ && entry.outstanding > 0) {
    --entry.outstanding;
  }
}

void Fleet::MarkSuspect(const WorkerLoan& loan) {
  absl::MutexLock lock(&mutex_);
  auto found = workers_.find(loan.id_);
  if (found != workers_.end() &&
      found->second.state.instance_id() == loan.instance_id_) {
    found->second.suspect = true;
  }
}

std::map<std::string, v1::Model> Fleet::LiveModels() const {
  const absl::Duration now = clock_.Monotonic();
  std::map<std::string, v1::Model> models;
  for (const auto& [id, entry] : workers_) {
    if (!Serves(entry, now)) continue;
    for (const v1::Model& held : entry.state.models()) {
      auto [it, added] = models.try_emplace(held.name(), held);
      v1::Model& model = it->second;
      if (added) model.clear_holders();
      if (model.fingerprint().empty()) {
        model.set_fingerprint(held.fingerprint());
      }
      for (const v1::ModelHolder& holder : held.holders()) {
        *model.add_holders() = holder;
        model.mutable_holders()->rbegin()->set_worker(id);
      }
    }
  }
  return models;
}

std::vector<v1::Model> Fleet::Models() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::Model> models;
  for (auto& [name, model] : LiveModels()) models.push_back(std::move(model));
  return models;
}

absl::StatusOr<v1::Model> Fleet::GetModel(std::string_view name) const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, v1::Model> models = LiveModels();
  auto found = models.find(std::string(name));
  if (found == models.end()) return NotFound("model", name);
  return std::move(found->second);
}

absl::StatusOr<Page<v1::Model>> Fleet::ListModels(
    const PageRequest& request, const PageTokens& tokens) const {
  constexpr std::string_view kList = "models";
  ATTUNE_ASSIGN_OR_RETURN(int size, CheckPageSize(request.page_size));
  ATTUNE_ASSIGN_OR_RETURN(std::string after,
                          tokens.Read(kList, "", request.page_token));
  absl::MutexLock lock(&mutex_);
  std::map<std::string, v1::Model> models = LiveModels();
  Page<v1::Model> page;
  for (auto it = models.upper_bound(after); it != models.end(); ++it) {
    if (static_cast<int>(page.items.size()) == size) {
      page.next_page_token = tokens.Make(kList, "", page.items.back().name());
      break;
    }
    page.items.push_back(std::move(it->second));
  }
  return page;
}

absl::Status Fleet::CheckModelForJob(std::string_view name) const {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mutex_);
  std::map<std::string, v1::Model> models = LiveModels();
  bool any_serves = std::any_of(
      workers_.begin(), workers_.end(),
      [&](const auto& worker) { return Serves(worker.second, now); });
  if (!any_serves || models.count(std::string(name)) > 0) {
    return absl::OkStatus();
  }
  std::string known;
  for (const auto& [model, unused] : models) {
    known += known.empty() ? model : ", " + model;
  }
  return MakeError(Reason::kUnknownBaseModel,
                   Concat("no live worker holds ", name, "; they hold ",
                          known.empty() ? "none" : known),
                   {{"model", std::string(name)}});
}

Fleet::Counts Fleet::Count() const {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mutex_);
  Counts counts;
  for (const auto& [id, entry] : workers_) {
    if (!IsLive(entry, now)) continue;
    ++counts.live;
    if (entry.state.accepts_jobs()) ++counts.accepting_jobs;
  }
  return counts;
}

}  // namespace attune::server
