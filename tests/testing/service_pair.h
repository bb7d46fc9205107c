#ifndef ATTUNE_TESTS_TESTING_SERVICE_PAIR_H_
#define ATTUNE_TESTS_TESTING_SERVICE_PAIR_H_

#include <grpcpp/channel.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/testing/process.h"

namespace attune {

// A real attune-server and a real attune-worker, each a process of its own,
// with state and models in a directory that goes with this object. Either can
// be killed and started again; the server keeps its port. Start, kill and
// destroy from one thread, which must outlive the processes; channel() may be
// used by any.
class ServicePair {
 public:
  // How the two are started.
  struct Options {
    std::vector<std::string> server_flags;  // after the usual ones
    std::vector<std::string> worker_flags;
    absl::Duration lease_duration = absl::Seconds(2);
    // Ids of the tiny models to write; each has other weights.
    std::vector<std::string> tiny_models = {"tiny"};
    // Also an encoder, "encoder", and an encoder-decoder, "t5".
    bool all_kinds = false;
    // Serves this directory in place of tiny models.
    std::string models_directory;
    bool start_worker = true;
  };

  // Starts the server and, if asked for, the worker, and waits until the
  // server knows the worker's models. Any error carries the end of the logs.
  static absl::StatusOr<std::unique_ptr<ServicePair>> Start(Options options);
  // Kills what runs. After a failed test it prints the end of the logs.
  ~ServicePair();
  ServicePair(const ServicePair&) = delete;
  ServicePair& operator=(const ServicePair&) = delete;

  // Starts the process, which must not run, and waits until it is ready.
  absl::Status StartServer();
  // Also waits until the server lists this worker's models, unless it is down.
  absl::Status StartWorker();

  // SIGKILL, and waits for the end.
  void KillServer();
  void KillWorker();

  // SIGTERM, and waits for the end. DeadlineExceeded after `timeout`.
  absl::StatusOr<ProcessEnd> TerminateServer(absl::Duration timeout);
  absl::StatusOr<ProcessEnd> TerminateWorker(absl::Duration timeout);

  // Kill and start again.
  absl::Status RestartServer();
  absl::Status RestartWorker();

  // Null while it does not run.
  Process* server() { return server_.get(); }
  Process* worker() { return worker_.get(); }

  // To the server's gRPC port. Reconnects within a tenth of a second of the
  // server's return.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // A connection of its own, for what must not share the first one's state.
  std::shared_ptr<grpc::Channel> NewChannel() const;

  // host:port of the server's gRPC and metrics, of the worker's Engine.
  const std::string& server_address() const { return server_address_; }
  std::string metrics_address() const;
  std::string engine_address() const;

  const std::string& directory() const { return directory_; }
  std::string state_directory() const { return directory_ + "/state"; }
  const std::string& models_directory() const { return models_directory_; }

  // The last `max_bytes` of what server and worker wrote.
  std::string LogTail(size_t max_bytes = 6000) const;

 private:
  explicit ServicePair(Options options);

  absl::Status Prepare();
  // Reads `path` (key=value lines) as soon as it is there.
  absl::StatusOr<std::map<std::string, std::string>> WaitForReadyFile(
      Process& process, const std::string& path);
  absl::Status WaitUntilWorkerIsKnown();
  absl::Status WithLogs(const absl::Status& status) const;

  const Options options_;
  std::string directory_;
  std::string models_directory_;
  std::string server_address_;  // empty until the first start
  std::map<std::string, std::string> server_ready_;
  std::map<std::string, std::string> worker_ready_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Process> server_;
  std::unique_ptr<Process> worker_;
};

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_SERVICE_PAIR_H_
