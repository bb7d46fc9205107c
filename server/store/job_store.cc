#include "server/store/job_store.h"

#include <soci/soci.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>

#include "absl/time/time.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

using State = v1::TuningJob;

constexpr int64_t kMaxEventBytes = int64_t{1} << 20;
constexpr std::string_view kColumns =
    "number, id, dataset, segment, instance, losses, finished_attempt, "
    "finish_hash, body";
// What unfinished means; the same in every query.
constexpr std::string_view kUnfinished = "state IN (1, 2, 3)";
static_assert(State::STATE_QUEUED == 1 && State::STATE_RUNNING == 2 &&
              State::STATE_CANCELLING == 3);

// The columns of a row of jobs, as SOCI fills them.
struct JobRow {
  int64_t number = 0;
  std::string id;
  int64_t dataset = 0;
  int64_t segment = 0;
  soci::indicator has_segment = soci::i_null;
  std::string instance;
  int losses = 0;
  int finished_attempt = 0;
  std::string finish_hash;
  std::string body;

  // Adds the columns, in the order of kColumns, to what a statement fills.
  void BindTo(soci::statement& statement) {
    statement.exchange(soci::into(number));
    statement.exchange(soci::into(id));
    statement.exchange(soci::into(dataset));
    statement.exchange(soci::into(segment, has_segment));
    statement.exchange(soci::into(instance));
    statement.exchange(soci::into(losses));
    statement.exchange(soci::into(finished_attempt));
    statement.exchange(soci::into(finish_hash));
    statement.exchange(soci::into(body));
  }

  JobRecord Decode() const {
    JobRecord record;
    record.number = number;
    record.id = id;
    if (!record.job.ParseFromString(body)) {
      throw std::runtime_error(Concat("job '", id, "' does not parse"));
    }
    record.rows.dataset_number = dataset;
    record.rows.segment = has_segment == soci::i_ok ? segment : 0;
    record.rows.num_rows = record.job.snapshot().num_rows();
    record.rows.digest = record.job.snapshot().digest();
    record.instance = instance;
    record.losses = losses;
    record.finished_attempt = finished_attempt;
    record.finish_hash = finish_hash;
    return record;
  }
};

// Values of a statement whose number is known at run time only; they must stay
// where they are until it was executed.
struct Parameters {
  std::vector<std::unique_ptr<std::string>> texts;
  std::vector<std::unique_ptr<int64_t>> numbers;

  void Bind(soci::statement& statement, std::string text) {
    texts.push_back(std::make_unique<std::string>(std::move(text)));
    statement.exchange(soci::use(*texts.back()));
  }
  void Bind(soci::statement& statement, int64_t number) {
    numbers.push_back(std::make_unique<int64_t>(number));
    statement.exchange(soci::use(*numbers.back()));
  }
};

std::vector<JobRecord> Fetch(soci::statement& statement, JobRow& row,
                             const std::string& query) {
  row.BindTo(statement);
  statement.alloc();
  statement.prepare(query);
  statement.define_and_bind();
  statement.execute();
  std::vector<JobRecord> records;
  while (statement.fetch()) records.push_back(row.Decode());
  return records;
}

std::string SqlOf(const JobCondition& condition, size_t index) {
  std::string_view column;
  switch (condition.field) {
    case JobCondition::Field::kState:
      column = "state";
      break;
    case JobCondition::Field::kPrompt:
      column = "prompt";
      break;
    case JobCondition::Field::kBaseModel:
      column = "base_model";
      break;
    case JobCondition::Field::kWorker:
      column = "worker";
      break;
    case JobCondition::Field::kCreateTime:
      column = "create_time";
      break;
  }
  std::string_view op;
  switch (condition.op) {
    case JobCondition::Operator::kEqual:
      op = " = ";
      break;
    case JobCondition::Operator::kNotEqual:
      op = " <> ";
      break;
    case JobCondition::Operator::kLess:
      op = " < ";
      break;
    case JobCondition::Operator::kGreater:
      op = " > ";
      break;
  }
  return Concat(" AND ", column, op, ":c", index);
}

bool IsNumber(JobCondition::Field field) {
  return field == JobCondition::Field::kState ||
         field == JobCondition::Field::kCreateTime;
}

int64_t CreateMicros(const v1::TuningJob& job) {
  return job.create_time().seconds() * 1'000'000 +
         job.create_time().nanos() / 1'000;
}

}  // namespace

void JobStore::Insert(JobRecord& record) {
  const v1::TuningJob& job = record.job;
  int64_t create_us = CreateMicros(job);
  int64_t segment = record.rows.segment;
  soci::indicator has_segment = segment != 0 ? soci::i_ok : soci::i_null;
  std::string uid = job.uid();
  std::string prompt = job.spec().prompt();
  std::string base_model = job.spec().base_model();
  sql_ << "INSERT INTO jobs (id, uid, state, prompt, base_model, worker, "
          "create_time, dataset, segment, instance, losses, finished_attempt, "
          "finish_hash, body) VALUES (:i, :u, 0, :p, :m, '', :c, :d, :s, '', "
          "0, 0, '', '')",
      soci::use(record.id), soci::use(uid), soci::use(prompt),
      soci::use(base_model), soci::use(create_us),
      soci::use(record.rows.dataset_number), soci::use(segment, has_segment);
  sql_ << "SELECT last_insert_rowid()", soci::into(record.number);
  Update(record);
}

void JobStore::Update(const JobRecord& record) {
  int state = record.job.state();
  std::string worker = record.job.worker();
  std::string body = record.job.SerializeAsString();
  sql_ << "UPDATE jobs SET state = :t, worker = :w, instance = :i, losses = "
          ":l, finished_attempt = :f, finish_hash = :h, body = :b WHERE number "
          "= :n",
      soci::use(state), soci::use(worker), soci::use(record.instance),
      soci::use(record.losses), soci::use(record.finished_attempt),
      soci::use(record.finish_hash), soci::use(body), soci::use(record.number);
}

void JobStore::Delete(const JobRecord& record) {
  sql_ << "DELETE FROM jobs WHERE number = :n", soci::use(record.number);
  if (record.rows.segment != 0) {
    RowStore(sql_).DeleteSegment(record.rows.segment);
  }
  int attempt = record.job.attempt();
  if (attempt == 0) return;
  sql_ << "INSERT INTO attempt_numbers (job, last) VALUES (:j, :a) "
          "ON CONFLICT (job) DO UPDATE SET last = excluded.last",
      soci::use(record.id), soci::use(attempt);
}

int32_t JobStore::LastAttempt(std::string_view id) {
  std::string key(id);
  int last = 0;
  sql_ << "SELECT last FROM attempt_numbers WHERE job = :j", soci::into(last),
      soci::use(key);
  return sql_.got_data() ? last : 0;
}

std::optional<JobRecord> JobStore::FindBy(std::string_view column,
                                          std::string value) {
  soci::statement statement(sql_);
  Parameters parameters;
  parameters.Bind(statement, std::move(value));
  JobRow row;
  std::vector<JobRecord> records =
      Fetch(statement, row,
            Concat("SELECT ", kColumns, " FROM jobs WHERE ", column, " = :v"));
  if (records.empty()) return std::nullopt;
  return std::move(records.front());
}

std::optional<JobRecord> JobStore::Find(std::string_view id) {
  return FindBy("id", std::string(id));
}

std::optional<JobRecord> JobStore::FindByUid(std::string_view uid) {
  return FindBy("uid", std::string(uid));
}

std::optional<JobRecord> JobStore::FindByNumber(int64_t number) {
  soci::statement statement(sql_);
  Parameters parameters;
  parameters.Bind(statement, number);
  JobRow row;
  std::vector<JobRecord> records =
      Fetch(statement, row,
            Concat("SELECT ", kColumns, " FROM jobs WHERE number = :v"));
  if (records.empty()) return std::nullopt;
  return std::move(records.front());
}

std::vector<JobRecord> JobStore::ListUnfinished() {
  soci::statement statement(sql_);
  JobRow row;
  return Fetch(statement, row,
               Concat("SELECT ", kColumns, " FROM jobs WHERE ", kUnfinished,
                      " ORDER BY number"));
}

std::vector<JobRecord> JobStore::List(
    const std::vector<JobCondition>& conditions, int64_t before, int limit) {
  soci::statement statement(sql_);
  Parameters parameters;
  std::string query =
      Concat("SELECT ", kColumns, " FROM jobs WHERE number < :before");
  parameters.Bind(statement, before);
  for (size_t i = 0; i < conditions.size(); ++i) {
    query += SqlOf(conditions[i], i);
    if (IsNumber(conditions[i].field)) {
      parameters.Bind(statement, conditions[i].number);
    } else {
      parameters.Bind(statement, conditions[i].text);
    }
  }
  query += " ORDER BY number DESC LIMIT :limit";
  parameters.Bind(statement, int64_t{limit});
  JobRow row;
  return Fetch(statement, row, query);
}

std::vector<std::pair<int, int64_t>> JobStore::CountByState() {
  int state = 0;
  int64_t count = 0;
  soci::statement statement =
      (sql_.prepare << "SELECT state, COUNT(*) FROM jobs GROUP BY state",
       soci::into(state), soci::into(count));
  statement.execute();
  std::vector<std::pair<int, int64_t>> counts;
  while (statement.fetch()) counts.emplace_back(state, count);
  return counts;
}

bool JobStore::IsPromptInUse(std::string_view prompt_id) {
  std::string name = ResourceName(kPromptCollection, prompt_id);
  int count = 0;
  sql_ << "SELECT COUNT(*) FROM jobs WHERE prompt = :p AND " << kUnfinished,
      soci::into(count), soci::use(name);
  return count > 0;
}

bool JobStore::IsDatasetInUse(int64_t dataset_number) {
  int count = 0;
  sql_ << "SELECT COUNT(*) FROM jobs WHERE dataset = :d AND " << kUnfinished,
      soci::into(count), soci::use(dataset_number);
  return count > 0;
}

void JobStore::AppendEvent(int64_t job, const v1::TuningEvent& event) {
  int64_t sequence = event.sequence();
  int type = event.has_state_change() ? 1 : event.has_progress() ? 2 : 3;
  std::string body = event.SerializeAsString();
  sql_ << "INSERT INTO events (job, sequence, type, body) VALUES (:j, :s, :t, "
          ":b)",
      soci::use(job), soci::use(sequence), soci::use(type), soci::use(body);
}

std::vector<v1::TuningEvent> JobStore::EventsAfter(int64_t job,
                                                   int64_t sequence,
                                                   int limit) {
  std::string body;
  soci::statement statement =
      (sql_.prepare << "SELECT body FROM events WHERE job = :j AND sequence > "
                       ":s ORDER BY sequence LIMIT :l",
       soci::into(body), soci::use(job), soci::use(sequence), soci::use(limit));
  statement.execute();
  std::vector<v1::TuningEvent> events;
  int64_t num_bytes = 0;
  while (num_bytes < kMaxEventBytes && statement.fetch()) {
    num_bytes += static_cast<int64_t>(body.size());
    if (!events.emplace_back().ParseFromString(body)) {
      throw std::runtime_error(Concat("an event of job ", job,
                                      " after sequence ", sequence,
                                      " does not parse"));
    }
  }
  return events;
}

std::optional<v1::TuningProgress> JobStore::LastProgress(int64_t job) {
  std::string body;
  sql_ << "SELECT body FROM events WHERE job = :j AND type = 2 ORDER BY "
          "sequence DESC LIMIT 1",
      soci::into(body), soci::use(job);
  if (!sql_.got_data()) return std::nullopt;
  v1::TuningEvent event;
  if (!event.ParseFromString(body)) return std::nullopt;
  return event.progress();
}

void JobStore::AddCheckpoint(int64_t job, const CheckpointRecord& checkpoint,
                             int keep) {
  int step = checkpoint.step;
  DeleteCheckpoint(job, checkpoint.digest);
  sql_ << "INSERT INTO checkpoints (job, digest, step) VALUES (:j, :d, :s)",
      soci::use(job), soci::use(checkpoint.digest), soci::use(step);
  sql_ << "DELETE FROM checkpoints WHERE job = :j AND id NOT IN (SELECT id "
          "FROM checkpoints WHERE job = :k ORDER BY id DESC LIMIT :l)",
      soci::use(job, "j"), soci::use(job, "k"), soci::use(keep, "l");
}

std::vector<CheckpointRecord> JobStore::Checkpoints(int64_t job) {
  CheckpointRecord checkpoint;
  int step = 0;
  soci::statement statement =
      (sql_.prepare << "SELECT digest, step FROM checkpoints WHERE job = :j "
                       "ORDER BY id DESC",
       soci::into(checkpoint.digest), soci::into(step), soci::use(job));
  statement.execute();
  std::vector<CheckpointRecord> checkpoints;
  while (statement.fetch()) {
    checkpoint.step = step;
    checkpoints.push_back(checkpoint);
  }
  return checkpoints;
}

void JobStore::DeleteCheckpoint(int64_t job, std::string_view digest) {
  std::string key(digest);
  sql_ << "DELETE FROM checkpoints WHERE job = :j AND digest = :d",
      soci::use(job), soci::use(key);
}

void JobStore::DeleteCheckpoints(int64_t job) {
  sql_ << "DELETE FROM checkpoints WHERE job = :j", soci::use(job);
}

std::set<std::string> JobStore::ReferencedArtifacts() {
  std::string digest;
  soci::statement statement =
      (sql_.prepare << "SELECT digest FROM checkpoints", soci::into(digest));
  statement.execute();
  std::set<std::string> digests;
  while (statement.fetch()) digests.insert(digest);
  return digests;
}

}  // namespace attune::server
