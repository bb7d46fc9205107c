#include "proto/cc/metrics.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/notification.h"
#include "prometheus/counter.h"
#include "prometheus/exposer.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "proto/cc/text.h"

namespace attune {
namespace {

// The text format puts help on one line and prometheus-cpp does not escape it.
std::string OneLine(const std::string& help) {
  return absl::StrReplaceAll(help, {{"\n", " "}, {"\r", " "}});
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

double OpenDescriptors() {
  int count = -3;  // ".", ".." and the descriptor of the directory itself
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

// Seconds since 1970 at which this process began.
double StartTime() {
  const std::string stat = ReadFile("/proc/self/stat");
  const std::string system = ReadFile("/proc/stat");
  const size_t boot = system.find("btime ");
  const size_t name_end = stat.rfind(')');
  if (boot == system.npos || name_end == stat.npos) return 0;
  std::istringstream fields(stat.substr(name_end + 2));
  std::string field;
  for (int i = 0; i < 19; ++i) fields >> field;  // 3 (state) to 21
  double ticks = 0;
  fields >> ticks;
  return std::stod(system.substr(boot + 6)) +
         ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Connects to host:port, an IPv4 address, and hangs up.
void KnockAt(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<uint16_t>(
      std::strtoul(address.c_str() + colon + 1, nullptr, 10)));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr) !=
      1) {
    return;
  }
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return;
  [[maybe_unused]] const int connected = connect(
      socket_fd, reinterpret_cast<const sockaddr*>(&peer), sizeof(peer));
  close(socket_fd);
}

void AddProcessMetrics(Metrics& metrics) {
  auto& cpu = metrics.Counter("process_cpu_seconds_total",
                              "User and system CPU time, in seconds.");
  auto resident = metrics.MakeGauge("process_resident_memory_bytes",
                                    "Resident memory, in bytes.");
  auto virtual_size = metrics.MakeGauge("process_virtual_memory_bytes",
                                        "Virtual memory, in bytes.");
  auto open = metrics.MakeGauge("process_open_fds", "Open descriptors.");
  auto most = metrics.MakeGauge("process_max_fds", "Most open descriptors.");
  metrics
      .MakeGauge("process_start_time_seconds",
                 "When the process began, in seconds since 1970.")
      .Set(StartTime());
  metrics.OnScrape([&cpu, resident, virtual_size, open, most]() mutable {
    timespec used = {};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    const double seconds = static_cast<double>(used.tv_sec) +
                           1e-9 * static_cast<double>(used.tv_nsec);
    cpu.Increment(std::max(0.0, seconds - cpu.Value()));
    std::istringstream pages(ReadFile("/proc/self/statm"));
    double all = 0;
    double in_memory = 0;
    pages >> all >> in_memory;
    const auto page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
    virtual_size.Set(all * page_bytes);
    resident.Set(in_memory * page_bytes);
    open.Set(OpenDescriptors());
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    most.Set(static_cast<double>(limit.rlim_cur));
  });
}

}  // namespace

void Metrics::Histogram::Observe(double value) {
  if (!std::isfinite(value)) return refused_->Increment();
  histogram_->Observe(value);
}

void Metrics::Gauge::Set(double value) {
  if (!std::isfinite(value)) return refused_->Increment();
  gauge_->Set(value);
}

void Metrics::Gauge::Add(double value) {
  if (!std::isfinite(value)) return refused_->Increment();
  gauge_->Increment(value);
}

Metrics::Metrics()
    : refused_(Counter("attune_metrics_refused_total",
                       "Values that were not finite and so left out.")) {
  AddProcessMetrics(*this);
}

prometheus::Counter& Metrics::Counter(const std::string& name,
                                      const std::string& help,
                                      const prometheus::Labels& labels) {
  return prometheus::BuildCounter()
      .Name(name)
      .Help(OneLine(help))
      .Register(registry_)
      .Add(labels);
}

Metrics::Gauge Metrics::MakeGauge(const std::string& name,
                                  const std::string& help,
                                  const prometheus::Labels& labels) {
  Gauge gauge;
  gauge.gauge_ = &prometheus::BuildGauge()
                      .Name(name)
                      .Help(OneLine(help))
                      .Register(registry_)
                      .Add(labels);
  gauge.refused_ = &refused_;
  return gauge;
}

Metrics::Histogram Metrics::MakeHistogram(const std::string& name,
                                          const std::string& help,
                                          const std::vector<double>& buckets,
                                          const prometheus::Labels& labels) {
  Histogram histogram;
  histogram.histogram_ = &prometheus::BuildHistogram()
                              .Name(name)
                              .Help(OneLine(help))
                              .Register(registry_)
                              .Add(labels, buckets);
  histogram.refused_ = &refused_;
  return histogram;
}

void Metrics::OnScrape(std::function<void()> refresh) {
  absl::MutexLock lock(&mutex_);
  refreshes_.push_back(std::move(refresh));
}

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  absl::MutexLock lock(&mutex_);
  for (const auto& refresh : refreshes_) refresh();
  return registry_.Collect();
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer,
                                 std::string address)
    : exposer_(std::move(exposer)), address_(std::move(address)) {}

// The HTTP server looks at its stop flag only every two seconds or when
// somebody connects.
MetricsEndpoint::~MetricsEndpoint() {
  absl::Notification stopped;
  std::thread stop([this, &stopped] {
    exposer_.reset();
    stopped.Notify();
  });
  do {
    KnockAt(address_);
  } while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(10)));
  stop.join();
}

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& address, const std::shared_ptr<Metrics>& metrics) {
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address);
    exposer->RegisterCollectable(metrics);
    const std::string host = address.substr(0, address.rfind(':'));
    const std::string bound =
        Concat(host, ":", exposer->GetListeningPorts().at(0));
    return std::unique_ptr<MetricsEndpoint>(
        new MetricsEndpoint(std::move(exposer), bound));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        Concat("cannot serve metrics on ", address, ": ", error.what()));
  }
}

}  // namespace attune
