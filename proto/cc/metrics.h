#ifndef ATTUNE_PROTO_CC_METRICS_H_
#define ATTUNE_PROTO_CC_METRICS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/registry.h"

namespace prometheus {
class Exposer;
}

namespace attune {

// The metrics of a process. Made once and handed to what counts; there is no
// global registry. Values that are not finite are refused and counted in
// attune_metrics_refused_total: one NaN would spoil a sum for good.
// Thread-safe.
class Metrics : public prometheus::Collectable {
 public:
  class Histogram {
   public:
    void Observe(double value);

   private:
    friend class Metrics;
    prometheus::Histogram* histogram_ = nullptr;
    prometheus::Counter* refused_ = nullptr;
  };
  class Gauge {
   public:
    void Set(double value);
    void Add(double value);

   private:
    friend class Metrics;
    prometheus::Gauge* gauge_ = nullptr;
    prometheus::Counter* refused_ = nullptr;
  };

  // Registers the process_* metrics too.
  Metrics();

  // A series, made at the first call with these labels and shown as 0 from then
  // on. It lives as long as this object.
  prometheus::Counter& Counter(const std::string& name, const std::string& help,
                               const prometheus::Labels& labels = {});
  Gauge MakeGauge(const std::string& name, const std::string& help,
                  const prometheus::Labels& labels = {});
  Histogram MakeHistogram(const std::string& name, const std::string& help,
                          const std::vector<double>& buckets,
                          const prometheus::Labels& labels = {});
  // Calls `refresh` before each scrape, to set gauges. It must not wait for
  // disk or long locks.
  void OnScrape(std::function<void()> refresh);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  prometheus::Registry registry_;
  prometheus::Counter& refused_;
  mutable absl::Mutex mutex_;
  std::vector<std::function<void()>> refreshes_ ABSL_GUARDED_BY(mutex_);
};

// GET /metrics over HTTP.
class MetricsEndpoint {
 public:
  // Serves `metrics` on host:port; port 0 takes a free one. UNAVAILABLE naming
  // the address when it cannot be had.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const std::string& address, const std::shared_ptr<Metrics>& metrics);
  ~MetricsEndpoint();

  // host:port as bound.
  const std::string& address() const { return address_; }

 private:
  MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer,
                  std::string address);

  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string address_;
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_METRICS_H_
